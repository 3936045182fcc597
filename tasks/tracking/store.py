"""MLflow's store: where it is, how it is opened, and what it means when it does not answer."""

import os
import shutil
import sys
import tempfile
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.errors import HeadstartError, UserError
from tasks.locks import held

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

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
}
ALWAYS = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}  # whatever is set: no model of ours has a pickle
KNOWN_WARNINGS = (
    r"The ``noload`` loader strategy is deprecated",  # MLflow's own table definitions under SQLAlchemy 2.1
    r".*Any type hint is inferred as AnyType",  # MLflow's own chat types, when mlflow.pyfunc is imported
    r".*Hint: Inferred schema contains integer column",  # predicted class numbers are never missing
)
LOCK_SECONDS = 120
MODE = "?workflowType=machine_learning"  # plain addresses open the GenAI mode, which has no place for training runs


def store_uri(state: Path) -> str:
    """The tracking URI, absolute also where MLFLOW_TRACKING_URI names a sqlite file relative to the checkout."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or default_uri(state)
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
    prepare()
    uri = store_uri(state)
    if is_server(uri):
        raise UserError(f"MLFLOW_TRACKING_URI={uri} is a server with a UI of its own; open {uri} in a browser")
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", uri, "--artifacts-destination", str(state.resolve() / "mlartifacts")),
        "--uvicorn-opts=--log-level=warning",  # or it prints a line for each request
    ]


def prepare() -> None:
    """Defaults that must stand before MLflow is imported; what the user set stays, but for what is unsafe."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(ALWAYS)
    ignore_known_warnings()


def ignore_known_warnings() -> None:
    for message in KNOWN_WARNINGS:
        # For good, not in a catch_warnings block: that is not thread-safe, and MLflow is opened in threads.
        warnings.filterwarnings("ignore", message=message)


def default_uri(state: Path) -> str:
    return f"sqlite:///{state.resolve() / 'mlflow.db'}"


def open_client(uri: str) -> "MlflowClient":
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


def create_database(state: Path) -> None:
    """Creates the tables of a new store beside it, then moves it into place.

    So a killed first start leaves no half-made store; and in memory the 60 migrations take 2 s, on a disk 7 s.
    """
    database = state / "mlflow.db"
    if database.exists():
        return
    with lock(state):
        if database.exists():
            return
        memory = "/dev/shm"  # nosec B108  # of a folder with a name of its own in it
        with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as scratch:
            open_client(f"sqlite:///{scratch}/mlflow.db")
            shutil.copyfile(f"{scratch}/mlflow.db", state / ".mlflow.db.tmp")
        with (state / ".mlflow.db.tmp").open("rb") as file:
            os.fsync(file.fileno())
        os.replace(state / ".mlflow.db.tmp", database)


def find_or_create_experiment(client: "MlflowClient", name: str, artifacts: str | None) -> str:
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
            return find_or_create_experiment(client, name, artifacts)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)  # its name stays taken, so no new one can be made
    return experiment.experiment_id


def lock(state: Path, name: str = "mlflow") -> AbstractContextManager[None]:
    """Keeps other processes from what is done within the block.

    Raises:
        BusyError: it does not come free within LOCK_SECONDS.
    """
    return held(state / "locks" / f"{name}.lock", seconds=LOCK_SECONDS, what="writing to MLflow's store")


def experiments_url(site: str) -> str:
    """The page of all experiments. site: where MLflow's pages are served."""
    return f"{site}/#/experiments{MODE}"


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def check_refusal(error: Exception, uri: str) -> None:
    """Raises in the place of an error by which a server says that it does not let this user in.

    Raises:
        UserError: it is such an error.
    """
    from mlflow.exceptions import MlflowException

    status = error.get_http_status_code() if isinstance(error, MlflowException) and is_server(uri) else 0
    if status == 401:
        raise UserError(
            f"MLflow at {uri} asks for a user and a password, and these are not right or not given; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        ) from error
    if status == 403:
        raise UserError(f"MLflow at {uri} does not let this user do that: {str(error)[:200]}") from error


def means_away(error: Exception, uri: str) -> bool:
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    if isinstance(error, MlflowException):
        away = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}
        # A server that cannot be reached comes as an internal error; from a database that is a bug.
        return error.error_code in (away | {"INTERNAL_ERROR"} if is_server(uri) else away)
    return isinstance(error, RequestException)
