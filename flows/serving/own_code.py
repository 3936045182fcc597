"""`python -P -m flows.serving.own_code MODULE ...`: as `python -m MODULE ...`, with our own packages imported first.

Prefect looks for a flow's module in the current directory before it looks at what is installed, and a user's project
may have a tasks.py of its own there.
"""

import runpy
import sys

import flows
import headstart
import tasks

OURS = (flows, tasks, headstart)


def main() -> None:
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
