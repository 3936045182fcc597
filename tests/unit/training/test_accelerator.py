"""Where tensors live, and random numbers as functions of a key."""

import pytest
import torch
from torch import nn

from headstart.errors import SettingsError
from headstart.training.accelerator import Accelerator, generator, has_batch_norm, seed_of
from headstart.training.together import Alone


def test_a_seed_is_a_pure_function_of_its_key():
    # sha256 of '[0, "order", 3]', its first 15 hexadecimal digits: the same in every process and on every machine
    assert seed_of(0, "order", 3) == int("e6925c03d9ce3c2", 16)
    assert seed_of(0, "order", 3) < 2**63


def test_other_keys_are_other_seeds():
    keys = [(0,), (1,), (0, 0), ("0",), (0, "a"), ("a", 0), (0, "order", 1), (0, "order", 11), (0, "order1", 1)]
    assert len({seed_of(*key) for key in keys}) == len(keys)


def test_a_generator_is_its_own():
    one, other = generator(0, "x"), generator(0, "x")
    torch.rand(3)
    assert torch.equal(torch.rand(4, generator=one), torch.rand(4, generator=other))
    assert not torch.equal(torch.rand(4, generator=one), torch.rand(4, generator=generator(0, "y")))


def test_starting_makes_the_process_deterministic_on_one_thread():
    Accelerator().start()
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()


def test_networks_and_batches_share_a_layout_and_vectors_have_none():
    accelerator = Accelerator()
    convolution = accelerator.prepare(nn.Conv2d(4, 4, 3))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    batch = accelerator.place(torch.rand(2, 4, 5, 5))
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert accelerator.place(torch.rand(2, 4)).shape == (2, 4)


def test_one_process_has_the_whole_batch_and_wraps_nothing():
    accelerator = Accelerator()
    assert (accelerator.rank, accelerator.world, accelerator.leads) == (0, 1, True)
    assert accelerator.share(5) == slice(0, 5)
    features = torch.rand(5, 2)
    assert accelerator.gather(features, 5) is features
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert isinstance(accelerator.together(network, network), Alone)
    assert isinstance(network[1], nn.BatchNorm1d)


@pytest.mark.parametrize(("count", "world"), [(5, 2), (6, 3), (7, 3), (3, 3), (64, 4)])
def test_shares_are_all_rows_once_in_the_order_of_the_ranks(count, world):
    rows = list(range(count))
    shares = [rows[Accelerator(rank=rank, world=world).share(count)] for rank in range(world)]
    assert sum(shares, []) == rows
    assert {len(share) for share in shares} <= {count // world, count // world + 1}


def test_fewer_rows_than_processes_are_refused():
    with pytest.raises(SettingsError, match="a step has 2 rows, but devices is 3.* set devices to 2 or less"):
        Accelerator(world=3).share(2)


def test_batch_norm_over_several_processes_is_refused_on_a_cpu_before_anything_is_joined():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    with pytest.raises(SettingsError, match="devices is 2, and the backbone has BatchNorm.* not on cpu: set devices"):
        Accelerator(world=2).together(network, network)
    assert not has_batch_norm(network.eval())


def test_a_seeded_cpu_draws_what_torch_itself_would():
    """And nothing else is asked: other kinds of device have generators of their own."""
    torch.manual_seed(7)
    expected = torch.rand(3)
    Accelerator().seed(7)
    assert torch.equal(torch.rand(3), expected)
    Accelerator("cuda:0").seed(7)  # needs no such device: torch seeds those that come later too
    assert torch.equal(torch.rand(3), expected)


def test_batch_norm_over_several_cuda_devices_is_one_of_the_whole_batch(monkeypatch):
    """Its parameters and its names stay, so that optimizer and checkpoints know it; fixed BatchNorm stays as it is."""
    from headstart.training import accelerator as module

    monkeypatch.setattr(module, "Several", lambda trained: trained)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    weight, names = network[1].weight, list(network.state_dict())
    Accelerator("cuda:0", world=2).together(network, network)
    assert isinstance(network[1], nn.SyncBatchNorm)
    assert network[1].weight is weight
    assert list(network.state_dict()) == names
    fixed = nn.Sequential(nn.BatchNorm2d(2)).eval()
    Accelerator("cuda:0", world=2).together(fixed, fixed)
    assert type(fixed[0]) is nn.BatchNorm2d
