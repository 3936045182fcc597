"""Ranks: what the first tells, how each kind of end of one ends all of them, and that none is left behind."""

import logging
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch

from headstart.errors import HeadstartError, IntegrityError
from headstart.training.accelerator import Accelerator
from tasks.ranks import run_ranks

ROOT = Path(__file__).parents[3]
WORDS = "process 2 of the 2 that train together died"


def add_up(accelerator: Accelerator, tell) -> None:
    mine = torch.tensor([accelerator.rank + 1])
    logging.getLogger("headstart").info("rank %d", accelerator.rank)
    torch.distributed.all_reduce(mine)
    tell((os.getpid(), torch.get_num_threads(), mine.item()))
    tell("and more")


def die_alone(how: str, accelerator: Accelerator, tell) -> None:
    """Rank 1 ends in some way while rank 0 waits for it."""
    tell(os.getpid())
    torch.distributed.barrier()
    if accelerator.rank == 1 and how != "never":
        if how == "killed":
            os.kill(os.getpid(), 9)
        if how == "exit code":
            os._exit(7)
        raise {"ours": IntegrityError("a file is torn"), "a bug": ZeroDivisionError("of rank 1")}[how]
    torch.distributed.barrier()
    time.sleep(600)


def refuse_in_the_first(accelerator: Accelerator, tell) -> None:
    if accelerator.rank == 0:
        raise HeadstartError("the loss became nan")
    torch.distributed.barrier()
    time.sleep(600)


class CannotArrive:
    """Work that a rank cannot even unpack."""

    def __reduce__(self):
        return (_only_here, (os.getpid(),))


def _only_here(pid: int) -> None:
    if os.getpid() != pid:
        raise ImportError("not here")


def left_behind() -> list[int]:
    return [child.pid for child in psutil.Process().children(recursive=True) if "spawn_main" in str(child.cmdline())]


def test_the_first_rank_tells_and_logs(caplog):
    with caplog.at_level(logging.INFO, "headstart"):
        told = list(run_ranks(add_up, ["cpu", "cpu"]))
    (pid, threads, total), more = told
    assert pid != os.getpid()
    assert (threads, total, more) == (1, 3, "and more")
    assert caplog.messages == ["rank 0"]
    assert left_behind() == []


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ("killed", HeadstartError, rf"{WORDS} \(killed by SIGKILL.* Checkpoints are kept: run again to go on"),
        ("exit code", HeadstartError, rf"{WORDS} \(exit code 7\)"),
        ("ours", IntegrityError, "^a file is torn$"),
        ("a bug", RuntimeError, r"(?s)process 2 of 2 failed:.*ZeroDivisionError: of rank 1"),
    ],
)
def test_a_rank_that_ends_ends_the_others_at_once(how, error, said):
    ranks = run_ranks(partial(die_alone, how), ["cpu", "cpu"])
    first = psutil.Process(next(ranks))
    begun = time.monotonic()
    with pytest.raises(error, match=said):
        next(ranks)
    assert time.monotonic() - begun < 10, "far below what processes wait for each other"
    assert not first.is_running()
    assert left_behind() == []


def test_an_error_of_the_first_rank_ends_the_others():
    with pytest.raises(HeadstartError, match="^the loss became nan$"):
        list(run_ranks(refuse_in_the_first, ["cpu", "cpu"]))
    assert left_behind() == []


def test_a_rank_that_does_not_get_as_far_as_its_work_is_a_death(capfd):
    with pytest.raises(HeadstartError, match=r"process \d of the 2 that train together died \(exit code 1\)"):
        list(run_ranks(CannotArrive(), ["cpu", "cpu"]))
    assert "not here" in capfd.readouterr().err
    assert left_behind() == []


def test_who_stops_listening_stops_them():
    ranks = run_ranks(partial(die_alone, "never"), ["cpu", "cpu"])
    first = psutil.Process(next(ranks))
    ranks.close()
    assert not first.is_running()
    assert left_behind() == []


PARENT = """
import os, time
from functools import partial
from tasks.ranks import run_ranks

def wait(accelerator, tell):
    tell(os.getpid())
    time.sleep(600)

if __name__ == "__main__":
    for pid in run_ranks(wait, ["cpu", "cpu"]):
        print(pid, flush=True)
"""


def test_ranks_end_with_a_parent_that_was_killed(tmp_path):
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(program)], env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    parent.stdout.readline()
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive
    parent.stdout.close()
