"""Asks the index which packages of requirements.lock have known vulnerabilities: `python tools/audit.py [LOCK]`.

Exit code 1 where there are any. Where the service does not answer (no network, or an index without this service) one
line says so, and the exit code is 0: `make check` must work without a network.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
ASKED_FIRST = "pip==24.0"  # known to have vulnerabilities: where the answer is none, nobody has looked
FIRST_SECONDS, ALL_SECONDS = 20, 300
SKIPPED = "audit: the vulnerability service is not reachable, skipped"
ACCEPTED: dict[str, str] = {}  # a vulnerability's name, and why it does not concern this project


def main(lock: str = str(LOCK)) -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as first:
        first.write(f"{ASKED_FIRST}\n")
        first.flush()
        known = _ask(first.name, FIRST_SECONDS)
    if not any(package.get("vulns") for package in known):
        print(SKIPPED)
        return 0
    packages = _ask(lock, ALL_SECONDS)
    if not packages:
        print(f"audit: no answer in {ALL_SECONDS} s, skipped")
        return 0
    found = [line for package in packages for line in _lines(package)]
    unknown = sum("skip_reason" in package for package in packages)
    print(*found, f"audit: {len(packages) - unknown} packages, {len(found)} known vulnerabilities", sep="\n")
    return 1 if found else 0


def _ask(requirements: str, seconds: int) -> list[dict[str, Any]]:
    """What is known of each package; nothing where there is no answer in time."""
    how = ["--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    command = [sys.executable, "-m", "pip_audit", "--requirement", requirements, *how]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        return list(json.loads(done.stdout)["dependencies"])
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return []


def _lines(package: dict[str, Any]) -> list[str]:
    return [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'none'}"
        for flaw in package.get("vulns", [])
        if flaw["id"] not in ACCEPTED
    ]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
