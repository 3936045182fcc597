"""What `make bench-gpu` trains, and the arithmetic of its figures. Torch-free."""

import re
from dataclasses import dataclass

OURS = "headstart"
PEERS = ("torchvision", "timm")
CLASSES = 10

# Dense peak rates of data sheets, FLOPs a second, by a part of the device's name; the first that fits. NVIDIA's sheets
# give twice as much with sparsity.
PEAKS: tuple[tuple[str, dict[str, float]], ...] = (
    ("H200", {"bfloat16": 989e12, "tf32": 494e12}),
    ("H100 PCIe", {"bfloat16": 756e12, "tf32": 378e12}),
    ("H100 NVL", {"bfloat16": 835e12, "tf32": 417e12}),
    ("H100", {"bfloat16": 989e12, "tf32": 494e12}),
    ("A100", {"bfloat16": 312e12, "tf32": 156e12}),
    ("L40S", {"bfloat16": 362e12, "tf32": 183e12}),
    ("L4", {"bfloat16": 121e12, "tf32": 60e12}),
    ("A10", {"bfloat16": 125e12, "tf32": 62.5e12}),
    ("T4", {"float32": 8.1e12}),
    ("V100", {"float32": 15.7e12}),
)


@dataclass(frozen=True)
class Case:
    """A training. steps: timed ones; warmup: steps before them, in which memory and kernels are chosen."""

    backbone: str
    side: int
    batch: int
    steps: int = 60
    warmup: int = 20
    rows: int = 2048
    device: str = "cuda:0"

    @property
    def name(self) -> str:
        return f"{self.backbone}, {self.side} pixels, {self.batch} rows a step"


CASES = (Case("resnet50", 224, 256), Case("convnext_tiny", 224, 256), Case("resnet18", 64, 512))


def peak_of(name: str, precision: str) -> float | None:
    """FLOPs a second of a device by its data sheet; None where it is not in the table."""
    found = next((rates for part, rates in PEAKS if re.search(rf"\b{part}\b", name)), {})
    return found.get(precision)


def utilisation(images_a_second: float, *, flops: float, rate: float | None) -> float | None:
    """Share of a rate that the model's own FLOPs are (MFU: 2204.02311): flops of training on an image."""
    return images_a_second * flops / rate if rate else None


def line(case: Case, device: str, figures: dict[str, dict[str, float | str]]) -> str:
    """What is printed of a case: ours, and how many times as fast that is as each peer."""
    ours = figures[OURS]
    speed, flops = float(ours["images_a_second"]), float(ours["flops"])
    sheet = utilisation(speed, flops=flops, rate=peak_of(device, str(ours["precision"])))
    reached = utilisation(speed, flops=flops, rate=float(ours["product_rate"]))
    ratios = [f"{speed / float(own['images_a_second']):.2f}x {name}" for name, own in figures.items() if name != OURS]
    return "; ".join(
        [
            f"{case.name}: {speed:,.0f} images/s in {ours['precision']}",
            f"{sheet:.1%} of the data sheet's FLOPs" if sheet else f"no data sheet rate of {device} is known here",
            f"{reached:.1%} of what one large product reaches",
            *ratios,
        ]
    )
