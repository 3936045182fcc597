"""The flow that makes a recorded run again and says whether it came to the same."""

from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, State
from pydantic import Field

from flows.console import say
from flows.refusals import failed, refused
from headstart.errors import HeadstartError
from tasks.reproduce import TOLERANCE, lines, verdict_line
from tasks.reproduce import reproduce as make_again
from tasks.workspace import here

Tolerance = Annotated[float, Field(ge=0, lt=1)]


@flow(name="reproduce", flow_run_name="reproduce {run}", persist_result=False)
def reproduce(
    run: str = "latest",
    tolerance: Tolerance = TOLERANCE,
) -> State[Any]:
    """All steps of a run once more, in a worktree at its revision with its settings; fails where results differ.

    Args:
        run: The first characters of an MLflow run's id, the name of an experiment, or latest.
        tolerance: Share of a mean test score that may differ where it is not the same CPU.
    """
    try:
        found = make_again(here(), run, tolerance=tolerance, on_line=say)
    except HeadstartError as error:
        return refused(str(error))
    say(*lines(found))
    create_table_artifact(
        key="reproduced",
        table=[
            {"step": row.step, "recorded": row.recorded, "now": row.now, "same": "yes" if row.same else "no"}
            for row in found.rows
        ],
        description=verdict_line(found),
    )
    return Completed(message=verdict_line(found)) if found.same else failed(verdict_line(found))
