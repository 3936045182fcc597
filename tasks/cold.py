"""A step run cold, for `dvc repro`: the same function as in the flow, without a server and without tracking."""

from contextlib import nullcontext
from functools import partial

from headstart.errors import HeadstartError
from headstart.storage.publish import withdraw
from tasks.devices import available, lease_together
from tasks.project.code_lock import refuse_other_code
from tasks.step import Context, Step, log
from tasks.step_code import cells_digest, code_digest, params_digest
from tasks.workspace import here

PATIENCE = 3600.0  # seconds that a step waits for a device


def run_cold(step: Step, items: list[str]) -> None:
    """Runs the step under the workspace's lock, and refuses its result if settings or code were edited meanwhile.

    Raises:
        BusyError: `headstart run` holds the workspace.
        UserError: the code of the step that is installed is not what code.lock has.
        HeadstartError: settings or code are not what the step began with; DVC must not record the result.
    """
    workspace = here()
    with workspace.locked():
        name = "@".join([step.name, *items])
        refuse_other_code(workspace.root, name)
        before = params_digest(workspace.root), code_digest(workspace.root, name)
        settings = workspace.settings()
        for dataset in step.datasets(settings, *items):
            from tasks.versioning import versioning_of  # DVC comes in with it: not where nothing is looked through

            versioning_of(workspace.root).refuse_damaged(workspace.data(dataset))
        count, locks = step.device_count(settings), workspace.state / "locks"
        leased = lease_together(available(), locks, count=count, timeout=PATIENCE) if count else nullcontext(())
        with leased as devices:
            context = Context(
                workspace=workspace,
                settings=settings,
                device=devices[0] if devices else None,
                beside=devices[1:],
                metrics=lambda values, number: None,
                progress=lambda what, done, of: None,
                code=partial(cells_digest, workspace.root),
            )
            outcome = step.load()(context, *items)
            log.info("%s: %s", name, outcome.line)
        if (params_digest(workspace.root), code_digest(workspace.root, name)) != before:
            raise HeadstartError(
                f"params.yaml or the code of step {name} changed while it was running; its result is not recorded, for "
                "it does not belong to what is there now. Run again"
            )
        for folder in outcome.spent:
            withdraw(folder)
