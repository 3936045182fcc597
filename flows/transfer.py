"""The main flow: moves what a network learns on a source to a target with few labels, and says whether it helped."""

from contextvars import ContextVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run, task_run

from flows.console import say
from flows.naming import step_name
from flows.plan import grid_words, plan_lines
from headstart.settings import Settings
from tasks.grid import check_meaning
from tasks.warm import Run, open_run
from tasks.workspace import here

_run: ContextVar[Run] = ContextVar("run")


def _step_run_name() -> str:
    run = _run.get()
    grid = grid_words(run.workspace, run.settings)
    return step_name(run.settings, task_run.parameters["name"], task_run.parameters["item"], grid)


@task(task_run_name=_step_run_name, cache_policy=NO_CACHE, persist_result=False)
def step(name: str, item: str = "") -> None:
    """One step of the pipeline as a Prefect task; whether anything is to be done is for DVC to say."""
    say(_run.get().step(name, item))


def _flow_run_name() -> str:
    settings = flow_run.parameters["settings"]
    return f"{', '.join(settings.source.data)} to {settings.target.data}"


@flow(name="transfer", flow_run_name=_flow_run_name, persist_result=False)
def transfer(settings: Settings) -> str | None:
    """The article's steps: pretrain on the source, fix or tune W on the target, test against source and scratch.

    Returns name and version of the registered model, None where no new one was made.
    """
    with open_run(here(), settings, key=str(flow_run.id)) as run:
        _run.set(run)
        for dataset in settings.built_in:
            step("fetch", dataset)
        step("ingest_target")
        for source in settings.source.data:
            step("ingest_source", source)
        check_meaning(run.workspace, settings, settings.finetune.strategies)
        say(*plan_lines(run.workspace, settings))
        for source in settings.source.data:
            step("pretrain", source)
        step("extract")
        step("rank")
        for strategy in settings.finetune.strategies:
            step("finetune", strategy)
        step("select")
        step("evaluate")
        step("report")
        return run.conclude()
