"""`headstart api`: the champion behind HTTP, by the code that `headstart predict` runs. FastAPI is imported on use.

What comes in is bytes of images and nothing else: counted while they stream, decoded in worker processes, predicted in
batches with those of other requests. No path and no traceback is in an answer.
"""

import asyncio
import hmac
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from html import escape
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from flows.console import show
from headstart.errors import BusyError, UserError
from tasks.workspace import here

if TYPE_CHECKING:
    from fastapi import FastAPI, UploadFile

    from headstart.modalities.image import Decoded
    from tasks.predict import Opened

LOOPBACK = "127.0.0.1"
TOKEN_CHARACTERS = 16  # a token's least length
MOST_REQUESTS = 256  # at once; further ones are told to come again
MOST_WAITING = 1024  # images in the queue, from which on a request is told to come again
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>{name}</title>
<style>body{{font:1rem/1.5 sans-serif;max-width:45rem;margin:2rem auto;padding:0 1rem}}pre{{overflow:auto}}</style>
<h1>{name}</h1><p>POST /predict takes images as <code>files</code>;
<a href="docs">docs</a> and <a href="openapi.json">openapi.json</a> describe it,
<a href="health">health</a> and <a href="metrics">metrics</a> say how it does.</p>
<pre>curl -F files=@image.png {url}predict</pre>
<form action="predict" method="post" enctype="multipart/form-data"><label>Images
<input type="file" name="files" multiple required></label> <button>Predict</button></form></html>"""


@dataclass(frozen=True)
class Limits:
    """Of a request: bytes of its body, files in it, and seconds until it is answered."""

    body: int = 32 * 2**20
    files: int = 64
    seconds: float = 60.0


def serve(model: str, *, host: str, port: int, token_file: str | None, device: str, batch_size: int | None) -> int:
    """Serves until Ctrl-C or SIGTERM; what has come in by then is still answered.

    Raises:
        UserError: another host than loopback's without a token, or the port cannot be used; see also opened_model.
    """
    from tasks.predict import opened_model

    token = _token(host, token_file)
    with opened_model(model, device=device, batch_size=batch_size) as opened, _bound(host, port) as listening:
        import uvicorn

        app = make_app(opened, token=token, loopback=_is_loopback(host))
        number = listening.getsockname()[1]
        url = f"http://{f'[{host}]' if ':' in host else host}:{number}/"
        show(f"{opened.name} on {opened.device.name}: {url}", "Ctrl-C stops it")
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False}
        config = uvicorn.Config(app, timeout_graceful_shutdown=10, limit_concurrency=MOST_REQUESTS, **quiet)
        uvicorn.Server(config).run(sockets=[listening])
    return 0


def make_app(opened: "Opened", *, token: str = "", loopback: bool = True, limits: Limits = Limits()) -> "FastAPI":  # noqa: B008
    """The application around a loaded model. token: that each request but /health must bear, "" for none.

    loopback: whether only this machine's names for itself are answered, so that no page elsewhere reaches it by a name
    of its own that points here.
    """
    from fastapi import FastAPI, File, HTTPException, Request, UploadFile
    from fastapi.responses import HTMLResponse, JSONResponse, Response
    from fastapi_offline import FastAPIOffline  # /docs with files of its own, for FastAPI's are on the internet
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
    from pydantic import WithJsonSchema
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from headstart.prediction.batching import Batcher

    Upload = Annotated[UploadFile, WithJsonSchema({"type": "string", "format": "binary"})]  # /docs then lets one pick
    counts = _Counts()
    batcher = Batcher(opened.model, batch_size=opened.model.batch_size, most=MOST_WAITING, watch=counts.batches.observe)
    counts.waiting.set_function(lambda: batcher.waiting)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        from tasks import workers

        async with batcher:
            yield
        workers.stop()

    app = FastAPIOffline(title="Headstart", description=_about(opened), lifespan=lifespan, redoc_url=None)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page(request: Request) -> str:
        return PAGE.format(name=escape(f"Headstart: {opened.name}"), url=escape(str(request.base_url)))

    @app.get("/health")
    async def health() -> dict[str, str]:
        """That it answers, and with which model."""
        return {"status": "ok", "model": opened.name}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(counts.registry), media_type=CONTENT_TYPE_LATEST)

    @app.post("/predict", responses={code: {"description": words} for code, words in REFUSALS.items()})
    async def predict(files: list[Upload] = File(description="images, one or more")) -> JSONResponse:  # noqa: B008
        """Predicts each image. The status is 422 where one cannot be read; the others are answered all the same."""
        if len(files) > limits.files:
            raise HTTPException(413, f"{len(files)} files are too many for one request, which may have {limits.files}")
        try:
            found = await asyncio.wait_for(_answers(opened, batcher, files), limits.seconds)
        except BusyError as error:
            raise HTTPException(503, str(error), headers={"Retry-After": "1"}) from None
        except TimeoutError:
            raise HTTPException(504, f"no answer within {limits.seconds:g} s") from None
        counts.images(found)
        bad = any("error" in answer for answer in found)
        return JSONResponse({"model": opened.name, "predictions": found}, 422 if bad else 200)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "the prediction failed; the server's log says why"}, 500)

    app.add_middleware(_Guard, token=token, limits=limits, counts=counts)
    if loopback:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", "::1"])
    return app


REFUSALS: dict[int | str, str] = {
    401: "the token is missing or wrong",
    413: "the body is too long, or has too many files",
    422: "an image cannot be read: its entry has an error with a code",
    503: "too many images wait; Retry-After says when to come again",
    504: "no answer in time",
}


async def _answers(opened: "Opened", batcher: Any, files: "Sequence[UploadFile]") -> list[dict[str, Any]]:
    """An object a file, in their order: what the model says, or the error."""
    decoded = await asyncio.gather(*[_decoded(await file.read(), opened) for file in files])
    said = iter(await batcher.predict([item.pixels for item in decoded if item.pixels is not None]))
    return [
        {"name": file.filename or "", **(_refusal(item.reason) if item.pixels is None else _answer(next(said)))}
        for file, item in zip(files, decoded, strict=True)
    ]


async def _decoded(content: bytes, opened: "Opened") -> "Decoded":
    """In a worker process; one that dies of an image takes only that one along."""
    from headstart.modalities.image import Decoded
    from headstart.prediction.inputs import decode_bytes
    from tasks import workers

    card = opened.model.card
    executor = workers.pool()
    try:
        return await asyncio.get_running_loop().run_in_executor(
            executor, decode_bytes, content, card.image_size, card.channels
        )
    except BrokenProcessPool:
        if workers.pool.cache_info().currsize and workers.pool() is executor:
            workers.pool.cache_clear()  # the next image has new ones
        return Decoded(None, "", "DECODER_CRASH: the process that read it died, of this image or one beside it")


def _refusal(reason: str) -> dict[str, Any]:
    code, _, words = reason.partition(": ")
    return {"error": {"code": code, "reason": words}}


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table as an object, with its probabilities by class."""
    prefix = "probability."
    probabilities = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    others = {name: value for name, value in row.items() if not name.startswith(prefix)}
    return others | ({"probabilities": probabilities} if probabilities else {})


def _about(opened: "Opened") -> str:
    card = opened.model.card
    what = (
        f"one of {', '.join(f'`{name}`' for name in card.classes[:20])}"
        if card.classes
        else f"a value {card.unit}".strip()
    )
    return f"{opened.name}: {card.strategy} of {card.backbone} for {card.dataset}; predicts {what}."


class _Counts:
    """What /metrics shows, in a registry of its own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        own = {"registry": self.registry}
        self.requests = Counter("headstart_requests", "requests by status", ["path", "status"], **own)
        self.seconds = Histogram("headstart_request_seconds", "seconds until a prediction is answered", **own)
        self.outcomes = Counter("headstart_images", "images by what became of them", ["outcome"], **own)
        sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256]
        self.batches = Histogram("headstart_batch_images", "images that went through together", buckets=sizes, **own)
        self.waiting = Gauge("headstart_waiting_images", "images that wait for their batch", **own)

    def images(self, answers: Sequence[dict[str, Any]]) -> None:
        for answer in answers:
            outcome = "rejected" if "error" in answer else "predicted"
            self.outcomes.labels(outcome).inc()
            if answer.get("out_of_domain"):
                self.outcomes.labels("out_of_domain").inc()


class _Guard:
    """Asks for the token, counts a body's bytes while they come in, and counts requests. Plain ASGI."""

    def __init__(self, app: Any, *, token: str, limits: Limits, counts: _Counts):
        self._app, self._token, self._limits, self._counts = app, token, limits, counts

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from fastapi import HTTPException
        from fastapi.responses import JSONResponse

        headers = dict(scope["headers"])
        too_long = f"the body is longer than {self._limits.body:,} bytes, the most that is taken"
        received, began = 0, asyncio.get_running_loop().time()

        async def counted() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limits.body:
                raise HTTPException(413, too_long, {"Connection": "close"})
            return message

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                path = scope["path"] if scope["path"] in ("/", "/health", "/metrics", "/predict") else "other"
                self._counts.requests.labels(path, message["status"]).inc()
                if path == "/predict":
                    self._counts.seconds.observe(asyncio.get_running_loop().time() - began)
            await send(message)

        length = headers.get(b"content-length", b"0")
        if self._token and scope["path"] != "/health" and not self._knows(headers):
            refusal = JSONResponse({"detail": "give the token: Authorization: Bearer TOKEN"}, 401)
        elif length.isdigit() and int(length) > self._limits.body:
            refusal = JSONResponse({"detail": too_long}, 413, {"Connection": "close"})
        else:
            await self._app(scope, counted, noted)
            return
        await refusal(scope, receive, noted)

    def _knows(self, headers: dict[bytes, bytes]) -> bool:
        return hmac.compare_digest(headers.get(b"authorization", b""), f"Bearer {self._token}".encode())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(host: str, token_file: str | None) -> str:
    """The token that requests must bear; none is asked for on loopback unless a file of one is given.

    Elsewhere it is the project's own, a random one in .headstart that its owner alone may read.

    Raises:
        UserError: the file cannot be read or its token is too short, or there is no project to keep one in.
    """
    if token_file is not None:
        return _read_token(Path(token_file).expanduser())
    if _is_loopback(host):
        return ""
    try:
        path = here().state / "api-token"
    except UserError:
        raise UserError(
            f"--host {host} lets other machines in, so a token is needed, and this is no project to keep one in; give "
            "--token-file FILE"
        ) from None
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError), open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secrets.token_urlsafe(32)}\n")
    show(f'requests need the token in {path}: curl -H "Authorization: Bearer $(cat {path})" ...')
    return _read_token(path)


def _read_token(path: Path) -> str:
    try:
        mode, token = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UserError(f"the token in {path} cannot be read: {error}; put one there, at least 16 characters") from None
    if mode & 0o077:
        raise UserError(f"others may read the token in {path}; run `chmod 600 {path}`")
    if len(token) < TOKEN_CHARACTERS or not token.isascii() or len(token.split()) != 1:
        raise UserError(f"{path} holds no token of at least {TOKEN_CHARACTERS} ASCII characters without spaces")
    return token


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; port 0 is any that is free.

    Raises:
        UserError: the address is none of this machine, or the port is taken.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port} cannot be listened on: {error}; give another --host or --port") from None
    with listening:
        yield listening
