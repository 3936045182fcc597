"""Clusters without labels, held to planted ones and to scikit-learn's figures on the same clusters."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

from headstart.evaluation.clusters import Clusters, Figure, Vectors, answer, between, lines, sentence
from headstart.evaluation.explore import MOST_ROWS, Targets, draw_rows, explore
from headstart.evaluation.spaces import explained, figures, k_means, silhouette, space_of

CLASSES = ("bar", "cross", "disc", "ring")
IDS = [f"r{number:03d}" for number in range(160)]


def planted(seed: int = 0, *, apart: float = 10.0, columns: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Four clouds of 40 rows around the axes, and which cloud each row is of."""
    draw = np.random.default_rng(seed)
    truth = np.repeat(np.arange(4), 40)
    return apart * np.eye(4, columns)[truth] + draw.normal(size=(160, columns)), truth.astype(float)


def noise(seed: int = 1, columns: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(160, columns))


def looked(features, raw, values, *, classes=CLASSES, seed=0) -> Clusters:
    return explore(
        features, raw, Targets(IDS[: len(values)], values, classes), of=len(values), seed=seed, confidence=0.95
    )


@pytest.fixture(scope="module")
def found() -> Clusters:
    vectors, truth = planted()
    return looked({"noise": noise(2), "photos": vectors}, noise(), truth)


def test_planted_clusters_are_found_under_the_w_that_has_them(found):
    photos, other = found.sources
    assert (photos.source, other.source, found.raw.source) == ("photos", "noise", "")
    assert (photos.compared.k, photos.chosen.k) == (4, 4)
    assert photos.compared.ari == Figure(value=1, low=1, high=1)
    assert photos.compared.nmi.value == 1
    assert photos.compared.explained is None
    assert abs(other.compared.ari.value) < 0.05
    assert abs(found.raw.compared.ari.value) < 0.05
    assert photos.gain.value == pytest.approx(1 - found.raw.compared.ari.value)
    assert photos.gain.low > 0.8
    assert other.gain.low < 0 < other.gain.high


def test_the_answer_is_in_words(found):
    assert (found.metric, answer(found)) == ("ari", "Largely")
    raw = between(found.raw.compared.ari).split()[0]
    assert sentence(found).startswith(
        "at 4 clusters the features under photos's W have an ARI of 1.00 (1.00..1.00), more than"
    )
    assert f"the raw inputs: {raw}, a difference of +" in sentence(found)
    first, photos, other, pixels = lines(found)
    assert first.startswith("do the source's features already separate the target? Largely: at 4 clusters")
    assert photos.startswith("features under photos: ")
    assert photos.endswith("; the largest silhouette is at 4")
    assert pixels.startswith("raw inputs: ")
    assert "ARI" in other


def test_without_a_difference_nothing_is_claimed():
    _, truth = planted()
    nothing = looked({"photos": noise(3)}, noise(4), truth)
    assert answer(nothing) == "Not more than by chance"
    assert "not told from the raw inputs" in sentence(nothing)
    worse = looked({"photos": noise(3)}, planted()[0], truth)
    assert "less than the raw inputs: 1.00, a difference of -" in sentence(worse)


def test_raw_inputs_that_do_as_well_are_part_of_the_answer(found):
    best = found.sources[0]
    ari = Figure(value=0.5, low=0.4, high=0.6)
    for gain, said in (
        ((0.1, 0.3), ""),
        ((-0.1, 0.2), ", but not told from the raw inputs"),
        ((-0.3, -0.1), ", but less than the raw inputs"),
    ):
        compared = best.compared.model_copy(update={"ari": ari})
        figure = Figure(value=sum(gain) / 2, low=gain[0], high=gain[1])
        changed = best.model_copy(update={"compared": compared, "gain": figure})
        assert answer(found.model_copy(update={"sources": (changed,)})) == f"In part{said}"


def test_the_picture_is_of_the_best_source_and_its_examples_lie_nearest_to_the_centre(found):
    vectors, truth = planted()
    assert found.shown.source == "photos"
    assert [(cluster.rows, cluster.labelled) for cluster in found.shown.clusters] == [(40, 40)] * 4
    assert sorted(cluster.common[0] for cluster in found.shown.clusters) == [(name, 1.0) for name in CLASSES]
    space = space_of(vectors, standardise=True, seed=0)
    for cluster in found.shown.clusters:
        own = np.flatnonzero(truth == CLASSES.index(cluster.common[0][0]))
        away = np.linalg.norm(space.points[own] - space.points[own].mean(0), axis=1)
        assert list(cluster.examples) == [IDS[row] for row in own[np.argsort(away)[:6]]]
    assert len(found.shown.points) == len(found.shown.places) == 160
    assert np.bincount(found.shown.places).tolist() == [40] * 4


def test_the_same_seed_gives_the_same_bytes(found):
    vectors, truth = planted()
    again = looked({"noise": noise(2), "photos": vectors}, noise(), truth)
    assert again.model_dump_json() == found.model_dump_json()
    assert Clusters.model_validate_json(found.model_dump_json()) == found


def test_figures_are_scikit_learns():
    vectors, truth = planted(apart=2.0)
    places = KMeans(4, n_init=1, random_state=5).fit_predict(vectors)
    values = np.where(np.arange(160) % 3 == 0, np.nan, truth)  # a third has no label
    known = np.isfinite(values)
    measured = figures(vectors, places, values, CLASSES, seed=0)
    assert measured["ari"] == adjusted_rand_score(truth[known], places[known])
    assert measured["nmi"] == normalized_mutual_info_score(truth[known], places[known])
    assert measured["silhouette"] == silhouette_score(vectors, places)
    assert np.isnan(measured["explained"])


def test_the_share_of_the_variance_that_clusters_explain_by_hand():
    values, places = np.array([0.0, 2.0, 10.0, 12.0, 4.0]), np.array([7, 7, 1, 1, 7])
    # means 2 and 11: within 4 + 0 + 4 + 1 + 1 = 10, in all 107.2 around 5.6; adjusted by (5 - 1) / (5 - 2)
    assert explained(values, places) == pytest.approx(1 - 10 / 107.2 * 4 / 3)
    assert np.isnan(explained(values, np.arange(5)))


def test_of_chance_it_explains_nothing_on_average():
    draw = np.random.default_rng(0)
    shares = [explained(draw.normal(size=40), draw.integers(0, 8, 40)) for _ in range(300)]
    assert abs(np.mean(shares)) < 0.02


def test_components_are_as_many_as_carry_ninety_percent():
    draw = np.random.default_rng(0)
    scales = np.array([10.0, 5.0, 3.0, 1.0, 0.5])  # variances 100, 25, 9, 1, 0.25: 92.4% in the first two
    vectors = draw.normal(size=(4000, 5)) * scales
    space = space_of(vectors, standardise=False, seed=0)
    assert (space.points.shape, space.columns) == ((4000, 2), 5)
    assert space.shares == pytest.approx([100 / 135.25, 25 / 135.25], abs=0.02)
    assert space_of(vectors, standardise=True, seed=0).points.shape[1] == 5  # each column counts as much now


def test_values_are_compared_at_ten_clusters():
    vectors, truth = planted()
    values = 10 * truth + np.random.default_rng(0).normal(size=160)
    found = looked({"photos": vectors}, noise(), values, classes=())
    best = found.sources[0]
    assert (found.kind, found.metric, best.compared.k, best.chosen.k) == ("value", "explained", 10, 4)
    assert best.chosen.explained.value == pytest.approx(0.99, abs=0.01)  # of a variance of 126 clouds have 125
    assert best.compared.ari is None
    assert best.gain.low > 0.7
    assert answer(found) == "Largely"
    assert "share of the values' variance" in sentence(found)
    assert all(cluster.mean is not None and cluster.sd < 5 for cluster in found.shown.clusters)


def test_without_labels_there_are_clusters_and_no_answer():
    vectors, _ = planted()
    found = looked({"photos": vectors}, noise(), np.full(160, np.nan))
    best = found.sources[0]
    assert (found.metric, found.labelled, best.compared, best.chosen.k) == ("silhouette", 0, None, 4)
    assert best.chosen.silhouette.value > 0.4
    assert best.chosen.ari is None
    assert answer(found) == "Not to be told"
    assert found.shown.clusters[0].common == ()


def test_a_few_labels_are_enough_to_say_what_clusters_are():
    vectors, truth = planted()
    values = np.where(np.arange(160) % 10 == 0, truth, np.nan)
    found = looked({"photos": vectors}, noise(), values)
    assert found.labelled == 16
    assert found.sources[0].compared.ari.value == 1


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 7, 8, 9, 13])
def test_few_rows_are_no_error(rows):
    vectors, truth = planted()
    picked = np.random.default_rng(0).permutation(160)[:rows]
    targets = Targets([IDS[row] for row in picked], truth[picked], CLASSES)
    found = explore({"photos": vectors[picked]}, noise()[picked], targets, of=rows, seed=0, confidence=0.95)
    if rows < 8:
        assert (found.shown, found.sources[0].chosen) == (None, None)
        assert sentence(found) == f"{rows} rows are too few to find clusters in"
        assert answer(found) == "Not to be told"
    else:
        assert found.sources[0].chosen is not None
    assert len(lines(found)) == 3


@pytest.mark.parametrize("vectors", [np.zeros((160, 4)), np.repeat([[0.0, 1.0], [1.0, 0.0]], 80, axis=0)])
def test_rows_that_are_all_the_same_or_of_two_kinds_are_no_error(vectors):
    found = looked({"photos": vectors}, noise(), planted()[1])
    assert len(lines(found)) == 3


def test_the_rows_that_are_looked_at_are_the_labelled_ones_first_if_there_are_too_many():
    few = draw_rows(np.full(50, np.nan), seed=0)
    assert few.tolist() == list(range(50))
    values = np.full(30_000, np.nan)
    values[::60] = 1.0
    drawn = draw_rows(values, seed=0)
    assert len(drawn) == len(set(drawn.tolist())) == MOST_ROWS
    assert np.isfinite(values[drawn]).sum() == 500  # all there are
    assert (np.diff(drawn) > 0).all()
    half = draw_rows(np.where(np.arange(30_000) < 20_000, 1.0, np.nan), seed=0)
    assert (half < 20_000).sum() == MOST_ROWS // 2
    assert draw_rows(np.ones(30_000), seed=1).tolist() != draw_rows(np.ones(30_000), seed=2).tolist()


def test_a_silhouette_of_many_rows_is_that_of_some():
    vectors = np.concatenate([planted(seed)[0] for seed in range(15)])
    places, distances = k_means(vectors, 4, starts=3, seed=0)
    assert silhouette(vectors, places, seed=0) == pytest.approx(silhouette_score(vectors, places), abs=0.02)
    centres = np.stack([vectors[places == place].mean(0) for place in range(4)])
    assert distances == pytest.approx(np.linalg.norm(vectors - centres[places], axis=1))
    assert np.isnan(silhouette(vectors, np.zeros(len(vectors), int), seed=0))


@pytest.mark.slow
def test_intervals_are_as_wide_as_figures_of_other_rows_vary():
    """An ARI around .5 of 240 rows: over populations' draws its s.d. is half of the half-width."""
    values, halves = [], []
    for seed in range(12):
        vectors, truth = planted(seed, apart=2.2)
        found = looked({"photos": vectors}, noise(seed + 50), truth).sources[0].compared.ari
        values.append(found.value)
        halves.append((found.high - found.low) / 2)
    assert 0.2 < np.mean(values) < 0.9
    assert 0.5 < np.mean(halves) / (2 * np.std(values, ddof=1)) < 2.2


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 400])
def test_how_often_intervals_hold_what_they_estimate(rows):
    """Six planted clouds, 80 draws: the figures of docs/methods.md. What is estimated is the mean over the draws."""
    draws = [six_clouds(seed, rows) for seed in range(80)]
    for name, figures_of in (("ARI", lambda own: own.compared.ari), ("gain", lambda own: own.gain)):
        found = [figures_of(own) for own in draws]
        mean = np.mean([own.value for own in found])
        held = np.mean([own.low <= mean <= own.high for own in found])
        print(f"{rows} rows, {name}: mean {mean:.2f}, held by {held:.0%} of {len(found)} intervals")
        assert held >= 0.9


def six_clouds(seed: int, rows: int) -> Vectors:
    """Clouds that overlap, more so in the raw inputs."""
    draw = np.random.default_rng(seed)
    truth = np.arange(rows) % 6
    vectors, raw = (apart * np.eye(6, 8)[truth] + draw.normal(size=(rows, 8)) for apart in (3.0, 2.0))
    targets = Targets([f"r{row}" for row in range(rows)], truth.astype(float), tuple("abcdef"))
    return explore({"photos": vectors}, raw, targets, of=rows, seed=seed, confidence=0.95).sources[0]


@pytest.mark.parametrize(
    ("figure", "sign", "said"),
    [
        (Figure(value=0.894, low=0.8, high=1.0), "", "0.89 (0.80..1.00)"),
        (Figure(value=0.3, low=-0.001, high=0.61), "+", "+0.30 (+0.00..+0.61)"),
        (Figure(value=-0.2, low=None, high=None), "", "-0.20"),
    ],
)
def test_figures_in_words(figure, sign, said):
    assert between(figure, sign) == said
