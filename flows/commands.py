"""What the subcommands of `headstart` do."""

import json
import math
import os
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from flows.console import log_to_terminal, show
from flows.overrides import apply_overrides, apply_preset, parse_overrides
from flows.register import EXTRAS
from headstart.errors import SettingsError, UserError
from headstart.registry import Entry, Registry
from headstart.settings import Settings
from headstart.storage.publish import write_text
from tasks.step_code import RECORD
from tasks.workspace import EXPERIMENT, Workspace, here

if TYPE_CHECKING:
    from tasks.status import Running

NOTHING_CHANGED = "nothing changed since the last run"


def run(
    flags: list[str], *, preset: str | None, plan_only: bool, max_minutes: float | None = None, ray: str = ""
) -> int:
    """Writes flags to params.yaml, asks DVC whether anything changed, and runs the flow if so.

    max_minutes: what the grid is made to fit into. ray: the cluster whose machines run the cells, "" for this one.
    """
    workspace = here()
    overrides = parse_overrides(flags)
    if max_minutes is not None and not 0 < max_minutes < math.inf:
        raise SettingsError(f"--max-minutes is {max_minutes:g}; give a number of minutes above 0")
    with workspace.locked(), _machines(workspace, ray):
        _follow_installed_code(workspace)
        if plan_only:
            return _plan(workspace, overrides, max_minutes, preset)
        with _put_back(workspace, on_error=True):
            if preset:
                apply_preset(workspace, preset)
            settings = _apply(workspace, overrides, max_minutes)
            if ray and settings.devices > 1:
                raise SettingsError(
                    f"devices is {settings.devices}, but --ray sends each cell to one machine, where one process "
                    "trains it; set devices to 1, or leave out --ray"
                )
            from tasks.versioning import versioning_of

            affected = versioning_of(workspace.root).affected()
            if affected and EXPERIMENT in os.environ:  # a fresh worktree: DVC's run-cache may have all of it
                affected = versioning_of(workspace.root).restore()
            if affected:
                from flows.plan import check_foreseen  # takes 0.9 s, which a run with nothing to do does without

                check_foreseen(workspace, settings, affected)
        if not affected and not workspace.unfinished("transfer").exists():
            show(NOTHING_CHANGED)
            return _closing_words(workspace)
        return _run_flow(workspace, settings)


def init(folder: str) -> int:
    """Makes a project of a folder, or brings one to the installed version."""
    from tasks.project.create import create

    project = create(Path(folder))
    place = _relative(project.root)
    if project.changed is None:
        show(f"made in {place}: {', '.join(project.made)}")
        if project.kept:
            show(f"kept as it was, or with our lines added: {', '.join(project.kept)}")
        into = f"cd {place} && " if place != "." else ""
        show(
            f"to begin:  {into}git add . && git commit -m 'A Headstart project'",
            "           headstart run          # or dvc repro; on two built-in datasets, until you give it yours",
        )
        return 0
    show(*_changed_code(project.changed) or [f"{place} is as the installed Headstart has it"])
    return 0


def _follow_installed_code(workspace: Workspace) -> None:
    """A project of one's own takes the code that is installed; which steps that changes is said."""
    if workspace.runs_installed_code:
        from tasks.project.code_lock import update

        show(*_changed_code(update(workspace.root)))


def _changed_code(steps: list[str]) -> list[str]:
    return [f"{RECORD} has the installed code now; another than before: {', '.join(steps)}"] if steps else []


def rank(sources: str | None, flags: list[str], *, as_json: bool) -> int:
    """Ranks sources by their W's vectors: runs the steps that it takes, and prints the table."""
    workspace = here()
    with _looked(workspace, flags, sources, "rank") as settings:
        from flows.ranking import ranking_lines

        show(*ranking_lines(workspace, settings, as_json=as_json))
    return 0


def explore(sources: str | None, flags: list[str], *, as_json: bool) -> int:
    """Says whether the sources' features already separate the target: runs the steps that it takes."""
    workspace = here()
    with _looked(workspace, flags, sources, "explore"):
        from headstart.evaluation.clusters import Clusters, lines

        text = workspace.clusters.read_text(encoding="utf-8")
        show(*([text.rstrip()] if as_json else lines(Clusters.model_validate_json(text))))
    return 0


@contextmanager
def _looked(workspace: Workspace, flags: list[str], sources: str | None, step: str) -> Iterator[Settings]:
    """The workspace, held, with a light flow's last step up to date under these flags, from these sources."""
    overrides = parse_overrides([*flags, *(["--source.data", sources] if sources else [])])
    with workspace.locked():
        _follow_installed_code(workspace)
        settings = apply_overrides(workspace, overrides)
        from tasks.versioning import versioning_of

        if step in versioning_of(workspace.root).affected():
            with _prefect(workspace, {"rank": "rank-sources", "explore": "explore"}[step]):
                from flows.explore import explore as explore_target
                from flows.rank_sources import rank_sources
                from flows.subflow import call

                call({"rank": rank_sources, "explore": explore_target}[step], settings)
        yield settings


def _apply(workspace: Workspace, overrides: dict[str, str], max_minutes: float | None) -> Settings:
    """Writes flags to params.yaml, and with them what makes the grid fit into the minutes."""
    if max_minutes is None:
        return apply_overrides(workspace, overrides)
    from flows.plan import fit_minutes

    return apply_overrides(workspace, overrides, lambda settings: fit_minutes(workspace, settings, max_minutes))


def _plan(workspace: Workspace, overrides: dict[str, str], max_minutes: float | None, preset: str | None) -> int:
    """Plans with preset and flags in params.yaml, for DVC reads them there, and puts it back as it was."""
    with _put_back(workspace):
        if preset:
            apply_preset(workspace, preset)
        settings = _apply(workspace, overrides, max_minutes)
        from flows.plan import plan_lines

        show(*plan_lines(workspace, settings))
    return 0


@contextmanager
def _put_back(workspace: Workspace, *, on_error: bool = False) -> Iterator[None]:
    """What the block writes into params.yaml is taken back at its end; a dataset that it added stays, and is named.

    on_error: only where the block ends with an error, which is raised again; else what it wrote stays.
    """
    before = workspace.params.read_bytes() if workspace.params.is_file() else b""
    there = set((workspace.root / "data").glob("*.dvc"))
    try:
        yield
    except BaseException:
        _write_back(workspace, before, there)
        raise
    if not on_error:
        _write_back(workspace, before, there)


def _write_back(workspace: Workspace, before: bytes, there: set[Path]) -> None:
    """params.yaml as it was before, where it is not. there: the .dvc files that there were."""
    if before and workspace.params.read_bytes() != before:
        write_text(workspace.params, before.decode())
        new = sorted(path.stem for path in set((workspace.root / "data").glob("*.dvc")) - there)
        places = ", ".join(f"data/{name}" for name in new)
        kept = f"; the same flags find {places} there" if new else ""
        show(f"params.yaml is as it was{kept}")


def check(path: str, flags: list[str], *, role: str, as_json: bool) -> int:
    """Says what a run would make of a dataset; writes nothing."""
    from flows.check import check as check_dataset

    overrides = parse_overrides(flags)
    extra = next((name for name in overrides if name in EXTRAS), None)
    if extra:
        raise UserError(f"--{extra} goes with `headstart run`; check each part on its own")
    return check_dataset(path, overrides, role=role, as_json=as_json)


def list_registry(what: str, *, as_json: bool) -> int:
    """Prints a registry: a name and a line each."""
    entries = _registry(what).listing()
    if as_json:
        show(json.dumps([{"name": entry.name, "line": entry.line} for entry in entries], indent=1))
    else:
        width = max(len(entry.name) for entry in entries)
        show(*(f"{entry.name:<{width}}  {entry.line}" for entry in entries))
    return 0


def devices() -> int:
    """Prints the devices of this machine and who holds them."""
    from tasks.devices import available, describe

    for row in describe(available(), here().state / "locks"):
        memory = f", {row.memory_bytes / 2**30:.0f} GiB" if row.memory_bytes else ""
        show(f"{row.kind}:{row.index}  {row.name}{memory}  {'held by ' + row.held_by if row.held_by else 'free'}")
    return 0


def status(*, as_json: bool) -> int:
    """Prints what the project is at and what it has."""
    from tasks.status import status_of

    workspace = here()
    found = status_of(workspace)
    if as_json:
        show(json.dumps(asdict(found), indent=1))
        return 0
    none = f"none is going on{' in this checkout' if found.beside else ''}"
    show(f"run:      {_spoken(found.running) if found.running else none}")
    show(*(f"beside:   {_spoken(run)} in {place}" for place, run in found.beside.items()))
    show(*(f"device:   {name} is held by {holder}" for name, holder in found.devices.items()))
    if found.steps is None:
        show("steps:    not known while a dvc command is at work")
    else:
        waiting = [name for name, state in found.steps.items() if state != "up to date"]
        changed = [name for name in waiting if found.steps[name] == "changed"]
        show(f"steps:    {len(found.steps) - len(waiting)} of {len(found.steps)} are up to date")
        if waiting:
            show(f"changed:  {', '.join(changed)}", f"to run:   {', '.join(waiting)}")
    if found.other_code:
        steps = ", ".join(found.other_code)
        show(f"code:     {RECORD} has another Headstart's for {steps}; a run takes the installed one")
    old = "" if found.current in (True, None) else " (of an earlier run: something changed since)"
    of = f" [{found.target}]" if found.verdict and found.target else ""
    show(
        f"verdict:  {found.verdict or 'none yet'}{of}{old if found.verdict else ''}",
        f"model:    {found.model or 'none yet'}",
    )
    looks = (f"{name} for {count} comparison{'s' * (count != 1)}" for name, count in found.opened.items())
    show(f"test labels opened: {', '.join(looks) or 'never'}")
    return 0


def doctor(*, repair: bool) -> int:
    """Looks through the files of the project and tidies after killed runs; 0 where all is well then, 1 where not."""
    from tasks.doctor import examine
    from tasks.doctor import lines as findings_in_words

    workspace = here()
    with workspace.locked():
        found = examine(workspace, repair=repair)
    show(*findings_in_words(found, repair=repair))
    return 0 if found.healthy else 1


def _spoken(run: "Running") -> str:
    return f"process {run.pid} since {run.started} ({run.command[:100]})"


def ui(*, port: int) -> int:
    """Serves MLflow's pages on loopback until Ctrl-C, and opens the experiment's."""
    from tasks.tracking import open_tracking, ui_command

    workspace = here()
    tracking = open_tracking(workspace.state)
    url = tracking.experiment_url(port)
    show(f"MLflow: {url}", f"report: {workspace.report}", "Ctrl-C stops it")
    if os.environ.get("DISPLAY") or sys.platform == "darwin":
        webbrowser.open(url)
    return subprocess.run(ui_command(workspace.state, port), check=False).returncode


def serve(*, port: int | None, mlflow_port: int | None) -> int:
    """Serves Prefect's UI, a worker and MLflow's pages on loopback until Ctrl-C."""
    from flows.serving.processes import serve as serve_project

    return serve_project(here(), port=port, mlflow_port=mlflow_port)


def predict(model: str, given: str, out: str | None, *, device: str, batch_size: int, force: bool) -> int:
    """Predicts new images with a delivered model; says on stderr what could not be read."""
    from tasks.predict import predict as predict_images

    target = Path(out).expanduser() if out else None
    counts = predict_images(model, Path(given).expanduser(), target, device=device, batch_size=batch_size, force=force)
    if counts.rejected:
        shown = "; ".join(f"{path}: {reason}" for path, reason in counts.first_rejected)
        sys.stderr.write(f"{counts.rejected:,} of {counts.predicted + counts.rejected:,} cannot be read: {shown}\n")
    if target:
        from headstart.prediction.output import rejected_path

        show(f"{counts.predicted:,} predictions: {target}")
        if counts.rejected:
            show(f"{counts.rejected:,} rejected:    {rejected_path(target)}")
    return 0


def reproduce(run: str, *, tolerance: float) -> int:
    """Makes a recorded run again and prints the comparison; 0 where it came to the same, 1 where not."""
    from tasks.reproduce import lines
    from tasks.reproduce import reproduce as make_again

    if not 0 <= tolerance < 1:
        raise UserError(f"--tolerance is {tolerance:g}; give a share of 0 or more and below 1, such as 0.03")
    found = make_again(here(), run, tolerance=tolerance, on_line=_to_stderr)
    show(*lines(found))
    return 0 if found.same else 1


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def predict_new(model: str, given: str, out: str, *, device: str, batch_size: int | None) -> int:
    """Adds predictions of what is new to a folder of parts; says on stderr what could not be read."""
    from tasks.predict import predict_new as add_predictions

    target = Path(out).expanduser()
    counts, already = add_predictions(model, Path(given).expanduser(), target, device=device, batch_size=batch_size)
    if counts.rejected:
        shown = "; ".join(f"{path}: {reason}" for path, reason in counts.first_rejected)
        sys.stderr.write(f"{counts.rejected:,} of {counts.predicted + counts.rejected:,} cannot be read: {shown}\n")
    show(f"{counts.predicted:,} new predictions: {target} ({already:,} inputs were known already)")
    return 0


def promote(version: str, *, approved: bool) -> int:
    """Says which version is champion, after a comparison or a person's approval."""
    from tasks.promote import promote as decide

    decision = decide(here(), version, approved=approved)
    show(f"champion: {decision.words}")
    if not decision.moved and not approved:
        show("to move it all the same: headstart promote [VERSION] --approve")
    return 0


def rollback() -> int:
    """Makes the champion before the present one champion again."""
    from tasks.promote import rollback as go_back

    show(f"champion: {go_back(here()).words}")
    return 0


def _run_flow(workspace: Workspace, settings: Settings) -> int:
    with _prefect(workspace, "transfer"):
        from flows.cluster import machines, task_runner
        from flows.subflow import call
        from flows.transfer import transfer

        flow = transfer.with_options(task_runner=task_runner()) if machines.get() else transfer
        registered = call(flow, settings)
    if registered:
        show(f"registered with MLflow: {registered}")
    return _closing_words(workspace)


@contextmanager
def _machines(workspace: Workspace, ray: str) -> Iterator[None]:
    """The cluster's machines run cells within the block; this one, where none is named."""
    if not ray:
        yield
        return
    from flows.cluster import connected

    with connected(ray, workspace):
        yield


@contextmanager
def _prefect(workspace: Workspace, flow: str) -> Iterator[None]:
    """A Prefect server and the log on the terminal, for the length of a flow; edited datasets are recorded first.

    Raises:
        HeadstartError: Prefect's server went away for good.
    """
    from flows.cluster import machines
    from flows.server import LOOPBACK, start_prefect
    from tasks.versioning import versioning_of

    os.chdir(workspace.root)
    for dataset in versioning_of(workspace.root).record_datasets():
        show(f"{dataset} was edited: {dataset}.dvc now names its new version")
    found = machines.get()
    host = found.address if found and found.address else LOOPBACK
    with start_prefect(workspace.own, host) as server, log_to_terminal():
        import flows.steps  # noqa: F401  (Prefect and what steps need come in while the server starts)

        opening = Thread(target=_open_early, args=(workspace,), daemon=True)
        opening.start()
        if server:
            server.wait()
        opening.join()  # two threads that import MLflow at once are given halves of it
        from flows.away import naming_prefect
        from flows.serving.orphans import close_left

        with naming_prefect():
            close_left(workspace, own_server=server is not None)
            with _kept_in_mind(workspace, flow):
                yield


@contextmanager
def _kept_in_mind(workspace: Workspace, flow: str) -> Iterator[None]:
    """What DVC does not see of a run is done by the next one: the model's registration, and how Prefect's run ended."""
    from flows.away import means_away
    from tasks.versioning import versioning_of

    try:
        yield
    except Exception as error:
        with suppress(Exception):  # the next run has a flow anyway, and Prefect knows how this one ended
            if not means_away(error) and versioning_of(workspace.root).affected():
                workspace.unfinished(flow).unlink(missing_ok=True)
        raise
    workspace.unfinished(flow).unlink(missing_ok=True)


def _open_early(workspace: Workspace) -> None:
    """MLflow's database and torch are there by the time that Prefect's server answers, which takes as long."""
    import torch  # noqa: F401

    from tasks.tracking import open_tracking

    with suppress(Exception):  # the flow opens it once more, and says what is wrong
        open_tracking(workspace.state)


def _closing_words(workspace: Workspace) -> int:
    """The verdict, the delivered model's path and the report's path."""
    sentence = workspace.read_verdict()["sentence"]
    show(
        "",
        sentence,
        "",
        f"model:  {_relative(workspace.delivered)}",
        f"report: {_relative(workspace.report)}",
        f"runs:   {'headstart' if workspace.runs_installed_code else 'make'} ui",
    )
    return 0


def _relative(path: Path) -> str:
    return os.path.relpath(path)


def _registry(what: str) -> Registry[Entry]:
    from headstart.backbones.table import BACKBONES
    from headstart.datasets.table import DATASETS, TORCHVISION
    from headstart.modalities.table import MODALITIES
    from headstart.presets.table import PRESETS
    from headstart.strategies.table import STRATEGIES

    found: dict[str, Any] = {
        "strategies": STRATEGIES,
        "backbones": BACKBONES,
        "datasets": Registry("dataset", [*DATASETS, *TORCHVISION]),
        "modalities": MODALITIES,
        "presets": PRESETS,
    }
    return found[what]  # type: ignore[no-any-return]
