"""The one training loop: pretraining and every strategy that trains with gradients run through it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor, nn, optim

from headstart.backbones.network import Network
from headstart.errors import NotFiniteError
from headstart.objectives.classification import Classification
from headstart.objectives.objective import SourceObjective
from headstart.training.accelerator import Accelerator, generator
from headstart.training.checkpoint import Checkpoints, State
from headstart.training.placed import placed
from headstart.training.policy import NO_WORK, Work
from headstart.training.rows import InputRows, Rows
from headstart.training.schedule import one_cycle
from headstart.training.step import Step, run_in_memory

log = logging.getLogger("headstart")

PREDICT_BATCH = 256
CLASSES = Classification(())  # loss and probabilities do not ask for the classes' names


@dataclass(frozen=True)
class Plan:
    """How long and how fast.

    boundary: the block that the rows enter at; blocks before it are not run and not trained.
    layer_decay: factor on the rate for each block further from the head.
    marks: steps after which `observe` is called and its records are kept.
    thaw: steps after which one more block is trained, from the last to the first; 0: all are from the beginning.
    work: of the network on one image, by which a CPU's precision is chosen.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    boundary: int = 0
    layer_decay: float = 1.0
    marks: tuple[int, ...] = ()
    thaw: int = 0
    work: Work = NO_WORK

    def frozen(self, step: int, blocks: int) -> int:
        """How many of the first blocks are not trained at a step."""
        return max(self.boundary, blocks - step // self.thaw) if self.thaw else self.boundary


class Term(Protocol):
    """What a strategy adds to the loss of each step: of other rows, of the weights, or of another task.

    module: what it trains beside the network, such as a second head; it may be empty.
    """

    @property
    def module(self) -> nn.Module: ...

    def loss(self, network: Network, features: Tensor, targets: Tensor, step: int) -> Tensor:
        """A scalar. features: what the last block makes of the step's labelled rows, (rows, feature_dim).

        Of several processes each is given all of the step's rows and computes all of it.
        """
        ...


Observe = Callable[[int, float], dict[str, Tensor]]
NextRows = Callable[[int], Tensor]


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
    objective: SourceObjective = CLASSES,
    term: Term | None = None,
    order: NextRows | None = None,
) -> State:
    """Trains `network` in place from boundary `plan.boundary` on, resuming where checkpoints stand.

    rows: as many as labels (rows, ...), which are the objective's targets. term: is added to the objective's loss.
    order: the rows of each step, where an epoch is no permutation of all of them (stream.py).
    observe(step, mean loss since the last mark) may return tensors to record.
    The same seed, rows, threads and number of processes give the same bytes, however often it was interrupted; of
    several processes all call it with the same arguments, and all come to the same weights.

    Where the loss is not finite, it begins again from the weights that it was given, once, at half the rate: not from a
    checkpoint, for when those are written depends on the clock.

    Raises:
        NotFiniteError: at half the rate it is not finite either. No step is taken and no checkpoint written with it.
        SettingsError: see the accelerator's `share` and `together`.
    """
    accelerator.prepare(network)
    beside = accelerator.prepare(term.module) if term else nn.Module()
    begun = _copy(network), _copy(beside)
    optimizer = _optimizer(network, beside, plan)
    state = checkpoints.restore(network, optimizer, beside)
    accelerator.agree(state.step)
    network.train()
    together = accelerator.together(network, network.blocks[plan.boundary :], network.head, beside)
    stored = rows.nbytes if isinstance(rows, InputRows) else 0
    policy = accelerator.policy(steps=plan.steps, input_bytes=stored, thaws=plan.thaw > 0, work=plan.work)
    if policy.on_device and isinstance(rows, InputRows):
        rows = placed(rows, accelerator.device, resident=policy.resident)
    run = accelerator.compiled(network.run, policy)
    state.pieces = max(state.pieces, accelerator.pieces)
    labels = labels.to(accelerator.device)
    while state.step < plan.steps:
        batch = order(state.step) if order else _order(len(rows), step=state.step, plan=plan, seed=seed)
        _set_rates(optimizer, plan, state)
        network.train()
        beside.train()
        targets = labels[batch.to(labels.device)]
        step = Step(network, rows, batch, targets, plan, state.step, seed, accelerator, policy, run)
        try:
            value = run_in_memory(step, together, objective, term, state, optimizer)
        except NotFiniteError as error:
            state = _begun_again(state, error, plan)
            checkpoints.clear()
            for module, weights in zip((network, beside), begun, strict=True):
                module.load_state_dict(weights)
            optimizer = _optimizer(network, beside, plan)
            continue
        optimizer.step()
        state.step += 1
        state.losses.append(value)
        if state.step in plan.marks:
            since = max((mark for mark in plan.marks if mark < state.step), default=0)
            recent = state.losses[since:]
            state.records |= observe(state.step, sum(recent) / len(recent))
        if accelerator.leads and checkpoints.due() and state.step < plan.steps:
            checkpoints.save(state, network, optimizer, beside)
    return state


@torch.inference_mode()
def predict(
    network: Network, rows: Rows, *, boundary: int = 0, accelerator: Accelerator, objective: SourceObjective = CLASSES
) -> Tensor:
    """The objective's predictions, (rows, outputs), on the CPU, the network in evaluation mode."""
    if not len(rows):  # not every backbone takes an empty batch
        return objective.predict(torch.zeros(0, network.head.out_features))
    accelerator.prepare(network)
    network.eval()
    size = PREDICT_BATCH
    while True:
        try:
            return torch.cat(
                [
                    objective.predict(network.from_boundary(accelerator.place(rows.plain(part)), boundary)).cpu()
                    for part in torch.split(torch.arange(len(rows)), size)
                ]
            )
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        size //= 2
        accelerator.free()


def _order(count: int, *, step: int, plan: Plan, seed: int) -> Tensor:
    """The rows of a step: each epoch is a permutation of its own; what does not fill a batch is left out of it."""
    size = min(plan.batch_size, count)
    epoch, place = divmod(step, count // size)
    return _permutation(count, seed, epoch)[place * size : (place + 1) * size]


@lru_cache(maxsize=1)
def _permutation(count: int, seed: int, epoch: int) -> Tensor:
    """An epoch's; kept, for its steps would draw it again: a millisecond each at 100,000 rows."""
    return torch.randperm(count, generator=generator(seed, "order", epoch))


def _optimizer(network: Network, beside: nn.Module, plan: Plan) -> optim.Optimizer:
    """AdamW over the trained blocks, the head and what a term trains, a group for each rate and decay.

    Norms and biases are not decayed.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    trained = [*network.blocks[plan.boundary :], nn.ModuleList([network.head, beside])]
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


def _copy(module: nn.Module) -> dict[str, Tensor]:
    """Its state on the CPU, where it takes no memory of a device."""
    return {name: value.detach().to("cpu", copy=True) for name, value in module.state_dict().items()}


def _begun_again(state: State, error: NotFiniteError, plan: Plan) -> State:
    """The state of a training that begins anew at half the rate.

    Raises:
        NotFiniteError: it did so already.
    """
    if state.halvings:
        raise NotFiniteError(
            f"{error}, and before that at twice the rate; lower the learning rate (it peaks at "
            f"{plan.learning_rate / 2:g} now) or look for broken inputs with `headstart check`"
        ) from None
    log.warning("%s: the training begins again at half the rate, which peaks at %g", error, plan.learning_rate / 2)
    return State(pieces=state.pieces, halvings=1)


def _set_rates(optimizer: optim.Optimizer, plan: Plan, state: State) -> None:
    share = one_cycle(state.step, steps=plan.steps, warmup=plan.warmup) / 2**state.halvings
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate * group["scale"] * share
