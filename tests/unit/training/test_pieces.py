"""A step that does not fit into memory is done in pieces, and comes to what the whole would have come to.

Memory is a hook that raises torch's own error, as CUDA's allocator does.
"""

import json
import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranks_toy import Training, Widths
from torch import Tensor, nn
from training_toy import COUNT, images, network

from headstart.backbones.network import Network
from headstart.errors import HeadstartError
from headstart.training.accelerator import Accelerator
from headstart.training.loop import predict
from headstart.training.policy import Policy
from tasks.ranks import run_ranks

FAKE = Accelerator(given=Policy(shrinks=True))


class OutInBackward(torch.autograd.Function):
    """Passes rows on; runs out of memory on the way back."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, most: int) -> Tensor:
        ctx.most = most
        return rows.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        if len(gradients[0]) > ctx.most:
            raise torch.OutOfMemoryError("no room on the way back")
        return gradients[0], None


def limit(net: Network, most: int, *, backward: bool, when: str = "training") -> None:
    """Makes the network's last block run out of memory for more than so many rows."""

    def hook(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        rows = given[0]
        if module.training != (when == "training"):
            return None
        if backward:
            return (OutInBackward.apply(rows, most),)
        if len(rows) > most:
            raise torch.OutOfMemoryError("no room")
        return None

    net.blocks[-1].register_forward_pre_hook(hook)


@dataclass(frozen=True)
class Limited(Training):
    """A training on a device that has room for `most` rows."""

    most: int = 1000
    backward: bool = False

    def network(self) -> Network:
        net = super().network()
        limit(net, self.most, backward=self.backward)
        return net


PLAIN = Limited("convnext_tiny", steps=3)


@pytest.fixture(scope="module")
def whole():
    return PLAIN.run(FAKE)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(("most", "pieces"), [(4, 2), (3, 2), (2, 4), (1, 4)])
def test_a_step_in_pieces_comes_to_what_the_whole_does(whole, caplog, most, pieces, backward):
    """Stochastic depth included: it is drawn for the whole batch. Four pieces of five rows are of one or two."""
    if (most, pieces) == (1, 4):
        with pytest.raises(HeadstartError, match="cpu has too little memory for 2 rows of a step at a time; choose a"):
            replace(PLAIN, most=most, backward=backward).run(FAKE)
        return
    with caplog.at_level(logging.WARNING, "headstart"):
        found = replace(PLAIN, most=most, backward=backward).run(FAKE)
    assert list(found) == list(whole)
    assert max(float(np.abs(found[name] - whole[name]).max()) for name in whole) < 4e-5
    assert caplog.messages[0] == (
        "cpu has too little memory for 5 rows at a time: each step is done in 2 pieces from here on"
    )
    assert len(caplog.messages) == {2: 1, 4: 2}[pieces]


@pytest.mark.parametrize(
    "training",
    [
        Limited("resnet8", side=8, fixed=True, term=Widths),
        Limited("convnext_tiny", steps=3, plan={"thaw": 1}),
    ],
)
def test_terms_and_thawing_blocks_come_to_the_same_in_pieces(training):
    one, pieces = training.run(FAKE), replace(training, most=3).run(FAKE)
    assert max(float(np.abs(one[name] - pieces[name]).max()) for name in one) < 4e-5


def test_where_memory_is_not_looked_after_the_error_is_torchs():
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        replace(PLAIN, most=4).run(Accelerator())


def test_batch_norm_sees_a_piece_at_a_time_which_is_said(caplog):
    training = Limited("resnet8", side=8, batch_size=8)
    one = training.run(FAKE)
    with caplog.at_level(logging.WARNING, "headstart"):
        pieces = replace(training, most=4).run(FAKE)
    assert caplog.messages[0].endswith("in 2 pieces from here on, and BatchNorm normalises by a piece")
    assert np.abs(one["losses"] - pieces["losses"]).max() > 1e-4
    name = next(name for name in one if name.endswith("num_batches_tracked"))
    assert pieces[name] == 2 * one[name] + 1, "of each piece, and once of the step that ran out of memory"
    with pytest.raises(HeadstartError, match="for 3 rows of a step at a time|for 2 rows of a step at a time"):
        replace(training, batch_size=5, most=1).run(FAKE)


def test_the_number_of_pieces_is_in_the_checkpoint_and_is_gone_on_with(tmp_path: Path, caplog):
    training = Limited("resnet8", side=8, fixed=True, most=3, checkpoints=str(tmp_path), every=0.0)
    training.run(FAKE)
    newest = max(tmp_path.glob("step-*"))
    assert json.loads((newest / "meta.json").read_text())["pieces"] == 2
    caplog.clear()
    training.run(FAKE)
    assert caplog.messages == [], "it does not have to run out of memory again"
    assert Training("resnet8", side=8, fixed=True).run(FAKE)["losses"].shape == (4,)


def test_a_checkpoint_of_whole_steps_says_nothing_of_pieces(tmp_path: Path):
    Training("resnet8", side=8, fixed=True, checkpoints=str(tmp_path), every=0.0).run(FAKE)
    assert set(json.loads((max(tmp_path.glob("step-*")) / "meta.json").read_text())) == {"step", "losses"}


def test_predicting_takes_fewer_rows_at_a_time():
    net = network()
    expected = predict(net, images(), accelerator=FAKE)
    limit(net, 3, backward=False, when="evaluation")
    assert torch.allclose(predict(net, images(), accelerator=FAKE), expected, atol=1e-6)
    assert len(expected) == COUNT
    limit(net, 0, backward=False, when="evaluation")
    with pytest.raises(torch.OutOfMemoryError):
        predict(net, images(), accelerator=FAKE)


def tell_limited(training: Limited, accelerator: Accelerator, tell: Any) -> None:
    tell(training.run(replace(accelerator, given=Policy(shrinks=True))))


def test_processes_that_train_together_begin_again_in_pieces(caplog):
    """Three rows and two: the first one runs out of memory, the second waits for it."""
    training = Limited("resnet8", side=8, fixed=True, most=2)
    with caplog.at_level(logging.WARNING, "headstart"):
        (found,) = run_ranks(partial(tell_limited, training), ["cpu", "cpu"])
    assert caplog.messages == [
        "cpu has too little memory for 3 rows of a step at a time: all processes go on from the last checkpoint, each "
        "step in 2 pieces"
    ]
    one = replace(training, most=1000).run(FAKE)
    assert max(float(np.abs(one[name] - found[name]).max()) for name in one) < 2e-6
