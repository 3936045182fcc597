"""Runs one contender at one job in a process of its own, and measures that process from outside."""

import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.speed.child import PEAK, Spec

ROOT = Path(__file__).parents[2]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Measured:
    """A process: user and system seconds, wall seconds, peak memory, and what it says of the job itself.

    peak_mb: no less than the memory of the bench, from which it was forked: so Linux counts.
    """

    cpu: float
    wall: float
    peak_mb: float
    figures: dict[str, Any]


def run_side(python: Path, module: str, job: str, spec: Spec) -> Measured:
    """Runs `python -m module job`.

    Raises:
        RuntimeError: it ended with an error; its last lines are given.
    """
    given, out = Path(spec.scratch, "spec.json"), Path(spec.scratch, "figures.json")
    given.write_text(json.dumps(asdict(spec)))
    measured = run_command([str(python), "-m", module, job, str(given), str(out)], Path(spec.scratch, "log.txt"))
    figures = json.loads(out.read_text())
    return Measured(measured.cpu, measured.wall, figures.pop(PEAK, measured.peak_mb), figures)


def run_command(command: list[str], log: Path, *, root: Path | None = None, threads: int | None = 1) -> Measured:
    """Runs any command without network, its output in a file.

    root: the folder that it runs in and whose code it is, this project by default. threads: of arithmetic; None leaves
    them to the command.

    Raises:
        RuntimeError: it ended with an error; its last lines are given.
    """
    root = root or ROOT
    limits = {} if threads is None else dict.fromkeys(THREADS, str(threads))
    environment = os.environ | limits | {"PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    with log.open("w") as file:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}:\n{said}")
    return Measured(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, {})
