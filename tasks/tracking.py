"""Tracking: one pipeline run is one tree of MLflow runs. The only file that knows MLflow.

Everything goes through MlflowClient with explicit run ids: MLflow's fluent active run is thread-local, and what a
submitted task logs through it makes a phantom run that stays RUNNING.

Where MLflow does not answer, the run goes on: writes wait in `<state>/mlflow-spool.jsonl` and are sent by the next
write or start that finds it back. A run that could not be created is known by a handle (what it is to be found or
created by) in place of its id; handles are good wherever ids are.
"""

import importlib
import json
import logging
import os
import re
import shutil
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import HeadstartError, UserError

if TYPE_CHECKING:
    import numpy as np
    from filelock import FileLock
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A server that is down costs 3 s a try, one that hangs 33 s (MLflow's own defaults: minutes, and 16 of them).
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # The server's GenAI jobs: eight more processes, none of which serves a page of ours.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # Requirements are given; MLflow would look for a uv.lock in the working directory.
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
KNOWN_WARNINGS = (
    r"The ``noload`` loader strategy is deprecated",  # MLflow's own table definitions under SQLAlchemy 2.1
    r".*Any type hint is inferred as AnyType",  # MLflow's own chat types, when mlflow.pyfunc is imported
    r".*Hint: Inferred schema contains integer column",  # predicted class numbers are never missing
)

METRICS_PER_BATCH = 1000  # MLflow's limits, here and below
TAGS_PER_BATCH = 100
KEY_CHARACTERS = 250
PARAM_CHARACTERS = 6000
TAG_CHARACTERS = 8000
DIGEST_CHARACTERS = 36  # just holds DVC's md5 with .dir

LOCK_SECONDS = 120
AWAY_SECONDS = 60  # how long MLflow is left alone after it failed to answer
HANDLE = "pending:"
LOADER = "headstart.prediction"  # the module by which a registered model is loaded
MODEL_NAME = re.compile(r"(?P<name>[^/@]+)(/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))?")


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
            self._end(run_id, "FAILED" if isinstance(error, Exception) else "KILLED", reason=_reason(error))
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
        self._write("params", run_id, _flat(params))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags of the run."""
        self._write("tags", run_id, {_name(key): str(value)[:TAG_CHARACTERS] for key, value in tags.items()})

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

    def register(
        self,
        run_id: str,
        model_dir: Path,
        *,
        name: str,
        pip_requirements: Sequence[str],
        input_example: "np.ndarray[Any, Any]",
        card: Mapping[str, Any] | None = None,
        loader_module: str = LOADER,
    ) -> str | None:
        """Registers a delivered model as a servable one; returns its version, or None where MLflow is away.

        `input_example`: (batch >= 2, height, width, channels), float32 or uint8; the model is loaded by
        `loader_module._load_pyfunc(model_dir)` and must predict on it. The card's keys become the version's tags.
        A run registers a name once: again, and it returns the version that is there.

        Raises:
            ValueError: the example is of another shape or type, or the model gives another number of predictions.
        """
        _ignore_known_warnings()
        signature = _tried_signature(model_dir, input_example, loader_module=loader_module)
        model = {
            "loader_module": loader_module,
            "data_path": str(model_dir),
            "pip_requirements": list(pip_requirements),
            "input_example": input_example,
            "signature": signature,
        }
        return self._read(lambda: self._register(self._resolve(run_id), name, model, card or {}), default=None)

    def is_registered(self, name: str, result: str) -> bool:
        """Whether the newest version of this registered model bears the tag headstart.result with this digest."""
        found = self._read(lambda: self._client.search_model_versions(f"name = {_quoted(name)}"), default=[])
        newest = max(found, key=lambda version: int(version.version), default=None)
        return newest is not None and newest.tags.get("headstart.result") == result

    def fetch_model(self, name: str, scratch: Path) -> Path:
        """The directory that a registered model was made from; copied to `scratch` where it lies with a server.

        name: models:/<name>/<version>, models:/<name>/latest, models:/<name>@<alias>, or <name> for its newest version.

        Raises:
            UserError: there is no such model, version or alias; those that there are are named.
            HeadstartError: MLflow does not answer.
        """
        try:
            return self._fetch_model(name, scratch)
        except Exception as error:
            if isinstance(error, HeadstartError) or not _means_away(error, self.uri):
                raise
            raise HeadstartError(
                f"MLflow at {self.uri} does not answer ({str(error).splitlines()[0][:200]}); give the model's directory"
            ) from None

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
        """The experiment's page; plain addresses open MLflow's GenAI mode, which has no place for training runs."""
        base = self.uri.rstrip("/") if _is_server(self.uri) else f"http://127.0.0.1:{port}"
        return f"{base}/#/experiments/{self._own_experiment()}/runs?workflowType=machine_learning"

    def run_url(self, site: str, run: str, *, artifact: str = "") -> str:
        """A run's page, or that of one of its artifacts. site: where MLflow's pages are served."""
        page = f"{site}/#/experiments/{self._own_experiment()}/runs/{self._resolve(run)}"
        return f"{page}/artifacts/{artifact}" if artifact else page

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
        with _lock(self._state):
            if found := self._search(where):
                self._open_again(found[0])
                return found[0].info.run_id
            tags = {**where, **other, **_identity()}
            return self._client.create_run(self._own_experiment(), tags=tags, run_name=name).info.run_id

    def _open_again(self, run: "Run") -> None:
        run_id = run.info.run_id
        if "headstart.reason" in run.data.tags:
            self._client.delete_tag(run_id, "headstart.reason")
        _send_tags(self._client, run_id, _identity())
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
        terms = [f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items()] + ([also] if also else [])
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs([self._own_experiment()], " and ".join(terms), page_token=token)
            runs += page
            if not (token := page.token):
                return runs

    def _close_orphans(self) -> list[str]:
        here = _identity()
        closed = []
        with _lock(self._state):  # nobody opens a run again meanwhile
            for run in self._search({"headstart.host": here["headstart.host"]}, also="attributes.status = 'RUNNING'"):
                if reason := _orphaned(run.data.tags, here):
                    _send_tags(self._client, run.info.run_id, {"headstart.reason": reason})
                    self._client.set_terminated(run.info.run_id, "KILLED")
                    closed.append(run.info.run_id)
        return closed

    def _own_experiment(self) -> str:
        if self._experiment_id is None:
            self._experiment_id = _find_or_create_experiment(self._client, self._experiment, self._artifacts())
        return self._experiment_id

    def _artifacts(self) -> str | None:
        # A server knows where its artifacts go; a database would put them below the working directory.
        return None if _is_server(self.uri) else (self._state / "mlartifacts").as_uri()

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
        if not _means_away(error, self.uri):
            raise error
        self._away_until = time.monotonic() + AWAY_SECONDS
        log.warning(
            "MLflow at %s does not answer (%s); the run goes on, and what it logs waits in %s",
            self.uri, str(error).splitlines()[0][:200], self._spool_path(),
        )  # fmt: skip

    def _spool_path(self) -> Path:
        return self._state / "mlflow-spool.jsonl"

    def _spool(self, lines: list[dict[str, Any]]) -> None:
        with _lock(self._state, "spool"), self._spool_path().open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def _send_spooled(self) -> None:
        """Sends what waited, in order; stops at the first line for which MLflow is away again."""
        if not self._spool_path().exists():
            return
        with _lock(self._state, "spool"), suppress(FileNotFoundError):  # another process was faster
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
            if _means_away(error, self.uri):
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

    def _register(self, run_id: str, name: str, model: dict[str, Any], card: Mapping[str, Any]) -> str:
        client = self._client
        if there := client.search_model_versions(f"name = {_quoted(name)} and run_id = {_quoted(run_id)}"):
            return str(there[0].version)
        logged = self._log_model(run_id, name, model)
        _create_registered_model(client, name)
        # The location, not models:/<id>: the registry resolves that one by the process's global tracking URI.
        version = client.create_model_version(
            name, source=logged.artifact_location, run_id=run_id, tags=_card_tags(card), model_id=logged.model_id
        )
        link = json.dumps([{"name": name, "version": version.version}])
        client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": link})
        return str(version.version)

    def _fetch_model(self, name: str, scratch: Path) -> Path:
        from mlflow.artifacts import download_artifacts
        from mlflow.models import Model

        source = self._model_version(name).source
        # Where the artifacts are local they are read where they lie.
        target = None if source.startswith(("file:", "/")) else str(scratch)
        folder = Path(download_artifacts(artifact_uri=source, dst_path=target, tracking_uri=self.uri))
        about = Model.load(str(folder)).flavors.get("python_function", {})
        if about.get("loader_module") != LOADER:
            raise UserError(f"{name} is a model of MLflow's, but none that `headstart run` has registered")
        return folder / str(about["data"])

    def _model_version(self, text: str) -> "ModelVersion":
        from mlflow.exceptions import MlflowException

        given = MODEL_NAME.fullmatch(text.removeprefix("models:/"))
        name = given["name"] if given else text
        versions = self._client.search_model_versions(f"name = {_quoted(name)}") if given else []
        if not versions:
            there = [model.name for model in self._client.search_registered_models()]
            raise UserError(
                f"MLflow has no registered model {name!r} at {self.uri}; there is: {', '.join(there) or 'none'}. Give "
                "models:/<name>/<version>, models:/<name>@<alias>, a name, or a model's directory"
            )
        newest = max(versions, key=lambda version: int(version.version))
        if given and given["alias"]:
            try:
                return self._client.get_model_version_by_alias(name, given["alias"])
            except MlflowException as error:
                if error.error_code not in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
                    raise
                aliases = self._client.get_registered_model(name).aliases
                raise UserError(
                    f"{name} has no alias {given['alias']!r}; there is: {', '.join(aliases) or 'none'}"
                ) from None
        if not given or given["version"] in (None, "latest"):
            return newest
        found = [version for version in versions if str(version.version) == given["version"]]
        if not found:
            numbers = ", ".join(sorted((str(version.version) for version in versions), key=int))
            raise UserError(f"{name} has no version {given['version']}; there is: {numbers}, latest")
        return found[0]

    def _log_model(self, run_id: str, name: str, model: dict[str, Any]) -> Any:
        import mlflow.pyfunc
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        logged = self._client.create_logged_model(self._own_experiment(), name=name, source_run_id=run_id)
        about = Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            run_id=run_id,
            model_id=logged.model_id,
        )
        with tempfile.TemporaryDirectory() as scratch:
            path = f"{scratch}/model"
            mlflow.pyfunc.save_model(path, mlflow_model=about, **model)
            self._client.log_model_artifacts(logged.model_id, path)
        self._client.finalize_logged_model(logged.model_id, "READY")
        self._client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return logged


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
            if step > self._last_step(_name(key)):
                self._points.append((_name(key), float(value), now, step))
                self._last[_name(key)] = step

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
    _prepare()
    state = state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    uri = store_uri(state)
    if uri == _default_uri(state):
        _create_database(state)
    tracking = Tracking(_client(uri), uri=uri, state=state, experiment=experiment)
    tracking._read(tracking._own_experiment, default=None)
    tracking._read(tracking._send_spooled, default=None)
    return tracking


def store_uri(state: Path) -> str:
    """The tracking URI, absolute also where MLFLOW_TRACKING_URI names a sqlite file relative to the checkout."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or _default_uri(state)
    path = uri.removeprefix("sqlite:///")
    if path != uri and not path.startswith("/"):
        return f"sqlite:///{state.resolve().parent / path}"
    return uri


def has_store(state: Path) -> bool:
    """Whether there is a store to read from: one that the user named, or the project's own database."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or (state / "mlflow.db").is_file()


def ui_command(state: Path, port: int) -> list[str]:
    """The arguments that start MLflow's UI on loopback over the same store; sets its defaults in os.environ.

    Raises:
        UserError: MLFLOW_TRACKING_URI is a server, which has a UI of its own.
    """
    _prepare()
    uri = store_uri(state)
    if _is_server(uri):
        raise UserError(f"MLFLOW_TRACKING_URI={uri} is a server with a UI of its own; open {uri} in a browser")
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", uri, "--artifacts-destination", str(state.resolve() / "mlartifacts")),
        "--uvicorn-opts=--log-level=warning",  # or it prints a line for each request
    ]


# -- opening ---------------------------------------------------------------------------------------------------------


def _prepare() -> None:
    """Defaults that must stand before MLflow is imported; what the user set stays."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _ignore_known_warnings()


def _ignore_known_warnings() -> None:
    for message in KNOWN_WARNINGS:
        # For good, not in a catch_warnings block: that is not thread-safe, and MLflow is opened in threads.
        warnings.filterwarnings("ignore", message=message)


def _default_uri(state: Path) -> str:
    return f"sqlite:///{state.resolve() / 'mlflow.db'}"


def _client(uri: str) -> "MlflowClient":
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return MlflowClient(uri)
    except SQLAlchemyError as error:
        raise HeadstartError(f"the database {uri} of MLflow cannot be opened: {error}") from error
    except MlflowException as error:
        if error.error_code == "INVALID_PARAMETER_VALUE" or "URI" in type(error).__name__:
            raise UserError(
                f"MLFLOW_TRACKING_URI={uri} is not usable: {error}; give sqlite:///<file>, http://<server>, "
                "or unset it to track below .headstart"
            ) from error
        raise HeadstartError(f"MLflow's store {uri} cannot be opened: {error}") from error


def _create_database(state: Path) -> None:
    """Creates the tables of a new store beside it, then moves it into place.

    So a killed first start leaves no half-made store; and in memory the 60 migrations take 2 s, on a disk 7 s.
    """
    database = state / "mlflow.db"
    if database.exists():
        return
    with _lock(state):
        if database.exists():
            return
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as scratch:
            _client(f"sqlite:///{scratch}/mlflow.db")
            shutil.copyfile(f"{scratch}/mlflow.db", state / ".mlflow.db.tmp")
        with (state / ".mlflow.db.tmp").open("rb") as file:
            os.fsync(file.fileno())
        os.replace(state / ".mlflow.db.tmp", database)


def _find_or_create_experiment(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # The kind keeps the UI from guessing a GenAI project.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        try:
            return client.create_experiment(name, artifact_location=artifacts, tags=tags)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return _find_or_create_experiment(client, name, artifacts)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)  # its name stays taken, so no new one can be made
    return experiment.experiment_id


def _lock(state: Path, name: str = "mlflow") -> "FileLock":
    from filelock import FileLock

    path = state / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=LOCK_SECONDS, thread_local=False)


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _means_away(error: Exception, uri: str) -> bool:
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    if isinstance(error, MlflowException):
        away = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}
        # A server that cannot be reached comes as an internal error; from a database that is a bug.
        return error.error_code in (away | {"INTERNAL_ERROR"} if _is_server(uri) else away)
    return isinstance(error, RequestException)


# -- who runs --------------------------------------------------------------------------------------------------------


def _identity() -> dict[str, str]:
    """The tags that tell later whether the process that opened a run is still there."""
    return {
        "headstart.host": socket.gethostname(),
        "headstart.boot_id": _boot_id(),
        "headstart.pid": str(os.getpid()),
        "headstart.pid_started": _process_started(os.getpid()) or "",
        "headstart.pid_namespace": _pid_namespace(),
    }


def _boot_id() -> str:
    import psutil

    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(int(psutil.boot_time()))


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _process_started(pid: int) -> str | None:
    """When a living process started, so that the next owner of its number is not taken for it; None: it is gone.

    On Linux in clock ticks since boot, which setting the clock does not move. "" where a process is there but hidden.
    """
    import psutil

    try:
        if sys.platform != "linux":
            return str(psutil.Process(pid).create_time())
        # The name in brackets may itself hold spaces and brackets: fields count from the last one.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, psutil.Error):
        return "" if psutil.pid_exists(pid) else None


def _orphaned(tags: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """Why no process of this host can still be at work on the run; None where one may be."""
    pid = tags.get("headstart.pid", "")
    if not pid.isdigit():
        return None
    if tags.get("headstart.boot_id") != here["headstart.boot_id"]:
        return f"process {pid} is gone: the machine has been restarted since"
    if tags.get("headstart.pid_namespace") != here["headstart.pid_namespace"]:
        return None
    started = _process_started(int(pid))
    if started is None or (started and started != tags.get("headstart.pid_started")):
        return f"process {pid} is gone: killed, or crashed without a word"
    return None


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


# -- what is sent ----------------------------------------------------------------------------------------------------


def _send_metrics(client: "MlflowClient", run_id: str, points: Sequence[Sequence[Any]]) -> None:
    from mlflow.entities import Metric

    client.log_batch(run_id, metrics=[Metric(*point) for point in points])


def _send_params(client: "MlflowClient", run_id: str, params: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    there = client.get_run(run_id).data.params
    if changed := sorted(key for key in params if there.get(key, params[key]) != params[key]):
        log.warning("MLflow run %s keeps its first values of %s", run_id, ", ".join(changed))
    new = [Param(key, value) for key, value in params.items() if key not in there]
    for start in range(0, len(new), TAGS_PER_BATCH):
        client.log_batch(run_id, params=new[start : start + TAGS_PER_BATCH])


def _send_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    all_tags = [RunTag(key, value) for key, value in tags.items()]
    for start in range(0, len(all_tags), TAGS_PER_BATCH):
        client.log_batch(run_id, tags=all_tags[start : start + TAGS_PER_BATCH])


def _send_dataset(client: "MlflowClient", run_id: str, payload: Mapping[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        payload["name"],
        payload["digest"][:DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": payload["source"]}),
        profile=json.dumps({"num_rows": payload["rows"]}),
    )
    tags = [InputTag("mlflow.data.context", payload["context"])] if payload["context"] else []
    client.log_inputs(run_id, [DatasetInput(dataset, tags)])


def _send_artifacts(client: "MlflowClient", run_id: str, payload: Mapping[str, Any]) -> None:
    send = client.log_artifacts if Path(payload["path"]).is_dir() else client.log_artifact
    send(run_id, payload["path"], payload["artifact_path"])


def _send_end(client: "MlflowClient", run_id: str, payload: Mapping[str, str]) -> None:
    client.set_terminated(run_id, payload["status"])


OPERATIONS: dict[str, Callable[["MlflowClient", str, Any], None]] = {
    "metrics": _send_metrics,
    "params": _send_params,
    "tags": _send_tags,
    "dataset": _send_dataset,
    "artifacts": _send_artifacts,
    "end": _send_end,
}


def _finish(monitor: Any) -> None:
    """Stops the sampling, and sends the last samples too: MLflow drops them, and with them all of a short step."""
    monitor.finish()
    monitor.publish_metrics(monitor.aggregate_metrics())
    monitor.mlflow_logger.flush()


def _create_registered_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _tried_signature(model_dir: Path, example: "np.ndarray[Any, Any]", *, loader_module: str) -> Any:
    """The signature, with -1 for the batch, of a model that has just predicted on the example."""
    from mlflow.models import infer_signature

    if example.ndim != 4 or len(example) < 2 or str(example.dtype) not in ("float32", "uint8"):
        raise ValueError(
            f"input_example is {example.dtype} {example.shape}; it must be float32 or uint8 of shape "
            "(2 or more, height, width, channels): a batch of one hides a model that takes only one"
        )
    predictions = importlib.import_module(loader_module)._load_pyfunc(str(model_dir)).predict(example)
    if len(predictions) != len(example):
        raise ValueError(f"{model_dir} gives {len(predictions)} predictions for {len(example)} images")
    return infer_signature(example, predictions)


def _card_tags(card: Mapping[str, Any]) -> dict[str, str]:
    return {_name(key): _text(value)[:TAG_CHARACTERS] for key, value in card.items()}


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[_name(f"{prefix}{key}")] = _shortened(_text(value))
    return flat


def _shortened(text: str) -> str:
    return text if len(text) <= PARAM_CHARACTERS else text[: PARAM_CHARACTERS - 1] + "…"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _name(key: str) -> str:
    """A key that MLflow takes: finetune@full becomes finetune/full, other signs that it refuses an underscore."""
    return re.sub(r"[^\w\-. :/]", "_", key.replace("@", "/"))[:KEY_CHARACTERS]


def _quoted(value: str) -> str:
    if "'" in value and '"' in value:
        raise ValueError(f"{value!r} holds both kinds of quotes: MLflow cannot search for it")
    return f'"{value}"' if "'" in value else f"'{value}'"


def _handle(wanted: Mapping[str, str]) -> str:
    return HANDLE + json.dumps(wanted)
