"""The seam to MLflow, the only package that knows it: runs, the store that they lie in, and registered models."""

from tasks.tracking.models import LOADER, RegisteredModels
from tasks.tracking.runs import Metrics, Pipeline, Tracking, open_tracking
from tasks.tracking.store import ENVIRONMENT, experiments_url, has_store, ignore_known_warnings, store_uri, ui_command

__all__ = [
    "ENVIRONMENT",
    "LOADER",
    "Metrics",
    "Pipeline",
    "RegisteredModels",
    "Tracking",
    "experiments_url",
    "has_store",
    "ignore_known_warnings",
    "open_tracking",
    "store_uri",
    "ui_command",
]
