"""`make bench`: Headstart's loop and head against plain torchvision and scikit-learn, interleaved, one thread.

Writes benchmarks/results.json. Accuracy stands beside every time: a faster way to a worse model is no gain.
"""

import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from headstart.backbones.network import build
from headstart.cells.ridge import PENALTIES, ridge
from headstart.datasets.builtin import mnist5k
from headstart.objectives import classification
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.loop import Plan, predict, train
from headstart.training.rows import ImageRows, Normalisation

REPEATS = 5
ROWS, HELD = 2000, 1000
STEPS, BATCH, RATE = 62, 32, 0.01
STATISTICS = Normalisation((0.1313,), (0.3086,))

Job = Callable[[], float]


def main() -> None:
    """Runs each pair of jobs in turn, several times, and writes medians, ratios and accuracies."""
    torch.set_num_threads(1)
    images, names = mnist5k()
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order, None], torch.tensor([int(names[row]) for row in order])
    pairs = {
        "pretraining, one epoch": (lambda: _headstart_epoch(images, labels), lambda: _reference_epoch(images, labels)),
        "linear head, 64 features": (lambda: _ridge_head(images, labels), lambda: _sklearn_head(images, labels)),
    }
    results = {name: _compare(ours, peer) for name, (ours, peer) in pairs.items()}
    document = {
        "machine": platform.processor() or platform.machine(),
        "threads": 1,
        "repeats": REPEATS,
        "versions": {name: version(name) for name in ("torch", "torchvision", "scikit-learn")},
        "results": results,
    }
    Path(__file__).with_name("results.json").write_text(json.dumps(document, indent=1) + "\n")
    for name, row in results.items():
        print(
            f"{name}: {row['ours_seconds']:.2f} s against {row['peer_seconds']:.2f} s ({row['ratio']:.1f}x), "
            f"accuracy {row['ours_accuracy']:.3f} against {row['peer_accuracy']:.3f}"
        )


def _compare(ours: Job, peer: Job) -> dict[str, float]:
    """CPU seconds (medians) and accuracies of two jobs, interleaved so that both see the same machine."""
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    scores: dict[str, float] = {}
    for _ in range(REPEATS):
        for name, job in (("ours", ours), ("peer", peer)):
            start = time.process_time()
            scores[name] = job()
            seconds[name].append(time.process_time() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "ours_seconds": medians["ours"],
        "peer_seconds": medians["peer"],
        "ratio": medians["peer"] / medians["ours"],
        "ours_accuracy": scores["ours"],
        "peer_accuracy": scores["peer"],
    }


def _headstart_epoch(images: np.ndarray, labels: torch.Tensor) -> float:
    torch.manual_seed(0)
    network = build("resnet8", channels=1, classes=10)
    with tempfile.TemporaryDirectory() as folder:
        train(
            network,
            ImageRows(images[:ROWS], STATISTICS),
            labels[:ROWS],
            plan=Plan(STEPS, BATCH, RATE, weight_decay=0.05, warmup=0.2),
            seed=0,
            accelerator=Accelerator(),
            checkpoints=Checkpoints(Path(folder)),
            observe=lambda step, loss: {},
        )
    return _score(network, images, labels)


class _Digits(Dataset[tuple[torch.Tensor, int]]):
    """The reference recipe: one image at a time through torchvision's transforms."""

    def __init__(self, images: np.ndarray, labels: torch.Tensor):
        self.images, self.labels = torch.from_numpy(images), labels
        self.transform = v2.Compose(
            [
                v2.RandomAffine(12, translate=(0.09, 0.09), scale=(0.88, 1.12), shear=7),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(STATISTICS.mean, STATISTICS.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[row]), int(self.labels[row])


def _reference_epoch(images: np.ndarray, labels: torch.Tensor) -> float:
    torch.manual_seed(0)
    network = build("resnet8", channels=1, classes=10)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.2)
    loader = DataLoader(_Digits(images[:ROWS], labels[:ROWS]), batch_size=BATCH, shuffle=True, drop_last=True)
    for batch, wanted in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(batch), wanted).backward()
        optimizer.step()
        schedule.step()
    return _score(network, images, labels)


def _score(network: nn.Module, images: np.ndarray, labels: torch.Tensor) -> float:
    held = slice(ROWS, ROWS + HELD)
    probabilities = predict(network, ImageRows(images[held], STATISTICS), accelerator=Accelerator())
    return classification.accuracy(probabilities, labels[held])


def _features(images: np.ndarray) -> torch.Tensor:
    """A fixed random projection of the pixels, rectified: the same features for both heads."""
    pixels = torch.from_numpy(images[: ROWS + HELD].reshape(ROWS + HELD, -1)).double() / 255
    projection = torch.randn(pixels.shape[1], 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (pixels @ projection).clamp_min(0)


def _ridge_head(images: np.ndarray, labels: torch.Tensor) -> float:
    features, rows = _features(images), slice(0, 300)
    targets = classification.ridge_targets(labels[rows], 10)
    weight, bias, _ = ridge(features[rows], targets, smallest=1e-4, largest=1e4)
    return classification.accuracy(features[ROWS:] @ weight.T + bias, labels[ROWS : ROWS + HELD])


def _sklearn_head(images: np.ndarray, labels: torch.Tensor) -> float:
    from sklearn.linear_model import RidgeClassifierCV

    features = _features(images).numpy()
    model = RidgeClassifierCV(alphas=np.logspace(-2, 6, PENALTIES)).fit(features[:300], labels[:300].numpy())
    return float((model.predict(features[ROWS:]) == labels[ROWS : ROWS + HELD].numpy()).mean())


if __name__ == "__main__":
    main()
