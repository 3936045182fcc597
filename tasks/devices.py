"""Devices: which there are, who holds one, and what a step used of it. The only file that knows device leases.

A lease is an OS file lock (flock) on one numbered slot: the kernel frees it when its holder dies, however it dies.
"""

import json
import logging
import os
import platform
import resource
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headstart.errors import BusyError, SettingsError
from headstart.storage.publish import write_json

if TYPE_CHECKING:
    from filelock import FileLock

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
SAMPLE_SECONDS = 0.5  # one look at this process and its children takes 2 ms

Need = Literal["device"] | None


@dataclass(frozen=True)
class Device:
    """One numbered slot; `identity` tells the physical device where its number depends on CUDA_VISIBLE_DEVICES."""

    kind: Literal["cuda", "mps", "cpu"]
    index: int
    name: str
    memory_bytes: int = 0
    identity: str = ""

    @property
    def torch_name(self) -> str:
        """What torch.device takes: cuda:0, mps, cpu."""
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind

    @property
    def slot(self) -> str:
        """What the device's lock is called."""
        return f"{self.kind}-{self.identity or self.index}"


@dataclass(frozen=True)
class Holder:
    """The process that holds a device."""

    pid: int
    started: str
    command: str
    host: str

    def __str__(self) -> str:
        return f"`{self.command}` (pid {self.pid} on {self.host}, started {self.started})"


@dataclass(frozen=True)
class DeviceRow:
    """A line of `headstart devices`; `held_by` is None for a free device."""

    index: int
    kind: str
    name: str
    memory_bytes: int
    held_by: str | None


@dataclass
class Usage:
    """What a step used; filled in when its `measure` block ends."""

    name: str
    seconds: float = 0.0
    peak_memory_bytes: int = 0


@cache
def available() -> tuple[Device, ...]:
    """The machine's devices, chosen once: every CUDA device; where there is none, MPS; else the CPU as one slot.

    Initialises CUDA where there is one, so fork no process afterwards that is to use it (spawn does).
    """
    import torch

    if torch.cuda.is_available():
        return tuple(_cuda_device(index) for index in range(torch.cuda.device_count()))
    if torch.backends.mps.is_available():
        return (Device("mps", 0, f"Apple GPU ({platform.machine()})", torch.mps.recommended_max_memory()),)
    return (_cpu_device(),)


@contextmanager
def lease(
    slots: Sequence[Device], directory: Path, *, timeout: float, need: Need = "device"
) -> Iterator[Device | None]:
    """Holds one of `slots` alone, against other processes and other threads, for the length of the block.

    A step that needs no device (`need=None`) goes on at once and gets None. `timeout` is in seconds.

    Raises:
        BusyError: no slot came free in time; the message names who holds them.
    """
    if need is None:
        yield None
        return
    device, lock = _wait_for_slot(slots, directory, timeout=timeout)
    holder_path = _path(device, directory, ".json")
    try:
        write_json(holder_path, asdict(_this_process()))
        yield device
    finally:
        holder_path.unlink(missing_ok=True)
        lock.release()


@contextmanager
def lease_together(
    slots: Sequence[Device], directory: Path, *, count: int, timeout: float
) -> Iterator[tuple[Device, ...]]:
    """Holds `count` of `slots` for one training, all or none; of a CPU its one slot, given `count` times.

    Nobody holds some while it waits for more, and one at a time tries, so that two that want all cannot keep each other
    from it. `timeout` is in seconds.

    Raises:
        SettingsError: there are not so many devices, or cores.
        BusyError: they did not come free in time.
    """
    check_count(slots, count)
    if count == 1 or slots[0].kind == "cpu":
        with lease(slots, directory, timeout=timeout) as device:
            assert device is not None
            yield (device,) * count
        return
    deadline = time.monotonic() + timeout
    with ExitStack() as stack:
        while len(held := _hold_free(slots, directory, count, deadline)) < count:
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"{count} devices did not come free together within {timeout:g} s: {_holders(slots, directory)}; "
                    "wait until the others end, or run with a lower number of devices"
                )
            time.sleep(POLL_SECONDS)
        for device, lock in held:
            stack.callback(_let_go, device, directory, lock)
        for device, _ in held:
            write_json(_path(device, directory, ".json"), asdict(_this_process()))
        yield tuple(device for device, _ in held)


def check_count(slots: Sequence[Device], count: int) -> None:
    """Refuses a training over more devices than there are; on a CPU, over more processes than it has cores.

    Raises:
        SettingsError: how many there are.
    """
    kind, most = slots[0].kind, len(slots)
    if kind == "cpu":
        most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count > most:
        what = f"{most} CPU core{'s' * (most != 1)}" if kind == "cpu" else f"{most} device{'s' * (most != 1)} ({kind})"
        raise SettingsError(f"devices is {count}, but this machine has {what}; set it to {most} or less")


def _hold_free(
    slots: Sequence[Device], directory: Path, count: int, deadline: float
) -> list[tuple[Device, "FileLock"]]:
    """`count` free slots, locked, or none of them. One process at a time tries, behind a lock of its own."""
    from filelock import FileLock, Timeout

    gate = directory / socket.gethostname() / "several.lock"
    gate.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(gate, thread_local=False, timeout=max(0.0, deadline - time.monotonic())):
            held: list[tuple[Device, FileLock]] = []
            for device in slots:
                if len(held) < count and (lock := _try_lock(device, directory)):
                    held.append((device, lock))
            if len(held) == count:
                return held
            for _, lock in held:
                lock.release()
            return []
    except Timeout:
        return []


def _let_go(device: Device, directory: Path, lock: "FileLock") -> None:
    _path(device, directory, ".json").unlink(missing_ok=True)
    lock.release()


@contextmanager
def measure(device: Device | None) -> Iterator[Usage]:
    """Measures the block: seconds, and the peak memory of the device it ran on.

    On CUDA the peak of torch's allocator; elsewhere the resident memory of this process and its children, added up
    (pages that they share count once for each). Blocks on one CUDA device must not be nested: the peak is reset.
    """
    usage = Usage(device.name if device else "no device")
    with _peak_meter(device, usage):
        started = time.perf_counter()
        try:
            yield usage
        finally:
            usage.seconds = time.perf_counter() - started


def describe(slots: Sequence[Device], directory: Path) -> list[DeviceRow]:
    """Which devices there are and who holds them now; the lock decides, not what a dead holder left written."""
    return [
        DeviceRow(device.index, device.kind, device.name, device.memory_bytes, _held_by(device, directory))
        for device in slots
    ]


def holders(directory: Path) -> dict[str, Holder]:
    """Who holds which slot of this machine now, by the slot's name; asks no device, and so needs no torch."""
    import psutil

    held = {}
    for path in sorted((directory / socket.gethostname()).glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            holder = Holder(**json.loads(path.read_text()))
            if psutil.pid_exists(holder.pid):  # the file of one that was killed stays
                held[path.stem] = holder
    return held


def _cuda_device(index: int) -> Device:
    import torch

    properties = torch.cuda.get_device_properties(index)
    # By UUID: cuda:0 of a process that sees one device only may be cuda:1 of the process beside it.
    return Device("cuda", index, properties.name, properties.total_memory, str(properties.uuid))


def _cpu_device() -> Device:
    import psutil

    name = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return Device("cpu", 0, f"{name} x{os.cpu_count()}", psutil.virtual_memory().total)


def _wait_for_slot(slots: Sequence[Device], directory: Path, *, timeout: float) -> tuple[Device, "FileLock"]:
    if not slots:
        raise ValueError("no device slots to choose from")
    deadline = time.monotonic() + timeout
    waiting = False
    while True:
        for device in slots:
            if lock := _try_lock(device, directory):
                return device, lock
        left = deadline - time.monotonic()
        if left <= 0:
            raise BusyError(
                f"no device came free within {timeout:g} s: {_holders(slots, directory)}; "
                "wait until one of them ends, or stop it, and run again"
            )
        if not waiting:
            log.info("waiting for a device: %s", _holders(slots, directory))
            waiting = True
        time.sleep(min(POLL_SECONDS, left))


def _try_lock(device: Device, directory: Path) -> "FileLock | None":
    from filelock import FileLock, Timeout

    path = _path(device, directory, ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A new FileLock each time: its own descriptor, so that flock also keeps threads of one process apart.
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _path(device: Device, directory: Path, suffix: str) -> Path:
    # By host: a directory on a network disk is seen by machines that each have a cpu-0 of their own.
    return directory / socket.gethostname() / f"{device.slot}{suffix}"


def _this_process() -> Holder:
    import psutil

    started = datetime.fromtimestamp(psutil.Process().create_time()).astimezone().isoformat(timespec="seconds")
    return Holder(os.getpid(), started, shlex.join(sys.orig_argv), socket.gethostname())


def _holders(slots: Sequence[Device], directory: Path) -> str:
    return "; ".join(f"{device.torch_name} is held by {_read_holder(device, directory)}" for device in slots)


def _held_by(device: Device, directory: Path) -> str | None:
    if lock := _try_lock(device, directory):
        lock.release()
        return None
    return _read_holder(device, directory)


def _read_holder(device: Device, directory: Path) -> str:
    try:
        fields: dict[str, Any] = json.loads(_path(device, directory, ".json").read_text())
        return str(Holder(**fields))
    except (OSError, ValueError, TypeError):
        return "a process that has not written its name yet"


@contextmanager
def _peak_meter(device: Device | None, usage: Usage) -> Iterator[None]:
    if device is None or device.kind == "cpu":
        with _sampled_peak(_resident_memory, usage), _own_peak(usage):
            yield
        return
    import torch

    if device.kind == "mps":
        with _sampled_peak(torch.mps.driver_allocated_memory, usage):
            yield
        return
    torch.cuda.reset_peak_memory_stats(device.index)
    try:
        yield
    finally:
        usage.peak_memory_bytes = torch.cuda.max_memory_allocated(device.index)


@contextmanager
def _sampled_peak(read: Callable[[], int], usage: Usage) -> Iterator[None]:
    stop = threading.Event()

    def sample() -> None:
        while True:
            usage.peak_memory_bytes = max(usage.peak_memory_bytes, read())
            if stop.wait(SAMPLE_SECONDS):
                return

    thread = threading.Thread(target=sample, name="peak memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        usage.peak_memory_bytes = max(usage.peak_memory_bytes, read())


@contextmanager
def _own_peak(usage: Usage) -> Iterator[None]:
    """Catches a peak of this process that fell between two samples: its lifetime's high-water mark rose."""
    before = _high_water()
    try:
        yield
    finally:
        if _high_water() > before:
            usage.peak_memory_bytes = max(usage.peak_memory_bytes, _high_water())


def _high_water() -> int:
    """The highest resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage's figure would be the parent's where that was higher: exec keeps it
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, KiB elsewhere


def _resident_memory() -> int:
    import psutil

    this = psutil.Process()
    total = 0
    for process in [this, *this.children(recursive=True)]:
        with suppress(psutil.Error):  # it may have ended since it was listed
            total += process.memory_info().rss
    return total
