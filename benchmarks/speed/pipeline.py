"""A whole run of the pipeline in a clone of this project, and a second one that has nothing to do: what neither is for.

Of the wall, all cores: this is what a user waits for.
"""

import re
import subprocess
from pathlib import Path

from benchmarks.speed.measure import ROOT, Measured, run_command

STEP = re.compile(r"^(\d+):(\d+):(\d+)  [a-z_]+(?:@\S+)?: .* \((\d+\.\d) s[ ,]")  # of the log; see tasks/warm.py


def run_pipeline(python: Path, scratch: Path) -> Measured:
    """Runs `headstart run` twice, with the settings of the last commit.

    figures: outside, the first run's seconds that are no step's own; between, what passes from the end of one step to
    the beginning of the next, the mean; steps; nothing, the second run's seconds.

    Raises:
        RuntimeError: a run failed, or its log is not as it is read here.
    """
    clone, log = scratch / "clone", scratch / "log.txt"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    command = [str(python), "-m", "flows.cli", "run"]
    first = run_command(command, log, root=clone, threads=None)
    ends, seconds = read_steps(log.read_text().splitlines())
    second = run_command(command, log, root=clone, threads=None)
    between = (ends[-1] - ends[0] - sum(seconds[1:])) / (len(seconds) - 1)
    figures = {"outside": first.wall - sum(seconds), "between": between, "steps": len(seconds), "nothing": second.wall}
    return Measured(first.cpu, first.wall, first.peak_mb, figures)


def read_steps(lines: list[str]) -> tuple[list[float], list[float]]:
    """When each step of a log ended, in seconds of the day (past midnight they go on), and how long it took.

    Raises:
        RuntimeError: there are fewer than two.
    """
    found = [tuple(float(part) for part in match.groups()) for line in lines if (match := STEP.match(line))]
    if len(found) < 2:
        raise RuntimeError(f"{len(found)} steps were found in the log of a run; its last line: {lines[-1:]}")
    ends = [hours * 3600 + minutes * 60 + seconds for hours, minutes, seconds, _ in found]
    return [end + (86400 if end < ends[0] else 0) for end in ends], [taken for *_, taken in found]
