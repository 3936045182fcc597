"""The flow that promotes: the challenger becomes champion where it is better, or where a person says so in the UI."""

from typing import Any, Literal

from prefect import flow, pause_flow_run
from prefect.artifacts import create_markdown_artifact
from prefect.input import RunInput
from prefect.states import Completed, State
from pydantic import Field

from flows.console import say
from flows.refusals import refused
from headstart.errors import HeadstartError
from tasks.promote import Decision
from tasks.promote import promote as decide
from tasks.workspace import here

Approval = Literal["auto", "ask"]
PATIENCE = 24 * 3600  # seconds that it waits for a person


class Answer(RunInput):
    """The form that a person fills in."""

    approve: bool = Field(False, description="make the challenger the champion")


@flow(name="promote", persist_result=False)
def promote(version: str = "", approval: Approval = "auto", patience: int = PATIENCE) -> State[Any]:
    """Compares a version of the project's registered model with the champion, and makes it the champion.

    Args:
        version: its number; the challenger by default.
        approval: auto: it becomes champion where the comparison says that it is better, else nothing changes. ask:
            where the comparison does not say so, the run pauses and asks a person, by a form on its page.
        patience: seconds that it waits for the person; then nothing changes, and the run fails.
    """
    try:
        decision = decide(here(), version)
        say(f"champion: {decision.words}")
        if approval == "ask" and not decision.moved and decision.challenger:
            decision = _asked(decision, patience)
            say(f"champion: {decision.words}")
    except HeadstartError as error:
        return refused(str(error))
    line = f"champion: {decision.words}"
    create_markdown_artifact(line, key="champion", description="who is champion, and why")
    return Completed(message=line)


def _asked(decision: Decision, patience: int) -> Decision:
    """What a person makes of it."""
    words = f"The champion is {decision.words}. Make version {decision.challenger} the champion all the same?"
    answer = pause_flow_run(
        wait_for_input=Answer.with_initial_data(description=words), timeout=patience, poll_interval=2
    )
    if not answer.approve:
        return decision
    return decide(here(), decision.challenger, approved=True)
