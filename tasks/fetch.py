"""fetch: a built-in dataset becomes a folder below data/, which DVC versions like any other."""

from headstart.datasets.builtin import materialise
from headstart.datasets.published import download, is_published
from headstart.datasets.table import TORCHVISION
from headstart.datasets.torchvision_sets import materialise_torchvision
from tasks.step import Context, Outcome


def fetch(context: Context, dataset: str) -> Outcome:
    """Writes data/<dataset>; what torchvision downloads for it is kept in .headstart/torchvision."""
    workspace = context.workspace
    if is_published(dataset):
        download(dataset, workspace.data(dataset))
        return Outcome("weights downloaded", params={"dataset": dataset})
    if dataset in TORCHVISION:
        count = materialise_torchvision(
            TORCHVISION.get(dataset),
            workspace.data(dataset),
            downloads=workspace.state / "torchvision",
            progress=lambda done, of: context.progress(f"writing {dataset}", done, of),
        )
    else:
        count = materialise(dataset, workspace.data(dataset))
    return Outcome(f"{count:,} rows written", params={"dataset": dataset}, metrics={"rows": count})
