"""The one loop: the same seed gives the same bytes however often it was interrupted; rates, order, refusals."""

import shutil
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from training_toy import COUNT, LABELS, fit, images, network, plan, record, same_bytes

from headstart.errors import NotFiniteError
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.loop import predict
from headstart.training.schedule import one_cycle


class Killed(Exception):
    pass


@dataclass
class Recorder:
    """Rows that write down which of them were asked for.

    broken: the calls that get a pixel that is no number. killed: those at which the process is.
    """

    rows: object = field(default_factory=lambda: images(augmented=False))
    broken: tuple[int, ...] = ()
    killed: tuple[int, ...] = ()
    asked: list[list[int]] = field(default_factory=list)

    def __len__(self) -> int:
        return COUNT

    def batch(self, rows, draw, part=slice(None)):
        self.asked.append(rows.tolist())
        if len(self.asked) in self.killed:
            raise Killed
        found = self.rows.batch(rows, draw, part).clone()
        if len(self.asked) in self.broken:
            found[0, 0, 0, 0] = float("nan")
        return found

    def plain(self, rows):
        return self.rows.plain(rows)


@pytest.fixture(scope="module")
def whole():
    """The training that nothing interrupted."""
    net = network()
    state = fit(net)
    return net.state_dict(), state


def test_it_learns(whole):
    net = network()
    state = fit(net, images(augmented=False), steps=60, marks=(60,))
    assert sum(state.losses[-5:]) < 0.5 * sum(state.losses[:5])
    probability = predict(net, images(), accelerator=Accelerator())
    assert probability.argmax(1).tolist() == LABELS.tolist()
    assert len(whole[1].losses) == whole[1].step == 6


def test_the_same_seed_gives_the_same_bytes(whole):
    torch.rand(3)  # the global generator may stand anywhere
    net = network()
    torch.rand(5)
    state = fit(net)
    assert same_bytes(net.state_dict(), whole[0])
    assert state.losses == whole[1].losses
    assert same_bytes(state.records, whole[1].records)


def test_another_seed_gives_others(whole):
    net = network()
    state = fit(net, seed=1)
    assert state.losses != whole[1].losses
    assert not torch.equal(net.state_dict()["head.weight"], whole[0]["head.weight"])


@settings(deadline=None, max_examples=8)
@given(kills=st.lists(st.integers(1, 6), max_size=4), every=st.sampled_from([0.0, 1e9]))
def test_a_training_that_was_killed_goes_on_as_if_it_had_not(whole, tmp_path_factory, kills, every):
    """Killed after any steps, in any order, with checkpoints after each step or never."""
    folder = tmp_path_factory.mktemp("killed")
    marks = tuple(range(1, 7))
    for kill in kills:

        def die(step, loss, kill=kill):
            if step == kill:
                raise Killed
            return record(step, loss)

        try:
            fit(network(), checkpoints=Checkpoints(folder, every=every), observe=die, marks=marks)
        except Killed:
            continue
    net = network(seed=99)  # what it starts from must not matter once there is a checkpoint
    resumed = any(folder.glob("step-*"))
    state = fit(net if resumed else network(), checkpoints=Checkpoints(folder, every=every), marks=marks)
    assert resumed == (every == 0.0 and any(kill > 1 for kill in kills))
    assert state.losses == whole[1].losses
    if resumed:
        assert same_bytes(net.state_dict(), whole[0])
    assert {key: state.records[key] for key in ("2", "4")}.keys() == {"2", "4"}
    shutil.rmtree(folder)


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_interrupted_after_each_step_weights_losses_and_records_are_the_same(whole, tmp_path, stop):
    """A step's checkpoint is written after it; the next step raises."""
    rows = Recorder(rows=images(), killed=(stop + 1,))
    with pytest.raises(Killed):
        fit(network(), rows, checkpoints=Checkpoints(tmp_path, every=0))
    assert max(path.name for path in tmp_path.iterdir()) == f"step-{stop:08d}"
    net = network(seed=99)
    state = fit(net, checkpoints=Checkpoints(tmp_path))
    assert same_bytes(net.state_dict(), whole[0])
    assert state.losses == whole[1].losses
    assert same_bytes(state.records, whole[1].records)


class OtherHead:
    """A term with a head of its own, which must come back with the network."""

    def __init__(self):
        torch.manual_seed(7)
        self.module = nn.Linear(6, 1)

    def loss(self, network, features, targets, step):
        return (self.module(features) ** 2).mean() * (1 + step)


@pytest.mark.parametrize("stop", [1, 4])
def test_what_a_term_trains_comes_back_too(tmp_path, stop):
    alone, expected = network(), OtherHead()
    losses = fit(alone, term=expected).losses

    def die(step, loss):
        if step == stop:
            raise Killed
        return record(step, loss)

    with pytest.raises(Killed):
        fit(network(), checkpoints=Checkpoints(tmp_path, every=0.0), observe=die, marks=range(7), term=OtherHead())
    net, term = network(), OtherHead()
    assert fit(net, checkpoints=Checkpoints(tmp_path, every=0.0), term=term).losses == losses
    assert same_bytes(net.state_dict(), alone.state_dict())
    assert same_bytes(term.module.state_dict(), expected.module.state_dict())
    assert losses != fit(network()).losses


def test_a_plan_thaws_from_the_last_block_to_the_first():
    assert [plan(thaw=3).frozen(step, 2) for step in range(8)] == [2, 2, 2, 1, 1, 1, 0, 0]
    assert [plan(thaw=1, boundary=1).frozen(step, 3) for step in range(4)] == [3, 2, 1, 1]
    assert plan().frozen(0, 2) == 0
    assert plan(boundary=1).frozen(5, 2) == 1


def test_a_finished_step_is_not_done_again(tmp_path):
    rows = Recorder(killed=(4,))
    with pytest.raises(Killed):
        fit(network(), rows, checkpoints=Checkpoints(tmp_path, every=0))
    again = Recorder()
    fit(network(), again, checkpoints=Checkpoints(tmp_path))
    assert len(again.asked) == 3


def test_observe_gets_the_mean_loss_since_the_mark_before(whole):
    _, state = whole
    assert list(state.records) == ["2", "4", "6"]
    for mark in (2, 4, 6):
        assert state.records[str(mark)].item() == pytest.approx(sum(state.losses[mark - 2 : mark]) / 2)


def test_observing_does_not_change_the_training(whole):
    """It predicts in evaluation mode and may draw random numbers."""
    net = network()

    def look(step, loss):
        torch.rand(7)
        predict(net, images(), accelerator=Accelerator())
        return record(step, loss)

    assert fit(net, observe=look).losses == whole[1].losses
    assert same_bytes(net.state_dict(), whole[0])


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (10, 5), (10, 10), (10, 64)])
def test_each_epoch_is_a_permutation_of_its_own(count, batch):
    rows = Recorder()
    size = min(batch, count)
    each = count // size
    fit(network(), rows, steps=3 * each, batch_size=batch, marks=())
    assert {len(asked) for asked in rows.asked} == {size}
    epochs = [sum(rows.asked[start : start + each], []) for start in range(0, 3 * each, each)]
    for epoch in epochs:
        assert len(set(epoch)) == each * size  # none twice; what does not fill a batch is left out
        assert set(epoch) <= set(range(count))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert set().union(*epochs) == set(range(count))  # and not always the same ones


def test_the_order_follows_from_the_seed():
    orders = []
    for seed in (0, 0, 1):
        rows = Recorder()
        fit(network(seed), rows, seed=seed)
        orders.append(rows.asked)
    assert orders[0] == orders[1] != orders[2]


def test_augmentation_is_drawn_anew_each_step():
    """Of ten equal images a batch is the same whatever their order; only its augmentation can differ."""
    seen = []

    @dataclass
    class Keep(Recorder):
        def batch(self, rows, draw, part=slice(None)):
            seen.append(super().batch(torch.zeros_like(rows), draw, part))
            return seen[-1]

    fit(network(), Keep(rows=images()), batch_size=10, steps=3, marks=())
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_loss_that_is_not_finite_begins_again_at_half_the_rate(caplog, step):
    net, expected = network(), network()
    state = fit(net, Recorder(broken=(step,)))
    assert f"the loss became nan at step {step} of 6: the training begins again at half the rate" in caplog.text
    assert state.halvings == 1
    assert state.losses == fit(expected, Recorder(), learning_rate=0.025).losses
    assert same_bytes(net.state_dict(), expected.state_dict())


@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_second_time_it_ends_before_the_step_and_no_checkpoint_has_it(tmp_path, step):
    net = network()
    rows = Recorder(broken=(step, 2 * step))
    with pytest.raises(NotFiniteError) as caught:
        fit(net, rows, checkpoints=Checkpoints(tmp_path / "kept", every=0))
    message = str(caught.value)
    assert f"the loss became nan at step {step} of 6, and before that at twice the rate" in message
    assert "lower the learning rate (it peaks at 0.025 now)" in message
    assert all(torch.isfinite(parameter).all() for parameter in net.parameters())
    kept = sorted((tmp_path / "kept").glob("step-*"))
    assert [path.name for path in kept] == [f"step-{done:08d}" for done in range(max(1, step - 2), step)]
    for path in kept:
        assert all(torch.isfinite(tensor).all() for tensor in load_file(path / "state.safetensors").values())


@pytest.mark.parametrize("every", [0.0, 1e9], ids=["checkpoints", "none"])
@pytest.mark.parametrize("killed", [2, 5, 7, 9])
def test_killed_before_or_after_it_ends_in_the_same_bytes(tmp_path, killed, every):
    """The fourth step's row is broken at the full rate: the fourth call, whether it is of the first process or not."""

    class Exploding(Recorder):
        def batch(self, rows, draw, part=slice(None)):
            self.broken = (len(self.asked) + 1,) if rows.tolist() == self.fourth and not self.exploded else ()
            self.exploded = self.exploded or bool(self.broken)
            return super().batch(rows, draw, part)

    def exploding(*, killed=(), exploded=False):
        rows = Exploding(killed=killed)
        rows.fourth, rows.exploded = fourth, exploded
        return rows

    plain = Recorder()
    fit(network(), plain)
    fourth = plain.asked[3]
    net = network()
    state = fit(net, exploding())
    again, rows = network(), exploding(killed=(killed,))
    folder = tmp_path / "kept"
    with pytest.raises(Killed):
        fit(again, rows, checkpoints=Checkpoints(folder, every=every))
    again = network()
    resumed_at_half = every == 0.0 and rows.exploded and any(folder.glob("step-*"))
    found = fit(again, exploding(exploded=resumed_at_half), checkpoints=Checkpoints(folder, every=every))
    assert found.halvings == state.halvings == 1
    assert found.losses == state.losses
    assert same_bytes(again.state_dict(), net.state_dict())


def test_an_infinite_loss_is_named_too():
    net = network()
    with torch.no_grad():
        net.head.bias[0] = float("inf")  # so that the other class has no probability at all
    with pytest.raises(NotFiniteError, match=r"the loss became (inf|nan) at step 1 of 6"):
        fit(net)


def test_layer_decay_scales_the_rate_by_the_distance_from_the_head():
    """The first step of Adam moves every weight by the rate itself."""
    net = network()
    before = {name: value.clone() for name, value in net.named_parameters()}
    fit(net, images(augmented=False), steps=1, layer_decay=0.5, weight_decay=0.0, marks=())
    rate = 0.05 * one_cycle(0, steps=1, warmup=0.4)
    for name, scale in (("head.weight", 1), ("blocks.1.0.weight", 1 / 2), ("blocks.0.0.weight", 1 / 4)):
        moved = (dict(net.named_parameters())[name] - before[name]).abs().max().item()
        assert moved == pytest.approx(rate * scale, rel=1e-3)


def test_without_layer_decay_all_blocks_move_alike():
    net = network()
    before = {name: value.clone() for name, value in net.named_parameters()}
    fit(net, images(augmented=False), steps=1, weight_decay=0.0, marks=())
    rate = 0.05 * one_cycle(0, steps=1, warmup=0.4)
    for name in ("head.weight", "head.bias", "blocks.1.0.weight", "blocks.0.0.weight"):
        moved = (dict(net.named_parameters())[name] - before[name]).abs().max().item()
        assert moved == pytest.approx(rate, rel=1e-3)


def test_weight_decay_is_for_matrices_and_filters_alone():
    """Norms and biases are not pulled to zero; the others lose rate x decay of themselves in a step."""
    moved = []
    for decay in (0.0, 0.5):
        net = network()
        with torch.no_grad():
            net.head.bias.fill_(0.3)
        start = {name: value.clone() for name, value in net.named_parameters()}
        fit(net, images(augmented=False), steps=1, weight_decay=decay, marks=())
        moved.append({name: value.detach() - start[name] for name, value in net.named_parameters()})
    rate = 0.05 * one_cycle(0, steps=1, warmup=0.4)
    for name, value in start.items():
        pulled = moved[1][name] - moved[0][name]
        expected = -rate * 0.5 * value if value.dim() > 1 else torch.zeros_like(value)
        assert torch.allclose(pulled, expected, atol=1e-6)
    assert sum(value.dim() == 1 for value in start.values()) == 6  # two norms' weights and biases, and two biases


def test_the_rate_follows_the_schedule():
    """A weight without gradient shrinks by the product of 1 - rate x decay over the steps."""
    net = network()
    rows = Recorder(rows=images(augmented=False))
    with torch.no_grad():
        net.blocks[1][1].weight[0] = 0  # channel 0 of the second block gives 0 whatever its filter is
        net.blocks[1][1].bias[0] = -1
    start = net.blocks[1][0].weight[0].clone()
    fit(net, rows, weight_decay=0.5, steps=6, marks=())
    shares = [one_cycle(step, steps=6, warmup=0.4) for step in range(6)]
    expected = start
    for share in shares:
        expected = expected * (1 - 0.05 * share * 0.5)
    assert torch.allclose(net.blocks[1][0].weight[0], expected, atol=1e-6)


def test_predicting_gives_probabilities_in_the_order_of_the_rows():
    net = network()
    rows = images()
    found = predict(net, rows, accelerator=Accelerator())
    net.eval()
    with torch.inference_mode():
        expected = torch.softmax(net(rows.plain(torch.arange(COUNT))), 1)
    assert torch.allclose(found, expected, atol=1e-6)
    assert found.shape == (COUNT, 2)


def test_predicting_in_parts_changes_nothing(monkeypatch):
    net = network()
    whole = predict(net, images(), accelerator=Accelerator())
    monkeypatch.setattr("headstart.training.loop.PREDICT_BATCH", 3)
    assert torch.allclose(predict(net, images(), accelerator=Accelerator()), whole, atol=1e-6)


def test_a_plan_is_frozen():
    with pytest.raises(AttributeError):
        plan().steps = 7  # type: ignore[misc]
