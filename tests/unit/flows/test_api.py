"""`headstart api`: what it answers, refuses and counts; then a real server with many at once, and its clean end."""

import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from flows.api import app
from flows.api.app import make_app
from flows.api.guard import Limits
from flows.api.tokens import token_for
from flows.cli import run_command
from headstart.cells.run import run_cell
from headstart.datasets.pack import POOL, TEST
from headstart.errors import UserError
from headstart.prediction import load
from headstart.prediction.domain import fit_domain, write_domain
from headstart.training.accelerator import Accelerator
from tasks import workers
from tasks.devices import Device
from tasks.predict import Opened

ROOT = Path(__file__).parents[3]
CLASSES = ["bar", "cross", "disc"]


@pytest.fixture(scope="module")
def delivered(domain, tmp_path_factory) -> Path:
    job = domain.job("full", cells=str(tmp_path_factory.mktemp("cells")))
    run_cell(job, Accelerator())
    model, pool = load(job.directory), domain.pack.inputs[domain.pack.rows(POOL)]
    write_domain(job.directory, fit_domain(model.vectors(pool[:12]), model.vectors(pool[12:])))
    return job.directory


@pytest.fixture(scope="module")
def opened(delivered) -> Opened:
    yield Opened("headstart-sketches/3", Device("cpu", 0, "CPU"), load(delivered))
    workers.stop()


@pytest.fixture(scope="module")
def client(opened):
    with client_of(make_app(opened)) as client:
        yield client


def client_of(app):
    from starlette.testclient import TestClient

    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def png(pixels: np.ndarray) -> bytes:
    """A file of (height, width) uint8."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def upload(*contents: bytes) -> list:
    return [("files", (f"{number}.png", content, "image/png")) for number, content in enumerate(contents)]


@pytest.fixture(scope="module")
def images(domain) -> list[bytes]:
    return [png(planes[0]) for planes in domain.pack.inputs[domain.pack.rows(TEST)[:6]]]


def test_each_image_is_answered_as_the_model_predicts_it(client, opened, domain, images):
    said = client.post("/predict", files=upload(*images))
    assert said.status_code == 200
    assert said.json()["model"] == "headstart-sketches/3"
    found = said.json()["predictions"]
    expected = opened.model.predict(domain.pack.inputs[domain.pack.rows(TEST)[:6]])
    assert [row["name"] for row in found] == [f"{number}.png" for number in range(6)]
    assert [row["prediction"] for row in found] == expected["prediction"].tolist()
    assert [list(row["probabilities"]) for row in found] == [CLASSES] * 6
    assert [row["probabilities"]["bar"] for row in found] == pytest.approx(expected["probability.bar"], abs=1e-5)
    assert [row["distance"] for row in found] == pytest.approx(expected["distance"], abs=1e-3)
    assert [row["out_of_domain"] for row in found] == expected["out_of_domain"].tolist()


def test_a_bad_image_is_422_with_its_code_and_the_others_are_answered(client, images):
    cut = images[1][: len(images[1]) // 2]
    said = client.post("/predict", files=upload(images[0], b"no image", cut, images[2]))
    assert said.status_code == 422
    first, text, half, last = said.json()["predictions"]
    assert first["prediction"] in CLASSES
    assert last["prediction"] in CLASSES
    assert text == {"name": "1.png", "error": {"code": "NOT_AN_IMAGE", "reason": text["error"]["reason"]}}
    assert half["error"]["code"] == "UNREADABLE"
    assert "Traceback" not in said.text
    assert str(ROOT) not in said.text


def test_a_request_without_files_is_422(client):
    said = client.post("/predict")
    assert said.status_code == 422
    assert [wrong["loc"][-1] for wrong in said.json()["detail"]] == ["files"], "as docs/howto/api.md has it"
    assert client.post("/predict", data={"files": "text"}).status_code == 422


def test_more_files_than_the_limit_are_413(opened, images):
    with client_of(make_app(opened, limits=Limits(files=2))) as client:
        said = client.post("/predict", files=upload(*images[:3]))
    assert said.status_code == 413
    assert said.json() == {"detail": "3 files are too many for one request, which may have 2"}


def test_a_body_that_says_it_is_too_long_is_413_unread(opened, images):
    with client_of(make_app(opened, limits=Limits(body=1000))) as client:
        said = client.post("/predict", files=upload(b"0" * 1000))
    assert said.status_code == 413
    assert said.json() == {"detail": "the body is longer than 1,000 bytes, the most that is taken"}


def test_a_body_that_does_not_say_how_long_it_is_is_413_as_soon_as_it_is_too_long(opened):
    sent = 0

    def body():
        nonlocal sent
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for part in [head, *[b"0" * 1000] * 1000]:
            sent += len(part)
            yield part

    import asyncio

    app = make_app(opened, limits=Limits(body=5000))
    parts, statuses = body(), []

    async def receive():
        return {"type": "http.request", "body": next(parts), "more_body": True}

    async def send(message):
        statuses.append(message.get("status"))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=x")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    asyncio.run(app(scope, receive, send))
    assert statuses[0] == 413
    assert sent < 7000


def test_the_token_is_asked_for_by_all_but_health(opened, images):
    token = "a-token-of-this-test-alone"
    with client_of(make_app(opened, token=token)) as client:
        for headers in ({}, {"Authorization": f"Bearer {token}x"}, {"Authorization": token}):
            assert client.post("/predict", files=upload(images[0]), headers=headers).status_code == 401
            assert client.get("/metrics", headers=headers).status_code == 401
        assert client.get("/health").json() == {"status": "ok", "model": "headstart-sketches/3"}
        good = {"Authorization": f"Bearer {token}"}
        assert client.post("/predict", files=upload(images[0]), headers=good).status_code == 200


def test_on_loopback_a_page_that_comes_by_another_name_is_refused(client):
    assert client.get("/health", headers={"Host": "evil.example.org"}).status_code == 400


def test_metrics_count_images_batches_and_statuses(opened, images):
    with client_of(make_app(opened)) as client:
        client.post("/predict", files=upload(*images[:3], b"no"))
        lines = client.get("/metrics").text.splitlines()
    assert 'headstart_rows_total{outcome="predicted"} 3.0' in lines
    assert 'headstart_rows_total{outcome="rejected"} 1.0' in lines
    assert 'headstart_requests_total{path="/predict",status="422"} 1.0' in lines
    assert "headstart_batch_rows_sum 3.0" in lines
    assert "headstart_waiting_rows 0.0" in lines


def test_it_is_described_and_has_a_page(client):
    schema = client.get("/openapi.json").json()
    assert list(schema["paths"]) == ["/health", "/predict"]
    assert {"200", "401", "413", "422", "503", "504"} <= set(schema["paths"]["/predict"]["post"]["responses"])
    assert "headstart-sketches/3" in client.get("/").text
    assert "`bar`, `cross`, `disc`" in schema["info"]["description"], "names are no markdown"
    upload = schema["components"]["schemas"]["Body_predict_predict_post"]["properties"]["files"]["items"]
    assert upload["format"] == "binary"


def test_its_description_is_shown_with_files_of_its_own(client):
    page = client.get("/docs").text
    own = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {"/static-offline-docs/swagger-ui-bundle.js", "/static-offline-docs/swagger-ui.css"} <= set(own)
    assert [client.get(address).status_code for address in own] == [200] * len(own)
    assert "//" not in "".join(own)


def test_too_many_that_wait_are_503_with_a_time_to_come_again(opened, images, monkeypatch):
    monkeypatch.setattr(app, "MOST_WAITING", 2)
    with client_of(make_app(opened)) as client:
        said = client.post("/predict", files=upload(*images[:3]))
        assert (said.status_code, said.headers["retry-after"]) == (503, "1")
        assert client.post("/predict", files=upload(*images[:2])).status_code == 200


def test_an_answer_that_takes_too_long_is_504(opened, images):
    class Slow:
        card, batch_size = opened.model.card, 4

        def predict(self, images):
            time.sleep(0.5)
            return opened.model.predict(images)

    with client_of(make_app(Opened("slow", opened.device, Slow()), limits=Limits(seconds=0.1))) as client:  # type: ignore[arg-type]
        assert client.post("/predict", files=upload(images[0])).status_code == 504


def test_a_model_that_fails_is_500_without_a_traceback(opened, images):
    class Broken:
        card, batch_size = opened.model.card, 4

        def predict(self, images):
            raise RuntimeError("in /a/secret/place")

    with client_of(make_app(Opened("broken", opened.device, Broken()))) as client:  # type: ignore[arg-type]
        said = client.post("/predict", files=upload(images[0]))
    assert (said.status_code, said.json()) == (500, {"detail": "the prediction failed; the server's log says why"})


# -- the token's file ------------------------------------------------------------------------------------------------


def test_another_host_makes_a_token_that_its_owner_alone_may_read(tmp_path, monkeypatch, capsys):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    token = token_for("0.0.0.0", None)
    path = tmp_path / ".headstart" / "api-token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() == token
    assert len(token) > 40
    assert token_for("0.0.0.0", None) == token
    assert token not in capsys.readouterr().out


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_asks_for_none(host):
    assert token_for(host, None) == ""


def test_a_token_that_cannot_be_used_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="this is no project to keep one in; give --token-file"):
        token_for("0.0.0.0", None)
    with pytest.raises(UserError, match="cannot be read"):
        token_for("127.0.0.1", "gone")
    path = tmp_path / "token"
    path.write_text("short")
    path.chmod(0o600)
    with pytest.raises(UserError, match="no token of at least 16 ASCII characters"):
        token_for("127.0.0.1", "token")
    path.write_text("long-enough-to-be-one")
    path.chmod(0o644)
    with pytest.raises(UserError, match="others may read the token in .*; run `chmod 600"):
        token_for("127.0.0.1", "token")
    path.chmod(0o600)
    assert token_for("127.0.0.1", "token") == "long-enough-to-be-one"


# -- a real server ---------------------------------------------------------------------------------------------------


def test_many_at_once_on_a_real_server_and_a_clean_end(delivered, images, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "flows.cli", "api", "--model", str(delivered), "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    killer = threading.Timer(120, process.kill)
    killer.start()
    try:
        url = process.stdout.readline().split()[-1]
        assert url.startswith("http://127.0.0.1:")
        assert process.stdout.readline() == "Ctrl-C stops it\n"  # what is read ahead, communicate() does not see
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            wait_for(client)
            alone = [client.post("predict", files=upload(content)).json()["predictions"][0] for content in images]
            with ThreadPoolExecutor(16) as threads:
                said = list(
                    threads.map(lambda number: client.post("predict", files=upload(images[number % 6])), range(96))
                )
            assert {answer.status_code for answer in said} == {200}
            for number, answer in enumerate(said):
                (row,) = answer.json()["predictions"]
                assert row["prediction"] == alone[number % 6]["prediction"]
                assert row["distance"] == pytest.approx(alone[number % 6]["distance"], abs=1e-3)
            metrics = client.get("metrics").text
        (batches,) = re.findall(r"^headstart_batch_rows_count (\S+)$", metrics, re.MULTILINE)
        assert float(batches) < 6 + 96, "requests at once went through together"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 143
        assert (out, err) == ("", "stopped; what had come in is answered\n")
    finally:
        process.kill()
        process.wait()
        killer.cancel()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}health", trust_env=False)


def wait_for(client: httpx.Client) -> None:
    for _ in range(600):
        try:
            assert client.get("health").json()["status"] == "ok"
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")


def test_a_port_that_is_taken_exits_with_2(delivered, tmp_path, monkeypatch, capsys):
    import socket

    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run_command(["api", "--model", str(delivered), "--port", str(port), "--device", "cpu"]) == 2
    assert f"127.0.0.1:{port} cannot be listened on" in capsys.readouterr().err


def test_fastapi_is_imported_on_use():
    names = "('fastapi', 'uvicorn', 'torch')"
    code = f"import sys, flows.api.serve, flows.commands; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []


def test_a_model_of_texts_speaks_of_texts_and_predicts_them(of_texts):
    opened = Opened("moods/1", Device("cpu", 0, "CPU"), load(of_texts))
    with client_of(make_app(opened)) as client:
        page, described = client.get("/").text, client.get("/openapi.json").json()["info"]["description"]
        assert "takes texts as" in page
        assert "files=@text.txt" in page
        assert "<label>Texts" in page
        assert "image" not in (page + described).lower()
        assert "tfidf of no network for moods; takes texts (.txt), each a file" in described
        answer = client.post("/predict", files=[("files", ("a.txt", b"so good", "text/plain"))])
    workers.stop()
    assert answer.json()["predictions"][0]["prediction"] == "good"
