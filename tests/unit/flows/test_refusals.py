"""How a flow ends where there is something to mend: a failed state with one line, and no stack of Prefect's engine."""

import inspect
import logging

import pytest
from prefect import flow_engine

from flows import refusals
from flows.refusals import ENGINE, failed, refused
from tasks.reproduce import Reproduced, Row, verdict_line


@pytest.fixture
def records():
    """What passes through the logger that Prefect's engine writes a flow run's lines to."""
    logger, found = logging.getLogger("prefect.flow_runs"), []
    before, handlers, level = list(logger.filters), list(logger.handlers), logger.level

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Hearing()
    logger.filters.clear()
    logger.handlers[:] = [handler]  # Prefect's own send to a server, from within a run alone
    logger.setLevel(logging.INFO)
    yield found
    logger.handlers[:] = handlers
    logger.filters[:] = before
    logger.setLevel(level)


def test_the_stack_is_left_out_and_nothing_else(records):
    logger = logging.getLogger("prefect.flow_runs")
    logger.error(ENGINE, exc_info=ValueError("heard"))
    assert records == [ENGINE], "until a flow says that its failure has been told"
    assert failed("steps differ").message == "steps differ"
    failed("once more")
    assert len(logger.filters) == 1
    logger.error(ENGINE, exc_info=ValueError("not heard"))
    logger.error("Finished in state Failed('steps differ')")
    logger.info("epoch 1/2")
    assert records[1:] == ["Finished in state Failed('steps differ')", "epoch 1/2"]


def test_the_line_that_is_left_out_is_one_of_the_installed_prefect():
    assert f'"{ENGINE}"' in inspect.getsource(flow_engine)


def test_what_is_refused_stands_in_the_log_too(records, caplog):
    with caplog.at_level(logging.ERROR, logger="headstart"):
        state = refused("no such run: zzzz")
    assert state.is_failed()
    assert (state.message, caplog.messages) == ("no such run: zzzz", ["no such run: zzzz"])


def test_a_run_that_came_out_otherwise_fails_with_the_verdict_and_no_stack(records, monkeypatch):
    from flows import reproduce

    rows = (Row("extract", "aaaaaaaa", "aaaaaaaa", ()), Row("evaluate", "bbbbbbbb", "cccccccc", ("reports/x",)))
    found = Reproduced("run 1234", rows, True, 0.0, 0.03, "cpu AMD EPYC x2")
    tables = []
    monkeypatch.setattr(reproduce, "here", lambda: None)
    monkeypatch.setattr(reproduce, "make_again", lambda *given, **more: found)
    monkeypatch.setattr(reproduce, "create_table_artifact", lambda **table: tables.append(table["table"]))
    state = reproduce.reproduce.fn("latest", 0.03)
    assert state.is_failed()
    assert state.message == verdict_line(found)
    assert "is NOT reproduced" in state.message
    assert [row["same"] for row in tables[0]] == ["yes", "no"]
    logging.getLogger("prefect.flow_runs").error(ENGINE)
    assert records == []


def test_a_model_that_cannot_be_promoted_is_one_line(tmp_path, monkeypatch, records):
    from flows.promote import promote

    monkeypatch.chdir(tmp_path)
    state = promote.fn()
    assert state.is_failed()
    assert "is not inside a Headstart project" in state.message
    assert refusals._is_no_stack in logging.getLogger("prefect.flow_runs").filters


@pytest.mark.parametrize(
    ("heard", "code", "kind", "words"),
    [
        (["12:00:00  pretrain epoch 1/2", "error: a dvc command is at work"], 3, "FAILED", "a dvc command is at work"),
        (["error: first", "error: params.yaml: seed"], 2, "FAILED", "params.yaml: seed"),
        (
            ["12:00:00  the last words", "", "back: headstart run --seed 0", " "],
            1,
            "FAILED",
            "exit code 1: the last words",
        ),
        ([], -9, "FAILED", "exit code -9: "),
        (["error: whatever"], 143, "CANCELLED", "stopped; finished cells and steps are kept"),
        ([], 130, "CANCELLED", "stopped; finished cells and steps are kept"),
    ],
)
def test_a_process_that_did_not_end_well_fails_with_its_own_error(heard, code, kind, words, records, caplog):
    from flows.serve import _Lines

    lines = _Lines()
    with caplog.at_level(logging.INFO, logger="headstart"):
        for line in heard:
            lines.hear(line)
    assert [line for line in caplog.messages if line.startswith("back: ")] == [], "there is no way back to tell of"
    state = lines.failed(code)
    assert (state.type.value, state.message[: len(words)]) == (kind, words)
    assert (refusals._is_no_stack in logging.getLogger("prefect.flow_runs").filters) is (kind == "FAILED")
