"""A delivered model: weights and card become a function from rows to class probabilities, or to values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from headstart.backbones.folded import folded
from headstart.backbones.network import Network, blank, restore
from headstart.errors import DataError, IntegrityError
from headstart.features.bags import KIND as BAGS
from headstart.features.bags import LinearBag, runs_of
from headstart.features.pooled import pooled
from headstart.modalities.table import MODALITIES
from headstart.objectives import neighbours
from headstart.objectives.objective import objective_of, source_objective_of
from headstart.prediction.domain import Domain, read_domain
from headstart.prediction.packed import can_pack, packed
from headstart.training.accelerator import Accelerator
from headstart.training.weights import WeightsCard, read_weights

Score = Callable[[Tensor], Tensor]  # (rows, d) pooled features -> (rows, outputs)
Look = Callable[[NDArray[Any]], tuple[Tensor, Tensor]]  # rows as a pack has them -> (rows, outputs) and (rows, d)

BATCH = 256  # rows that go through the network at a time
BATCH_ON_CPU = 64  # a tenth faster there: the maps stay in its cache


class Model:
    """Predicts with delivered weights; the normalisation, the size of a row and the classes are those of its card.

    look: gives the scores of rows, and the vectors that a domain is of. domain: what rows are said to be far from; None
    where the weights came without one.
    """

    def __init__(self, card: WeightsCard, look: Look, batch_size: int, domain: Domain | None = None):
        self.card = card
        self.domain = domain
        self.objective = source_objective_of(card).calibrated(card.calibration)
        self.batch_size = batch_size
        self._look = look

    def probabilities(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """(rows, ...) as a pack has them -> (rows, classes).

        Raises:
            DataError: rows of another shape than the model was trained on, or the model predicts
                no classes.
        """
        if not self.card.classes:
            what = "attributes" if self.card.attributes else "a value, which has no probabilities"
            raise DataError(f"this model predicts {what}; call predict instead")
        return self._outputs(inputs)[0].numpy()

    def predict(self, inputs: NDArray[Any]) -> pd.DataFrame:
        """One row for each: prediction (of values, in the card's unit), and `probability.<class>` a class, if any.

        Probabilities are calibrated. Of values, low and high are the ends of the interval that the card has, if any; of
        several values each has <name>, <name>_low and <name>_high in place of these.

        Where the model has a domain, two columns more: distance, to the nearest row that it was fitted to, and
        out_of_domain, whether that is beyond 1, the threshold.

        Raises:
            DataError: rows of another shape than the model was trained on.
        """
        outputs, vectors = self._outputs(inputs)
        table = self.objective.frame(outputs)
        if self.domain is None:
            return table
        distances = self.domain.distances(vectors).cpu().numpy()
        table.insert(len(table.columns), "distance", distances)
        table.insert(len(table.columns), "out_of_domain", distances > 1)
        return table

    def vectors(self, inputs: NDArray[Any]) -> Tensor:
        """(rows, ...) as a pack has them -> (rows, d): what a domain is of: pooled features, of a network."""
        return self._outputs(inputs)[1].cpu()

    @torch.inference_mode()
    def _outputs(self, inputs: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """(rows, ...) as a pack has them -> (rows, classes), or (rows, values); and (rows, d) features."""
        _check_shape(inputs, self.card.shape)
        outputs, vectors = [], []
        for part in np.array_split(inputs, max(1, -(-len(inputs) // self.batch_size))):
            scores, features = self._look(part)
            outputs.append(self.objective.predict(scores).cpu())
            vectors.append(features)
        return torch.cat(outputs), torch.cat(vectors)


class ServedModel:
    """A model as MLflow serves it: maps as (rows, height, width, channels), tokens as (rows, length)."""

    def __init__(self, model: Model):
        self.model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row an image, as Model.predict gives it.

        Raises:
            DataError: rows of another shape than the model was trained on.
        """
        given, card = np.asarray(model_input), self.model.card
        dtype = MODALITIES.get(card.modality).load().dtype
        _check_shape(given, as_served(np.empty((0, *card.shape))).shape[1:])
        return self.model.predict(np.ascontiguousarray(np.moveaxis(given, -1, 1) if given.ndim == 4 else given, dtype))


def as_served(inputs: NDArray[Any]) -> NDArray[Any]:
    """Rows of a pack as `ServedModel` takes them."""
    return np.ascontiguousarray(np.moveaxis(inputs, 1, -1) if inputs.ndim == 4 else inputs)


def _check_shape(given: NDArray[Any], wanted: tuple[int, ...]) -> None:
    """Refuses rows of another shape.

    Raises:
        DataError: both shapes.
    """
    if given.shape[1:] != wanted:
        raise DataError(f"rows have shape {given.shape}, but this model takes (rows, {', '.join(map(str, wanted))})")


def load(directory: Path, *, accelerator: Accelerator | None = None, batch_size: int | None = None) -> Model:
    """Reads models/target/<strategy>, or any folder of weights with its card and manifest.

    accelerator: where it predicts, the CPU by default. batch_size: rows that go through the network at a time; None
    for what suits the device.

    Raises:
        IntegrityError: a file is missing or is not what was published.
    """
    where = accelerator or Accelerator()
    size = batch_size or (BATCH_ON_CPU if where.device == "cpu" else BATCH)
    card, tensors = read_weights(directory)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise IntegrityError(f"{directory}: {name} is of {tensor.dtype}, and a delivered model of torch.float32")
    try:
        look = _look_of_bags(card, tensors, where) if card.kind == BAGS else _look_of_network(card, tensors, where)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        cause = str(error).strip().splitlines()[-1].strip()
        what = card.backbone or card.kind
        raise IntegrityError(f"{directory} holds no model of {what} as its card says: {cause}") from None
    domain = read_domain(directory)
    return Model(card, look, size, domain and domain.on(where))


def _look_of_network(card: WeightsCard, tensors: dict[str, Tensor], where: Accelerator) -> Look:
    """A score on pooled features: the last block's vector, followed by those of blocks before where there are levels.

    Raises:
        RuntimeError, KeyError, TypeError, ValueError: the tensors are not those of the card's network.
    """
    body = {name: tensor for name, tensor in tensors.items() if name.startswith(("blocks.", "head."))}
    network = restore(card.backbone, body, channels=card.channels, classes=card.outputs)
    network = _for_prediction(network, card, where)
    head = {name: where.place(tensor) for name, tensor in tensors.items() if name not in body}
    score = SCORES[card.kind](network, head, card)
    levels = max(1, card.levels)
    boundary = max(0, len(network.blocks) - levels)

    def look(rows: NDArray[Any]) -> tuple[Tensor, Tensor]:
        inputs = card.normalisation.apply(where.place(torch.from_numpy(rows.copy())))
        vectors = pooled(network, network.run(inputs, 0, boundary), boundary=boundary, levels=levels)
        return score(vectors), vectors

    return look


def _look_of_bags(card: WeightsCard, tensors: dict[str, Tensor], where: Accelerator) -> Look:
    """A linear head on TF-IDF; the domain's vectors are the rows' own, as their modality has them.

    Raises:
        KeyError, TypeError, ValueError: the tensors or the preparation are not those of such a model.
    """
    model = LinearBag.read(tensors, runs_of(card.preparation), outputs=card.outputs)
    modality = MODALITIES.get(card.modality).load()

    def look(rows: NDArray[Any]) -> tuple[Tensor, Tensor]:
        vectors = modality.vectors(rows, np.arange(len(rows)))
        return model.scores(rows).float(), where.place(torch.from_numpy(vectors))

    return look


def _for_prediction(network: Network, card: WeightsCard, where: Accelerator) -> Network:
    """The network as it predicts fastest on the device, in float32: what it gives agrees to rounding."""
    network = where.prepare(folded(network))
    if where.device != "cpu" or not can_pack():
        return network
    return packed(network, where.place(blank(card.backbone, channels=card.channels, size=card.size)))


def _head(network: Network, tensors: dict[str, Tensor], card: WeightsCard) -> Score:
    return lambda vectors: cast(Tensor, network.head(vectors[:, : network.feature_dim]))


def _probe(network: Network, tensors: dict[str, Tensor], card: WeightsCard) -> Score:
    weight, bias = tensors["probe.weight"], tensors["probe.bias"]
    return lambda vectors: vectors @ weight.T + bias


def _means(network: Network, tensors: dict[str, Tensor], card: WeightsCard) -> Score:
    objective, kept = objective_of(card), _under(f"{card.kind}.", tensors)
    centre = kept.pop("centre")
    return lambda vectors: objective.from_prototypes(normalize(vectors - centre, dim=1), kept)


def _neighbours(network: Network, tensors: dict[str, Tensor], card: WeightsCard) -> Score:
    objective, kept = objective_of(card), _under(f"{card.kind}.", tensors)
    centre = kept.pop("centre")
    return lambda vectors: neighbours.score(normalize(vectors - centre, dim=1), kept, objective.from_votes)


SCORES = {"network": _head, "probe": _probe, "means": _means, "neighbours": _neighbours}  # by the card's kind


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
