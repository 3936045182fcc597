"""`headstart api`'s decoders: an image that kills its process, or hangs in it, costs no other image its answer."""

import asyncio
import os
import signal
import time

import numpy as np
import pytest

from flows.api import decoders
from flows.api.decoders import Decoders
from headstart.modalities.decoded import Decoded
from headstart.modalities.image.modality import HowImage

KILLER, HANGER = b"killer", b"hanger"


def decode_or_die(content: bytes, modality: str, how: HowImage) -> Decoded:
    """In a worker: dies of one content, never comes back from another."""
    if content == KILLER:
        os.kill(os.getpid(), signal.SIGSEGV)
    if content == HANGER:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0.3)  # as decode_in_time, with less patience
        while True:
            pass
    time.sleep(0.01)
    return Decoded(np.zeros((how.channels, how.size, how.size), np.uint8), content.decode(), "")


def decode(*contents: bytes) -> list[Decoded]:
    async def all_at_once() -> list[Decoded]:
        found = Decoders("image", HowImage(4, 1), decode_or_die)
        try:
            return list(await asyncio.gather(*[found.decode(content) for content in contents]))
        finally:
            found.stop()

    return asyncio.run(all_at_once())


@pytest.mark.parametrize("bad", [KILLER, HANGER])
def test_one_that_ends_its_process_is_named_and_those_beside_it_are_decoded(bad):
    names = [f"{number}".encode() for number in range(20)]
    found = decode(*names[:10], bad, *names[10:], bad)
    assert [item.sha256.encode() for item in found if item.values is not None] == names
    reasons = [item.reason for item in found if item.values is None]
    assert reasons == ["DECODER_CRASH: the process that read it died of it, or took 15 s"] * 2
    assert [item.values is not None for item in decode(b"afterwards")] == [True]


def test_a_decoder_that_hangs_is_ended_by_the_kernel(tmp_path):
    """In a process of its own, for it dies; Pillow is replaced by what never comes back."""
    import subprocess
    import sys

    code = f"""
import re
from flows.api import decoders
import headstart.prediction.inputs as inputs
decoders.SECONDS = 0.3
inputs.decode_bytes = lambda *_: re.match("(a+)+b", "a" * 60)  # hours in C, where no handler of Python's is heard
decoders.decode_in_time({KILLER!r}, "image", None)
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGALRM, done.stderr
    assert time.monotonic() - began < 30


def test_what_comes_back_in_time_is_what_ingest_makes_of_it():
    before = signal.getsignal(signal.SIGALRM)
    try:
        assert decoders.decode_in_time(b"no image", "image", HowImage(8, 1)).reason.startswith("NOT_AN_IMAGE")
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)
