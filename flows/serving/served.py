"""What `headstart serve` has started in this project, as a file says; other commands find its server by it."""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import psutil

from headstart.storage.publish import write_json
from tasks.tracking import experiments_url

FILE = "serve.json"
PAGES = "HEADSTART_MLFLOW_PAGES"  # in the environment of what serve starts: where MLflow's pages are
PASSWORD_FILE = "HEADSTART_PREFECT_PASSWORD_FILE"  # nosec B105  # likewise, where what Prefect's server asks for lies
SECONDS = 5.0


@dataclass(frozen=True)
class Served:
    """The process that serves, when it started (seconds since 1970), Prefect's API, and the two sites.

    password: the file that has what Prefect's server asks for; "" where that server is the user's own.
    """

    pid: int
    started: float
    api: str
    prefect: str
    mlflow: str
    password: str = ""

    def lines(self) -> list[str]:
        """The addresses, to be printed."""
        asks = f" (it asks once for what is in {_short(self.password)})" if self.password else ""
        return [f"Prefect: {self.prefect}{asks}", f"MLflow:  {experiments_url(self.mlflow)}"]


def write(state: Path, served: Served) -> None:
    """Notes that all of it answers."""
    write_json(state / FILE, asdict(served))


def forget(state: Path) -> None:
    """Removes the note."""
    (state / FILE).unlink(missing_ok=True)


def find(state: Path) -> Served | None:
    """What is served now; None where nothing is: no note, a process that is gone, or a server that is silent."""
    try:
        served = Served(**json.loads((state / FILE).read_text()))
        alive = abs(psutil.Process(served.pid).create_time() - served.started) < 1
    except (OSError, ValueError, TypeError, psutil.Error):
        return None
    return served if alive and answers(f"{served.api}/health") else None


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with _opened(url) as answer:
            return bool(answer.status == 200)
    except (HTTPException, OSError):
        return False


def ask(url: str, body: object = None, *, environment: Mapping[str, str] = os.environ) -> Any:
    """What a server answers in JSON: to a GET, or to a POST of `body`.

    environment: that has Prefect's address and password; this process's own, but for one that only starts others.

    Raises:
        OSError, HTTPException, ValueError: it is silent, refuses, or answers something else.
    """
    with _opened(url, None if body is None else json.dumps(body).encode(), environment) as answer:
        return json.loads(answer.read())


def _opened(url: str, data: bytes | None = None, environment: Mapping[str, str] = os.environ) -> HTTPResponse:
    """No proxy comes between. Prefect's own server is told its password."""
    api, password = (environment.get(name, "") for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"))
    basic = f"Basic {base64.b64encode(password.encode()).decode()}"
    headers = {"Content-Type": "application/json"} if data else {}
    headers |= {"Authorization": basic} if password and api and url.startswith(api) else {}
    answer: HTTPResponse = build_opener(ProxyHandler({})).open(Request(url, data, headers), timeout=SECONDS)
    return answer


def _short(path: str) -> str:
    """A path as one would type it here."""
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path


def pages() -> str:
    """Where MLflow's pages are served, "" where they are not."""
    return os.environ.get(PAGES, "")
