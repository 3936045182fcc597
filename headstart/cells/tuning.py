"""What the strategies that train with gradients share: trials of the rate, snapshots, history, compute."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.backbones.network import Network
from headstart.cells.cell import Cell, Fitted, Snapshot
from headstart.strategies.settings import TuneRecipe
from headstart.training.accelerator import seed_of
from headstart.training.checkpoint import Checkpoints, State
from headstart.training.flops import forward_flops, training_flops
from headstart.training.loop import Plan, Term, predict, train
from headstart.training.rows import Normalisation, Rows

SNAPSHOTS = (0.25, 0.5, 0.75)  # shares of the training at which the test rows are predicted, besides its end


@dataclass(frozen=True)
class Inputs:
    """The cell's rows as the network takes them in at a boundary."""

    train: Rows
    validation: Rows
    test: Rows


def plain_inputs(cell: Cell, normalisation: Normalisation) -> Inputs:
    """The cell's rows under a normalisation, for a network that is trained from its first block on."""
    return Inputs(
        train=cell.input_rows(cell.train_rows, normalisation, augmented=cell.recipe.augment),
        validation=cell.input_rows(cell.validation_rows, normalisation),
        test=cell.input_rows(cell.test_rows, normalisation),
    )


def tune_from_source(
    cell: Cell,
    *,
    start: Callable[[], Network] | None = None,
    layer_decay: float = 1.0,
    thaw: int = 0,
    term: Callable[[Network], Term] | None = None,
    rows_beside: float = 0.0,
    extra_compute: float = 0.0,
) -> Fitted:
    """Trains everything on from W, under the normalisation that W was trained with: another one was measured to hurt.

    start: gives the network to begin with; W's blocks and what its head has in common with the target's by default.
    The others: see `tune`.
    """
    card = cell.source_card
    return tune(
        cell,
        start or cell.network_from_source,
        plain_inputs(cell, card.normalisation),
        normalisation=card.normalisation,
        layer_decay=layer_decay,
        thaw=thaw,
        term=term,
        rows_beside=rows_beside,
        extra_compute=extra_compute,
        pretraining_compute=card.flops,
    )


def tune(
    cell: Cell,
    start: Callable[[], Network],
    inputs: Inputs,
    *,
    normalisation: Normalisation,
    boundary: int = 0,
    layer_decay: float = 1.0,
    thaw: int = 0,
    term: Callable[[Network], Term] | None = None,
    rows_beside: float = 0.0,
    extra_compute: float = 0.0,
    pretraining_compute: float | None = 0.0,
) -> Fitted:
    """Trains from `start()` once for each rate of the recipe and keeps the one that validates best.

    start: gives the network to begin with, the same each time but for what the global generator draws.
    boundary, layer_decay, thaw: see training/loop.py's Plan. term: makes what is added to the loss, from that network.
    rows_beside: rows that the term trains on in each step, beside the labelled ones. extra_compute: FLOPs beside those
    of the training.
    """
    recipe: TuneRecipe = cell.recipe
    shape = Shape(boundary, layer_decay, thaw)
    trials = [_trial(cell, start, inputs, rate, shape=shape, term=term) for rate in recipe.learning_rates]
    best = max(trials, key=lambda trial: (trial.score, -trial.loss))
    return Fitted(
        snapshots=best.snapshots,
        train=_predict(cell, best.network, inputs.train, boundary),
        tensors=best.network.state_dict(),
        kind="network",
        normalisation=normalisation,
        levels=0,
        history=best.history,
        compute=extra_compute + _compute(cell, best.plan, rows=len(inputs.train), rows_beside=rows_beside),
        pretraining_compute=pretraining_compute,
        learning_rate=best.rate,
    )


@dataclass(frozen=True)
class Shape:
    """Which blocks are trained, when, and how fast beside each other: see training/loop.py's Plan."""

    boundary: int
    layer_decay: float
    thaw: int


def _compute(cell: Cell, plan: Plan, *, rows: int, rows_beside: float) -> float:
    """FLOPs of one training: blocks that are not trained yet are run forward, a term's rows go through all of them."""
    batch, blocks = min(plan.batch_size, rows), len(cell.flops)
    total = plan.steps * rows_beside * training_flops(cell.flops, examples=1)
    for frozen, steps in Counter(plan.frozen(step, blocks) for step in range(plan.steps)).items():
        total += training_flops(cell.flops, examples=steps * batch, boundary=frozen)
        total += forward_flops(cell.flops[plan.boundary : frozen], examples=steps * batch)
    return total


@dataclass(frozen=True)
class _Trial:
    plan: Plan
    rate: float
    network: Network
    snapshots: tuple[Snapshot, ...]
    history: tuple[tuple[int, str, str, float], ...]
    score: float
    loss: float


def _trial(
    cell: Cell,
    start: Callable[[], Network],
    inputs: Inputs,
    rate: float,
    *,
    shape: Shape,
    term: Callable[[Network], Term] | None,
) -> _Trial:
    recipe: TuneRecipe = cell.recipe
    marks = {recipe.steps} | (
        {max(1, round(share * recipe.steps)) for share in SNAPSHOTS} if cell.job.snapshots else set()
    )
    plan = Plan(
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        learning_rate=rate,
        weight_decay=recipe.weight_decay,
        warmup=recipe.warmup,
        boundary=shape.boundary,
        layer_decay=shape.layer_decay,
        marks=tuple(sorted(marks)),
        thaw=shape.thaw,
        work=cell.work,
    )
    torch.manual_seed(seed_of(cell.job.run_seed, "weights", cell.job.seed))
    network = start()

    def observe(step: int, mean_loss: float) -> dict[str, Tensor]:
        records = {
            split: _predict(cell, network, rows, shape.boundary)
            for split, rows in (("test", inputs.test), ("validation", inputs.validation))
        }
        records["loss"] = torch.tensor([mean_loss], dtype=torch.float64)
        return {f"{step:08d}.{name}": value for name, value in records.items()}

    state = train(
        network,
        inputs.train,
        cell.train_labels,
        plan=plan,
        seed=seed_of(cell.job.run_seed, "train", cell.job.seed),
        accelerator=cell.accelerator,
        checkpoints=Checkpoints(cell.job.directory.with_name(f"{cell.job.key}.rate-{rate:g}")),
        observe=observe,
        objective=cell.objective.smoothed(recipe.label_smoothing),
        term=term(network) if term else None,
    )
    return _read_trial(cell, rate, network, state, plan)


def _predict(cell: Cell, network: Network, rows: Rows, boundary: int) -> Tensor:
    return predict(network, rows, boundary=boundary, accelerator=cell.accelerator, objective=cell.objective)


def _read_trial(cell: Cell, rate: float, network: Network, state: State, plan: Plan) -> _Trial:
    snapshots = []
    history: list[tuple[int, str, str, float]] = []
    kind = cell.objective.kind
    for step in plan.marks:
        test, validation, mean_loss = (state.records[f"{step:08d}.{name}"] for name in ("test", "validation", "loss"))
        score = cell.objective.score(validation, cell.validation_labels)
        snapshots.append(Snapshot(step / plan.steps, test, validation))
        history += [(step, "train", "loss", float(mean_loss)), (step, "validation", kind.metric, kind.value(score))]
    if state.pieces > 1:
        history.append((plan.steps, "train", "pieces", state.pieces))
    if state.halvings:
        history.append((plan.steps, "train", "halvings", state.halvings))
    return _Trial(
        plan=plan,
        rate=rate,
        network=network,
        snapshots=tuple(snapshots),
        history=tuple(history),
        score=score,
        loss=cell.objective.held_out_loss(snapshots[-1].validation, cell.validation_labels),
    )
