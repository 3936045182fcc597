"""How a flow ends where there is something for the user to mend: failed, with one line in place of a stack."""

import logging
from typing import Any

from prefect.states import Failed, State

from flows.console import log

ENGINE = "Engine execution exited with unexpected exception"


def refused(text: str) -> State[Any]:
    """The state to return from the flow; the line also stands in its log."""
    log.error("%s", text)
    return failed(text)


def failed(text: str) -> State[Any]:
    """The state to return from the flow, where the log has the line already."""
    logging.getLogger("prefect.flow_runs").addFilter(_is_no_stack)
    return Failed(message=text)


def _is_no_stack(record: logging.LogRecord) -> bool:
    """Prefect's engine adds its own stack to a failed state that the flow returned; it says nothing of the failure."""
    return not record.getMessage().startswith(ENGINE)
