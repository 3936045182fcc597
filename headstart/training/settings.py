"""Knobs of training: what every recipe has, and pretraining's own."""

from typing import Annotated, Literal

from pydantic import Field

from headstart.knobs import Knobs

Precision = Literal["auto", "float32"]
Rate = Annotated[float, Field(gt=0, le=10)]


class Recipe(Knobs):
    """How a network is trained: AdamW under a one-cycle schedule (Smith 2018, 1708.07120)."""

    batch_size: int = Field(32, ge=2)
    """rows a step; a smaller training set is one batch"""

    weight_decay: float = Field(0.05, ge=0)
    """AdamW's decoupled weight decay"""

    warmup: float = Field(0.2, gt=0, lt=1)
    """share of the steps in which the rate rises to its peak"""

    augment: bool = True
    """random small affine changes of each training image, drawn anew each step"""


class PretrainSettings(Recipe):
    """Recipe of the source model W."""

    learning_rate: Rate = 0.01
    """peak of the one-cycle schedule"""

    epochs: int = Field(8, ge=1)
    """passes over the source's training rows"""

    batch_size: int = Field(64, ge=2)
    """rows a step"""

    validation_fraction: float = Field(0.05, gt=0, lt=1)
    """share of the source's rows held out to say how good W is on its own task"""

    memory_gb: float = Field(4.0, gt=0)
    """10^9 bytes of images up to which an epoch shuffles all rows; of more it reads shuffled blocks, in this memory"""
