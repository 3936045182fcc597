"""The base of all settings models: frozen, unknown keys refused, every knob described."""

from pydantic import BaseModel, ConfigDict


class Knobs(BaseModel):
    """A section of params.yaml. Each room of the core subclasses it for the knobs that are its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
