"""co_tuning: W's own head is kept and trained on beside the new one (You 2020, "Co-Tuning for Transfer Learning").

What the source's classes have to do with the target's is measured first: p(source class | target class) is W's mean
prediction over the labelled rows of a class (the paper's direct estimate, its equation 3). While everything is trained,
the old head has to say that of each row.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from headstart.backbones.network import Network
from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import tune_from_source
from headstart.features.files import POOLED
from headstart.objectives.classification import class_means
from headstart.training.flops import forward_flops


def fit(cell: Cell) -> Fitted:
    """Fine-tunes everything with both heads; the new head alone is delivered."""
    relation = class_means(_source_probabilities(cell), cell.train_labels, cell.objective.outputs)
    return tune_from_source(
        cell,
        layer_decay=cell.recipe.layer_decay,
        term=lambda network: OldHead(cell.source_network.head, relation, weight=cell.recipe.weight),
        extra_compute=forward_flops(cell.flops, examples=len(cell.train_rows)),
    )


def _source_probabilities(cell: Cell) -> Tensor:
    """(training rows, source classes): what W says of them."""
    head = cell.source_network.head
    features = torch.from_numpy(cell.features(POOLED)[cell.train_rows, : head.in_features])
    return functional.softmax(features @ head.weight.detach().T + head.bias.detach(), dim=1)


class OldHead:
    """`weight` times the cross-entropy of the old head's answer against the relation's row of each row's class."""

    def __init__(self, head: nn.Linear, relation: Tensor, *, weight: float):
        self.module = nn.Linear(head.in_features, head.out_features)
        self.module.load_state_dict(head.state_dict())
        self._relation, self._weight = relation, weight

    def loss(self, network: Network, features: Tensor, targets: Tensor, step: int) -> Tensor:
        wanted = self._relation.to(features)[targets]
        return self._weight * functional.cross_entropy(self.module(features), wanted)
