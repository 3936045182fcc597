"""`hf:FOLDER` or `hf:OWNER/NAME`: an encoder as the transformers library saves it, as ordered blocks of ours.

Its config.json gives the sizes; the layers are text_transformer's, whose outputs are that library's to 1e-5 (tests), so
that neither it nor its 3 s of import are needed. A name is looked for in the local cache of the hub, then on the hub.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from headstart.backbones.network import Network
from headstart.backbones.text_transformer import BERT, DISTILBERT, Shape, encoder
from headstart.errors import SettingsError

NEEDED = ("config.json", "tokenizer.json", "model.safetensors")
LIKE_BERT = ("bert",)
LIKE_ROBERTA = ("roberta", "xlm-roberta", "camembert")  # positions begin behind the number of padding
KNOWN = (*LIKE_BERT, *LIKE_ROBERTA, "distilbert")


def hf_model(name: str, *, channels: int, classes: int) -> Network:
    """The encoder with fresh weights; its weights come as a source (data/<name>/).

    Raises:
        SettingsError: there is no such model, it is of another kind, or it has fewer tokens than the texts.
    """
    shape, parts = shape_of(model_folder(name.removeprefix("hf:")))
    if channels > shape.symbols:
        raise SettingsError(
            f"{name} knows {shape.symbols:,} tokens, but the texts have {channels:,}; set data.text.tokens to its own"
        )
    return encoder(shape, classes=classes, parts=parts)


@cache
def model_folder(name: str) -> Path:
    """The folder that holds a model, of that path, or of that name on the hub: OWNER/NAME, or OWNER/NAME@REVISION.

    Raises:
        SettingsError: there is neither, or the hub cannot be asked.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        missing = [file for file in NEEDED[:2] if not (folder / file).is_file()]
        if missing:
            raise SettingsError(f"{folder} has no {' and no '.join(missing)}; save the model and its tokenizer there")
        return folder.resolve()
    from huggingface_hub import snapshot_download

    place, _, revision = name.partition("@")  # tensors and JSON alone are taken, none of its code
    try:
        return Path(snapshot_download(place, revision=revision or None, allow_patterns=list(NEEDED)))
    except Exception as error:  # the hub's client, its network and its checks of names have no common error
        raise SettingsError(
            f"hf:{name} is no folder, and cannot be fetched from the hub ({type(error).__name__}). Without a network: "
            f"copy {', '.join(NEEDED)} of it into a folder, and give that: hf:FOLDER"
        ) from None


def shape_of(folder: Path) -> tuple[Shape, dict[str, str]]:
    """Sizes of the encoder in a folder, and what its tensors are called.

    Raises:
        SettingsError: config.json cannot be read, or tells of another kind of network.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = str(config.get("model_type"))
        if kind not in KNOWN:
            raise SettingsError(f"{path}: a {kind} is none of {', '.join(KNOWN)}; choose another model")
        _refuse_others(path, config)
        return (_distilbert(config), DISTILBERT) if kind == "distilbert" else (_bert(config, kind), BERT)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} cannot be read: {type(error).__name__}: {error}") from None


def _refuse_others(path: Path, config: dict[str, Any]) -> None:
    activation = config.get("hidden_act", config.get("activation", "gelu"))
    positions = config.get("position_embedding_type", "absolute")
    if activation != "gelu" or positions != "absolute" or config.get("sinusoidal_pos_embds"):
        raise SettingsError(f"{path}: {activation} and {positions} positions; gelu and absolute ones are known")


def _bert(config: dict[str, Any], kind: str) -> Shape:
    first = int(config.get("pad_token_id", 1)) + 1 if kind in LIKE_ROBERTA else 0
    return Shape(
        symbols=int(config["vocab_size"]),
        width=int(config["hidden_size"]),
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        inner=int(config["intermediate_size"]),
        positions=int(config["max_position_embeddings"]),
        segments=int(config.get("type_vocab_size", 2)),
        first_position=first,
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        dropout=float(config.get("hidden_dropout_prob", 0.1)),
    )


def _distilbert(config: dict[str, Any]) -> Shape:
    return Shape(
        symbols=int(config["vocab_size"]),
        width=int(config["dim"]),
        layers=int(config["n_layers"]),
        heads=int(config["n_heads"]),
        inner=int(config["hidden_dim"]),
        positions=int(config["max_position_embeddings"]),
        dropout=float(config.get("dropout", 0.1)),
    )
