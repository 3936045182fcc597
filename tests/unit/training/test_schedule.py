"""The schedule as a pure function of the step, against torch's own scheduler."""

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from headstart.training.schedule import END, START, one_cycle


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.2), (600, 0.2), (7, 0.3), (50, 0.9), (40, 0.1)])
def test_it_is_torchs_one_cycle(steps, warmup):
    """torch counts the step of the peak into the rise, and its floor is a share of the start, not of the peak."""
    rise = round(warmup * steps)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=steps,
        pct_start=(rise + 1) / steps,
        div_factor=1 / START,
        final_div_factor=START / END,
        cycle_momentum=False,
    )
    expected = []
    for step in range(steps):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    assert [one_cycle(step, steps=steps, warmup=warmup) for step in range(steps)] == pytest.approx(expected, abs=1e-9)


def test_its_corners():
    assert one_cycle(0, steps=100, warmup=0.2) == pytest.approx(1 / 25)
    assert one_cycle(10, steps=100, warmup=0.2) == pytest.approx(0.52)  # half way up, half of 1/25 + 1
    assert one_cycle(20, steps=100, warmup=0.2) == pytest.approx(1.0)
    assert one_cycle(99, steps=100, warmup=0.2) == pytest.approx(1e-4)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("warmup", [0.01, 0.2, 0.5, 0.99])
def test_the_shortest_trainings_have_rates_too(steps, warmup):
    rates = [one_cycle(step, steps=steps, warmup=warmup) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
