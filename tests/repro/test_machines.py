"""The seam that other machines are behind, with one that is this process: they get all cells, and steps find them."""

from collections.abc import Iterator, Sequence
from typing import Any

from headstart.cells.job import Job
from headstart.cells.run import run_cell
from headstart.training.accelerator import Accelerator


class Here:
    """Stands where a cluster would: runs cells one after the other, and remembers which."""

    name, workers = "this process", 1

    def __init__(self) -> None:
        self.asked: list[list[Job]] = []

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
        self.asked.append(list(jobs))
        for job in jobs:
            yield job, run_cell(job, Accelerator(precision=job.precision))


def test_the_cells_of_all_strategies_go_there_at_once_and_their_steps_find_them_finished(
    cold, open_warm, in_project, tmp_path
):
    project = cold.copy(tmp_path / "away")
    project.set(strategies__full__steps=9, strategies__scratch__steps=11)  # other cells than those that are there
    run, machines = open_warm(project), Here()
    run.machines = machines
    with in_project(project):
        said = run.fan_out(["scratch", "full"])
        [sent] = machines.asked
        assert {job.strategy for job in sent} == {"scratch", "full"}
        assert said == f"{len(sent)} cells of 2 strategies are finished"
        run.step("finetune", "full")
        assert not machines.asked[1:] or machines.asked[1] == []
        assert run.results["finetune@full"].outcome == "ran"
        run.fan_out(["full"])  # it is up to date: nothing is sent
        assert all(jobs == [] for jobs in machines.asked[1:])
