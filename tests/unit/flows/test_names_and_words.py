"""Names of task runs, and the lines that go to the terminal."""

import logging

import pytest

from flows import naming
from flows.console import log_to_terminal, say, show
from headstart.settings import Settings
from tasks.devices import Device


@pytest.mark.parametrize(
    ("name", "item", "expected"),
    [
        ("fetch", "digits", "fetch digits"),
        ("ingest_source", "mnist5k", "ingest source mnist5k"),
        ("pretrain", "mnist5k", "pretrain resnet8 on mnist5k (a chip)"),
        ("finetune", "full", "finetune full, 10 labels a class, 5 seeds (a chip)"),
        ("evaluate", "", "evaluate"),
    ],
)
def test_task_runs_read_as_the_articles_steps(monkeypatch, name, item, expected) -> None:
    monkeypatch.setattr(naming, "available", lambda: (Device("cpu", 0, "a chip"),))
    assert naming.step_name(Settings(), name, item, "10 labels a class, 5 seeds") == expected


def test_a_line_goes_to_standard_error_once_and_only_inside_the_block(capsys) -> None:
    with log_to_terminal():
        say("pretraining")
    logging.getLogger("headstart").info("afterwards")
    show("done")
    out, err = capsys.readouterr()
    assert err.count("pretraining") == 1
    assert "afterwards" not in err
    assert out == "done\n"
