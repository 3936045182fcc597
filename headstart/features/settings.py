"""Knobs of extract: what is computed once under W, for every strategy that reads it."""

from pydantic import Field

from headstart.knobs import Knobs


class ExtractSettings(Knobs):
    """Which activations of W are written to features/."""

    levels: int = Field(2, ge=1)
    """how many of the last blocks are pooled and laid side by side as a row's features"""

    views: int = Field(8, ge=1)
    """augmented views of each labelled-pool row at the boundary that frozen_blocks starts from"""

    activations_gb: float = Field(8.0, ge=0)
    """most that the activations at that boundary may take on disk; where they take more, each cell computes its own"""
