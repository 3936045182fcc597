"""The flow that predicts: the champion on what is new in a folder or a table, on a schedule or by hand."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, State

from flows.console import say
from flows.refusals import refused
from headstart.errors import HeadstartError
from tasks.predict import predict_new
from tasks.workspace import here

PATIENCE = 3600.0  # seconds that it waits for a GPU that a run holds: nobody is there to choose another device


def _run_name() -> str:
    return f"{flow_run.parameters['model']} on {Path(flow_run.parameters['input']).name}"


@flow(name="predict", flow_run_name=_run_name, persist_result=False)
def predict(input: str, out: str, model: str = "champion") -> State[Any]:
    """Predicts the rows that are new since the last time, and adds them to a folder of predictions by date.

    Args:
        input: what is predicted: a folder of files, or a .csv or .parquet table whose column `path` names them, or of
            texts whose column `text` holds them. Relative paths are those of the project.
        out: the folder that predictions are added to; it is made where it is not there.
        model: champion, challenger, a model's directory, or a name of MLflow's registry.
    """
    try:
        root = here().root
        given, target = root / Path(input).expanduser(), root / Path(out).expanduser()
        counts, already = predict_new(model, given, target, patience=PATIENCE)
    except HeadstartError as error:
        return refused(str(error))
    line = f"{counts.predicted:,} new predictions, {counts.rejected:,} rejected, {already:,} known already: {target}"
    say(line)
    rows = "".join(f"| {path} | {reason} |\n" for path, reason in counts.first_rejected)
    table = f"\n\n| cannot be read | why |\n|---|---|\n{rows}" if rows else ""
    create_markdown_artifact(f"{line}{table}", key="predictions", description="what the flow predict added")
    return Completed(message=line)
