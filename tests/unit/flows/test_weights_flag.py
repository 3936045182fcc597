"""source.weights: what it may name, and the settings that it makes."""

import shutil
from pathlib import Path

import pytest
import torch

from flows.overrides import apply_overrides, parse_overrides
from flows.weights import look_up_weights
from headstart.datasets.settings import DataSettings
from headstart.datasets.weights_folder import ABOUT, read_about
from headstart.errors import SettingsError, UserError
from headstart.modalities.text.modality import decode
from headstart.settings import load, write_default
from headstart.storage.publish import publishing
from headstart.training.adopt import adopt
from headstart.training.rows import Normalisation
from headstart.training.weights import WeightsCard, read_network, write_weights
from tasks.workspace import Workspace

ROOT = Path(__file__).parents[3]


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    shutil.copy(ROOT / "dvc.yaml", root)
    write_default(root / "params.yaml")
    monkeypatch.chdir(root)
    return Workspace(root)


@pytest.fixture
def file(tmp_path) -> Path:
    names = {"conv1.weight": (64, 3, 7, 7), "blocks.0.0.weight": (16, 1, 3, 3)}  # of resnet18, of resnet8
    torch.save({name: torch.zeros(shape) for name, shape in names.items()}, tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def test_a_file_is_named_after_itself_and_copies_nothing_yet(workspace, file):
    found = look_up_weights(workspace, str(file), backbone="resnet18", data=DataSettings(channels=3))
    assert (found.name, dict(found.files), found.texts) == ("mine", {"mine.pth": file}, {})
    assert "ImageNet's is taken" in found.what
    assert list((workspace.root / "data").iterdir()) == []


def test_what_lies_beside_it_comes_along(workspace, file):
    (file.parent / ABOUT).write_text('{"mean": [0.5], "std": [0.2]}')
    found = look_up_weights(workspace, str(file), backbone="resnet18", data=DataSettings(channels=3))
    (file.parent / "copy").mkdir()
    (file.parent / "copy" / ABOUT).write_text(found.texts[ABOUT])
    assert read_about(file.parent / "copy").mean == (0.5,)
    assert found.what == "weights"


def test_a_folder_of_our_own_weights_brings_its_card_and_does_not_take_the_name_of_its_dataset(workspace, tmp_path):
    card = WeightsCard(
        kind="network", strategy="full", dataset="digits", backbone="resnet8", classes=("a", "b"),
        modality="image", channels=1, size=(12, 12), preparation={"image_size": 12, "channels": 1},
        normalisation=Normalisation((0.3,), (0.4,)), levels=0, seed=0,
    )  # fmt: skip
    with publishing(tmp_path / "mnist5k") as draft:
        write_weights(draft, card, {"blocks.0.0.weight": torch.zeros(16, 1, 3, 3)})
    found = look_up_weights(workspace, str(tmp_path / "mnist5k"), backbone="resnet8", data=DataSettings(channels=1))
    assert found.name == "mnist5k-weights"
    (tmp_path / ABOUT).write_text(found.texts[ABOUT])
    about = read_about(tmp_path)
    assert (about.mean, about.std, about.classes, about.image_size) == ((0.3,), (0.4,), ("a", "b"), 12)


def test_the_same_file_once_more_is_the_dataset_that_it_became(workspace, file):
    (workspace.root / "data" / "mine").mkdir()
    shutil.copy(file, workspace.root / "data" / "mine")
    found = look_up_weights(workspace, str(file), backbone="resnet18", data=DataSettings(channels=3))
    assert (found.name, dict(found.files)) == ("mine", {})
    torch.save({"a": torch.ones(2)}, file)
    with pytest.raises(UserError, match="data/mine is there already"):
        look_up_weights(workspace, str(file), backbone="resnet18", data=DataSettings(channels=3))


@pytest.mark.parametrize("name", ["gone.pth", "notes.txt", "gone/weights"])
def test_what_is_no_file_of_weights_is_refused(workspace, tmp_path, name):
    (tmp_path / "notes.txt").write_text("no weights")
    with pytest.raises(UserError, match="is not a file of weights"):
        look_up_weights(workspace, str(tmp_path / name), backbone="resnet18", data=DataSettings(channels=3))


def test_published_weights_become_a_dataset_that_fetch_brings(workspace):
    settings = apply_overrides(
        workspace, parse_overrides(["--backbone", "resnet18", "--source.weights", "IMAGENET1K_V1"])
    )
    assert settings.source.data == ("resnet18-IMAGENET1K_V1",)
    assert settings.built_in == ("resnet18-IMAGENET1K_V1", "digits")
    assert load(workspace.params) == settings


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--source.weights", "IMAGENET1K_V1"], "nobody publishes weights of resnet8"),
        (["--backbone", "resnet18", "--source.weights", "IMAGENET1K_V9"], "no weights 'IMAGENET1K_V9' of resnet18"),
        (["--source.weights", "{file}", "--source.data", "mnist5k"], "not both"),
        (["--source.weights", "{file}", "--target.data", "digitz"], "target.data is 'digitz'"),
        (["--source.weights", "{file}", "--finetune.seeds", "0"], "greater than or equal to 1"),
    ],
)
def test_a_wrong_flag_beside_it_registers_nothing(workspace, file, flags, words):
    before = workspace.params.read_bytes()
    with pytest.raises((SettingsError, UserError), match=words):
        apply_overrides(workspace, parse_overrides([flag.format(file=file) for flag in flags]))
    assert workspace.params.read_bytes() == before
    assert list((workspace.root / "data").iterdir()) == []


def test_what_cannot_be_read_or_matches_nothing_is_refused_before_it_becomes_a_dataset(workspace, tmp_path, file):
    (tmp_path / "junk.pth").write_text("junk")
    with pytest.raises(UserError, match=r"junk\.pth cannot be read as weights"):
        look_up_weights(workspace, str(tmp_path / "junk.pth"), backbone="resnet18", data=DataSettings(channels=3))
    with pytest.raises(UserError, match="none of its 2 tensors matches vgg11"):
        look_up_weights(workspace, str(file), backbone="vgg11", data=DataSettings(channels=3))
    assert list((workspace.root / "data").iterdir()) == []


@pytest.fixture
def encoder(tmp_path) -> Path:
    """A small RoBERTa with random weights, as transformers saves it: its padding is 1."""
    transformers = pytest.importorskip("transformers", reason="make test-encoders has it")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<s>", "<pad>", "</s>", "<unk>", *(f"word{number}" for number in range(20))]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(pad_id=1, pad_token="<pad>")
    config = transformers.RobertaConfig(
        vocab_size=len(words), hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    folder = tmp_path / "my encoder"
    transformers.RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def of_texts(tokens: str) -> DataSettings:
    return DataSettings.model_validate({"modality": "text", "text": {"tokens": tokens, "length": 12}})


def test_an_encoders_own_weights_compute_what_its_library_computes(workspace, encoder, tmp_path):
    import transformers

    data = of_texts(str(encoder / "tokenizer.json"))
    found = look_up_weights(workspace, "pretrained", backbone=f"hf:{encoder}", data=data)
    assert (found.name, list(found.files), list((workspace.root / "data").iterdir())) == (
        "my-encoder-weights", ["model.safetensors"], []
    )  # fmt: skip
    folder = tmp_path / "source"
    folder.mkdir()
    shutil.copy(found.files["model.safetensors"], folder)
    (folder / ABOUT).write_text(found.texts[ABOUT])
    adopt(folder, tmp_path / "W", backbone=f"hf:{encoder}", settings=data, seed=0)
    _, network = read_network(tmp_path / "W")
    row = decode("word3 word7 nothing word1", data.row_kind.load().how(data)).values
    theirs = torch.tensor([[7, 11, 3, 5]])  # as the tokenizer itself numbers them
    with torch.no_grad():
        expected = transformers.AutoModel.from_pretrained(encoder).eval()(theirs).last_hidden_state.mean(1)
        own = network.eval().run(torch.from_numpy(row)[None].long(), 0, len(network.blocks))
    assert torch.allclose(own, expected, atol=1e-5)


def test_an_encoders_weights_want_its_own_tokens(workspace, encoder):
    with pytest.raises(SettingsError, match=r"know the tokens of .*tokenizer\.json alone; add --data\.text\.tokens"):
        look_up_weights(workspace, "pretrained", backbone=f"hf:{encoder}", data=of_texts("bytes"))


def test_an_encoder_without_weights_and_a_file_of_them_that_names_no_tokens_are_refused(workspace, encoder):
    data = of_texts(str(encoder / "tokenizer.json"))
    file = encoder / "model.safetensors"
    with pytest.raises(UserError, match="does not say by which tokens it was trained; give --source.weights "):
        look_up_weights(workspace, str(file), backbone=f"hf:{encoder}", data=data)
    file.unlink()
    with pytest.raises(UserError, match=r"has no model\.safetensors; save the model there"):
        look_up_weights(workspace, "pretrained", backbone=f"hf:{encoder}", data=data)
