"""One step of a pipeline as a Prefect task, and the run that it belongs to: what every flow is made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run, task_run

from flows.announce import shown_progress
from flows.cluster import machines
from flows.console import say
from flows.naming import step_name
from flows.plan import grid_words
from headstart.settings import Settings
from headstart.storage.publish import write_json
from tasks.warm import Run, open_run
from tasks.workspace import here

_run: ContextVar[Run] = ContextVar("run")


@contextmanager
def opened(settings: Settings) -> Iterator[Run]:
    """The run of the flow that is at work; its steps are called within the block."""
    workspace = here()
    write_json(workspace.unfinished(str(flow_run.flow_name)), {"flow_run": str(flow_run.id)})
    with open_run(workspace, settings, key=str(flow_run.id), machines=machines.get()) as run:
        _run.set(run)
        shown_progress(run)
        yield run


def _current() -> Run:
    """In a function of its own: the task that a cell is sent from goes with it, and a ContextVar cannot."""
    return _run.get()


def _step_run_name() -> str:
    run = _current()
    grid = grid_words(run.workspace, run.settings)
    return step_name(run.settings, task_run.parameters["name"], task_run.parameters["item"], grid)


@task(task_run_name=_step_run_name, cache_policy=NO_CACHE, persist_result=False)
def step(name: str, item: str = "") -> None:
    """One step of the pipeline as a Prefect task; whether anything is to be done is for DVC to say."""
    say(_current().step(name, item))


@task(task_run_name="cells of all strategies", cache_policy=NO_CACHE, persist_result=False)
def fan_out() -> None:
    """Where there are other machines, they get the cells of all strategies at once; nothing is to be done elsewhere."""
    run = _current()
    say(run.fan_out(run.settings.finetune.strategies))


def up_to_features(settings: Settings) -> None:
    """The steps after which a target can be looked at with each source's W: all that needs no fine-tuning."""
    for dataset in settings.built_in:
        step("fetch", dataset)
    step("ingest_target")
    for source in settings.source.data:
        step("ingest_source", source)
    for source in settings.source.data:
        step("pretrain", source)
    step("extract")


def run_name() -> str:
    """What Prefect calls a run: "mnist5k to digits"."""
    settings = flow_run.parameters["settings"]
    return f"{', '.join(settings.source.data)} to {settings.target.data}"
