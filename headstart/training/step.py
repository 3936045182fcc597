"""One step of a training, forward and backward: of a share of the batch, and in pieces where memory is short."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, optim

from headstart.backbones.network import Network
from headstart.errors import HeadstartError, NotFiniteError, OutOfMemoryError
from headstart.objectives.objective import SourceObjective
from headstart.training.accelerator import Accelerator, generator, has_batch_norm, seed_of
from headstart.training.checkpoint import State
from headstart.training.noise import noise_of_part
from headstart.training.policy import Policy
from headstart.training.quiet import without_statistics
from headstart.training.rows import Rows
from headstart.training.together import Together

if TYPE_CHECKING:
    from headstart.training.loop import Plan, Term

log = logging.getLogger("headstart")


@dataclass(frozen=True)
class Step:
    """One step's forward and backward pass: a pure function of the weights, the seed and the step's number.

    batch: the step's rows, of all processes; targets: theirs.
    """

    network: Network
    rows: Rows
    batch: Tensor
    targets: Tensor
    plan: "Plan"
    number: int
    seed: int
    accelerator: Accelerator
    policy: Policy
    forward: Callable[[Tensor, int, int], Tensor]

    def run(self, together: Together, objective: SourceObjective, term: "Term | None") -> float:
        """Leaves gradients behind and returns the loss, the mean over the whole batch.

        Raises:
            NotFiniteError: see its name.
        """
        loss = together(lambda: self._loss(self._gather(self._features(self._share)), objective, term))
        value = self._checked(loss)
        self.accelerator.backward(loss)
        return value

    def run_in_pieces(
        self, together: Together, objective: SourceObjective, term: "Term | None", *, pieces: int
    ) -> float:
        """The same in less memory, a third slower: each piece is run forward once more for its backward pass.

        The loss is of all rows' features all the same (Gao 2021, "Scaling Deep Contrastive Learning Batch Size under
        Memory Limited Setup", 2101.06983): it comes to the same, but for BatchNorm, which sees a piece at a time.
        """
        share = self._share
        parts = _split(share, pieces)
        with torch.no_grad(), without_statistics(self.network):
            features = self._gather(torch.cat([self._features(part) for part in parts]))
        features.requires_grad_()
        with together.not_yet():
            loss = together(lambda: self._loss(features, objective, term))
            value = self._checked(loss)
            self.accelerator.backward(loss)
        assert features.grad is not None
        gradient = features.grad * self.accelerator.world  # which the mean over processes divides by
        for part in parts:
            with nullcontext() if part is parts[-1] else together.not_yet():
                self.accelerator.backward(together(partial(self._features, part)), gradient[part])
        return value

    @property
    def rows_here(self) -> int:
        """How many of the batch's rows are this process's."""
        return int(self._share.stop - self._share.start)

    @property
    def _share(self) -> slice:
        return self.accelerator.share(len(self.batch))

    def _gather(self, features: Tensor) -> Tensor:
        return self.accelerator.gather(features, len(self.batch))

    def _features(self, part: slice) -> Tensor:
        """What the last block makes of some of the batch's rows; blocks that are not trained yet are as they were."""
        count, whole = len(self.batch), part.stop - part.start == len(self.batch)
        self.accelerator.seed(seed_of(self.seed, "step", self.number))  # for dropout, where a network has it
        draw = generator(self.seed, "augment", self.number)
        inputs = self.accelerator.place(self.rows.batch(self.batch, draw, part))
        with nullcontext() if whole else noise_of_part(self.network, part, count):
            return self._run(inputs).float()

    def _run(self, inputs: Tensor) -> Tensor:
        boundary, blocks = self.plan.boundary, self.network.blocks
        frozen = self.plan.frozen(self.number, len(blocks))
        for block in blocks[boundary:frozen]:
            block.eval()
        with self.accelerator.autocast(self.policy):
            with torch.no_grad():
                inputs = self.network.run(inputs, boundary, frozen)
            return self.forward(inputs, frozen, len(blocks))

    def _loss(self, features: Tensor, objective: SourceObjective, term: "Term | None") -> Tensor:
        loss = objective.loss(self.network.head(features), self.targets)
        return loss + term.loss(self.network, features, self.targets, self.number) if term else loss

    def _checked(self, loss: Tensor) -> float:
        value = float(loss.detach())
        _check_finite(value, step=self.number, plan=self.plan)
        return value


def run_in_memory(
    step: Step,
    together: Together,
    objective: SourceObjective,
    term: "Term | None",
    state: State,
    optimizer: optim.Optimizer,
) -> float:
    """Runs a step, in twice as many pieces each time that it does not fit into memory; `state` keeps how many.

    BatchNorm's running statistics may have seen part of the batch once more than they should by then.

    Raises:
        HeadstartError: not even the smallest pieces fit.
        NotFiniteError: the loss is not finite.
        OutOfMemoryError: of several processes, which have to begin again together.
    """
    while True:
        optimizer.zero_grad()
        try:
            if state.pieces == 1:
                return step.run(together, objective, term)
            return step.run_in_pieces(together, objective, term, pieces=min(state.pieces, step.rows_here))
        except torch.OutOfMemoryError:
            if not step.policy.shrinks:
                raise
        # Here and not above, for the error holds on to what the step had in memory.
        state.pieces = _more_pieces(step, state.pieces)
        step.accelerator.free()


def _more_pieces(step: Step, pieces: int) -> int:
    """Twice as many, which is said in the log."""
    here, device, normed = step.rows_here, step.accelerator.device, has_batch_norm(step.network)
    size = -(-here // pieces)
    if here // (2 * pieces) < (2 if normed else 1):
        raise HeadstartError(
            f"{device} has too little memory for {size} rows of a step at a time; choose a smaller backbone or "
            "data.image_size, or a device with more memory"
        )
    if step.accelerator.world > 1:
        raise OutOfMemoryError(f"{device} has too little memory for {size} rows of a step at a time", 2 * pieces)
    log.warning(
        "%s has too little memory for %d rows at a time: each step is done in %d pieces from here on%s",
        device,
        size,
        2 * pieces,
        ", and BatchNorm normalises by a piece" if normed else "",
    )
    return 2 * pieces


def _split(part: slice, pieces: int) -> list[slice]:
    """Parts of a part, as large as each other but for one row."""
    ends = [part.start + (part.stop - part.start) * number // pieces for number in range(pieces + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _check_finite(value: float, *, step: int, plan: "Plan") -> None:
    if value != value or value in (float("inf"), float("-inf")):
        raise NotFiniteError(f"the loss became {value} at step {step + 1} of {plan.steps}")
