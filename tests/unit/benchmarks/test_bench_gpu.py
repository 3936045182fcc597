"""The GPU bench: its arithmetic, what it says without a GPU, and its contenders on a CPU, where they are small."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.__main__ import run_case
from benchmarks.gpu.cases import CASES, OURS, PEERS, Case, line, peak_of, utilisation

ROOT = Path(__file__).parents[3]
SMALL = Case("resnet18", 32, 4, steps=2, warmup=1, rows=8, device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line_and_exits_with_2():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: this machine has no CUDA device, so nothing was measured; run it where there is one\n"
    )


def test_every_contender_trains_the_case():
    python = Path(sys.executable)  # which has torchvision and timm, too
    found = run_case(SMALL, ours=python, peers=python)
    assert list(found) == [OURS, *PEERS]
    assert all(float(own["images_a_second"]) > 0 for own in found.values())
    assert found[OURS]["precision"] == "float32"
    assert found[OURS]["flops"] == pytest.approx(3 * 2 * 37e6, rel=0.2)  # ResNet-18 has 37 M products at 32 pixels
    assert "images/s in float32; no data sheet rate of Some CPU is known here" in line(SMALL, "Some CPU", found)


def test_a_contender_that_fails_is_named_with_what_it_said():
    with pytest.raises(RuntimeError, match=r"(?s)benchmarks.gpu.child headstart .* ended with code 1:.*resnet99"):
        run_case(replace(SMALL, backbone="resnet99"), ours=Path(sys.executable), peers=Path(sys.executable))


@pytest.mark.parametrize(
    ("name", "precision", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756e12),
        ("NVIDIA H200", "tf32", 494e12),
        ("Tesla T4", "float32", 8.1e12),
        ("NVIDIA L40S", "bfloat16", 362e12),
        ("NVIDIA L4", "bfloat16", 121e12),
        ("NVIDIA A100-SXM4-40GB", "bfloat16", 312e12),
        ("Tesla T4", "bfloat16", None),
        ("A new one", "bfloat16", None),
    ],
)
def test_peak_rates_are_those_of_the_data_sheets(name, precision, peak):
    assert peak_of(name, precision) == peak


def test_a_line_says_speed_utilisation_and_ratios():
    figures = {
        OURS: {"images_a_second": 2000.0, "flops": 24e9, "precision": "bfloat16", "product_rate": 600e12},
        "torchvision": {"images_a_second": 1000.0, "precision": "bfloat16"},
        "timm": {"images_a_second": 1600.0, "precision": "bfloat16"},
    }
    assert utilisation(2000.0, flops=24e9, rate=989e12) == pytest.approx(0.0485, abs=1e-4)
    assert utilisation(2000.0, flops=24e9, rate=None) is None
    assert line(CASES[0], "NVIDIA H100 80GB HBM3", figures) == (
        "resnet50, 224 pixels, 256 rows a step: 2,000 images/s in bfloat16; 4.9% of the data sheet's FLOPs; 8.0% of "
        "what one large product reaches; 2.00x torchvision; 1.25x timm"
    )
    assert "no data sheet rate of A new one is known here" in line(CASES[0], "A new one", figures)
