"""The flow that explores: do the sources' features already separate the target? Nothing is fine-tuned."""

from prefect import flow

from flows.steps import opened, run_name, step, up_to_features
from headstart.settings import Settings


@flow(name="explore", flow_run_name=run_name, persist_result=False)
def explore(settings: Settings) -> None:
    """The first steps of `transfer`, which finds them done; what comes of it is reports/clusters.json."""
    with opened(settings):
        up_to_features(settings)
        step("explore")
