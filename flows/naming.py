"""Names of task runs in Prefect's UI: they read as the article's steps, with strategy, budget and device."""

from headstart.settings import Settings
from tasks.devices import available
from tasks.step import STEPS


def step_name(settings: Settings, name: str, item: str, grid: str) -> str:
    """Such as "finetune full, 10 labels a class, 5 seeds (AMD EPYC)". grid: a strategy's cells in words."""
    details = {
        "fetch": item,
        "ingest_target": settings.target.data,
        "ingest_source": item,
        "pretrain": f"{settings.backbone} on {item}",
        "extract": f"features of {', '.join(settings.source.data)} and {settings.target.data}",
        "finetune": f"{item}, {grid}",
    }
    spoken = name.replace("_", " ")
    words = f"{spoken} {details[name]}" if name in details else spoken
    return f"{words} ({available()[0].name})" if STEPS[name].needs_device else words
