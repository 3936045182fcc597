"""What a harness found: how often a promise was put to the test and how often it held, in tests/faults/faults.json."""

import json
from pathlib import Path

from filelock import FileLock

from headstart.storage.publish import write_json

PATH = Path(__file__).with_name("faults.json")


def record(promise: str, *, tried: int, held: int, seconds: float) -> None:
    """Puts a promise's last figures in the place of those before; other promises stay as they are.

    promise: one line, as docs/reliability.md has it. seconds: of the harness.
    """
    with FileLock(PATH.with_suffix(".lock")):
        known = json.loads(PATH.read_text()) if PATH.is_file() else []
        kept = [entry for entry in known if entry["promise"] != promise]
        new = {"promise": promise, "tried": tried, "held": held, "seconds": round(seconds, 1)}
        write_json(PATH, sorted([*kept, new], key=lambda entry: entry["promise"]))
