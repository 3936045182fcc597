"""The main flow: moves what a network learns on a source to a target with few labels, and says whether it helped."""

from prefect import flow

from flows.announce import announce
from flows.console import say
from flows.plan import plan_lines
from flows.steps import fan_out, opened, run_name, step
from headstart.settings import Settings
from tasks.grid import check_meaning


@flow(name="transfer", flow_run_name=run_name, persist_result=False)
def transfer(settings: Settings) -> str | None:
    """The article's steps: pretrain on the source, fix or tune W on the target, test against source and scratch.

    Returns name and version of the registered model, None where no new one was made.
    """
    with opened(settings) as run:
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
        step("explore")
        step("quality")
        step("rank")
        if run.machines:
            fan_out()
        for strategy in settings.finetune.strategies:
            step("finetune", strategy)
        step("remedy")
        step("select")
        step("evaluate")
        step("report")
        registered = run.conclude()
        announce(run)
        return registered
