"""Nearest neighbours: the targets of the nearest labelled rows, averaged by softmax(cosine / temperature).

Wu 2018 (1805.01978), section 3.4, for classes and values alike.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import softmax

TEMPERATURE = 0.07  # as Wu 2018 has it


def votes(features: Tensor, bank: Tensor, targets: Tensor, *, count: int, own: bool = False) -> Tensor:
    """(rows, outputs): weighted means of the `count` nearest rows' targets.

    features (rows, d), bank (labelled rows, d): of unit length. targets: (labelled rows, outputs). own: features are
    the bank's rows themselves, and no row is its own neighbour: the votes are leave-one-out.
    """
    cosine = features @ bank.T  # (rows, labelled rows)
    if own:
        cosine = cosine.clone().fill_diagonal_(-torch.inf)
    near, places = cosine.topk(min(count, cosine.shape[1] - int(own)), dim=1)
    weights = softmax(near / TEMPERATURE, dim=1)
    return (weights[:, :, None] * targets[places]).sum(1)


def score(features: Tensor, kept: Mapping[str, Tensor], from_votes: Callable[[Tensor], Tensor]) -> Tensor:
    """Scores by what a model keeps of its labelled rows: features, targets, count, and the temperature of scores.

    from_votes: the objective's, which makes scores of votes.
    """
    found = votes(features, kept["features"], kept["targets"], count=int(kept["count"]))
    return from_votes(found) / kept["temperature"]
