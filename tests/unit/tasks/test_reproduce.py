"""What a reproduction comes to, in words: the same bytes on the CPU, scores within a tolerance elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks import reproduce
from tasks.reproduce import Reproduced, Row, lines

SAME, OTHER = Row("pretrain@pets", "aaaaaaaa", "aaaaaaaa", ()), Row("evaluate", "bbbbbbbb", "cccccccc", ("reports/x",))
TABLE = "strategy,family,label_budget,seed,split,metric,value,seconds\n"
VERDICT = '{"metric": "accuracy"}'


def made(*rows: Row, exact: bool = True, scores: float | None = 0.0) -> Reproduced:
    return Reproduced("run 1234", rows, exact, scores, 0.03, "cpu AMD EPYC x2")


def test_the_same_bytes_are_said_in_a_line():
    found = made(SAME)
    assert found.same
    assert lines(found) == [
        "step           recorded  now",
        "pretrain@pets  aaaaaaaa  aaaaaaaa  same",
        "run 1234 is reproduced, byte for byte on cpu AMD EPYC x2: all 1 steps are the same",
    ]


def test_a_step_that_differs_is_named_with_its_files():
    found = made(SAME, OTHER)
    assert not found.same
    assert lines(found)[2:] == [
        "evaluate       bbbbbbbb  cccccccc  differs: reports/x",
        "run 1234 is NOT reproduced, byte for byte on cpu AMD EPYC x2: 1 of 2 steps differ",
    ]


@pytest.mark.parametrize(
    ("scores", "same", "words"),
    [
        (0.01, True, "run 1234 is reproduced on cpu AMD EPYC x2: mean test scores differ by at most 1.00%, and 3.00%"),
        (0.04, False, "run 1234 is NOT reproduced on cpu AMD EPYC x2: mean test scores differ by at most 4.00%"),
        (None, False, "run 1234 cannot be judged on cpu AMD EPYC x2: DVC's cache has its recorded scores no more"),
    ],
)
def test_elsewhere_scores_decide(scores, same, words):
    found = made(SAME, OTHER, exact=False, scores=scores)
    assert found.same is same
    assert lines(found)[-1].startswith(words)


def test_scores_are_means_over_seeds_on_test_rows(tmp_path: Path):
    then = (
        TABLE + "full,f,10,0,test,accuracy,0.8,1\nfull,f,10,1,test,accuracy,0.6,1\nfull,f,10,1,train,accuracy,0.1,1\n"
    )
    now = tmp_path / "comparison.csv"
    now.write_text(TABLE + "full,f,10,0,test,accuracy,0.6,9\nfull,f,10,1,test,accuracy,0.94,9\n")
    assert reproduce._difference(then, VERDICT, now) == pytest.approx(0.1)  # 0.77 where it was 0.7
    now.write_text(TABLE + "full,f,10,0,test,accuracy,0.7,9\nscratch,s,10,0,test,accuracy,0.7,9\n")
    assert reproduce._difference(then, VERDICT, now) == float("inf")


@pytest.fixture
def said_by_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of a real `dvc repro`, whose one step speaks of git itself."""
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")

    def run(*command: str) -> list[str]:
        done = subprocess.run(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        )
        return done.stdout.splitlines()

    says = "[echo first, echo, echo git add is a command, echo 1 > out]"
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  one:\n    cmd: {says}\n    outs: [out]\n")
    run("git", "init", "-q")
    run(sys.executable, "-m", "dvc", "init", "-q")
    return run(sys.executable, *reproduce.REPRO)


def test_hints_of_dvc_about_a_checkout_that_stays_are_left_out(said_by_dvc):
    hints = [line for line in said_by_dvc if reproduce.HINT.fullmatch(line)]
    assert [" ".join(hint.split()[:2]) for hint in hints] == [
        "To track",
        "git add",
        "To enable",
        "dvc config",
        "Use `dvc",
    ]
    heard: list[str] = []
    hear = reproduce.without_hints(heard.append)
    for line in said_by_dvc:
        hear(line)
    assert heard[-1].strip()
    assert heard[0] == "Running stage 'one':"
    assert {"first", "git add is a command"} <= set(heard)
    assert [hint for hint in hints if hint in heard] == []
    assert len([line for line in said_by_dvc if line.strip()]) == len([line for line in heard if line.strip()]) + 5


def test_what_holds_seconds_is_not_compared(tmp_path: Path):
    (tmp_path / "weights.safetensors").write_bytes(b"w")
    files = {"weights.safetensors": "f1290186a5d0b1ceab27f4e77c0c5d68", "speed.json": "0" * 32}
    assert reproduce._row(tmp_path, "finetune@full", files).same
    row = reproduce._row(tmp_path, "finetune@full", files | {"card.json": "0" * 32})
    assert row.differ == ("card.json",)
    assert row.recorded != row.now
