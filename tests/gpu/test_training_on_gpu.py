"""On CUDA devices: what the policy chooses trains as a CPU does, short memory makes pieces, two GPUs are as one."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.backbones.network import Network, build
from headstart.training.accelerator import Accelerator, generator
from headstart.training.checkpoint import Checkpoints
from headstart.training.loop import Plan, predict, train
from headstart.training.placed import placed
from headstart.training.policy import BFLOAT16, Policy, policy_of, properties_of
from headstart.training.rows import InputRows, Normalisation
from tasks.ranks import run_ranks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("default"),
]

CUDA = "cuda:0"
ROWS = 24


def rows_of(side: int, count: int = ROWS) -> InputRows:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 1, side, side), dtype=np.uint8)
    return InputRows(pixels, Normalisation((0.5,), (0.3,)), "image")


def run(accelerator: Accelerator, *, backbone: str = "resnet8", side: int = 16, batch: int = 12) -> dict[str, Any]:
    """Losses, weights and predictions of a short training."""
    accelerator.start()
    torch.manual_seed(1)
    network: Network = build(backbone, channels=1, classes=3)
    rows = rows_of(side, max(ROWS, batch))
    state = train(
        network,
        rows,
        torch.arange(len(rows)) % 3,
        plan=Plan(6, batch, 1e-3, 0.05, 0.4),
        seed=0,
        accelerator=accelerator,
        checkpoints=Checkpoints(Path("/nowhere"), every=float("inf")),
        observe=lambda step, loss: {},
    )
    found = {name: value.detach().cpu().float().numpy() for name, value in network.state_dict().items()}
    found["predictions"] = predict(network, rows, accelerator=accelerator).numpy()
    return {"losses": np.array(state.losses), "pieces": state.pieces, "weights": found}


def tell_run(policy: Policy, accelerator: Accelerator, tell: Any) -> None:
    tell(run(replace(accelerator, given=policy)))


@pytest.fixture(scope="module")
def cpu():
    return run(Accelerator())


def test_a_gpu_says_what_it_is():
    found = properties_of(CUDA)
    assert found.kind == "cuda"
    assert found.name == torch.cuda.get_device_name(0)
    assert found.capability == torch.cuda.get_device_capability(0)
    assert 0 < found.free_bytes <= torch.cuda.get_device_properties(0).total_memory
    policy = policy_of(found, steps=10, input_bytes=1000)
    assert policy.shrinks
    assert policy.resident
    assert bool(policy.autocast) == policy.tf32 == (found.capability >= BFLOAT16)


def test_its_own_policy_comes_to_nearly_the_losses_of_a_cpu(cpu):
    found = run(Accelerator(CUDA))
    assert np.abs(found["losses"] - cpu["losses"]).max() < 0.05
    assert all(np.isfinite(value).all() for value in found["weights"].values())


@pytest.mark.parametrize("policy", [Policy(), Policy(on_device=True), Policy(on_device=True, resident=True)])
def test_in_float32_it_comes_to_the_losses_of_a_cpu(cpu, policy):
    """But for TF32, in which cuDNN's convolutions are."""
    assert np.abs(run(Accelerator(CUDA, given=policy))["losses"] - cpu["losses"]).max() < 1e-2


def test_compiled_it_comes_to_the_same(tmp_path):
    plain, compiled = (
        run(Accelerator(CUDA, given=Policy(compiler=compiler), cache=str(tmp_path))) for compiler in ("", "inductor")
    )
    assert np.abs(plain["losses"] - compiled["losses"]).max() < 1e-2


@pytest.mark.parametrize("resident", [True, False])
def test_images_prepared_on_it_are_those_of_a_cpu(resident):
    rows, batch = rows_of(16), torch.tensor([3, 1, 20])
    there = placed(rows, CUDA, resident=resident)
    assert there.plain(batch).device.type == "cuda"
    assert torch.allclose(there.plain(batch).cpu(), rows.plain(batch), atol=1e-6)
    mine, theirs = there.batch(batch, generator(1)).cpu(), rows.batch(batch, generator(1))
    assert torch.allclose(mine, theirs, atol=1e-3)


def test_where_memory_is_short_a_step_is_done_in_pieces():
    """It is given seven tenths of what whole steps took."""
    whole = Accelerator(CUDA, given=Policy(shrinks=True))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    expected = run(whole, backbone="convnext_tiny", side=64, batch=96)
    peak, total = torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(0.7 * peak / total)
        found = run(whole, backbone="convnext_tiny", side=64, batch=96)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert expected["pieces"] == 1
    assert found["pieces"] > 1
    assert np.abs(found["losses"] - expected["losses"]).max() < 1e-2


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_come_to_what_one_does_and_batch_norm_sees_the_whole_batch():
    """Statistics by share would be off by far more: six rows' mean against twelve's."""
    policy = Policy(on_device=True, resident=True)
    one = run(Accelerator(CUDA, given=policy))
    (two,) = run_ranks(partial(tell_run, policy), ["cuda:0", "cuda:1"])
    assert np.abs(one["losses"] - two["losses"]).max() < 1e-2
    for name, value in one["weights"].items():
        assert np.abs(value - two["weights"][name]).max() < 2e-2, name
    assert sum(name.endswith("running_mean") for name in one["weights"]) > 2


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_batch_norm_of_two_gpus_is_converted_in_place():
    assert issubclass(nn.SyncBatchNorm, nn.modules.batchnorm._BatchNorm)
    (found,) = run_ranks(tell_kinds, ["cuda:0", "cuda:1"])
    assert found == {"SyncBatchNorm"}


def tell_kinds(accelerator: Accelerator, tell: Any) -> None:
    network = accelerator.prepare(build("resnet8", channels=1, classes=3)).train()
    accelerator.together(network, network.blocks, network.head)
    norms = [part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    tell({type(norm).__name__ for norm in norms})
