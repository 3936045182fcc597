"""Knobs of ingest: how files become rows of a pack."""

from typing import Literal

from pydantic import Field

from headstart.knobs import Knobs


class SourceSettings(Knobs):
    """Where knowledge comes from."""

    data: str = Field("mnist5k", min_length=1)
    """dataset to pretrain on: a folder below data/, or a built-in"""


class TargetSettings(Knobs):
    """The task that has few labels."""

    data: str = Field("digits", min_length=1)
    """dataset to fine-tune and evaluate on: a folder below data/, or a built-in"""


class DataSettings(Knobs):
    """How images are decoded and how rows are split."""

    image_size: int = Field(28, ge=8, le=1024)
    """side of the square that images are resized and centre-cropped to, pixels"""

    channels: Literal[1, 3] = 1
    """1 for gray, 3 for colour"""

    test_fraction: float = Field(0.4, gt=0, lt=1)
    """share of the target's rows that only evaluate may score"""

    max_rejected: float = Field(0.05, ge=0, le=1)
    """share of unreadable files up to which ingest goes on"""

    min_rows_per_class: int = Field(4, ge=2)
    """readable rows that each class must have"""
