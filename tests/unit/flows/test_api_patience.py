"""`headstart api` and slow clients: a real uvicorn with short limits, and sockets that dawdle."""

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import uvicorn

from flows.api.app import make_app
from flows.api.guard import Limits
from flows.api.patience import READ, patient
from tasks import workers
from tasks.devices import Device
from tasks.predict import Opened

SHORT = Limits(body=200_000, head=1.0, quiet=1.0, upload=2.5, seconds=1.0)
TOKEN = "a-token-of-this-test-alone"


class Constant:
    """A model that says the same of every image, without torch."""

    card = SimpleNamespace(
        modality="image",
        channels=1,
        size=(8, 8),
        preparation={"image_size": 8, "channels": 1},
        classes=["a"],
        values=(),
        strategy="s",
        backbone="b",
        dataset="d",
    )
    batch_size = 4

    def predict(self, images: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({"prediction": ["a"] * len(images)})


@contextmanager
def serving(limits: Limits, token: str = ""):
    """A real server in a thread; gives its port."""
    app = make_app(Opened("constant", Device("cpu", 0, "CPU"), Constant()), token=token, limits=limits)  # type: ignore[arg-type]
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=patient(limits), ws="none", log_level="critical", timeout_keep_alive=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
            workers.stop()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def port():
    with serving(SHORT) as port:
        yield port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=15)


def rest(client: socket.socket) -> bytes:
    """What is answered until the server closes."""
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def ask(port: int, request: bytes) -> bytes:
    with connect(port) as client:
        client.sendall(request)
        return rest(client)


HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
POST = (
    b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
HEAD = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def test_a_connection_that_asks_nothing_is_closed_with_408(port):
    began = time.monotonic()
    with connect(port) as client:
        assert rest(client).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert SHORT.head <= time.monotonic() - began < SHORT.head + 3


def test_headers_that_come_letter_by_letter_are_closed_with_408(port):
    began = time.monotonic()
    with connect(port) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
        while is_open(client):
            assert time.monotonic() - began < SHORT.head + 4
            time.sleep(0.05)


def is_open(client: socket.socket) -> bool:
    """Whether one more letter is taken."""
    try:
        client.sendall(b"a")
    except OSError:
        return False
    return True


def test_a_second_request_that_never_comes_whole_is_closed_too(port):
    with connect(port) as client:
        client.sendall(HEALTH.replace(b"close", b"keep-alive") + b"GET /hea")
        said = rest(client)
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_connection_that_is_used_stays_open(port):
    client, places, began = HTTPConnection("127.0.0.1", port, timeout=15), set(), time.monotonic()
    while time.monotonic() - began < SHORT.head + 2:
        client.request("GET", "/health")
        places.add(client.sock.getsockname())
        assert client.getresponse().read()
        time.sleep(0.2)
    client.close()
    assert len(places) == 1


def test_a_body_that_stops_is_408_and_the_others_are_served_meanwhile(port):
    began = time.monotonic()
    with connect(port) as client:
        client.sendall(POST + chunk(HEAD))
        while time.monotonic() - began < SHORT.quiet / 2:
            assert ask(port, HEALTH).startswith(b"HTTP/1.1 200 OK\r\n")
        said = rest(client)
    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"the body was too slow: 1 s without a byte, or more than 2.5 s in all" in said
    assert b"Traceback" not in said
    assert time.monotonic() - began < SHORT.quiet + 3


def test_a_body_that_dribbles_is_408_at_the_end_of_its_time(port):
    began = time.monotonic()
    with connect(port) as client:
        client.sendall(POST + chunk(HEAD))
        client.settimeout(0.2)
        said = b""
        while not said and time.monotonic() - began < 10:
            client.sendall(chunk(b"0"))
            try:
                said = client.recv(65536)
            except TimeoutError:
                continue
    assert said.startswith(b"HTTP/1.1 408 ")
    assert SHORT.upload <= time.monotonic() - began < SHORT.upload + 3


def test_a_hundred_dawdlers_keep_nobody_from_being_served(port):
    dawdlers = [connect(port) for _ in range(100)]
    try:
        for number, client in enumerate(dawdlers):
            client.sendall(POST + chunk(HEAD) if number % 2 else b"GET / HT")
        began = time.monotonic()
        assert ask(port, HEALTH).startswith(b"HTTP/1.1 200 OK\r\n")
        assert time.monotonic() - began < 1
        assert all(b" 408 " in rest(client) for client in dawdlers)
    finally:
        for client in dawdlers:
            client.close()


def test_a_body_behind_a_refusal_is_not_waited_for():
    with serving(SHORT, TOKEN) as port, connect(port) as client:
        client.sendall(POST + chunk(HEAD))
        said = rest(client)
    assert said.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in said


def test_an_answer_that_nobody_takes_is_cut_in_the_end():
    limits = replace(SHORT, upload=0.5, seconds=0.5)
    with serving(limits) as port, connect(port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        page = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        client.sendall(page * 8)  # some 12 MB
        began = time.monotonic()
        end = None
        while end is None and time.monotonic() - began < 20:
            time.sleep(0.2)
            try:
                client.send(b"G")
            except OSError:
                end = time.monotonic() - began
    assert end is not None
    assert limits.longest <= end < limits.longest + 6


def test_what_is_read_of_a_body_that_is_too_long_is_little_more_than_the_limit():
    with serving(SHORT) as port:
        with connect(port) as client:
            client.sendall(POST + chunk(HEAD))
            sent = 0
            try:
                while sent < 5_000_000:
                    client.sendall(chunk(b"0" * 65000))
                    sent += 65000
            except OSError:
                pass
            assert b" 413 " in rest(client)
        metrics = ask(port, HEALTH.replace(b"/health", b"/metrics")).decode()
    (read,) = [float(line.split()[1]) for line in metrics.splitlines() if line.startswith("headstart_received_bytes_t")]
    assert SHORT.body < read <= SHORT.body + READ


def test_no_more_than_can_be_held_is_taken_of_all_requests_together():
    limits = replace(SHORT, held=100_000, seconds=60.0)  # the decoders have to start
    with serving(limits) as port:
        with connect(port) as first, connect(port) as second:
            first.sendall(POST + chunk(HEAD + b"0" * 60_000))
            time.sleep(0.3)
            second.sendall(POST + chunk(HEAD + b"0" * 60_000))
            said = rest(second)
            assert said.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in said
        with connect(port) as third:  # what the two had is free again
            third.sendall(POST + chunk(HEAD + b"0" * 60_000 + b"\r\n--x--\r\n") + b"0\r\n\r\n")
            third.shutdown(socket.SHUT_WR)
            assert b"NOT_AN_IMAGE" in rest(third)


def test_more_requests_at_once_than_are_answered_are_told_to_come_again():
    with serving(replace(SHORT, requests=2)) as port:
        busy = [connect(port) for _ in range(2)]
        try:
            for client in busy:
                client.sendall(POST + chunk(HEAD))
            time.sleep(0.3)
            metrics = HEALTH.replace(b"/health", b"/metrics")
            said = ask(port, metrics)
            assert said.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in said
            assert ask(port, HEALTH).startswith(b"HTTP/1.1 200 ")
            assert all(b" 408 " in rest(client) for client in busy)
            assert ask(port, metrics).startswith(b"HTTP/1.1 200 ")
        finally:
            for client in busy:
                client.close()


def test_a_socket_to_be_upgraded_is_not_let_past_the_guard():
    with serving(SHORT, TOKEN) as port:
        wanted = (
            b"GET /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert ask(port, wanted).startswith(b"HTTP/1.1 401 ")


def test_the_limits_as_they_are_shipped():
    assert (Limits().head, Limits().quiet, Limits().upload, Limits().seconds, Limits().longest) == (
        10,
        10,
        120,
        60,
        240,
    )
