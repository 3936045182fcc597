"""The accelerator object: the one place that knows where tensors live and how many processes train together.

Several processes hold a copy of the network each. Of every step's batch each runs its share; the features are then
brought together, so that the loss is the whole batch's in every process, and torch's DistributedDataParallel averages
the gradients. One process does none of this.
"""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.backbones.folded import folded, with_rounded_products
from headstart.backbones.network import Network
from headstart.errors import HeadstartError, SettingsError
from headstart.training.policy import BFLOAT16, NO_WORK, Policy, Work, pays_in_bfloat16, policy_of, properties_of
from headstart.training.settings import Precision
from headstart.training.together import Alone, Several, Together, gathered

M = TypeVar("M", bound=nn.Module)
F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger("headstart")

PATIENCE = timedelta(minutes=30)  # that processes wait for each other; one that died is noticed at once by its parent


@dataclass(frozen=True)
class Accelerator:
    """Device ("cpu", "cuda:0", "mps") and CPU threads; both are recorded, for bytes depend on them.

    rank, world: which one it is of the processes that train together. meeting: a file, new to them, by which they find
    each other. pieces: that a step's rows are split into from the start, each done after the other, to fit into memory.
    cache: a folder for compiled code. precision: "float32" where nothing may be rounded to less. given: a policy in
    place of the device's own.
    """

    device: str = "cpu"
    threads: int = 1
    rank: int = 0
    world: int = 1
    meeting: str = ""
    pieces: int = 1
    cache: str = ""
    precision: Precision = "auto"
    given: Policy | None = None

    def start(self) -> None:
        """Makes this process deterministic on its device, and joins the others. Call before the first tensor.

        Processes that train together call it all; it returns once they are there.
        """
        torch.set_num_threads(self.threads)
        if self.device.startswith("cuda"):
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.backends.cudnn.benchmark = False
            rounds = properties_of(self.device).capability >= BFLOAT16 and self.precision == "auto"
            torch.set_float32_matmul_precision("high" if rounds else "highest")  # TF32, or not
            torch.backends.cudnn.allow_tf32 = rounds
            if self.cache:
                os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", self.cache)
        torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms says the same, and imports for 3 s
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid
        if self.world > 1 and not torch.distributed.is_initialized():
            self._join()

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes: checkpoints, results and log."""
        return self.rank == 0

    def policy(self, *, steps: int, input_bytes: int, thaws: bool, work: Work = NO_WORK) -> Policy:
        """How a training uses the device; see policy.py. What differs from float32 on a CPU is said once in the log."""
        if self.given:
            return self.given
        device = properties_of(self.device)
        found = policy_of(
            device,
            steps=steps,
            input_bytes=input_bytes,
            processes=self.world,
            thaws=thaws,
            work=work,
            precision=self.precision,
        )
        if device.kind != "cpu" or found.autocast:
            _say(f"training on {device.name or device.kind}: {found}")
        return found

    def evaluating(
        self, network: Network, work: Work, *, fold: bool = True
    ) -> tuple[Network, AbstractContextManager[Any]]:
        """A network in evaluation mode as it runs fastest on the device, and the block that it is run in.

        BatchNorm is folded; on a CPU that gains by it, products are of bfloat16. fold: False leaves BatchNorm where
        nothing is rounded: it is then the network itself, in evaluation mode on the device, and activations are its own
        to the bit.
        """
        rounds = self.precision == "auto" and pays_in_bfloat16(properties_of(self.device), work)
        network = self.prepare(folded(network) if fold or rounds else network.eval())
        if not rounds:
            return network, nullcontext()
        return with_rounded_products(network), torch.autocast(self.device, dtype=torch.bfloat16)

    def autocast(self, policy: Policy) -> AbstractContextManager[Any]:
        """Runs a block's forward pass in the policy's type."""
        if not policy.autocast:
            return nullcontext()
        return torch.autocast(self.device.partition(":")[0], dtype=getattr(torch, policy.autocast))

    def compiled(self, run: F, policy: Policy) -> F:
        """The function, compiled where the policy says so; what it gives agrees to rounding."""
        return cast(F, torch.compile(run, backend=policy.compiler)) if policy.compiler else run

    def free(self) -> None:
        """Gives back memory of the device that nothing is in."""
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def prepare(self, module: M) -> M:
        """Moves a network to the device; convolutions run a quarter faster in channels_last (measured on CPU too)."""
        return module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def place(self, batch: Tensor) -> Tensor:
        """Moves a batch to the device, in the layout that `prepare` gave the network."""
        if batch.dim() == 4:
            return batch.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        return batch.to(self.device, non_blocking=True)

    def seed(self, value: int) -> None:
        """Seeds what layers such as dropout draw from; to ask every other kind of device too takes 0.3 ms a step."""
        if self.device == "cpu":
            torch.default_generator.manual_seed(value)
        else:
            torch.manual_seed(value)

    def backward(self, outputs: Tensor, gradient: Tensor | None = None) -> None:
        """gradient: of the outputs, where they are no scalar."""
        outputs.backward(gradient)  # type: ignore[no-untyped-call]

    def share(self, count: int) -> slice:
        """Which of a batch's rows are this process's: as many for each, the first ones having one more.

        Raises:
            SettingsError: there are fewer rows than processes.
        """
        if count < self.world:
            raise SettingsError(
                f"a step has {count} rows, but devices is {self.world}: each needs a row; set devices to {count} or "
                "less, or a larger batch_size where there are more rows"
            )
        size, larger = divmod(count, self.world)
        start = self.rank * size + min(self.rank, larger)
        return slice(start, start + size + (self.rank < larger))

    def gather(self, mine: Tensor, count: int) -> Tensor:
        """The batch's `count` rows, in every process, from each one's share of them."""
        return mine if self.world == 1 else gathered(mine, self.share(count), count, self.world)

    def agree(self, step: int) -> None:
        """Makes sure that all processes go on from the same step.

        Raises:
            HeadstartError: they do not: one of them could not read a checkpoint that another one read.
        """
        if self.world == 1:
            return
        ends = torch.tensor([step, -step], device=self.device)
        torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX)
        if ends[0] != -ends[1]:
            raise HeadstartError(
                f"the processes resumed at different steps ({-int(ends[1])} to {int(ends[0])}); a checkpoint could not "
                "be read by all of them: look at the disk, and run again"
            )

    def together(self, network: nn.Module, *trained: nn.Module) -> Together:
        """What runs the steps of a training, averaging gradients over the processes; the network is in training mode.

        trained: the parts of it, and what is beside it, that steps may train.

        Raises:
            SettingsError: on a CPU, where it has BatchNorm that normalises by the batch.
        """
        if self.world == 1:
            return Alone()
        if any(has_batch_norm(module) for module in trained):
            self.check_batch_norm()
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return Several(nn.ModuleList(trained))

    def check_batch_norm(self) -> None:
        """Refuses what BatchNorm in training needs of several processes where there is none of it.

        Raises:
            SettingsError: this is not a CUDA device.
        """
        if self.world > 1 and not self.device.startswith("cuda"):
            raise SettingsError(
                f"devices is {self.world}, and the backbone has BatchNorm, whose statistics are of the whole batch; "
                f"torch computes them over several processes on CUDA devices alone, not on {self.device}: set "
                "devices to 1, or choose a backbone without it (such as convnext_tiny, vgg11, swin_t)"
            )

    def stop(self) -> None:
        """Leaves the others; the process may end."""
        if self.world > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def _join(self) -> None:
        """All are on one machine: they talk over the loopback interface, and no port is open to others."""
        loopback = "lo0" if sys.platform == "darwin" else "lo"
        cuda = self.device.startswith("cuda")
        for library in ("GLOO", "NCCL"):
            os.environ.setdefault(f"{library}_SOCKET_IFNAME", loopback)
        if cuda:
            torch.cuda.set_device(self.device)
        torch.distributed.init_process_group(
            "nccl" if cuda else "gloo",
            store=torch.distributed.FileStore(self.meeting, self.world),  # type: ignore[attr-defined]
            rank=self.rank,
            world_size=self.world,
            timeout=PATIENCE,
        )


@cache
def _say(line: str) -> None:
    """Logs a line, once."""
    log.info("%s", line)


def has_batch_norm(module: nn.Module) -> bool:
    """Whether it has BatchNorm that normalises by the batch as it is now."""
    return any(isinstance(part, _BatchNorm) and part.training for part in module.modules())


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator that is a pure function of its key, such as (seed, "order", epoch)."""
    return torch.Generator().manual_seed(seed_of(*key))


def seed_of(*key: int | str) -> int:
    """A 63-bit seed from a key; Python's own hash() of strings differs between processes."""
    from headstart.storage.publish import digest

    return int(digest(list(key))[:15], 16)
