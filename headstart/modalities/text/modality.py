"""Texts: decoding to tokens (once, at ingest), and dropping tokens of a batch (each step).

A row is (length,) int32: a byte has 257 symbols with padding and a tokenizer tens of thousands, so that uint8 is too
small for both, and torch has few operations for uint16. Padding is 0, behind the text alone.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.modalities.decoded import Decoded, Refused, content_of, too_large
from headstart.modalities.settings import BYTES, TextSettings
from headstart.modalities.text.tokenizers import symbols

if TYPE_CHECKING:
    import torch

    from headstart.modalities.table import Modality

ALL = slice(None)  # rows of a batch
MARK = "\ufeff"  # of the byte order; editors on Windows put it before a text
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")  # but tab, line ends, vertical tab and form feed
LARGEST = "data.text.largest_bytes"
DROPPED, DROPPED_STRONGLY = 0.1, 0.3  # shares of a row's tokens
WIDTH = 2048  # numbers of a raw text's vector
RUN = 3  # tokens that one of them counts together, at most
SKETCH = 79  # numbers of a sketch, as many as of a picture in colour
GRAM = 4  # characters, folded, that one of them counts together
FEWEST = 12  # characters and digits below which a sketch would be of too little


@dataclass(frozen=True)
class HowText:
    """What decoding a text depends on: see TextSettings."""

    length: int = 256
    tokens: str = BYTES
    largest_bytes: int = 1_000_000


def decode(source: Path | BytesIO | str, how: HowText) -> Decoded:
    """Reads a text to (how.length,) int32: UTF-8, without a byte order mark, in Unicode's composed form (NFC).

    source: a str is the text itself, a Path its file. Never raises for a bad text: the reason is a code and the cause.
    """
    try:
        given = _text(source, how.largest_bytes)
        text = unicodedata.normalize("NFC", given.removeprefix(MARK))
        changes = ["byte order mark"] if given.startswith(MARK) else []
        changes += ["composed (NFC)"] if text != given.removeprefix(MARK) else []
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            changes.append("line ends")
        text = text.strip()  # a cell of a table has no spaces around it either
        _check(text)
        tokens = symbols(how.tokens).read(text, how.length)
        changes += ["cut"] if tokens.count > how.length else []
        row = np.zeros(how.length, np.int32)
        row[: len(tokens.values)] = tokens.values
        facts: dict[str, float | str] = {"characters": len(text), "tokens": tokens.count}
        return Decoded(row, hashlib.sha256(text.encode()).hexdigest(), "", facts, tuple(changes), sketch(text))
    except Refused as refused:
        return Decoded(None, "", str(refused))
    except MemoryError:
        return Decoded(None, "", "OUT_OF_MEMORY: the text does not fit into memory")
    except Exception as error:  # a file that is gone, a tokenizer that fails: each makes the text a rejected one
        return Decoded(None, "", f"UNREADABLE: {type(error).__name__}: {error}")


def _text(source: Path | BytesIO | str, largest: int) -> str:
    """The text as it is given.

    Raises:
        Refused: it is too large, or no UTF-8.
    """
    if isinstance(source, str):
        size = len(source) if len(source) > largest else len(source.encode("utf-8", "surrogatepass"))
        if size > largest:
            raise Refused(too_large(size, largest, LARGEST))
        if any("\ud800" <= character <= "\udfff" for character in source):
            raise Refused("NOT_UTF8: half of a surrogate pair, which is no character; save the table as UTF-8")
        return source
    content = (content_of(source, largest=largest, setting=LARGEST) if isinstance(source, Path) else source).getvalue()
    if len(content) > largest:
        raise Refused(too_large(len(content), largest, LARGEST))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise Refused(f"NOT_UTF8: byte 0x{byte:02x} at place {error.start:,} is none; save the text as UTF-8") from None


def _check(text: str) -> None:
    """Refuses what is no text.

    Raises:
        Refused: it is empty or blank, or holds a control character.
    """
    if not text.strip():
        raise Refused("EMPTY: a text of no characters but spaces")
    found = CONTROL.search(text)
    if found:
        raise Refused(f"CONTROL: character U+{ord(found[0]):04X} at place {found.start():,}; that is no text")


def augment(
    rows: "torch.Tensor", generator: "torch.Generator", *, of: int | None = None, part: slice = ALL
) -> "torch.Tensor":
    """Tokens dropped, others for each row: a tenth of them become padding in their place; one at least stays.

    rows: (batch, length) int64, 0 for padding, which it stays. of, part: they are that part of a batch of so many,
    whose drops are drawn together.
    """
    return _drop(rows, generator, DROPPED, batch=rows.shape[0] if of is None else of, part=part)


def augment_strongly(rows: "torch.Tensor", generator: "torch.Generator") -> "torch.Tensor":
    """The same of three tenths of the tokens: FixMatch's strong view."""
    return _drop(rows, generator, DROPPED_STRONGLY, batch=rows.shape[0], part=ALL)


def _drop(
    rows: "torch.Tensor", generator: "torch.Generator", share: float, *, batch: int, part: slice
) -> "torch.Tensor":
    import torch

    draws = torch.rand(batch, rows.shape[1], generator=generator, device=generator.device)[part].to(rows.device)
    kept = draws >= share
    best = torch.where(rows != 0, draws, -1.0).argmax(1, keepdim=True)
    return rows * (kept | torch.zeros_like(kept).scatter_(1, best, True))


def vectors(rows: NDArray[np.int32], places: NDArray[np.intp]) -> NDArray[np.float32]:
    """(places, WIDTH) of length 1: how often runs of one to three tokens occur, hashed, by their square roots."""
    found = np.zeros((len(places), WIDTH), np.float32)
    for number, place in enumerate(places):
        row = np.asarray(rows[place]).astype(np.int64)
        row = row[row != 0]
        found[number] = np.sqrt(np.bincount(hashed_runs(row, RUN), minlength=WIDTH)[:WIDTH])
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    return found


def hashed_runs(tokens: NDArray[np.int64], longest: int, *, width: int = WIDTH) -> NDArray[np.int64]:
    """A number below `width` for each run of 1 to `longest` tokens: the same for the same run, on every machine."""
    key, parts = np.zeros(len(tokens), np.uint64), []
    for run in range(longest):
        if run >= len(tokens):
            break
        key = (key[: len(tokens) - run] + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= tokens[run:].astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
        key ^= key >> np.uint64(29)
        parts.append((key * np.uint64(0x165667B19E3779F9)) >> np.uint64(33))
    return (np.concatenate(parts) % np.uint64(width)).astype(np.int64) if parts else np.zeros(0, np.int64)


def sketch(text: str) -> NDArray[np.float16] | None:
    """(SKETCH,) of length 1 from runs of four letters and digits, in one case: two texts that differ in case, spaces
    and punctuation alone have the same; None for one too short to be told by it."""
    folded = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text[:100_000]).casefold()))
    if len(folded) < FEWEST:
        return None
    codes = np.array([ord(character) for character in folded], np.int64)
    runs: Sequence[Any] = [codes[place : len(codes) - GRAM + 1 + place] for place in range(GRAM)]
    key = np.zeros(len(runs[0]), np.uint64)
    for run in runs:
        key = (key ^ run.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(31)
    signs = np.where((key >> np.uint64(40)) & np.uint64(1), 1.0, -1.0)
    found = np.bincount(((key >> np.uint64(5)) % np.uint64(SKETCH)).astype(np.int64), signs, SKETCH)
    return (found / max(float(np.linalg.norm(found)), 1e-9)).astype(np.float16)


@dataclass(frozen=True)
class TextModality:
    """What the table of modalities names."""

    dtype: str = "int32"
    decode = staticmethod(decode)
    augment = staticmethod(augment)
    augment_strongly = staticmethod(augment_strongly)
    vectors = staticmethod(vectors)

    def how(self, settings: Any) -> HowText:
        own: TextSettings = settings.text
        return HowText(own.length, own.tokens, own.largest_bytes)

    def channels(self, settings: Any) -> int:
        """How many different tokens there are, padding among them.

        Raises:
            SettingsError: there is no such tokenizer.
        """
        return symbols(settings.text.tokens).size

    def size(self, settings: Any) -> tuple[int, ...]:
        return (settings.text.length,)

    def sketch(self, rows: NDArray[Any]) -> None:
        """None: decoding gives each text its own."""

    def picture(self, row: NDArray[np.int32], how: HowText) -> str:
        return symbols(how.tokens).words(row)

    def traits(self, rows: NDArray[np.int32]) -> dict[str, float]:
        return {"tokens a text": float((rows > 0).sum(1).mean()), "different tokens": float(len(np.unique(rows)) - 1)}

    def said(self, facts: Any) -> str:
        lengths = facts["characters"].astype(int)
        return f"{lengths.min():,} to {lengths.max():,} characters, median {int(lengths.median()):,}"

    def warnings(self, facts: Any, settings: Any) -> list[str]:
        cut = int((facts["tokens"] > settings.text.length).sum())
        if cut * 2 <= len(facts):
            return []
        return [
            f"{cut:,} of {len(facts):,} texts are longer than data.text.length ({settings.text.length}) tokens and are "
            "cut; a larger one keeps more of them"
        ]

    def moments(self, blocks: Iterable[NDArray[Any]], *, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """None: the number of a token says nothing of how large it is."""
        return (), ()


TEXT: "Modality" = TextModality()
