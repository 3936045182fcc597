"""Texts and sound clips of one's own, from a run to its registered model and its predictions, by both drivers."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

pytestmark = pytest.mark.scenario

RATE = 8_000
ROWS = 150  # of a target
WORDS = {"good": ["lovely", "bright", "warm", "kind", "happy"], "bad": ["awful", "dull", "cold", "cruel", "sad"]}
FILLER = ["the", "a", "this", "that", "very", "quite", "it", "was", "and", "so", "of", "in"]
SETTINGS = {
    "finetune.label_budget": 10,
    "finetune.curve_budgets": [],
    "finetune.seeds": 2,
    "finetune.strategies": ["scratch", "linear_probe", "full"],
    "remedy.max_rounds": 0,
}


def write_texts(table: Path, *, rows: int, seed: int) -> None:
    """Sentences of filler with one or two words that tell their class."""
    draw = np.random.default_rng(seed)
    lines = []
    for number in range(rows):
        label = ("good", "bad")[number % 2]
        said = [*draw.choice(FILLER, 6), *draw.choice(WORDS[label], 2)]
        lines.append({"text": " ".join(draw.permutation(said)) + f" {number}.", "label": label})
    table.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(lines).to_csv(table, index=False)


def write_clips(folder: Path, *, rows: int, seed: int) -> None:
    """Half a second of a tone that rises or falls, by one of many voices, in class folders."""
    draw = np.random.default_rng(seed)
    times = np.arange(RATE // 2) / RATE
    for number in range(rows):
        label, start = ("rises", "falls")[number % 2], draw.uniform(400, 1200)
        slope = draw.uniform(500, 1500) * (1 if label == "rises" else -0.5)
        sound = 0.4 * np.sin(2 * np.pi * (start * times + slope * times**2 / 2)) + draw.normal(0, 0.03, len(times))
        (folder / label).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / label / f"{number:03d}.wav", sound, RATE)


@pytest.fixture(scope="module")
def texts(make_project: Callable):
    project = make_project(**SETTINGS)
    write_texts(project.root / "data" / "letters" / "letters.csv", rows=200, seed=1)
    write_texts(project.root / "data" / "notes" / "notes.csv", rows=ROWS, seed=2)
    project.run("dvc", "add", "-q", "data/letters", "data/notes")
    project.set(data__modality="text", data__text__length=64, backbone="text_transformer")
    project.set(source__data=["letters"], target__data="notes", built_in=[])
    project.set(finetune__strategies=["scratch", "linear_probe", "full", "tfidf"])
    return project


@pytest.fixture(scope="module")
def clips(make_project: Callable):
    project = make_project(**SETTINGS)
    for name, rows, seed in (("tones", 120, 1), ("calls", ROWS, 2)):
        write_clips(project.root / "data" / name, rows=rows, seed=seed)
    project.run("dvc", "add", "-q", "data/tones", "data/calls")
    project.set(data__modality="audio", data__audio__sample_rate=RATE, data__audio__seconds=0.5)
    project.set(data__audio__mels=20, data__audio__window_ms=64, data__audio__hop_ms=25)
    project.set(source__data=["tones"], target__data="calls", built_in=[])
    return project


@pytest.mark.parametrize("kind", ["texts", "clips"])
def test_a_run_gives_a_verdict_a_registered_model_and_nothing_to_do(kind, request):
    project = request.getfixturevalue(kind)
    said = project.headstart("run", timeout=900).stdout
    target = {"texts": "notes", "clips": "calls"}[kind]
    assert f"registered with MLflow: headstart-{target}, version 1" in said
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    assert verdict["against_scratch"]["sentence"]
    assert [found["against"] for found in verdict.get("baselines", [])] == ["tfidf"] * (kind == "texts")
    assert "Data and pipelines are up to date." in project.run("dvc", "status").stdout
    page = (project.root / "reports" / "report.html").read_text()
    assert ("<q>" in page) == (kind == "texts"), "a row is shown as what it is"


def test_a_table_of_texts_is_predicted_row_by_row_as_its_files_are(texts):
    root = texts.root
    (root / "new.csv").write_text('text\nit was so lovely and warm\n"  this was awful, and cold  "\n', encoding="utf-8")
    (root / "new").mkdir()
    (root / "new" / "a.txt").write_text("it was so lovely and warm\n", encoding="utf-8")
    chosen = json.loads((root / "models" / "selection" / "selection.json").read_text())["delivered"]
    for given in ("new.csv", "new"):
        texts.headstart("predict", chosen, given, "--out", f"{given}.out.csv")
    table, files = pd.read_csv(root / "new.csv.out.csv"), pd.read_csv(root / "new.out.csv")
    assert table["path"].tolist() == ["new.csv row 2", "new.csv row 3"]
    shown = table.filter(like="probability.")
    assert np.allclose(shown.iloc[0], files.filter(like="probability.").iloc[0], atol=1e-6)
    assert not np.allclose(shown.iloc[0], shown.iloc[1], atol=1e-6), "it reads what stands there"


def test_the_deployment_predicts_the_texts_of_a_table_that_are_new(texts):
    """The flow on a server, once and with a row more."""
    root = texts.root
    code = (
        "from flows.server import start_prefect\n"
        "from tasks.workspace import here\n"
        "with start_prefect(here().state) as server:\n"
        "    from flows.predict import predict\n"
        "    server.wait()\n"
        "    state = predict(input='grows.csv', out='grown', return_state=True)\n"
        "print(state.type.value, state.message.split(':')[0])\n"
    )
    said = []
    for rows in (["so lovely", "so awful"], ["so lovely", "so awful", "quite warm"]):
        pd.DataFrame({"text": rows}).to_csv(root / "grows.csv", index=False)
        said.append(texts.run(sys.executable, "-c", code).stdout.splitlines()[-1])
    assert said == [
        "COMPLETED 2 new predictions, 0 rejected, 0 known already",
        "COMPLETED 1 new predictions, 0 rejected, 2 known already",
    ]
    assert len(pd.read_parquet(root / "grown")) == 3


def test_what_a_model_does_not_take_is_refused_in_words(clips):
    chosen = json.loads((clips.root / "models" / "selection" / "selection.json").read_text())["delivered"]
    (clips.root / "a.png").write_bytes(b"no clip")
    refused = clips.headstart("predict", chosen, "a.png", check=False)
    assert refused.returncode == 2
    assert "give a clip (.flac, .ogg, .wav), a folder of clips" in refused.stderr
