"""tfidf: the bag of runs, rarities as scikit-learn's, and a cell fitted from its labelled rows alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfTransformer

from headstart.modalities.text import HowText, decode
from headstart.objectives.classification import Classification
from headstart.strategies.settings import ProbeRecipe
from headstart.strategies.tfidf import WIDTH, bag, fit, rarity, weighed

GOOD = ["a lovely film", "lovely and warm", "a warm, lovely story", "what a lovely, lovely thing"]
BAD = ["a dreadful mess", "dreadful and cold", "a cold, dreadful story", "what a dreadful, dreadful thing"]
NEW = ["lovely", "dreadful", "it is lovely to see", "so dreadful that it hurts"]


def rows(texts: list[str]) -> np.ndarray:
    return np.stack([decode(text, HowText(length=48)).values for text in texts])


def test_the_weights_are_those_of_scikit_learn():
    counts = bag(rows(GOOD + BAD), longest=3)
    idf = rarity(counts)
    theirs = TfidfTransformer(sublinear_tf=False).fit(counts)
    seen = np.unique(counts.indices)
    assert np.allclose(idf[seen], theirs.idf_[seen], atol=1e-6)
    assert np.allclose(weighed(counts, idf).toarray(), theirs.transform(counts).toarray(), atol=1e-6)


def test_padding_is_not_counted_and_how_often_a_run_occurs_is():
    texts = rows(["ab ab ab"])
    found = bag(texts, longest=1)
    assert np.allclose(sorted(found.data), [1 + np.log(2), 1 + np.log(3), 1 + np.log(3)])
    assert (bag(np.pad(texts, ((0, 0), (0, 20))), longest=1) != found).nnz == 0


def test_a_row_without_a_known_run_is_of_zeros():
    idf = rarity(bag(rows(["abc"]), longest=2))
    found = weighed(bag(rows(["xyz"]), longest=2), idf)
    assert np.isfinite(found.toarray()).all()
    assert not found.toarray().any()


def cell(test: list[str]) -> SimpleNamespace:
    """As much of a cell as the strategy asks for."""
    texts = GOOD + BAD + test
    labels = torch.tensor([0] * 4 + [1] * 4)
    table = rows(texts)
    return SimpleNamespace(
        pack=SimpleNamespace(card=SimpleNamespace(channels=257)),
        images=lambda places: table[places],
        train_rows=np.array([0, 1, 2, 4, 5, 6]),
        validation_rows=np.array([3, 7]),
        test_rows=np.arange(8, len(texts)),
        train_labels=labels[[0, 1, 2, 4, 5, 6]],
        validation_labels=labels[[3, 7]],
        objective=Classification(("good", "bad")),
        recipe=ProbeRecipe(),
    )


def test_it_tells_new_texts_by_their_words():
    found = fit(cell(NEW))
    assert found.snapshots[-1].test.argmax(1).tolist() == [0, 1, 0, 1]
    assert found.snapshots[-1].test.shape == (4, 2)
    assert found.tensors["tfidf.weight"].shape == (2, WIDTH)
    assert found.compute > 0
    assert found.pretraining_compute == 0.0


@pytest.mark.parametrize("other", [["quite another"], NEW[::-1]])
def test_nothing_of_the_test_rows_goes_into_it(other):
    one, two = fit(cell(NEW)).tensors, fit(cell(other)).tensors
    assert all(torch.equal(one[name], two[name]) for name in one)
