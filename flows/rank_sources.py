"""The flow that ranks sources: each is pretrained on and looked at with the target's labels; nothing is fine-tuned."""

from prefect import flow

from flows.steps import opened, run_name, step, up_to_features
from headstart.settings import Settings


@flow(name="rank-sources", flow_run_name=run_name, persist_result=False)
def rank_sources(settings: Settings) -> None:
    """The first steps of `transfer`, which finds them done; the table is reports/ranking.csv."""
    with opened(settings):
        up_to_features(settings)
        step("rank")
