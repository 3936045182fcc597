"""Tracking: one pipeline run is one tree of MLflow runs.

Everything goes through MlflowClient with explicit run ids: MLflow's fluent active run is thread-local, and what a
submitted task logs through it makes a phantom run that stays RUNNING.

Where MLflow does not answer, the run goes on: writes wait in `<state>/mlflow-spool.jsonl` and are sent by the next
write or start that finds it back. A run that could not be created is known by a handle (what it is to be found or
created by) in place of its id; handles are good wherever ids are.
"""

import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import HeadstartError
from tasks.tracking.models import RegisteredModels
from tasks.tracking.process import identity, orphaned, reason_of
from tasks.tracking.sent import OPERATIONS, TAG_CHARACTERS, flat, name_of, quoted, send_tags
from tasks.tracking.store import (
    MODE,
    check_refusal,
    create_database,
    default_uri,
    find_or_create_experiment,
    is_server,
    lock,
    means_away,
    open_client,
    prepare,
    store_uri,
)

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

METRICS_PER_BATCH = 1000  # MLflow's limit
AWAY_SECONDS = 60  # how long MLflow is left alone after it failed to answer
HANDLE = "pending:"


@dataclass(frozen=True)
class Pipeline:
    """A pipeline run as it stands in the store. status: RUNNING, FINISHED, FAILED or KILLED."""

    run_id: str
    name: str
    status: str
    tags: Mapping[str, str]


class Tracking:
    """The runs of one experiment in one store; safe to use from several threads."""

    def __init__(self, client: "MlflowClient", *, uri: str, state: Path, experiment: str):
        self.uri = uri
        self._client = client
        self._state = state
        self._experiment = experiment
        self._experiment_id: str | None = None
        self._run_ids: dict[str, str] = {}
        self._away_until = 0.0

    @cached_property
    def models(self) -> RegisteredModels:
        """The registered models of the same store."""
        return RegisteredModels(self)

    def start_pipeline(
        self,
        key: str,
        *,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> str:
        """Finds the pipeline run of this key and opens it again, or creates it; returns its run id."""
        handle = _handle({"key": key, "name": name or key})
        return self._start(handle, tags=tags, params=params)

    def start_step(
        self,
        parent: str,
        step: str,
        *,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Finds the parent's run of this step and opens it again, or creates it; returns its run id."""
        return self._start(_handle({"parent": parent, "step": step}), tags=tags, params=params)

    @contextmanager
    def ending(self, run_id: str) -> Iterator[str]:
        """Ends the run with its block: FINISHED, FAILED after an error, KILLED after Ctrl-C or SIGTERM."""
        try:
            yield run_id
        except BaseException as error:
            # KeyboardInterrupt, SystemExit and the signals of Prefect and asyncio are no Exceptions.
            self._end(run_id, "FAILED" if isinstance(error, Exception) else "KILLED", reason=reason_of(error))
            raise
        self._end(run_id, "FINISHED")

    def record_result(self, run_id: str, digest: str) -> None:
        """Notes which result the step made, so that a run which reuses it can link here."""
        self.set_tags(run_id, {"headstart.result": digest})

    def link_skipped(self, parent: str, step: str, made_by_digest: str) -> str | None:
        """Tags the parent with the run that made the result a skipped step reuses; returns that run's id.

        None, and the tag says "untracked", where no run of this store made it: `dvc repro` did, or another clone.
        """
        maker = self._read(lambda: self._search({"headstart.result": made_by_digest}), default=[])
        run_id = maker[0].info.run_id if maker else None
        self.set_tags(parent, {f"headstart.reused.{step}": run_id or "untracked"})
        return run_id

    def metrics(self, run_id: str) -> "Metrics":
        """A buffer for points of this run."""
        return Metrics(self, run_id)

    def log_metrics(self, run_id: str, values: Mapping[str, float], *, step: int = 0) -> None:
        """Sends single figures at once; one that the run already has at this step is left as it is."""
        buffer = self.metrics(run_id)
        buffer.add(values, step=step)
        buffer.flush()

    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Logs settings, nested ones under dotted names; one that the run already has keeps its first value."""
        self._write("params", run_id, flat(params))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags of the run."""
        self._write("tags", run_id, {name_of(key): str(value)[:TAG_CHARACTERS] for key, value in tags.items()})

    def log_dataset(self, run_id: str, *, name: str, digest: str, source: str, rows: int, context: str = "") -> None:
        """Logs what a run read: `digest` is DVC's, `context` what it was used as (source, target)."""
        payload = {"name": name, "digest": digest, "source": source, "rows": rows, "context": context}
        self._write("dataset", run_id, payload)

    def log_artifacts(self, run_id: str, path: Path, artifact_path: str | None = None) -> None:
        """Copies a file, or what a directory holds, into the run's artifacts.

        Raises:
            FileNotFoundError: there is nothing at `path`.
        """
        if not path.exists():
            raise FileNotFoundError(f"{path} cannot be logged as an artifact: it does not exist")
        self._write("artifacts", run_id, {"path": str(path.resolve()), "artifact_path": artifact_path})

    @contextmanager
    def system_metrics(self, run_id: str, *, interval: float = 10.0) -> Iterator[None]:
        """Samples CPU, memory, disk, network and GPU of the machine every `interval` seconds during the block."""
        monitor = self._read(lambda: self._monitor(run_id, interval), default=None)
        if monitor:
            monitor.start()
        try:
            yield
        finally:
            if monitor:
                self._read(lambda: _finish(monitor), default=None)

    def close_orphans(self) -> list[str]:
        """Ends the RUNNING runs of this host whose process is gone as KILLED, with the reason; returns their ids.

        Runs of other hosts, of other containers of this boot and of living processes are left alone.
        """
        return self._read(self._close_orphans, default=[])

    def pipelines(self) -> list["Pipeline"]:
        """All pipeline runs, newest first.

        Raises:
            HeadstartError: MLflow does not answer.
        """
        found = self._read(lambda: self._search({"headstart.kind": "pipeline"}), default=None)
        if found is None:
            raise HeadstartError(f"MLflow at {self.uri} does not answer; try again when it does")
        return [Pipeline(run.info.run_id, run.info.run_name, run.info.status, dict(run.data.tags)) for run in found]

    def artifact_text(self, run_id: str, path: str) -> str | None:
        """What a text file among a run's artifacts says; None where it has no such file."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory(prefix="headstart-") as scratch:
            try:
                place = download_artifacts(run_id=run_id, artifact_path=path, dst_path=scratch, tracking_uri=self.uri)
            except (MlflowException, OSError):
                return None
            return Path(place).read_text(encoding="utf-8")

    def experiment_url(self, port: int) -> str:
        """The experiment's page."""
        base = self.uri.rstrip("/") if is_server(self.uri) else f"http://127.0.0.1:{port}"
        return f"{base}/#/experiments/{self._own_experiment()}/runs{MODE}"

    def run_url(self, site: str, run: str, *, artifact: str = "") -> str:
        """A run's page, or that of one of its artifacts. site: where MLflow's pages are served."""
        page = f"{site}/#/experiments/{self._own_experiment()}/runs/{self._resolve(run)}"
        return (f"{page}/artifacts/{artifact}" if artifact else page) + MODE

    # -- runs ----------------------------------------------------------------------------------------------------

    def _start(self, handle: str, *, tags: Mapping[str, str] | None, params: Mapping[str, Any] | None) -> str:
        self._run_ids.pop(handle, None)  # a retry in this process opens the run again too
        run_id = self._read(lambda: self._resolve(handle), default=handle)
        if tags:
            self.set_tags(run_id, tags)
        if params:
            self.log_params(run_id, params)
        return run_id

    def _resolve(self, run: str) -> str:
        """The id behind a handle: found by its tags, and opened again, or created."""
        if not run.startswith(HANDLE):
            return run
        if run not in self._run_ids:
            wanted = json.loads(run.removeprefix(HANDLE))
            if "parent" in wanted:
                self._run_ids[run] = self._child(self._resolve(wanted["parent"]), wanted["step"])
            else:
                self._run_ids[run] = self._parent(wanted["key"], wanted["name"])
        return self._run_ids[run]

    def _parent(self, key: str, name: str) -> str:
        return self._find_or_create({"headstart.key": key, "headstart.kind": "pipeline"}, name=name, other={})

    def _child(self, parent: str, step: str) -> str:
        key = self._client.get_run(parent).data.tags.get("headstart.key", parent)
        where = {"mlflow.parentRunId": parent, "headstart.step": step}
        return self._find_or_create(where, name=step, other={"headstart.key": key, "headstart.kind": "step"})

    def _find_or_create(self, where: Mapping[str, str], *, name: str, other: Mapping[str, str]) -> str:
        with lock(self._state):
            if found := self._search(where):
                self._open_again(found[0])
                return found[0].info.run_id
            tags = {**where, **other, **identity()}
            return self._client.create_run(self._own_experiment(), tags=tags, run_name=name).info.run_id

    def _open_again(self, run: "Run") -> None:
        run_id = run.info.run_id
        if "headstart.reason" in run.data.tags:
            self._client.delete_tag(run_id, "headstart.reason")
        send_tags(self._client, run_id, identity())
        self._client.update_run(run_id, status="RUNNING")

    def _end(self, run_id: str, status: str, *, reason: str | None = None) -> None:
        try:
            if reason:
                self.set_tags(run_id, {"headstart.reason": reason})
            self._write("end", run_id, {"status": status})
        except Exception:
            if reason is None:
                raise
            # The step's own error is on its way up and says more than this one.
            log.warning("MLflow run %s could not be ended as %s", run_id, status, exc_info=True)

    def _search(self, tags: Mapping[str, str], *, also: str = "") -> list["Run"]:
        """Runs that bear all these tags, newest first."""
        terms = [f"tags.`{key}` = {quoted(value)}" for key, value in tags.items()] + ([also] if also else [])
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs([self._own_experiment()], " and ".join(terms), page_token=token)
            runs += page
            if not (token := page.token):
                return runs

    def _close_orphans(self) -> list[str]:
        here = identity()
        closed = []
        with lock(self._state):  # nobody opens a run again meanwhile
            for run in self._search({"headstart.host": here["headstart.host"]}, also="attributes.status = 'RUNNING'"):
                if reason := orphaned(run.data.tags, here):
                    send_tags(self._client, run.info.run_id, {"headstart.reason": reason})
                    self._client.set_terminated(run.info.run_id, "KILLED")
                    closed.append(run.info.run_id)
        return closed

    def _own_experiment(self) -> str:
        if self._experiment_id is None:
            self._experiment_id = find_or_create_experiment(self._client, self._experiment, self._artifacts())
        return self._experiment_id

    def _artifacts(self) -> str | None:
        # A server knows where its artifacts go; a database would put them below the working directory.
        return None if is_server(self.uri) else (self._state / "mlartifacts").as_uri()

    # -- sending, and waiting where MLflow does not answer -----------------------------------------------------------

    def _write(self, operation: str, run_id: str, payload: Any) -> None:
        line = {"operation": operation, "run": run_id, "payload": payload}
        if time.monotonic() < self._away_until:
            self._spool([line])
            return
        try:
            self._send_spooled()
            OPERATIONS[operation](self._client, self._resolve(run_id), payload)
        except Exception as error:
            self._note_away(error)
            self._spool([line])

    def _read(self, ask: Callable[[], Any], *, default: Any) -> Any:
        """What MLflow answers, or the default where it is away."""
        if time.monotonic() < self._away_until:
            return default
        try:
            return ask()
        except Exception as error:
            self._note_away(error)
            return default

    def _note_away(self, error: Exception) -> None:
        """Returns where the error means that MLflow is away; raises it again where it means anything else."""
        check_refusal(error, self.uri)
        if not means_away(error, self.uri):
            raise error
        self._away_until = time.monotonic() + AWAY_SECONDS
        log.warning(
            "MLflow at %s does not answer (%s); the run goes on, and what it logs waits in %s",
            self.uri, str(error).splitlines()[0][:200], self._spool_path(),
        )  # fmt: skip

    def _spool_path(self) -> Path:
        return self._state / "mlflow-spool.jsonl"

    def _spool(self, lines: list[dict[str, Any]]) -> None:
        with lock(self._state, "spool"), self._spool_path().open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def _send_spooled(self) -> None:
        """Sends what waited, in order; stops at the first line for which MLflow is away again."""
        if not self._spool_path().exists():
            return
        with lock(self._state, "spool"), suppress(FileNotFoundError):  # another process was faster
            self._send_lines(self._spool_path().read_text(encoding="utf-8").splitlines(keepends=True))

    def _send_lines(self, waiting: list[str]) -> None:
        sent = 0
        try:
            for text in waiting:
                self._send_line(text)
                sent += 1
        finally:
            if sent == len(waiting):
                self._spool_path().unlink()
            else:
                self._spool_path().write_text("".join(waiting[sent:]), encoding="utf-8")

    def _send_line(self, text: str) -> None:
        try:
            line = json.loads(text)
            OPERATIONS[line["operation"]](self._client, self._resolve(line["run"]), line["payload"])
        except Exception as error:
            if means_away(error, self.uri):
                raise
            log.warning("a line that waited for MLflow cannot be sent and is dropped (%s): %.200s", error, text)

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _last_steps(self, run_id: str) -> Callable[[str], int]:
        """The last step that the run already has of a metric, -1 for none; asked of MLflow once per metric."""
        if run_id.startswith(HANDLE):
            return lambda key: -1
        logged = self._read(lambda: self._client.get_run(run_id).data.metrics, default={})

        def last_step(key: str) -> int:
            if key not in logged:
                return -1
            history = self._read(lambda: self._client.get_metric_history(run_id, key), default=[])
            return max((point.step for point in history), default=-1)

        return last_step

    def _monitor(self, run_id: str, interval: float) -> Any:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        return SystemMetricsMonitor(
            self._resolve(run_id), sampling_interval=interval, resume_logging=True, tracking_uri=self.uri
        )


class Metrics:
    """Points of one run that wait to be sent together.

    Flush before a checkpoint commits. A run that resumes from the checkpoint before then computes points again that
    were already sent; a point at or before the last step of its metric counts as such a repeat and is left out.
    """

    def __init__(self, tracking: Tracking, run_id: str):
        self._tracking = tracking
        self._run_id = run_id
        self._points: list[tuple[str, float, int, int]] = []
        self._last: dict[str, int] = {}
        self._logged: Callable[[str], int] | None = None

    def add(self, values: Mapping[str, float], *, step: int) -> None:
        """Adds a point to each of these metrics; nothing is sent yet."""
        now = int(time.time() * 1000)
        for key, value in values.items():
            if step > self._last_step(name_of(key)):
                self._points.append((name_of(key), float(value), now, step))
                self._last[name_of(key)] = step

    def flush(self) -> None:
        """Sends what waits."""
        points, self._points = self._points, []
        for start in range(0, len(points), METRICS_PER_BATCH):
            self._tracking._write("metrics", self._run_id, points[start : start + METRICS_PER_BATCH])

    def _last_step(self, key: str) -> int:
        if key not in self._last:
            self._logged = self._logged or self._tracking._last_steps(self._run_id)
            self._last[key] = self._logged(key)
        return self._last[key]


def open_tracking(state: Path, experiment: str = "headstart") -> Tracking:
    """Opens the store: MLFLOW_TRACKING_URI where set, else `<state>/mlflow.db` with artifacts beside it.

    Once for each process, and once before parallel work: the first open of a new store creates its tables.

    Raises:
        UserError: MLFLOW_TRACKING_URI names no kind of store that MLflow knows.
        HeadstartError: the store is there but cannot be used, as after an upgrade of MLflow.
    """
    prepare()
    state = state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    uri = store_uri(state)
    if uri == default_uri(state):
        create_database(state)
    tracking = Tracking(open_client(uri), uri=uri, state=state, experiment=experiment)
    tracking._read(tracking._own_experiment, default=None)
    tracking._read(tracking._send_spooled, default=None)
    return tracking


def _finish(monitor: Any) -> None:
    """Stops the sampling, and sends the last samples too: MLflow drops them, and with them all of a short step."""
    monitor.finish()
    monitor.publish_metrics(monitor.aggregate_metrics())
    monitor.mlflow_logger.flush()


def _handle(wanted: Mapping[str, str]) -> str:
    return HANDLE + json.dumps(wanted)
