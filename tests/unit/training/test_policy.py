"""What a device is used for follows from what it says of itself; the paths it chooses between agree, on a CPU."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_toy import LABELS, NOWHERE, images, network, plan, record

from headstart.training.accelerator import Accelerator, generator
from headstart.training.checkpoint import Checkpoints
from headstart.training.flops import work_of
from headstart.training.loop import train
from headstart.training.placed import placed
from headstart.training.policy import (
    COMPILE_STEPS,
    NO_WORK,
    Policy,
    Properties,
    Work,
    pays_in_bfloat16,
    policy_of,
)
from headstart.training.rows import ActivationRows

GIB = 2**30
H100 = Properties("cuda", "NVIDIA H100", (9, 0), 78 * GIB)
A100 = Properties("cuda", "NVIDIA A100", (8, 0), 39 * GIB)
T4 = Properties("cuda", "Tesla T4", (7, 5), 15 * GIB)
MPS = Properties("mps")
CPU = Properties("cpu")


def chosen(device: Properties, *, steps: int = 200, input_bytes: int = GIB, **more: object) -> Policy:
    return policy_of(device, steps=steps, input_bytes=input_bytes, **more)


@pytest.mark.parametrize("device", [CPU, MPS])
@pytest.mark.parametrize("steps", [1, 10**6])
def test_a_cpu_and_mps_train_in_float32_as_they_always_did(device, steps):
    found = chosen(device, steps=steps)
    assert found == Policy()
    assert str(found) == "float32, rows prepared on the CPU, not compiled"


@pytest.mark.parametrize("device", [H100, A100])
def test_from_ampere_on_blocks_run_in_bfloat16(device):
    found = chosen(device)
    assert found == Policy(autocast="bfloat16", tf32=True, on_device=True, resident=True, shrinks=True)
    assert str(found) == "bfloat16 over float32 weights, TF32 products, rows kept on the device, not compiled"


def test_a_t4_has_no_bfloat16_and_no_tf32():
    found = chosen(T4, steps=10**6)
    assert found == Policy(on_device=True, resident=True, shrinks=True)


@pytest.mark.parametrize(
    ("steps", "more", "compiler"),
    [
        (COMPILE_STEPS - 1, {}, ""),
        (COMPILE_STEPS, {}, "inductor"),
        (COMPILE_STEPS, {"processes": 2}, ""),
        (COMPILE_STEPS, {"thaws": True}, ""),
    ],
)
def test_a_long_training_of_one_network_is_compiled(steps, more, compiler):
    found = chosen(H100, steps=steps, **more)
    assert found.compiler == compiler
    assert str(found).endswith("compiled (inductor)" if compiler else "not compiled")


@pytest.mark.parametrize(
    ("input_bytes", "on_device", "resident"),
    [(0, False, False), (1, True, True), (15 * GIB // 4, True, True), (15 * GIB // 4 + 1, True, False)],
)
def test_images_lie_on_the_device_where_they_leave_room_for_activations(input_bytes, on_device, resident):
    found = chosen(T4, input_bytes=input_bytes)
    assert (found.on_device, found.resident) == (on_device, resident)


def test_a_device_that_does_not_say_how_much_is_free_keeps_none():
    assert not chosen(Properties("cuda", "?", (9, 0))).resident


def train_with(policy: Policy | None, rows=None, net=None):
    accelerator = Accelerator(given=policy)
    net = network() if net is None else net
    state = train(
        net,
        images() if rows is None else rows,
        LABELS,
        plan=plan(),
        seed=0,
        accelerator=accelerator,
        checkpoints=Checkpoints(NOWHERE),
        observe=record,
    )
    return np.array(state.losses), net


@pytest.fixture(scope="module")
def plain():
    return train_with(None)


def test_the_default_says_nothing_and_changes_nothing(plain, caplog):
    with caplog.at_level(logging.INFO, "headstart"):
        losses, net = train_with(None)
    assert caplog.messages == []
    assert np.array_equal(losses, plain[0])
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in plain[1].state_dict().items())


def test_what_a_device_is_used_for_is_said_once(monkeypatch, caplog):
    from headstart.training import accelerator as module

    monkeypatch.setattr(module, "properties_of", lambda device: H100)
    with caplog.at_level(logging.INFO, "headstart"):
        for _ in range(2):
            found = Accelerator("cuda:0").policy(steps=10, input_bytes=GIB, thaws=False)
    assert found.device == H100
    assert caplog.messages == [
        "training on NVIDIA H100: bfloat16 over float32 weights, TF32 products, rows kept on the device, not compiled"
    ]


def test_bfloat16_comes_to_nearly_the_same_over_float32_weights(plain):
    """On a CPU torch has the same autocast; its products have eight bits."""
    losses, net = train_with(Policy(autocast="bfloat16"))
    assert np.abs(losses - plain[0]).max() < 0.1
    assert np.abs(losses - plain[0])[0] < 0.01
    assert not np.array_equal(losses, plain[0])
    assert {value.dtype for value in net.parameters()} == {torch.float32}


@pytest.mark.parametrize("resident", [True, False])
def test_images_prepared_on_a_device_are_the_same(plain, resident):
    losses, net = train_with(Policy(on_device=True, resident=resident))
    assert np.array_equal(losses, plain[0])
    rows, batch = images(), torch.tensor([4, 1, 7])
    there = placed(rows, "cpu", resident=resident)
    assert (there.resident is not None) == resident
    assert len(there) == len(rows)
    assert torch.equal(there.plain(batch), rows.plain(batch))
    part = slice(1, 3)
    assert torch.equal(there.batch(batch, generator(1), part), rows.batch(batch, generator(1))[part])
    bare = placed(images(augmented=False), "cpu", resident=resident)
    assert torch.equal(bare.batch(batch, generator(1)), rows.plain(batch))


def test_activations_stay_where_they_are():
    """They are no images: the policy of a device for those passes over them."""
    values = np.random.default_rng(0).random((10, 4, 3, 3), dtype=np.float32)
    net = network()
    net.blocks[0] = torch.nn.Identity()
    losses, _ = train_with(Policy(on_device=True, resident=True), ActivationRows(values, values[:, None]), net)
    assert np.isfinite(losses).all()


def test_a_compiled_network_comes_to_the_same(plain, monkeypatch):
    """Whatever stands behind torch.compile: its own tracing, with the eager kernels, and evaluation uncompiled."""
    seen = []
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda run, **how: seen.append(how) or compiled(run, **how))
    losses, net = train_with(Policy(compiler="eager"))
    assert seen == [{"backend": "eager"}]
    assert np.abs(losses - plain[0]).max() < 1e-5
    assert list(net.state_dict()) == list(plain[1].state_dict())


ABLE, PLAIN = Properties("cpu", bfloat16=True), Properties("cpu")
LARGE_NET = Work(flops=3e8, weights=11_000_000)


def rounded(device=ABLE, work=LARGE_NET, **more) -> str:
    return policy_of(device, steps=10, input_bytes=GIB, work=work, **more).autocast


def test_a_cpu_rounds_where_it_has_the_instructions_and_the_network_gains():
    assert rounded() == "bfloat16"
    assert rounded(PLAIN) == ""
    assert rounded(precision="float32") == ""
    assert rounded(work=replace(LARGE_NET, grouped=True)) == ""
    assert rounded(work=replace(LARGE_NET, flops=1e8)) == ""
    assert rounded(work=replace(LARGE_NET, weights=20_000_000)) == ""  # an AlexNet: its weights are what takes time
    assert rounded(work=NO_WORK) == ""


def test_float32_is_float32_on_a_gpu_too():
    policy = policy_of(H100, steps=10, input_bytes=GIB, precision="float32")
    assert (policy.autocast, policy.tf32, policy.on_device) == ("", False, True)


@pytest.mark.parametrize(
    ("name", "side", "wins"),
    [("resnet8", 28, False), ("resnet18", 64, True), ("resnet18", 32, False), ("mobilenet_v2", 224, False)],
)
def test_which_networks_gain_follows_from_their_arithmetic(name, side, wins):
    assert pays_in_bfloat16(ABLE, work_of(name, channels=3, size=(side, side))) is wins


@pytest.mark.parametrize(
    ("precision", "products", "convolutions"), [("auto", "high", True), ("float32", "highest", False)]
)
def test_tf32_is_set_either_way_for_products_and_convolutions(monkeypatch, precision, products, convolutions):
    from headstart.training import accelerator as module

    monkeypatch.setattr(module, "properties_of", lambda device: A100)
    for holder, name in ((torch.backends.cudnn, "allow_tf32"), (torch.backends.cudnn, "benchmark")):
        monkeypatch.setattr(holder, name, not convolutions)
    before = torch.get_float32_matmul_precision()
    try:
        Accelerator("cuda:0", precision=precision).start()
        assert torch.get_float32_matmul_precision() == products
        assert torch.backends.cudnn.allow_tf32 is convolutions
    finally:
        torch.set_float32_matmul_precision(before)


def test_how_a_training_is_run_does_not_follow_from_where_it_was_resumed(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(Accelerator, "policy", lambda self, **given: asked.append(given["steps"]) or Policy())
    whole = plan()
    for _ in range(2):
        checkpoints = Checkpoints(tmp_path, every=0)
        train(network(), images(), LABELS, plan=whole, seed=0, accelerator=Accelerator(), checkpoints=checkpoints,
              observe=record)  # fmt: skip
    assert any(tmp_path.iterdir())
    assert asked == [whole.steps, whole.steps]
