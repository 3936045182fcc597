"""The one training loop: pretraining and every strategy that trains with gradients run through it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, optim

from headstart.backbones.network import Network
from headstart.errors import HeadstartError
from headstart.objectives.classification import Classification
from headstart.objectives.objective import Objective
from headstart.training.accelerator import Accelerator, generator, seed_of
from headstart.training.checkpoint import Checkpoints, State
from headstart.training.rows import Rows
from headstart.training.schedule import one_cycle

PREDICT_BATCH = 256
CLASSES = Classification(())  # loss and probabilities do not ask for the classes' names


@dataclass(frozen=True)
class Plan:
    """How long and how fast.

    boundary: the block that the rows enter at; blocks before it are not run and not trained.
    layer_decay: factor on the rate for each block further from the head.
    marks: steps after which `observe` is called and its records are kept.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    boundary: int = 0
    layer_decay: float = 1.0
    marks: tuple[int, ...] = ()


Observe = Callable[[int, float], dict[str, Tensor]]


def train(
    network: Network,
    rows: Rows,
    labels: Tensor,
    *,
    plan: Plan,
    seed: int,
    accelerator: Accelerator,
    checkpoints: Checkpoints,
    observe: Observe,
    objective: Objective = CLASSES,
) -> State:
    """Trains `network` in place from boundary `plan.boundary` on, resuming where checkpoints stand.

    rows: as many as labels (rows,), which are the objective's targets.
    observe(step, mean loss since the last mark) may return tensors to record.
    The same seed, rows and threads give the same bytes, however often it was interrupted.

    Raises:
        HeadstartError: the loss is not finite; no step is taken and no checkpoint written with it.
    """
    accelerator.prepare(network)
    optimizer = _optimizer(network, plan)
    state = checkpoints.restore(network, optimizer)
    labels = labels.to(accelerator.device)
    while state.step < plan.steps:
        batch = _order(len(rows), step=state.step, plan=plan, seed=seed)
        _set_rates(optimizer, plan, state.step)
        accelerator.seed(seed_of(seed, "step", state.step))  # for dropout, where a network has it
        network.train()
        inputs = accelerator.place(rows.batch(batch, generator(seed, "augment", state.step)))
        optimizer.zero_grad()
        loss = objective.loss(network.from_boundary(inputs, plan.boundary), labels[batch.to(labels.device)])
        value = float(accelerator.reduce(loss.detach()))
        _check_finite(value, step=state.step, plan=plan)
        accelerator.backward(loss)
        optimizer.step()
        state.step += 1
        state.losses.append(value)
        if state.step in plan.marks:
            since = max((mark for mark in plan.marks if mark < state.step), default=0)
            recent = state.losses[since:]
            state.records |= observe(state.step, sum(recent) / len(recent))
        if checkpoints.due() and state.step < plan.steps:
            checkpoints.save(state, network, optimizer)
    return state


@torch.inference_mode()
def predict(
    network: Network, rows: Rows, *, boundary: int = 0, accelerator: Accelerator, objective: Objective = CLASSES
) -> Tensor:
    """Class probabilities (rows, classes), or values (rows, 1), on the CPU, the network in evaluation mode."""
    if not len(rows):  # not every backbone takes an empty batch
        return objective.predict(torch.zeros(0, network.head.out_features))
    accelerator.prepare(network)
    network.eval()
    parts = [
        objective.predict(network.from_boundary(accelerator.place(rows.plain(part)), boundary)).cpu()
        for part in torch.split(torch.arange(len(rows)), PREDICT_BATCH)
    ]
    return torch.cat(parts)


def _order(count: int, *, step: int, plan: Plan, seed: int) -> Tensor:
    """The rows of a step: each epoch is a permutation of its own; what does not fill a batch is left out of it."""
    size = min(plan.batch_size, count)
    epoch, place = divmod(step, count // size)
    permutation = torch.randperm(count, generator=generator(seed, "order", epoch))
    return permutation[place * size : (place + 1) * size]


def _optimizer(network: Network, plan: Plan) -> optim.Optimizer:
    """AdamW over the trained blocks and the head, a group for each rate and decay; norms and biases are not decayed."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    trained = [*network.blocks[plan.boundary :], network.head]
    for depth, block in enumerate(reversed(trained)):
        scale = plan.layer_decay**depth
        for parameter in block.parameters():
            decay = plan.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((scale, decay), []).append(parameter)
    for parameter in network.blocks[: plan.boundary].parameters():
        parameter.requires_grad_(False)
    return optim.AdamW(
        [{"params": own, "weight_decay": decay, "scale": scale} for (scale, decay), own in groups.items()],
        lr=plan.learning_rate,
        fused=True,
    )


def _set_rates(optimizer: optim.Optimizer, plan: Plan, step: int) -> None:
    share = one_cycle(step, steps=plan.steps, warmup=plan.warmup)
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate * group["scale"] * share


def _check_finite(value: float, *, step: int, plan: Plan) -> None:
    if value != value or value in (float("inf"), float("-inf")):
        raise HeadstartError(
            f"the loss became {value} at step {step + 1} of {plan.steps}; lower the learning rate "
            f"(it peaks at {plan.learning_rate:g}) or look for broken inputs with `headstart run --plan`"
        )
