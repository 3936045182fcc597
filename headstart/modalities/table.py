"""What rows may be of: images, texts, sound clips. Torch-free; what decodes and augments them is imported on use.

One modality is one object of the protocol below. Readers, packs, training and prediction know it by that alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from headstart.modalities.decoded import Decoded
from headstart.registry import Entry, Registry

if TYPE_CHECKING:
    import torch

Inputs = Literal["maps", "tokens"]
Moments = tuple[tuple[float, ...], tuple[float, ...]]


class Modality(Protocol):
    """How files become rows of numbers, and what a training may change about such rows."""

    @property
    def dtype(self) -> str:
        """Of a row's numbers."""
        ...

    def how(self, settings: Any) -> Any:
        """What decoding depends on, from the settings `data`: plain data, which can be sent to a process."""
        ...

    def channels(self, settings: Any) -> int:
        """Of maps; of tokens how many different ones there are, padding among them."""
        ...

    def size(self, settings: Any) -> tuple[int, ...]:
        """Of a row: (height, width), (mels, frames) or (length,)."""
        ...

    def decode(self, source: Path | BytesIO | str, how: Any) -> Decoded:
        """A row, or the reason why there is none; never raises for a bad file. source: a str is the content itself."""
        ...

    def sketch(self, rows: NDArray[Any]) -> NDArray[np.float16] | None:
        """Of rows, by which near duplicates are told; None where `decode` gives each its own, or there are none."""
        ...

    def moments(self, blocks: Iterable[NDArray[Any]], *, channels: int) -> Moments:
        """Mean and s.d. by channel, as fractions of the largest value; two of nothing for tokens."""
        ...

    def augment(
        self, rows: "torch.Tensor", generator: "torch.Generator", *, of: int | None = None, part: slice = slice(None)
    ) -> "torch.Tensor":
        """Small changes that leave the target as it is, another for each row. of, part: the rows are that part of a
        batch of so many, whose changes are drawn together."""
        ...

    def augment_strongly(self, rows: "torch.Tensor", generator: "torch.Generator") -> "torch.Tensor":
        """Larger ones: FixMatch's strong view."""
        ...

    def vectors(self, rows: NDArray[Any], places: NDArray[np.intp]) -> NDArray[np.float32]:
        """(places, d): some rows as they are given, as plain vectors that features are held against."""
        ...

    def picture(self, row: NDArray[Any], how: Any) -> NDArray[np.uint8] | str:
        """What a person is shown of a row: (height, width) gray, (height, width, 3), or words. how: it was decoded."""
        ...

    def traits(self, rows: NDArray[Any]) -> dict[str, float]:
        """What source and target are held against by, over all these rows, such as how bright they are."""
        ...

    def said(self, facts: Any) -> str:
        """How large a dataset's rows are and what they are like, in one line. facts: a column a fact, a row a row."""
        ...

    def warnings(self, facts: Any, settings: Any) -> list[str]:
        """What someone should know of a dataset's rows before a run, one sentence each. facts: a column a fact."""
        ...


@dataclass(frozen=True)
class ModalityEntry(Entry):
    """one, many: words for rows. gives: what kind of input a network has to take. extensions: of files, small letters.

    knobs: of the settings `data`, those that decoding reads. shown: those of them that a form has a field of, in its
    order, each by its dotted name below `data`. content: how a table's column is called by default that
    holds the rows themselves in place of paths; "" where files alone can. example: what a file may be called. others:
    endings of files that are of the kind but not read: they are set aside and not passed over.
    """

    one: str
    many: str
    gives: Inputs
    extensions: frozenset[str]
    knobs: tuple[str, ...]
    shown: tuple[str, ...]
    example: str
    content: str = ""
    others: frozenset[str] = frozenset()

    def load(self) -> Modality:
        return cast(Modality, super().load())

    @property
    def a(self) -> str:
        """One of them with its article."""
        return f"{'an' if self.one[0] in 'aeiou' else 'a'} {self.one}"

    @property
    def endings(self) -> str:
        """The extensions in words."""
        return ", ".join(sorted(self.extensions))


IMAGE = ModalityEntry(
    "image",
    "pictures: BMP, GIF, JPEG, PNG, TIFF, WebP",
    "headstart.modalities.image.modality:IMAGE",
    "image",
    "images",
    "maps",
    frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}),
    ("image_size", "channels"),
    ("image_size", "channels"),
    "image.png",
)

TEXT = ModalityEntry(
    "text",
    "texts in UTF-8: .txt files, or the column `text` of a table",
    "headstart.modalities.text.modality:TEXT",
    "text",
    "texts",
    "tokens",
    frozenset({".txt"}),
    ("text",),
    ("text.length", "text.tokens"),
    "text.txt",
    content="text",
)

AUDIO = ModalityEntry(
    "audio",
    "sound clips: WAV, FLAC, OGG, as log-mel spectrograms",
    "headstart.modalities.audio.modality:AUDIO",
    "clip",
    "clips",
    "maps",
    frozenset({".wav", ".flac", ".ogg"}),
    ("audio",),
    ("audio.sample_rate", "audio.seconds", "audio.mels"),
    "clip.wav",
    others=frozenset({".aac", ".aif", ".aiff", ".m4a", ".mp3", ".opus", ".wma"}),
)

MODALITIES: Registry[ModalityEntry] = Registry("modality", [IMAGE, TEXT, AUDIO])


def row_shape(modality: str, channels: int, size: tuple[int, ...]) -> tuple[int, ...]:
    """(channels, height, width) of a map; (length,) of tokens, whose channels are the symbols."""
    return (channels, *size) if MODALITIES.get(modality).gives == "maps" else size


def unknown_moments(modality: str, channels: int) -> Moments:
    """What rows are normalised by of which nothing was measured; tokens are left as they are."""
    return ((0.5,) * channels, (0.25,) * channels) if MODALITIES.get(modality).gives == "maps" else ((), ())


def fields_of(settings: Any) -> dict[str, Any]:
    """What a card says of rows: modality, channels, size, and preparation: all knobs of `data` that decoding reads."""
    entry = MODALITIES.get(settings.modality)
    modality = entry.load()
    return {
        "modality": entry.name,
        "channels": modality.channels(settings),
        "size": modality.size(settings),
        "preparation": settings.model_dump(mode="json", include=set(entry.knobs)),
    }


def row_bytes(settings: Any) -> int:
    """What a row takes in a pack."""
    fields = fields_of(settings)
    shape = row_shape(settings.modality, fields["channels"], fields["size"])
    return int(np.prod(shape)) * np.dtype(MODALITIES.get(settings.modality).load().dtype).itemsize
