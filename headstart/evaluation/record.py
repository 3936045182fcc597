"""What the documents of a run are made of: frozen models, and numbers that are the same bytes on every machine."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _significant(value: float) -> float:
    """12 significant digits: machines differ in the last ones, and equal verdicts should be equal bytes."""
    return float(f"{value:.12g}") + 0.0  # + 0.0 turns -0.0 into 0.0


Number = Annotated[float, AfterValidator(_significant)]


class Record(BaseModel):
    """What all parts of a document have in common: frozen, nothing unknown, neither NaN nor infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
