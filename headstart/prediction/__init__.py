"""A delivered model on new inputs."""

from headstart.prediction.model import Model, ServedModel, load

__all__ = ["Model", "ServedModel", "load"]


def _load_pyfunc(path: str) -> ServedModel:
    """The entry that MLflow's pyfunc flavour calls by name."""
    from pathlib import Path

    return ServedModel(load(Path(path)))
