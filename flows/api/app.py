"""The application: its pages and its one operation, /predict."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, File, HTTPException, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi_offline import FastAPIOffline  # /docs with files of its own, for FastAPI's are on the internet
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import WithJsonSchema
from starlette.middleware.trustedhost import TrustedHostMiddleware

from flows.api.answers import answer_each
from flows.api.counts import Counts
from flows.api.decoders import Decoders
from flows.api.guard import Guard, Limits
from headstart.datasets.settings import how_of
from headstart.datasets.values import Value, in_words
from headstart.errors import BusyError
from headstart.modalities.table import MODALITIES
from headstart.prediction.batching import Batcher
from tasks.predict import Opened

MOST_WAITING = 1024  # rows in the queue, from which on a request is told to come again
Upload = Annotated[UploadFile, WithJsonSchema({"type": "string", "format": "binary"})]  # /docs then lets one pick
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>{name}</title>
<style>body{{font:1rem/1.5 sans-serif;max-width:45rem;margin:2rem auto;padding:0 1rem}}pre{{overflow:auto}}</style>
<h1>{name}</h1><p>POST /predict takes {many} as <code>files</code>;
<a href="docs">docs</a> and <a href="openapi.json">openapi.json</a> describe it,
<a href="health">health</a> and <a href="metrics">metrics</a> say how it does.</p>
<pre>curl -F files=@{example} {url}predict</pre>
<form action="predict" method="post" enctype="multipart/form-data"><label>{label}
<input type="file" name="files" multiple required></label> <button>Predict</button></form></html>"""
REFUSALS: dict[int | str, str] = {
    400: "the body is no form, or has too many parts",
    401: "the token is missing or wrong",
    408: "the body comes in too slowly",
    413: "the body is too long, or has too many files",
    422: "a file cannot be read: its entry has an error with a code; or there is no field `files`: `detail` says so",
    503: "too many rows wait; Retry-After says when to come again",
    504: "no answer in time",
}


ROUTES = APIRouter()


@dataclass(frozen=True)
class Service:
    """What requests are answered with."""

    opened: Opened
    decoders: Decoders
    batcher: Batcher
    counts: Counts
    limits: Limits


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(_service)]


def make_app(opened: Opened, *, token: str = "", loopback: bool = True, limits: Limits = Limits()) -> FastAPI:  # noqa: B008
    """The application around a loaded model. token: that each request but /health must bear, "" for none.

    loopback: whether only this machine's names for itself are answered, so that no page elsewhere reaches it by a name
    of its own that points here.
    """
    counts = Counts()
    batcher = Batcher(opened.model, batch_size=opened.model.batch_size, most=MOST_WAITING, watch=counts.batches.observe)
    counts.waiting.set_function(lambda: batcher.waiting)
    decoders = Decoders(opened.model.card.modality, how_of(opened.model.card))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with batcher:
            yield
        decoders.stop()

    app = FastAPIOffline(title="Headstart", description=_about(opened), lifespan=lifespan, redoc_url=None)
    app.state.service = Service(opened, decoders, batcher, counts, limits)
    app.include_router(ROUTES)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(Guard, token=token, limits=limits, counts=counts)
    if loopback:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", "::1"])
    return app


@ROUTES.get("/", response_class=HTMLResponse, include_in_schema=False)
async def page(request: Request, service: Serving) -> str:
    kind = MODALITIES.get(service.opened.model.card.modality)
    return PAGE.format(
        name=escape(f"Headstart: {service.opened.name}"),
        url=escape(str(request.base_url)),
        many=kind.many,
        label=kind.many.capitalize(),
        example=kind.example,
    )


@ROUTES.get("/health")
async def health(service: Serving) -> dict[str, str]:
    """That it answers, and with which model."""
    return {"status": "ok", "model": service.opened.name}


@ROUTES.get("/metrics", include_in_schema=False)
async def metrics(service: Serving) -> Response:
    return Response(generate_latest(service.counts.registry), media_type=CONTENT_TYPE_LATEST)


@ROUTES.post("/predict", responses={code: {"description": words} for code, words in REFUSALS.items()})
async def predict(
    service: Serving,
    files: list[Upload] = File(description="images, one or more", min_length=1),  # noqa: B008
) -> JSONResponse:
    """Predicts each image. The status is 422 where one cannot be read; the others are answered all the same."""
    limits = service.limits
    if len(files) > limits.files:
        raise HTTPException(413, f"{len(files)} files are too many for one request, which may have {limits.files}")
    try:
        found = await asyncio.wait_for(answer_each(service.decoders, service.batcher, files), limits.seconds)
    except BusyError as error:
        raise HTTPException(503, str(error), headers={"Retry-After": "1"}) from None
    except TimeoutError:
        raise HTTPException(504, f"no answer within {limits.seconds:g} s") from None
    service.counts.images(found)
    bad = any("error" in answer for answer in found)
    return JSONResponse({"model": service.opened.name, "predictions": found}, 422 if bad else 200)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "the prediction failed; the server's log says why"}, 500)


def _values(values: Sequence[Value]) -> str:
    return f"the values {in_words(values)}" if len(values) > 1 else f"a value {in_words(values)}".strip()


def _about(opened: Opened) -> str:
    card = opened.model.card
    what = f"one of {', '.join(f'`{name}`' for name in card.classes[:20])}" if card.classes else _values(card.values)
    kind = MODALITIES.get(card.modality)
    return (
        f"{opened.name}: {card.strategy} of {card.backbone or 'no network'} for {card.dataset}; takes {kind.many} "
        f"({kind.endings}), each a file, and predicts {what}."
    )
