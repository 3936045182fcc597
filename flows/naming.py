"""Names of task runs in Prefect's UI: they read as the article's steps, with strategy, budget and device."""

from headstart.settings import Settings
from tasks.devices import available
from tasks.step import STEPS


def step_name(settings: Settings, name: str, item: str, grid: str) -> str:
    """Such as "finetune full, 10 labels a class, 5 seeds (AMD EPYC)". grid: a strategy's cells in words."""
    details = {
        "fetch": item,
        "ingest": f"{item} {settings.source.data if item == 'source' else settings.target.data}",
        "pretrain": f"{settings.backbone} on {settings.source.data}",
        "extract": f"features of {settings.source.data} and {settings.target.data}",
        "finetune": f"{item}, {grid}",
    }
    words = f"{name} {details[name]}" if name in details else name
    return f"{words} ({available()[0].name})" if STEPS[name].needs_device else words
