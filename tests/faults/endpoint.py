"""`headstart api` as a process of its own, on a small model of random weights, and what its answers must never have."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import torch
from PIL import Image

from headstart.backbones.network import build
from headstart.prediction import load
from headstart.prediction.domain import fit_domain, write_domain
from headstart.storage.publish import publishing
from headstart.training.rows import Normalisation
from headstart.training.weights import WeightsCard, write_weights

ROOT = Path(__file__).parents[2]
SIZE = 12
CLASSES = ("bar", "cross", "disc")
NEVER = re.compile(r"Traceback|site-packages|\.py\b|/tmp/|/home/|/root/|File \"")


def deliver(folder: Path) -> Path:
    """A model as a run would publish it, with a domain; its weights are drawn, but make a difference between images."""
    torch.manual_seed(0)
    network = build("resnet8", channels=1, classes=len(CLASSES))
    card = WeightsCard(
        kind="network",
        strategy="full",
        dataset="sketches",
        backbone="resnet8",
        classes=CLASSES,
        modality="image",
        channels=1,
        size=(SIZE, SIZE),
        preparation={"image_size": SIZE, "channels": 1},
        normalisation=Normalisation((0.5,), (0.25,)),
        levels=0,
        seed=0,
    )
    with publishing(folder) as draft:
        write_weights(draft, card, {name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    rows = np.random.default_rng(0).integers(0, 256, (40, 1, SIZE, SIZE), np.uint8)
    vectors = load(folder).vectors(rows)
    write_domain(folder, fit_domain(vectors[:20], vectors[20:]))
    return folder


def pictures(count: int, *, size: int = 24) -> list[bytes]:
    """PNG files of noise in bars, each another one."""
    draw = np.random.default_rng(1)
    found = []
    for number in range(count):
        bars = (np.arange(size) // (1 + number % 7) % 2 * 200).astype(np.uint8)
        picture = np.tile(bars, (size, 1)) + draw.integers(0, 50, (size, size)).astype(np.uint8)
        found.append(encoded(Image.fromarray(picture)))
    return found


def encoded(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def upload(*contents: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("files", (f"{number}.png", content, "image/png")) for number, content in enumerate(contents)]


@dataclass(frozen=True)
class Endpoint:
    """A server at work. url: with a slash at its end. token: that it asks for, "" for none."""

    url: str
    process: "subprocess.Popen[str]"
    token: str

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.Client(base_url=self.url, timeout=90, trust_env=False, headers=headers)

    def memory(self) -> int:
        """Bytes that the server and its decoders hold, shared ones counted once."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        return sum(one.memory_full_info().uss for one in family)

    def metric(self, name: str) -> float:
        with self.client() as client:
            lines = client.get("metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition(" ")[0].partition("{")[0] == name)


@contextmanager
def serving(model: Path, folder: Path, token: str = "") -> Iterator[Endpoint]:
    """A server in a folder that is no project. It must live until the end, and end when it is told to, with 143."""
    command = [sys.executable, "-m", "flows.cli", "api", "--model", str(model), "--port", "0", "--device", "cpu"]
    if token:
        (folder / "token").write_text(token)
        (folder / "token").chmod(0o600)
        command += ["--token-file", "token"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    killer = threading.Timer(600, process.kill)
    killer.start()
    try:
        assert process.stdout is not None
        endpoint = Endpoint(process.stdout.readline().split()[-1], process, token)
        with endpoint.client() as client:
            _wait_for(client)
        yield endpoint
        assert process.poll() is None, (folder / "errors").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143, (folder / "errors").read_text()
        assert "Traceback" not in (folder / "errors").read_text()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        killer.cancel()


def _wait_for(client: httpx.Client) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            assert client.get("health").json()["status"] == "ok"
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")


def check_answer(answer: httpx.Response) -> None:
    """No path, no traceback, and a status that its description has."""
    assert not NEVER.search(answer.text), answer.text[:500]
    assert str(ROOT) not in answer.text
    assert answer.status_code in (200, 400, 401, 404, 405, 408, 413, 422, 503, 504), (answer.status_code, answer.text)
