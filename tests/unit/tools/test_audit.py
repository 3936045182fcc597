"""`make audit`: what it says and how it ends where there are flaws, none, and nobody to ask."""

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

PATH = Path(__file__).parents[3] / "tools" / "audit.py"
FLAW = {"id": "CVE-2026-1", "fix_versions": ["2.0"]}
BAD = {"name": "pip", "version": "24.0", "vulns": [FLAW]}
GOOD = {"name": "numpy", "version": "2.0", "vulns": []}
UNKNOWN = {"name": "torch", "skip_reason": "not found"}


@pytest.fixture
def audit():
    spec = importlib.util.spec_from_file_location("audit", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def answers(monkeypatch):
    """Sets what pip-audit says, first of the one that is known to be bad, then of the lock."""

    def say(*documents: object) -> None:
        waiting = iter(documents)

        def run(command, *, timeout, **_):
            document = next(waiting)
            if document is None:
                raise subprocess.TimeoutExpired(command, timeout)
            text = document if isinstance(document, str) else json.dumps({"dependencies": document})
            return subprocess.CompletedProcess(command, 1, text, "")

        monkeypatch.setattr(subprocess, "run", run)

    return say


@pytest.mark.parametrize("first", [None, "", "no JSON", [UNKNOWN], [{"name": "pip", "version": "24.0", "vulns": []}]])
def test_where_nobody_can_be_asked_one_line_says_so(audit, answers, capsys, first):
    answers(first)
    assert audit.main() == 0
    assert capsys.readouterr().out == "audit: the vulnerability service is not reachable, skipped\n"


def test_flaws_are_listed_and_fail(audit, answers, capsys):
    answers([BAD], [GOOD, BAD, UNKNOWN])
    assert audit.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["pip 24.0: CVE-2026-1, mended in 2.0", "audit: 2 packages, 1 known vulnerabilities"]


def test_without_flaws_it_is_well(audit, answers, capsys, monkeypatch):
    answers([BAD], [GOOD])
    assert audit.main() == 0
    assert capsys.readouterr().out.splitlines() == ["", "audit: 1 packages, 0 known vulnerabilities"][1:]
    answers([BAD], [BAD])
    monkeypatch.setattr(audit, "ACCEPTED", {"CVE-2026-1": "pip is not shipped"})
    assert audit.main() == 0


def test_a_service_that_stops_answering_is_no_failure(audit, answers, capsys):
    answers([BAD], None)
    assert audit.main() == 0
    assert "no answer in 300 s, skipped" in capsys.readouterr().out
