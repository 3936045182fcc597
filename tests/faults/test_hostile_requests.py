"""What strangers send to `headstart api`: requests of every kind, bodies without end, dawdlers, wrong tokens."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import schemathesis
from endpoint import SIZE, check_answer, deliver, pictures, serving, upload
from hypothesis import HealthCheck, given, settings
from tally import trying

from flows.api.guard import Limits
from headstart.prediction import load

pytestmark = pytest.mark.faults
MEBI = 2**20
TOKEN = "a-token-of-this-test-alone"
DESCRIBED = "Endpoint: a request made of its description is answered as the description says"
LONG = "Endpoint: a body of 1 GB is 413 within the limit and 64 KB, below 50 MB of memory, others are served"
SLOW = "Endpoint: a slow client is let go after the stated time, others are served"
TOKENS = "Endpoint: without the right token nothing but /health is answered"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return deliver(tmp_path_factory.mktemp("model") / "delivered")


@pytest.fixture(scope="module")
def endpoint(model, tmp_path_factory):
    with serving(model, tmp_path_factory.mktemp("endpoint")) as endpoint, endpoint.client() as client:
        client.post("predict", files=upload(*pictures(4)))  # the decoders are there
        yield endpoint


def test_the_harness_has_a_model_that_tells_its_pictures_apart(model):
    assert load(model).card.size == (SIZE, SIZE)


def test_requests_made_of_its_description(endpoint):
    schema = schemathesis.openapi.from_url(f"{endpoint.url}openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert [operation.label for operation in operations] == ["GET /health", "POST /predict"]
    no_image = schemathesis.checks.positive_data_acceptance  # any bytes are by the description, and few are an image
    with trying(DESCRIBED, times=0) as count:
        for operation in operations:

            @given(case=operation.as_strategy())
            @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            def ask(case):
                count.tried += 1
                answer = case.call_and_validate(excluded_checks=[no_image])
                assert "Traceback" not in answer.text
                count.held += 1

            ask()


def test_a_body_of_a_gigabyte(endpoint):
    """Chunked, so that nothing says how long it will be; and another that says it and is refused unread."""
    limit, before, read = Limits().body, endpoint.memory(), endpoint.metric("headstart_received_bytes_total")
    highest, answered, over = [before], [], threading.Event()

    def ask_for_health() -> None:
        with endpoint.client() as client:
            while not over.wait(0.02):
                began = time.monotonic()
                assert client.get("health").status_code == 200
                answered.append(time.monotonic() - began)

    def look_at_memory() -> None:
        while not over.wait(0.02):
            highest.append(endpoint.memory())

    watchers = [threading.Thread(target=watch) for watch in (ask_for_health, look_at_memory)]
    for watcher in watchers:
        watcher.start()
    try:
        with trying(LONG):
            sent, said = send_without_end(endpoint.port, most=1024 * MEBI)
            assert said.startswith(b"HTTP/1.1 413 ")
            assert sent < 1024 * MEBI
    finally:
        over.set()
        for watcher in watchers:
            watcher.join()
    with trying(LONG, times=4):
        taken = endpoint.metric("headstart_received_bytes_total") - read
        assert limit < taken <= limit + 64 * 1024
        assert max(highest) - before < 50 * 10**6
        assert len(answered) > 10
        assert max(answered) < 2
    grown = (max(highest) - before) / 1e6
    print(f"read {taken:,.0f} of {sent:,} sent; memory +{grown:.1f} MB; /health {max(answered):.3f} s at most")


def send_without_end(port: int, *, most: int) -> tuple[int, bytes]:
    """How many bytes went out before the server closed, and what it said."""
    head = (
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    block = b"%x\r\n" % (MEBI // 4) + b"\0" * (MEBI // 4) + b"\r\n"
    sent, said = 0, b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(head + b"%x\r\n" % len(part) + part + b"\r\n")
        try:
            while sent < most:
                client.sendall(block)
                sent += MEBI // 4
                time.sleep(0.01)  # a second or two for what is taken, so that others come between
        except OSError:
            pass
        try:
            while more := client.recv(65536):
                said += more
        except OSError:
            pass
    return sent, said


def test_a_body_that_says_it_is_a_gigabyte_is_not_read(endpoint):
    before = endpoint.metric("headstart_received_bytes_total")
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1073741824\r\n\r\n"
    with trying(LONG), socket.create_connection(("127.0.0.1", endpoint.port), timeout=60) as client:
        client.sendall(head)
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
        assert endpoint.metric("headstart_received_bytes_total") == before


def test_two_hundred_dawdlers_while_others_are_served(endpoint):
    limits, count = Limits(), 200
    begin = [
        b"GET /health HTTP/1.1\r\nX-Slow: ",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: 1000000\r\n\r\n",
        b"",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n5\r\n--x\r\n\r\n",
    ]
    (picture,) = pictures(1)
    clients = [socket.create_connection(("127.0.0.1", endpoint.port), timeout=60) for _ in range(count)]
    began, ended, slowest = time.monotonic(), {}, 0.0
    try:
        for number, client in enumerate(clients):
            client.sendall(begin[number % len(begin)])
            client.setblocking(False)
        with endpoint.client() as others, trying(SLOW, times=count):
            while len(ended) < count and time.monotonic() - began < limits.head + 20:
                asked = time.monotonic()
                assert others.post("predict", files=upload(picture)).status_code == 200
                slowest = max(slowest, time.monotonic() - asked)
                for number, client in enumerate(clients):
                    if number not in ended and _closed(client):
                        ended[number] = time.monotonic() - began
            assert len(ended) == count
            assert max(ended.values()) < max(limits.head, limits.quiet) + 5
            assert min(ended.values()) >= min(limits.head, limits.quiet)
            assert slowest < 2
    finally:
        for client in clients:
            client.close()
    first, last = min(ended.values()), max(ended.values())
    print(f"{count} let go after {first:.1f} to {last:.1f} s; others waited {slowest:.3f} s at most")


def _closed(client: socket.socket) -> bool:
    try:
        while client.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_every_way_to_have_the_wrong_token(model, tmp_path):
    wrong = [
        None,
        "",
        "Bearer",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer  {TOKEN}",
        f"bearer {TOKEN}",
        f"BEARER {TOKEN}",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        f"Token {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        "Bearer null",
        "Bearer " + "a" * 8000,
        f"Bearer {TOKEN}".encode() + b"\xff",
        "Bearer \u00e9".encode("latin-1"),
    ]
    paths = [
        ("POST", "predict"),
        ("GET", ""),
        ("GET", "metrics"),
        ("GET", "docs"),
        ("GET", "openapi.json"),
        ("GET", "x"),
    ]
    odd = ["//predict", "/health/../predict", "/health%2f..%2fpredict", "/predict?x=/health", "/HEALTH", "/health/"]
    with serving(model, tmp_path, TOKEN) as endpoint, endpoint.client() as client:
        client.headers.pop("authorization")
        for authorization in wrong:
            headers = {} if authorization is None else {"Authorization": authorization}
            for method, path in [*paths, *(("GET", path) for path in odd)]:
                with trying(TOKENS):
                    answer = client.request(method, path, headers=headers)  # type: ignore[arg-type]
                    assert answer.status_code == 401, (authorization, path)
                    assert TOKEN not in answer.text
                    check_answer(answer)
        assert client.get("health").status_code == 200
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.post("predict", headers=right, files=upload(*pictures(2))).status_code == 200


def test_what_is_no_http_or_no_form(endpoint):
    promise = "Endpoint: what is no request is answered with a refusal or none, and others are served"
    lines = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET\r\n\r\n",
        b"\r\n" * 1000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(20_000)),
        b"GET /" + b"a" * 200_000,
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET http://evil.example.org/ HTTP/1.1\r\nHost: evil.example.org\r\n\r\n",
        b"GET /static-offline-docs/../../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET /static-offline-docs/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    ]
    with endpoint.client() as others:
        for line in lines:
            with trying(promise), socket.create_connection(("127.0.0.1", endpoint.port), timeout=30) as client:
                try:
                    client.sendall(line)
                    said = client.recv(65536)
                except OSError:
                    said = b""
                assert said[:13] in (b"", *(b"HTTP/1.1 %d " % status for status in (400, 404, 405, 408, 422)))
                assert b"Traceback" not in said
                assert b"root:" not in said
                assert others.get("health").status_code == 200
        forms = [
            ("multipart/form-data", b""),
            ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
            (
                "multipart/form-data; boundary=x",
                b"--x\r\nContent-Disposition: form-data; name=files\r\n\r\ntext\r\n--x--",
            ),
            ("multipart/form-data; boundary=" + "x" * 5000, b"--x"),
            ("multipart/form-data; boundary=\xff", b"--x"),
            ("application/json", b'{"files": ["a"]}'),
            ("application/x-www-form-urlencoded", b"files=" + b"a" * 100_000),
            ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n' * 2000),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n\r\n' * 2000 + b"--x--",
            ),
            ("multipart/form-data; boundary=x", b"--x\r\n" + b"X-A: b\r\n" * 100_000),
        ]
        for kind, body in forms:
            with trying(promise):
                answer = others.post("predict", content=body, headers={"Content-Type": kind.encode("latin-1")})  # type: ignore[dict-item]
                check_answer(answer)
                assert answer.status_code in (400, 413, 422)


def test_names_of_files_are_given_back_and_do_nothing(endpoint):
    promise = "Endpoint: what is no request is answered with a refusal or none, and others are served"
    (picture,) = pictures(1)
    names = [
        "../../etc/passwd",
        "/etc/passwd",
        "<script>alert(1)</script>.png",
        "=1+1",
        "a\\b",
        "é.png",
        "x" * 200,
        "%00",
    ]
    with endpoint.client() as client, trying(promise, times=len(names)):
        answer = client.post("predict", files=[("files", (name, picture, "image/png")) for name in names])
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert [row["name"] for row in answer.json()["predictions"]] == names


def test_two_hundred_that_hang_up_in_the_middle(endpoint):
    promise = "Endpoint: a client that hangs up costs the others nothing"
    (picture,) = pictures(1)
    request = httpx.Request("POST", endpoint.url + "predict", files=upload(picture))
    body = request.read()
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (
        request.headers["content-type"].encode(),
        len(body),
    )

    def hang_up(number: int) -> None:
        with socket.create_connection(("127.0.0.1", endpoint.port), timeout=30) as client:
            whole = head + body
            client.sendall(whole[: len(whole) * number // 199])

    with endpoint.client() as others, trying(promise, times=200):
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(hang_up, range(200)))
        assert others.post("predict", files=upload(picture)).status_code == 200
        assert endpoint.metric("headstart_waiting_rows") == 0
