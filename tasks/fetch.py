"""fetch: a built-in dataset becomes a folder below data/, which DVC versions like any other."""

from headstart.datasets.builtin import materialise
from headstart.datasets.published import download, is_published
from tasks.step import Context, Outcome


def fetch(context: Context, dataset: str) -> Outcome:
    """Writes data/<dataset>."""
    if is_published(dataset):
        download(dataset, context.workspace.data(dataset))
        return Outcome("weights downloaded", params={"dataset": dataset})
    count = materialise(dataset, context.workspace.data(dataset))
    return Outcome(f"{count:,} images written", params={"dataset": dataset}, metrics={"images": count})
