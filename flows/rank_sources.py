"""The flow that ranks sources: each is pretrained on and looked at with the target's labels; nothing is fine-tuned."""

from prefect import flow

from flows.steps import opened, run_name, step
from headstart.settings import Settings


@flow(name="rank-sources", flow_run_name=run_name, persist_result=False)
def rank_sources(settings: Settings) -> None:
    """The first steps of `transfer`, which finds them done; the table is reports/ranking.csv."""
    with opened(settings):
        for dataset in settings.built_in:
            step("fetch", dataset)
        step("ingest_target")
        for source in settings.source.data:
            step("ingest_source", source)
        for source in settings.source.data:
            step("pretrain", source)
        step("extract")
        step("rank")
