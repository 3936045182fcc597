"""`python -m flows.serving.ready URL COMMAND...` waits until the address answers and becomes the command.

So that nothing is started before what it needs, and nobody sleeps for a guessed time.
"""

import os
import sys
import time

from flows.serving.served import answers

STEP_SECONDS = 0.2


def wait_for(url: str) -> None:
    """Returns when the address answers; whoever started this process ends it where that never comes."""
    while not answers(url):
        time.sleep(STEP_SECONDS)


if __name__ == "__main__":
    wait_for(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
