"""Two processes over gloo train as one does with the same batches: weights, losses and predictions, to rounding."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from ranks_toy import ROWS, Training, Widths, tell_trainings
from torch import nn
from training_toy import network as toy_network

from headstart.errors import SettingsError
from headstart.modalities.image.modality import augment
from headstart.objectives.classification import Classification
from headstart.training.accelerator import Accelerator, generator
from headstart.training.noise import noise_of_part
from headstart.training.rows import ActivationRows
from tasks.ranks import run_ranks


class EachClass(Classification):
    """Cross-entropy, the mean over the classes of a batch of what their rows have: no mean over rows."""

    def loss(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        each = nn.functional.cross_entropy(scores, targets, reduction="none")
        return torch.stack([each[targets == own].mean() for own in targets.unique()]).mean()


PROBE = Training("resnet8", side=8, fixed=True)
TRAININGS = {
    "ConvNeXt: LayerNorm, stochastic depth": (Training("convnext_tiny", steps=4), 4e-5),
    "VGG without BatchNorm: dropout of half the features": (Training("vgg11", steps=2), 2.5e-5),
    "ResNet with fixed BatchNorm": (Training("resnet8", side=16, fixed=True), 2e-6),
    "blocks that thaw": (Training("convnext_tiny", steps=4, plan={"thaw": 1, "layer_decay": 0.8}), 4e-5),
    "a term that is no mean over rows": (replace(PROBE, term=Widths), 2e-6),
    "an objective that is no mean over rows": (replace(PROBE, objective=EachClass(("a", "b", "c"))), 2e-6),
}


def run_together(*trainings: Training, ranks: int = 2) -> list[dict[str, np.ndarray]]:
    return list(run_ranks(partial(tell_trainings, trainings), ["cpu"] * ranks))


def run_alone(training: Training) -> dict[str, np.ndarray]:
    accelerator = Accelerator()
    accelerator.start()
    return training.run(accelerator)


def largest_difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    assert list(one) == list(other)
    return max(float(np.abs(value - other[name]).max()) for name, value in one.items())


@pytest.fixture(scope="module")
def together():
    """What two processes come to, by the training's name; the last of them once more."""
    trainings = [training for training, _ in TRAININGS.values()]
    return dict(zip([*TRAININGS, "again"], run_together(*trainings, trainings[-1]), strict=True))


@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_come_to_what_one_does(together, name):
    """Five rows are shared out as three and two; the order, the augmentation and the dropout are the whole batch's."""
    training, within = TRAININGS[name]
    one = run_alone(training)
    assert len(one["losses"]) == training.steps
    assert largest_difference(one, together[name]) <= within
    start = training.network().state_dict()
    moved = max(np.abs(one[name] - value.numpy()).max() for name, value in start.items())
    assert moved > 3 * within, "else sameness would say nothing"


def test_what_is_no_mean_over_rows_is_something_else():
    """Else it would say nothing that two processes are right about it."""
    plain = run_alone(PROBE)["losses"]
    for name in ("a term that is no mean over rows", "an objective that is no mean over rows"):
        assert np.abs(run_alone(TRAININGS[name][0])["losses"] - plain).max() > 1e-3


def test_two_processes_come_to_the_same_bytes_again(together):
    assert largest_difference(together["again"], together[list(TRAININGS)[-1]]) == 0.0


def test_three_processes_come_to_it_too_and_what_they_refuse_is_said_as_it_is():
    """Two steps of two rows for three processes cannot be; the training before it was told."""
    ranks = run_ranks(partial(tell_trainings, [PROBE, replace(PROBE, batch_size=2)]), ["cpu"] * 3)
    assert largest_difference(next(ranks), run_alone(PROBE)) <= 2e-6
    with pytest.raises(SettingsError, match="a step has 2 rows, but devices is 3"):
        next(ranks)


@pytest.mark.parametrize("part", [slice(0, 3), slice(3, 5), slice(0, 5)])
def test_a_part_of_a_batch_is_augmented_as_in_the_whole(part):
    images = torch.rand(5, 1, 8, 8)
    whole = augment(images, generator(1))
    assert torch.equal(augment(images[part], generator(1), of=5, part=part), whole[part])


def test_a_part_of_a_batch_takes_the_views_that_the_whole_would():
    views = np.random.default_rng(0).random((ROWS, 4, 2), dtype=np.float32)
    rows, batch = ActivationRows(views[:, 0], views), torch.tensor([7, 2, 9, 4])
    whole = rows.batch(batch, generator(2))
    parts = [rows.batch(batch, generator(2), part) for part in (slice(0, 1), slice(1, 4))]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 6), nn.Dropout(0.3, inplace=True)),
        nn.Sequential(nn.Unflatten(1, (3, 2)), nn.Dropout1d(0.5), nn.Flatten(1)),
        nn.Sequential(nn.Unflatten(0, (-1, 1)), nn.Flatten(0, 1), nn.Dropout(0.0), nn.Dropout(0.9)),
        nn.Sequential(nn.Unflatten(1, (3, 2)), nn.Flatten(0, 1), nn.Dropout(0.5)),  # several rows for each, as windows
    ],
)
def test_noise_of_a_part_is_that_of_the_whole(module):
    rows = torch.rand(7, 6)
    torch.manual_seed(0)
    whole = module(rows.clone())
    each = len(whole) // len(rows)
    for part in (slice(0, 4), slice(4, 7)):
        torch.manual_seed(0)
        with noise_of_part(module, part, len(rows)):
            found = module(rows[part].clone())
        assert torch.allclose(found, whole[part.start * each : part.stop * each])
    assert not whole.eq(0).all()
    assert whole.eq(0).any() or module[-1].p < 0.5
    module.eval()
    with noise_of_part(module, slice(0, 4), 7):
        assert torch.equal(module(rows[:4]), module(rows)[: 4 * each])


def test_stochastic_depth_of_a_part_is_that_of_the_whole():
    network = Training("convnext_tiny").network().train()
    images = torch.rand(5, 1, 32, 32)
    outs = []
    for part in (slice(0, 5), slice(0, 2), slice(2, 5)):
        torch.manual_seed(4)
        with noise_of_part(network, part, 5):
            outs.append(network(images[part]))
    torch.manual_seed(4)
    assert torch.allclose(outs[0], network(images), atol=1e-6)
    assert torch.allclose(torch.cat(outs[1:]), outs[0], atol=1e-5)
    torch.manual_seed(4)
    assert not torch.allclose(network(images[2:]), outs[0][2:], atol=1e-5), "its own draw is another one"


def test_hooks_are_gone_afterwards():
    network = toy_network()
    with noise_of_part(network, slice(0, 1), 2):
        assert any(module._forward_pre_hooks for module in network.modules())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in network.modules())
