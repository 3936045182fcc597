"""Notifications on a real server: a changed verdict is sent through the block called headstart."""

import json
import os
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from threading import Thread
from unittest.mock import patch

import pytest

from flows import empty_database
from flows.server import LOOPBACK, server_command, set_up

pytestmark = pytest.mark.scenario

SCRIPT = """
import json, sys
from pathlib import Path
from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from flows.serving.ready import wait_for
from flows.announce import note_verdict
from flows.serving.automations import CHANGED, FAILED, apply

address, notes = sys.argv[1], Path(sys.argv[2])
wait_for(sys.argv[3] + "/health")
with get_client(sync_client=True) as client:
    def actions():
        found = [client.read_automations_by_name(name)[0] for name in (FAILED, CHANGED)]
        return [type(action).__name__ for one in found for action in one.actions]
    apply()
    print(actions())
    SlackWebhook(url=address).save("headstart")
    apply()
    apply()
    print(actions(), len(client.read_automations_by_name(CHANGED)))
def verdict(word):
    note_verdict(notes, "mnist5k to digits", {"sentence": "transfer " + word, "against_scratch": {"verdict": word}})
verdict("helped"); verdict("helped"); verdict("hurt")
"""


@pytest.fixture
def inbox():
    """What is posted to a server of ours, and its address as Apprise takes it."""
    posted: Queue[dict] = Queue()

    class Inbox(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Inbox) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield posted, f"json://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def environment(tmp_path):
    """That of a server with a home of its own, which is told of by PREFECT_API_URL; this process keeps its own."""
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            del os.environ[name]
        set_up(tmp_path / ".headstart")
        empty_database.copy_to(tmp_path / ".headstart" / "prefect")
        return dict(os.environ) | {"PREFECT_API_URL": f"http://{LOOPBACK}:{free_port()}/api"}


def test_a_changed_verdict_is_sent_once_there_is_somewhere_to_send_it(inbox, environment, tmp_path):
    posted, address = inbox
    api = environment["PREFECT_API_URL"]
    port = int(api.removesuffix("/api").rpartition(":")[2])
    server = subprocess.Popen(server_command(LOOPBACK, port), env=environment, start_new_session=True)
    try:
        words = [sys.executable, "-c", SCRIPT, address, str(tmp_path / "verdicts.json"), api]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == ["['DoNothing', 'DoNothing']", "['SendNotification', 'SendNotification'] 1"]
        sent = posted.get(timeout=60)
        assert sent["title"] == "Headstart: mnist5k to digits: hurt, was helped"
        assert sent["message"].strip() == "transfer hurt"
        assert posted.empty()
    finally:
        server.terminate()
        server.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
