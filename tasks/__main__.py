"""`python -m tasks STEP [ITEM]`: one step, cold, as dvc.yaml calls it. No Prefect and no MLflow comes in here."""

import logging
import sys

from headstart.errors import HeadstartError
from tasks.step import STEPS


def main(arguments: list[str]) -> int:
    """Runs a step of the workspace around the current directory; returns the exit code of `headstart`."""
    if not arguments or arguments[0] not in STEPS:
        sys.stderr.write(f"usage: python -m tasks {{{','.join(STEPS)}}} [ITEM]\n")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        from tasks.cold import run_cold

        run_cold(STEPS[arguments[0]], arguments[1:])
    except HeadstartError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    from tasks import workers

    try:
        sys.exit(main(sys.argv[1:]))
    finally:
        workers.stop()
