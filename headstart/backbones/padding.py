"""How networks on tokens know padding: at every boundary a padded position is a row of zeros.

A block takes one tensor, so the mask travels in it, and what extract keeps at a boundary is all that the next block
needs. A real position is never all zeros: the blocks end in LayerNorm or in a sum with what came before.
"""

from torch import Tensor, nn


def real(tokens: Tensor) -> Tensor:
    """(batch, positions) bool: which positions of (batch, positions, channels) are no padding."""
    return (tokens != 0).any(2)


def masked(tokens: Tensor, mask: Tensor) -> Tensor:
    """The same, zeros where the mask (batch, positions) is False."""
    return tokens * mask[..., None]


def mean_of_real(tokens: Tensor) -> Tensor:
    """(batch, positions, channels) -> (batch, channels): the mean over positions that are no padding.

    Where there is no padding it is the plain mean, to the bit.
    """
    positions = tokens.shape[1]
    share = positions / real(tokens).sum(1, keepdim=True).clamp_min(1).to(tokens)
    return tokens.mean(1) * share


class MeanOfReal(nn.Module):
    """The last step of a network on tokens: `mean_of_real`."""

    def forward(self, tokens: Tensor) -> Tensor:
        return mean_of_real(tokens)
