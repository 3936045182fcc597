"""What strategies add to the loss, against the papers' formulas, and what it does to a training."""

import numpy as np
import pytest
import torch
from torch import nn

from headstart.cells.cell import Cell
from headstart.cells.terms import deep_coral
from headstart.datasets.values import Value
from headstart.objectives.classification import Classification, class_means
from headstart.objectives.regression import Regression
from headstart.strategies.co_tuning import OldHead
from headstart.strategies.l2_sp import StartingPoint
from headstart.strategies.rotation import turned
from headstart.strategies.table import STRATEGIES
from headstart.strategies.wise_ft import interpolate
from headstart.training.accelerator import Accelerator
from headstart.training.quiet import without_statistics
from headstart.training.weights import read_weights


@pytest.fixture
def fit(domains):
    """Fits a strategy's cell; the recipe may be changed by keyword."""

    def run(strategy: str, target: str = "symbols", **recipe):
        job = domains[target].job(strategy)
        changed = domains[target].job(strategy, recipe=job.recipe.model_copy(update=recipe))
        return STRATEGIES.get(strategy).load()(Cell(changed, Accelerator()))

    return run


@pytest.fixture
def start(domain):
    """W's tensors."""
    return read_weights(domain.places.weights)[1]


def distance(tensors: dict[str, torch.Tensor], start: dict[str, torch.Tensor]) -> float:
    """Of the blocks' weights from W's."""
    names = [name for name in start if name.startswith("blocks.") and name.endswith("weight")]
    return sum(float(((tensors[name] - start[name]) ** 2).sum()) for name in names) ** 0.5


def test_the_starting_point_is_the_papers_penalty(domain):
    cell = Cell(domain.job("l2_sp"), Accelerator())
    network = cell.network_from_source()
    term = StartingPoint(network, alpha=0.5, beta=2.0)
    head = sum(float((p.detach() ** 2).sum()) for p in network.head.parameters())
    assert float(term.loss(network, torch.empty(0), torch.empty(0), 0).detach()) == pytest.approx(head, abs=1e-6)
    with torch.no_grad():
        for parameter in network.blocks.parameters():
            parameter += 0.1
    count = sum(parameter.numel() for parameter in network.blocks.parameters())
    moved = float(term.loss(network, torch.empty(0), torch.empty(0), 0).detach())
    assert moved == pytest.approx(head + 0.25 * 0.01 * count, rel=1e-3)


def test_a_stronger_pull_ends_nearer_to_w(fit, start):
    near, far = (distance(fit("l2_sp", alpha=alpha).tensors, start) for alpha in (100.0, 0.0))
    assert near < far / 2


def test_blocks_that_were_never_thawed_are_w_to_the_bit(fit, start):
    """Thawed one by one over all 8 steps, the first of four blocks has its turn after the last step."""
    tensors = fit("gradual", thawed_by=1.0, steps=8).tensors
    first = [name for name in start if name.startswith("blocks.0.")]
    last = [name for name in start if name.startswith("blocks.3.")]
    assert all(torch.equal(tensors[name], start[name]) for name in first)
    assert not all(torch.equal(tensors[name], start[name]) for name in last)


def test_thawing_costs_less_than_training_everything(fit):
    assert fit("gradual", thawed_by=1.0).compute < fit("gradual", thawed_by=0.01).compute


def test_at_the_ends_of_the_line_are_the_probe_and_what_lp_ft_is(fit):
    """At its start nothing of W has moved."""
    end, tuned = fit("wise_ft", alphas=(1.0,)), fit("lp_ft")
    assert all(torch.equal(end.tensors[name], tuned.tensors[name]) for name in tuned.tensors)
    assert torch.equal(end.snapshots[-1].test, tuned.snapshots[-1].test)
    middle = fit("wise_ft", alphas=(0.5,)).tensors
    begin = fit("wise_ft", alphas=(0.0,)).tensors
    name = "blocks.1.0.conv1.weight"
    assert torch.allclose(middle[name], (begin[name] + end.tensors[name]) / 2, atol=1e-7)


def test_the_place_on_the_line_is_chosen_on_validation_and_written_down(fit):
    fitted = fit("wise_ft")
    alpha = [value for _, split, metric, value in fitted.history if (split, metric) == ("validation", "alpha")]
    assert len(alpha) == 1
    assert alpha[0] in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def test_counters_are_not_interpolated():
    found = interpolate({"w": torch.zeros(2), "n": torch.tensor(3)}, {"w": torch.ones(2), "n": torch.tensor(9)}, 0.25)
    assert found["w"].tolist() == [0.25, 0.25]
    assert found["n"].item() == 9


def test_what_source_classes_have_to_do_with_the_targets_is_ws_mean_answer():
    probabilities = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    found = class_means(probabilities, torch.tensor([1, 1, 0]), 2)
    assert torch.allclose(found, torch.tensor([[0.2, 0.8], [0.8, 0.2]]))


def test_the_old_head_has_to_say_what_the_relation_says():
    head = nn.Linear(3, 2)
    relation = torch.tensor([[0.2, 0.8], [0.8, 0.2]])
    features, targets = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0, 1])
    found = OldHead(head, relation, weight=2.0).loss(None, features, targets, 0)
    logs = torch.log_softmax(head(features), 1)
    assert torch.allclose(found, -2.0 * (relation[targets] * logs).sum(1).mean())


def test_deep_coral_is_the_squared_distance_of_covariances():
    draw = np.random.default_rng(0)
    source, target = draw.normal(size=(40, 3)) * [1, 2, 3], draw.normal(size=(30, 3))
    wanted = ((np.cov(source.T) - np.cov(target.T)) ** 2).sum() / (4 * 9)
    assert float(deep_coral(torch.from_numpy(source), torch.from_numpy(target))) == pytest.approx(wanted)
    assert float(deep_coral(torch.from_numpy(source), torch.from_numpy(source) + 5)) == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("rows", [1, 20])
def test_fewer_source_rows_are_another_training(fit, rows):
    whole, part = fit("joint_supervised").tensors, fit("joint_supervised", source_rows=rows).tensors
    assert not torch.equal(whole["head.weight"], part["head.weight"])


def test_only_what_is_believed_enough_counts_and_the_mean_is_over_all_rows():
    classes = Classification(("a", "b"))
    scores = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    believed = torch.tensor([[0.96, 0.04], [0.6, 0.4]])
    wanted = -torch.log_softmax(scores, 1)[0, 0] / 2
    assert torch.allclose(classes.consistency(scores, believed, threshold=0.95), wanted)
    assert classes.consistency(scores, believed, threshold=0.99) == 0


def test_values_have_to_agree_on_the_standardised_scale():
    values = Regression((Value("angle", "degrees", 10.0, 5.0),))
    found = values.consistency(torch.tensor([[1.0], [0.0]]), torch.tensor([[15.0], [20.0]]), threshold=0.95)
    assert float(found) == pytest.approx((0 + 4) / 2)


def test_without_unlabelled_rows_fixmatch_is_full(fit, monkeypatch):
    monkeypatch.setattr(Cell, "unlabelled_rows", np.array([], dtype=np.intp))
    alone, full = fit("fixmatch"), fit("full")
    assert torch.equal(alone.tensors["head.weight"], full.tensors["head.weight"])
    assert alone.compute == full.compute


def test_images_are_turned_by_quarters():
    image = torch.arange(4.0).reshape(1, 2, 2)
    found = turned(torch.stack([image] * 4), torch.arange(4))
    assert [part.flatten().tolist() for part in found] == [[0, 1, 2, 3], [1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1]]


def test_rows_that_pass_without_statistics_leave_none():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    rows = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)) * 4 + 1
    with without_statistics(network):
        seen = network(rows)
    assert torch.allclose(seen.mean(0), torch.zeros(3), atol=1e-5)  # normalised by the batch, as in training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    network(rows)
    assert not torch.equal(network.state_dict()["1.running_mean"], before["1.running_mean"])


@pytest.mark.parametrize(("strategy", "beside"), [("joint_supervised", 32), ("fixmatch", 30 * 4 / 3), ("rotation", 32)])
def test_compute_is_that_of_one_training_with_the_rows_beside(fit, strategy, beside):
    """Of the 42 rows of the pool 12 have labels. Each rate is a training of its own, and one of them is delivered."""
    steps = {"steps": 4, "learning_rates": (0.001, 0.002)}
    whole, alone = fit(strategy, **steps), fit("full", **steps)
    labelled = 9  # rows of a step: those that are trained on
    assert whole.compute == pytest.approx(alone.compute * (1 + beside / labelled))
