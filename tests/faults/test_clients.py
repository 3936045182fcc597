"""`headstart api` under many clients at once, hostile ones among them: no wrong and no lost answer.

A slice runs with `make test`; the long part is of `make faults`.
"""

import asyncio
import random
import struct
import time
import zlib

import httpx
import numpy as np
import pytest
from endpoint import Endpoint, check_answer, deliver, encoded, pictures, serving, upload
from PIL import Image
from tally import trying

CLIENTS = "Endpoint: clients at once, hostile images among theirs: no wrong and no lost answer"
HOSTILE = "Endpoint: a hostile image is answered with its code or as what it shows, without a path or a traceback"
DIFFERENCE = 1e-3  # of a probability or a distance, by which other images go through the network beside it


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    model = deliver(tmp_path_factory.mktemp("model") / "delivered")
    with serving(model, tmp_path_factory.mktemp("endpoint")) as endpoint:
        yield endpoint


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_that_says(width: int, height: int, *extra: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def hostile() -> dict[str, tuple[bytes, str]]:
    """What is sent, and the code that must come back; "" where it is an image after all."""
    (good,) = pictures(1, size=64)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    jpeg = encoded(Image.fromarray(noise), "JPEG")
    deep = encoded(Image.fromarray(np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)))
    real = encoded(Image.new("L", (9000, 9000)))
    return {
        "empty": (b"", "NOT_AN_IMAGE"),
        "one byte": (b"\x89", "NOT_AN_IMAGE"),
        "text": (b"these are words", "NOT_AN_IMAGE"),
        "a script": (b"<script>alert(1)</script>", "NOT_AN_IMAGE"),
        "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "NOT_AN_IMAGE"),
        "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n", "NOT_AN_IMAGE"),
        "PDF": (b"%PDF-1.7\n1 0 obj << >> endobj", "NOT_AN_IMAGE"),
        "PSD": (b"8BPS\0\1" + b"\0" * 60, "NOT_AN_IMAGE"),
        "a pickle": (b"cos\nsystem\n(S'true'\ntR.", "NOT_AN_IMAGE"),
        "a zip": (b"PK\3\4" + b"\0" * 60, "NOT_AN_IMAGE"),
        "PNG cut at half": (good[: len(good) // 2], "UNREADABLE"),
        "JPEG cut at half": (jpeg[: len(jpeg) // 2], "UNREADABLE"),
        "PNG flipped": (flipped(good, len(good) // 2), "UNREADABLE"),
        "header of 20000x20000": (png_that_says(20_000, 20_000), "UNREADABLE TOO_LARGE"),
        "header of 2^31": (png_that_says(2**31 - 1, 2**31 - 1), "UNREADABLE TOO_LARGE NOT_AN_IMAGE"),
        "81 million real pixels": (real, "TOO_LARGE"),
        "0x0": (png_that_says(0, 0), "UNREADABLE NOT_AN_IMAGE"),
        "a text of 100 MB, packed": (
            png_that_says(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 10**8))),
            "UNREADABLE",
        ),
        "16 bits": (deep, ""),
        "palette": (encoded(Image.fromarray(noise).convert("P")), ""),
        "CMYK": (encoded(Image.fromarray(noise).convert("CMYK"), "JPEG"), ""),
        "alpha": (encoded(Image.fromarray(noise).convert("RGBA")), ""),
        "GIF": (encoded(Image.fromarray(noise), "GIF"), ""),
        "trailing zip": (good + b"PK\3\4" + b"\0" * 60, ""),
        "1x1": (encoded(Image.new("L", (1, 1))), "? TOO_SMALL TOO_THIN"),
        "60000x1": (encoded(Image.new("L", (60_000, 1))), "? TOO_SMALL TOO_THIN TOO_LARGE"),
    }


@pytest.mark.parametrize("name", hostile())
def test_a_hostile_image_is_named_and_the_others_are_answered(endpoint: Endpoint, name: str) -> None:
    content, codes = hostile()[name]
    (good,) = pictures(1)
    with endpoint.client() as client, trying(HOSTILE):
        answer = client.post("predict", files=upload(good, content, good))
        check_answer(answer)
        first, middle, last = answer.json()["predictions"]
        said = middle.get("error", {}).get("code", "")
        assert said in codes.replace("?", "").split() or (said == "" and codes[:1] in ("", "?")), middle
        assert answer.status_code == (422 if said else 200)
        assert first["prediction"] == last["prediction"]
        assert client.get("health").status_code == 200


@pytest.mark.faults
def test_two_thousand_mutated_images(endpoint: Endpoint) -> None:
    """Bytes flipped, cut, doubled and put elsewhere in files of six formats."""
    draw = random.Random(0)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    kinds = [encoded(noise, kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")]
    with endpoint.client() as client, trying(HOSTILE, times=2000):
        for _ in range(100):
            files = [mutated(draw.choice(kinds), draw) for _ in range(20)]
            answer = client.post("predict", files=upload(*files))
            check_answer(answer)
            rows = answer.json()["predictions"]
            assert [row["name"] for row in rows] == [f"{number}.png" for number in range(20)]
            assert all("prediction" in row or row["error"]["code"] for row in rows)
    assert endpoint.process.poll() is None


def mutated(content: bytes, draw: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        at, length = draw.randrange(len(found)), draw.randint(1, 64)
        how = draw.randrange(5)
        if how == 0:
            found[at] ^= 1 << draw.randrange(8)
        elif how == 1:
            found[at : at + length] = draw.randbytes(length)
        elif how == 2:
            found = found[: max(1, at)]
        elif how == 3:
            found[at:at] = found[at : at + length]
        else:
            del found[at : at + length]
            found = found or bytearray(b"\0")
    return bytes(found)


async def ask_for(endpoint: Endpoint, clients: int, seconds: float) -> tuple[int, int, int, list[float]]:
    """(requests, images, refused, seconds of each): every answer is compared with that for the image alone."""
    good, bad = pictures(24), [content for content, codes in hostile().values() if codes[:1] not in ("", "?")]
    bad = [content for content in bad if len(content) < 100_000]
    waits: list[float] = []
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=endpoint.url, timeout=90, trust_env=False, limits=limits) as client:
        alone = [(await client.post("predict", files=upload(picture))).json()["predictions"][0] for picture in good]
        assert len({str(row["probabilities"]) for row in alone}) == len(good), "every picture has an answer of its own"
        end = time.monotonic() + seconds
        counts = await asyncio.gather(
            *[_one_client(client, number, end, good, alone, bad, waits) for number in range(clients)]
        )
    return sum(one[0] for one in counts), sum(one[1] for one in counts), sum(one[2] for one in counts), waits


async def _one_client(client, number, end, good, alone, bad, waits) -> tuple[int, int, int]:
    draw = random.Random(number)
    requests = images = refused = 0
    while time.monotonic() < end:
        chosen = [draw.randrange(len(good)) for _ in range(draw.randint(1, 4))]
        hostile_too = draw.random() < 0.2
        files = [good[one] for one in chosen] + ([draw.choice(bad)] if hostile_too else [])
        began = time.monotonic()
        answer = await client.post("predict", files=upload(*files))
        waits.append(time.monotonic() - began)
        requests += 1
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "1"
            refused += 1
            await asyncio.sleep(1)
            continue
        assert answer.status_code == (422 if hostile_too else 200), answer.text
        rows = answer.json()["predictions"]
        assert len(rows) == len(files)
        for place, (row, one) in enumerate(zip(rows, chosen, strict=False)):
            _check_same(row, alone[one], place)
            images += 1
        assert not hostile_too or rows[-1]["error"]["code"]
    return requests, images, refused


def _check_same(row: dict, alone: dict, place: int) -> None:
    assert row["name"] == f"{place}.png"
    for name, value in alone["probabilities"].items():
        assert abs(row["probabilities"][name] - value) < DIFFERENCE
    assert abs(row["distance"] - alone["distance"]) < DIFFERENCE * max(1, alone["distance"])
    ranked = sorted(alone["probabilities"].values())
    if ranked[-1] - ranked[-2] > 2 * DIFFERENCE:
        assert row["prediction"] == alone["prediction"]


def run_clients(endpoint: Endpoint, clients: int, seconds: float) -> None:
    before = endpoint.metric("headstart_rows_total")
    with trying(CLIENTS, times=0) as count:
        requests, images, refused, waits = asyncio.run(ask_for(endpoint, clients, seconds))
        count.tried += requests
        count.held += requests
    assert endpoint.metric("headstart_rows_total") - before >= images
    assert endpoint.metric("headstart_waiting_rows") == 0
    waits.sort()
    print(
        f"{clients} clients, {seconds:g} s: {requests} answers, {images} images compared, {refused} sent away for now, "
        f"median {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s"
    )


def test_twenty_clients_for_five_seconds(endpoint: Endpoint) -> None:
    run_clients(endpoint, 20, 5)


@pytest.mark.faults
def test_two_hundred_clients_for_a_minute(endpoint: Endpoint) -> None:
    run_clients(endpoint, 200, 60)
