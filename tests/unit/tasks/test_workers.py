"""Workers: they end with the process that started them, however that ended."""

import subprocess
import sys
import time

import psutil

PARENT = """
from tasks.workers import pool
import os, time
if __name__ == "__main__":
    print(pool().submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def test_a_worker_ends_with_a_parent_that_was_killed_and_that_nobody_waited_for():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    deadline = time.monotonic() + 10
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.1)
    assert psutil.Process(parent.pid).status() == psutil.STATUS_ZOMBIE, "its number is still taken"
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    parent.wait()
    parent.stdout.close()


STOPPED = """
from tasks import workers
import time
if __name__ == "__main__":
    under_way = [workers.pool().submit(time.sleep, 60) for _ in range(40)]
    workers.pool().submit(len, "").cancel()
    while not any(future.running() for future in under_way):
        time.sleep(0.05)
    for future in under_way:
        future.cancel()
    workers.stop()
"""


def test_work_that_was_cancelled_is_stopped_without_a_word():
    for _ in range(3):  # which of two threads is first decides
        done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
