"""A team's services, real ones on this machine: Prefect and MLflow on PostgreSQL, behind passwords; and S3."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

USER, PASSWORD = "headstart", "only-for-tests"
BUCKET = "headstart"
KEYS = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": PASSWORD, "AWS_DEFAULT_REGION": "us-east-1"}
PATIENCE = 120.0


@dataclass(frozen=True)
class Postgres:
    """A server of PostgreSQL's."""

    port: int

    def url(self, database: str, driver: str = "postgresql") -> str:
        return f"{driver}://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def ask(self, database: str, query: str) -> list[tuple[object, ...]]:
        import psycopg

        with psycopg.connect(self.url(database)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def create(self, database: str) -> str:
        import psycopg

        connection = psycopg.connect(self.url("postgres"), autocommit=True)
        with connection.cursor() as cursor:
            cursor.execute(f"create database {database}")
        connection.close()
        return self.url(database)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _programs() -> Path:
    """Where PostgreSQL's programs are: Debian has them off the PATH."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.fail(
            "PostgreSQL is not installed; `make test-services` installs it where it may, else: apt install postgresql"
        )
    return found[-1]


def _wait_until(ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not ready():
        assert process.poll() is None, f"it ended: {log.read_text()[-2000:]}"
        assert time.monotonic() < end, f"it did not answer in {PATIENCE:g} s: {log.read_text()[-2000:]}"
        time.sleep(0.1)


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """It refuses to run as root, so that root starts it as the user that Debian's package makes."""
    programs, folder = _programs(), tmp_path_factory.mktemp("postgres")
    user = "postgres" if os.geteuid() == 0 else None
    words, data, log = folder / "password", folder / "data", folder / "log"
    words.write_text(PASSWORD)
    if user:
        for path in (folder, words):
            shutil.chown(path, user)
        for parent in folder.parents:  # pytest's are for their owner alone
            if parent.stat().st_uid == 0 and parent != Path("/") and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", "--pwfile", words, "-E", "UTF8", "-N"],
        check=True, capture_output=True, user=user, cwd=folder,
    )  # fmt: skip
    port = free_port()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
             "-c", "unix_socket_directories=", "-c", "fsync=off"],
            stdout=file, stderr=subprocess.STDOUT, user=user, cwd=folder,
        )  # fmt: skip
    try:
        ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        _wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, process, log)
        yield Postgres(port)
    finally:
        process.send_signal(2)  # SIGINT: it ends at once, whoever is connected
        _stop(process)


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that speaks S3, with a bucket."""

    port, log = free_port(), tmp_path_factory.mktemp("storage") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait_until(lambda: _answers(port, "/"), process, log)
        url = f"http://127.0.0.1:{port}"
        client(url).create_bucket(Bucket=BUCKET)
        yield url
    finally:
        _stop(process)


def client(url: str):
    import boto3

    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=USER, aws_secret_access_key=PASSWORD, region_name="us-east-1"
    )


@pytest.fixture(scope="session")
def prefect_server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a run is told of it, in its environment."""
    home = tmp_path_factory.mktemp("prefect")
    port, log = free_port(), home / "log"
    postgres.create("prefect")
    environment = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_DATABASE_CONNECTION_URL": postgres.url("prefect", "postgresql+asyncpg"),
        "PREFECT_SERVER_API_AUTH_STRING": f"{USER}:{PASSWORD}",
        "PREFECT_API_AUTH_STRING": f"{USER}:{PASSWORD}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
    }
    command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, *command], env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        _wait_until(lambda: _answers(port, "/api/health"), process, log)
        yield {
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_API_AUTH_STRING": f"{USER}:{PASSWORD}",
        }
    finally:
        _stop(process)


@pytest.fixture(scope="session")
def mlflow_server(
    postgres: Postgres, storage: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What a run is told of it, in its environment."""
    home = tmp_path_factory.mktemp("mlflow")
    port, log, users = free_port(), home / "log", home / "users.ini"
    postgres.create("mlflow")
    users.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        f"database_uri = {postgres.create('mlflow_users')}\nadmin_username = {USER}\nadmin_password = {PASSWORD}\n"
    )
    environment = os.environ | KEYS | {
        "MLFLOW_AUTH_CONFIG_PATH": str(users),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": PASSWORD,
        "MLFLOW_S3_ENDPOINT_URL": storage,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # fmt: skip
    command = [
        *("-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", postgres.url("mlflow")),
        *("--artifacts-destination", f"s3://{BUCKET}/mlflow"),
    ]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *command], env=environment, stdout=file, stderr=subprocess.STDOUT, cwd=home,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait_until(lambda: _answers(port, "/health"), process, log)
        yield {
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        }
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        _stop(process)


@pytest.fixture(scope="session")
def team(prefect_server: dict[str, str], mlflow_server: dict[str, str]) -> dict[str, str]:
    """All that a project of the team changes, beside DVC's remote."""
    return prefect_server | mlflow_server
