"""Device leases between real processes and threads, on three fake slots; what `measure` and `describe` tell."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from headstart.errors import BusyError, SettingsError
from tasks import devices
from tasks.devices import Device, describe, lease, lease_together, measure

ROOT = Path(__file__).parents[3]
SLOTS = [Device("cuda", index, f"Fake {index}", 8_000_000_000) for index in range(3)]

PRELUDE = """
import json, os, sys, time
from pathlib import Path
from tasks.devices import Device, lease
directory = Path(sys.argv[1])
slots = [Device("cuda", index, f"Fake {index}") for index in range(int(sys.argv[2]))]
"""
HOLD = """
with lease(slots, directory, timeout=30) as device:
    print(device.index, flush=True)
    time.sleep(60)
"""
WORK = """
print("ready", flush=True)
sys.stdin.readline()
spans = []
for _ in range(3):
    with lease(slots, directory, timeout=60) as device:
        begun = time.monotonic_ns()
        time.sleep(0.1)
        spans.append((device.index, begun, time.monotonic_ns()))
print(json.dumps(spans))
"""
TOGETHER = """
from tasks.devices import lease_together
print("ready", flush=True)
sys.stdin.readline()
spans = []
for _ in range(3):
    with lease_together(slots, directory, count=2, timeout=60) as held:
        begun = time.monotonic_ns()
        time.sleep(0.05)
        spans += [(device.index, begun, time.monotonic_ns()) for device in held]
print(json.dumps(spans))
"""
HOLD_WITH_FORK = """
with lease(slots, directory, timeout=30) as device:
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    time.sleep(60)
"""


def spawn(code: str, directory: Path, slots: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PRELUDE + code, str(directory), str(slots)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


@pytest.fixture
def holders(tmp_path: Path):
    """Three processes that hold the three slots."""
    processes = [spawn(HOLD, tmp_path, 3) for _ in range(3)]
    taken = sorted(int(process.stdout.readline()) for process in processes)
    assert taken == [0, 1, 2]
    yield processes
    for process in processes:
        kill(process)


def test_six_workers_on_three_slots_never_share_one(tmp_path):
    workers = [spawn(WORK, tmp_path, 3) for _ in range(6)]
    for worker in workers:
        worker.stdout.readline()
    for worker in workers:  # all are started by now: go
        worker.stdin.write("go\n")
        worker.stdin.flush()
    spans = [span for worker in workers for span in json.loads(worker.communicate(timeout=60)[0])]
    assert len(spans) == 18
    for index in range(3):
        own = sorted((begun, ended) for slot, begun, ended in spans if slot == index)
        assert own, f"slot {index} was never used"
        assert all(ended <= begun for (_, ended), (begun, _) in zip(own, own[1:], strict=False))


def test_some_that_want_two_each_get_both_or_neither_and_all_have_their_turn(tmp_path):
    """Of three slots, with others that want one each; were one held while waiting for a second, all could wait."""
    workers = [spawn(TOGETHER, tmp_path, 3) for _ in range(3)] + [spawn(WORK, tmp_path, 3)]
    for worker in workers:
        worker.stdout.readline()
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    spans = [json.loads(worker.communicate(timeout=90)[0]) for worker in workers]
    assert [len(own) for own in spans] == [6, 6, 6, 3]
    for own in spans[:3]:
        assert all(first[0] != second[0] for first, second in zip(own[::2], own[1::2], strict=True))
    for index in range(3):
        held = sorted((begun, ended) for own in spans for slot, begun, ended in own if slot == index)
        assert all(ended <= begun for (_, ended), (begun, _) in zip(held, held[1:], strict=False))


def test_none_is_held_while_two_are_not_free(tmp_path):
    with lease(SLOTS, tmp_path, timeout=0) as first, lease(SLOTS, tmp_path, timeout=0):
        with pytest.raises(BusyError, match="2 devices did not come free together within 0.3 s") as caught:  # noqa: SIM117
            with lease_together(SLOTS, tmp_path, count=2, timeout=0.3):
                pass
        assert f"{first.torch_name} is held by" in str(caught.value)
        with lease(SLOTS, tmp_path, timeout=0) as third:
            assert third.index == 2
    with lease_together(SLOTS, tmp_path, count=3, timeout=0) as held:
        assert held == tuple(SLOTS)
        assert all(f"pid {os.getpid()}" in row.held_by for row in describe(SLOTS, tmp_path))
    assert [row.held_by for row in describe(SLOTS, tmp_path)] == [None, None, None]


def test_on_a_cpu_its_one_slot_is_for_all_processes_of_a_training(tmp_path):
    cpu = Device("cpu", 0, "Some CPU")
    with lease_together([cpu], tmp_path, count=2, timeout=0) as held:
        assert held == (cpu, cpu)
        with pytest.raises(BusyError), lease([cpu], tmp_path, timeout=0):
            pass


@pytest.mark.parametrize(
    ("slots", "count", "said"),
    [
        (SLOTS, 4, r"devices is 4, but this machine has 3 devices \(cuda\); set it to 3 or less"),
        ([Device("mps", 0, "Apple")], 2, r"this machine has 1 device \(mps\); set it to 1 or less"),
        ([Device("cpu", 0, "Some CPU")], 1000, r"devices is 1000, but this machine has \d+ CPU cores?; set it to"),
    ],
)
def test_more_devices_than_there_are_are_refused_at_once(tmp_path, slots, count, said):
    with pytest.raises(SettingsError, match=said), lease_together(slots, tmp_path, count=count, timeout=60):
        pass


def test_threads_of_one_process_do_not_share_a_slot(tmp_path):
    inside: list[str] = []
    together: list[list[str]] = []

    def work() -> None:
        with lease(SLOTS, tmp_path, timeout=30) as device:
            inside.append(device.slot)
            together.append(sorted(inside))
            time.sleep(0.05)
            inside.remove(device.slot)

    threads = [threading.Thread(target=work) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(together) == 9
    assert max(map(len, together)) > 1, "the threads never ran side by side: nothing was tested"
    assert all(len(set(slots)) == len(slots) <= 3 for slots in together)


def test_a_lease_inside_a_lease_does_not_give_the_same_slot_again(tmp_path):
    with lease(SLOTS[:1], tmp_path, timeout=0), pytest.raises(BusyError, match=f"pid {os.getpid()} on "):  # noqa: SIM117
        with lease(SLOTS[:1], tmp_path, timeout=0):
            pass


def test_a_killed_holder_frees_its_slot(tmp_path, holders):
    kill(holders[1])
    with lease(SLOTS, tmp_path, timeout=5) as device:
        assert device in SLOTS


def test_a_child_that_a_killed_holder_forked_does_not_keep_the_slot(tmp_path):
    holder = spawn(HOLD_WITH_FORK, tmp_path, 1)
    child = int(holder.stdout.readline())
    try:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        os.kill(child, 0)  # it lives
        with lease(SLOTS[:1], tmp_path, timeout=5) as device:
            assert device == SLOTS[0]
    finally:
        os.kill(child, signal.SIGKILL)
        holder.communicate()


def test_busy_names_every_holder(tmp_path, holders):
    with pytest.raises(BusyError) as caught, lease(SLOTS, tmp_path, timeout=0.3):
        pass
    message = str(caught.value)
    assert message.startswith("no device came free within 0.3 s: ")
    for index, process in enumerate(holders):
        assert f"cuda:{index} is held by" in message
        assert f"(pid {process.pid} on {os.uname().nodename}, started 20" in message
    assert message.endswith("wait until one of them ends, or stop it, and run again")
    assert caught.value.exit_code == 3


def test_a_step_without_a_device_goes_on_while_all_are_held(tmp_path, holders):
    started = time.monotonic()
    with lease(SLOTS, tmp_path, timeout=0, need=None) as device:
        assert device is None
    assert time.monotonic() - started < 0.5


def test_an_error_in_the_block_frees_the_slot(tmp_path):
    with pytest.raises(ZeroDivisionError), lease(SLOTS[:1], tmp_path, timeout=0):
        raise ZeroDivisionError
    with lease(SLOTS[:1], tmp_path, timeout=0) as device:
        assert device == SLOTS[0]


def test_no_slots_is_our_own_mistake(tmp_path):
    with pytest.raises(ValueError, match="no device slots"), lease([], tmp_path, timeout=0):
        pass


def test_describe_tells_free_from_held(tmp_path):
    holder = spawn(HOLD, tmp_path, 1)
    holder.stdout.readline()
    rows = describe(SLOTS, tmp_path)
    assert [(row.index, row.kind, row.name, row.memory_bytes) for row in rows] == [
        (0, "cuda", "Fake 0", 8_000_000_000),
        (1, "cuda", "Fake 1", 8_000_000_000),
        (2, "cuda", "Fake 2", 8_000_000_000),
    ]
    assert f"pid {holder.pid}" in rows[0].held_by
    assert sys.executable in rows[0].held_by
    assert [row.held_by for row in rows[1:]] == [None, None]
    kill(holder)
    # What the dead holder left written says nothing: the kernel has freed the lock.
    assert [row.held_by for row in describe(SLOTS, tmp_path)] == [None, None, None]


@pytest.mark.parametrize("holder", [None, "", "{", '{"pid": 1}', "[]"])
def test_a_holder_file_that_is_missing_or_torn_is_no_obstacle(tmp_path, holder):
    with lease(SLOTS[:1], tmp_path, timeout=0):
        (path,) = tmp_path.rglob("*.json")
        path.unlink() if holder is None else path.write_text(holder)
        assert describe(SLOTS[:1], tmp_path)[0].held_by == "a process that has not written its name yet"


class FakeProperties:
    total_memory = 16

    def __init__(self, index: int):
        self.name, self.uuid = f"GPU {index}", f"uuid-{index}"


@pytest.fixture
def fresh_choice():
    devices.available.cache_clear()
    yield
    devices.available.cache_clear()


def test_cuda_comes_first_and_is_locked_by_uuid(monkeypatch, fresh_choice):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", FakeProperties)
    first, second = devices.available()
    assert (first.torch_name, second.torch_name) == ("cuda:0", "cuda:1")
    assert (first.slot, second.slot) == ("cuda-uuid-0", "cuda-uuid-1")
    assert (second.name, second.memory_bytes) == ("GPU 1", 16)


def test_mps_comes_second(monkeypatch, fresh_choice):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 24)
    (device,) = devices.available()
    assert (device.torch_name, device.slot, device.memory_bytes) == ("mps", "mps-0", 24)


def test_the_cpu_is_one_slot_and_the_choice_is_made_once(monkeypatch, fresh_choice):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    (device,) = devices.available()
    assert (device.torch_name, device.slot) == ("cpu", "cpu-0")
    assert device.name.endswith(f"x{os.cpu_count()}")
    assert device.memory_bytes > 100_000_000
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.available() == (device,)


def test_measure_counts_seconds_and_the_memory_of_children():
    import psutil

    code = "block = b'x' * 300_000_000; print('ready', flush=True); input()"
    before = psutil.Process().memory_info().rss
    with measure(Device("cpu", 0, "Some CPU")) as usage:
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        time.sleep(2 * devices.SAMPLE_SECONDS)
        child.communicate("\n")
    assert usage.name == "Some CPU"
    assert usage.seconds >= 1.0
    assert usage.peak_memory_bytes > before + 290_000_000


def test_measure_sees_a_peak_between_two_samples():
    # in a process of its own, which has had no higher peak before
    code = (
        "import time\n"
        "from tasks import devices\n"
        "devices.SAMPLE_SECONDS = 60\n"
        "with devices.measure(None) as usage:\n"
        "    time.sleep(0.1)\n"  # the first sample is taken
        "    block = b'x' * 400_000_000\n"
        "    del block\n"
        "print(usage.name, usage.peak_memory_bytes, sep=';')"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    name, peak = said.split(";")
    assert name == "no device"
    assert int(peak) > 390_000_000


def test_measure_reports_a_block_that_failed():
    with pytest.raises(ZeroDivisionError), measure(None) as usage:
        raise ZeroDivisionError
    assert usage.seconds > 0
    assert usage.peak_memory_bytes > 0


def test_measure_reads_torchs_own_counter_on_cuda(monkeypatch):
    import torch

    calls = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", calls.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda index: 100 + index)
    with measure(SLOTS[2]) as usage:
        assert calls == [2]
    assert (usage.name, usage.peak_memory_bytes) == ("Fake 2", 102)
