"""`make bench-gpu`: images a second of training on a GPU, model FLOP utilisation, and the ratio to the peers.

Exits with 2 where there is no CUDA device: nothing is measured, and nothing is written.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.gpu.cases import CASES, OURS, PEERS, Case, line

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Runs every case with every contender, each in a process of its own, and prints a line a case."""
    options = _options()
    name = device_name()
    if name is None:
        sys.stderr.write("error: this machine has no CUDA device, so nothing was measured; run it where there is one\n")
        return 2
    print(f"{name}; figures of this machine and this hour, {len(CASES)} cases", flush=True)
    found = {}
    for case in CASES:
        found[case.name] = figures = run_case(case, ours=Path(sys.executable), peers=options.peers_python)
        print(line(case, name, figures), flush=True)
    if options.out:
        options.out.write_text(json.dumps({"device": name, "cases": found}, indent=1) + "\n")
    return 0


def device_name() -> str | None:
    """Of the first CUDA device; None where there is none."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def run_case(case: Case, *, ours: Path, peers: Path) -> dict[str, dict[str, float | str]]:
    """Figures by contender. ours, peers: interpreters.

    Raises:
        RuntimeError: a contender ended with an error; its last lines are given.
    """
    found = {}
    for contender in (OURS, *PEERS):
        with tempfile.TemporaryDirectory() as folder:
            given, out = Path(folder, "case.json"), Path(folder, "figures.json")
            given.write_text(json.dumps(asdict(case)))
            python = ours if contender == OURS else peers
            command = [str(python), "-m", "benchmarks.gpu.child", contender, str(given), str(out)]
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                said = "\n".join(done.stderr.splitlines()[-15:])
                raise RuntimeError(f"{' '.join(command)} ended with code {done.returncode}:\n{said}")
            found[contender] = json.loads(out.read_text())
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument(
        "--peers-python",
        type=Path,
        default=Path(os.environ.get("BENCH_PEERS_PYTHON", ROOT / ".venv.peers" / "bin" / "python")),
        help="the interpreter that has benchmarks/peers/requirements.txt",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
