"""What the peers share that is none of theirs: the folders as torchvision reads them, W, the score, each job's frame.

A peer brings its loader, its network and its training; what is timed of a job is the same for all, and stands here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18
from torchvision.transforms import v2

from benchmarks.speed.child import Figures, Spec, files_below, singly, timed

BODY = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
FIXED = ("conv1", "bn1", "layer1", "layer2")  # the stem and the first two of the four stages
CLASSES = 10


def begin(spec: Spec) -> None:
    """One thread, and the seed."""
    torch.set_num_threads(1)
    torch.manual_seed(spec.seed)


def plain(spec: Spec) -> v2.Compose:
    """Evaluation as torchvision's references have it: Resize and CenterCrop by Pillow, then a tensor."""
    return v2.Compose([v2.Resize(spec.side), v2.CenterCrop(spec.side), *_to_tensor(spec)])


def augmented(spec: Spec) -> v2.Compose:
    """The same with small affine changes, as far as Headstart's go: letters may not be flipped."""
    affine = v2.RandomAffine(12, translate=(0.09, 0.09), scale=(0.88, 1.12), shear=7)
    return v2.Compose([v2.Resize(spec.side), v2.CenterCrop(spec.side), affine, *_to_tensor(spec)])


def _to_tensor(spec: Spec) -> list[nn.Module]:
    return [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(spec.mean, spec.std)]


def loader(
    folder: Path, spec: Spec, *, training: bool, augment: bool, most: int = 0
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of a folder of class folders; in training shuffled, and without what does not fill a batch.

    most: rows that are read, evenly of the classes; 0: all.
    """
    data = ImageFolder(folder, augmented(spec) if augment else plain(spec))
    if most:
        data = torch.utils.data.Subset(data, torch.linspace(0, len(data) - 1, most).long().tolist())
    return DataLoader(data, batch_size=spec.batch, shuffle=training, drop_last=training)


def network(spec: Spec, classes: int = CLASSES) -> nn.Module:
    """torchvision's ResNet-18 with W's body and a new head."""
    net = resnet18(weights=None, num_classes=classes)
    net.load_state_dict(body(spec), strict=False)
    return net


def body(spec: Spec) -> dict[str, Tensor]:
    """W without its head."""
    return {name: tensor for name, tensor in load_file(spec.weights).items() if not name.startswith("fc.")}


def fix(net: nn.Module, names: tuple[str, ...]) -> None:
    """No gradients for these parts."""
    for name in names:
        net.get_submodule(name).requires_grad_(False)


def train_mode(net: nn.Module, fixed: tuple[str, ...]) -> None:
    """Training mode, but for the fixed parts: their BatchNorm's statistics are fixed too."""
    net.train()
    for name in fixed:
        net.get_submodule(name).eval()


@torch.inference_mode()
def accuracy(net: nn.Module, batches: DataLoader[tuple[Tensor, Tensor]]) -> float:
    net.eval()
    right = [(net(images).argmax(1) == labels).float() for images, labels in batches]
    return float(torch.cat(right).mean())


class Fit(Protocol):
    """Trains a network in place; what is fixed stays in evaluation mode."""

    def __call__(self, net: nn.Module, batches: Any, *, rate: float, epochs: int, fixed: tuple[str, ...]) -> None: ...


class Load(Protocol):
    """Batches of a folder of class folders; most: rows that are read, evenly of the classes, 0: all."""

    def __call__(self, folder: Path, spec: Spec, *, training: bool, augment: bool, most: int = 0) -> Any: ...


@dataclass(frozen=True)
class Peer:
    """A library whose user writes, or is given, the parts of a transfer.

    probe_rate, tune_rate, source_rate: of the head alone, of what is not fixed, and of everything from nothing. new: a
    network of so many classes. load, fit, hold: as the library has them; hold fixes parts. from_w: W's body under a new
    head.
    """

    probe_rate: float
    tune_rate: float
    source_rate: float
    fit: Fit
    new: Callable[[int], nn.Module] = lambda classes: resnet18(num_classes=classes)
    load: Load = loader
    from_w: Callable[[Spec], nn.Module] = network
    hold: Callable[[nn.Module, tuple[str, ...]], None] = fix

    def ingest(self, spec: Spec) -> Figures:
        return ingested(
            spec, lambda augment: self.load(spec.source, spec, training=True, augment=augment, most=spec.images)
        )

    def pretrain(self, spec: Spec) -> Figures:
        begin(spec)
        net = self.new(12)
        batches = self.load(spec.source, spec, training=True, augment=True, most=spec.images)
        with timed() as taken:
            self.fit(net, batches, rate=self.source_rate, epochs=1, fixed=())
        return {"image": 1e3 * taken.cpu / (len(batches) * spec.batch)}

    def probe(self, spec: Spec) -> Figures:
        return self._transfer(spec, BODY, self.probe_rate)

    def frozen(self, spec: Spec) -> Figures:
        return self._transfer(spec, FIXED, self.tune_rate)

    def cell(self, spec: Spec) -> Figures:
        """One cell of a sweep: the first labels of each class, and nothing or the body fixed."""
        fixed, rate = {"probe": (BODY, self.probe_rate), "full": ((), self.tune_rate)}[spec.ways[0]]
        return self._transfer(spec, fixed, rate, most=spec.labels[0] * CLASSES)

    def extract(self, spec: Spec, net: nn.Module) -> Figures:
        """The images are in memory, as tensors, before the clock starts. net: gives features."""
        net.eval()
        loaded = self.load(spec.source, spec, training=False, augment=False, most=spec.images)
        batches = [images for images, _ in loaded]
        with timed() as taken, torch.inference_mode():
            torch.cat([net(images) for images in batches])
        return {"image": 1e3 * taken.cpu / spec.images}

    def predict(self, spec: Spec, transform: Callable[[Image.Image], Tensor]) -> Figures:
        """transform: of one image, as the library has it for evaluation."""
        begin(spec)
        net = self.from_w(spec).eval()

        @torch.inference_mode()
        def one(path: object) -> int:
            with Image.open(path) as image:  # type: ignore[arg-type]
                return int(net(transform(image.convert("RGB"))[None]).softmax(1).argmax())

        batches = self.load(spec.test, spec, training=False, augment=False)
        with timed() as taken, torch.inference_mode():
            torch.cat([net(images).softmax(1) for images, _ in batches])
        batch = 1e3 * taken.cpu / len(batches.dataset)
        return {"batch": batch, **singly(one, files_below(spec.test, spec.singles))}

    def _transfer(self, spec: Spec, fixed: tuple[str, ...], rate: float, most: int = 0) -> Figures:
        begin(spec)
        with timed() as taken:
            net = self.from_w(spec)
            self.hold(net, fixed)
            batches = self.load(spec.train, spec, training=True, augment=True, most=most)
            self.fit(net, batches, rate=rate, epochs=spec.epochs, fixed=fixed)
        return {"job": taken.cpu, "accuracy": accuracy(net, self.load(spec.test, spec, training=False, augment=False))}


def ingested(spec: Spec, batches_of: Callable[[bool], Iterable[object]]) -> Figures:
    """Milliseconds an image of one pass over the source, plain and augmented; a later pass costs a peer the same."""
    begin(spec)
    found = {}
    for name, augment in (("", False), ("_augmented", True)):
        with timed() as taken:
            for _ in batches_of(augment):
                pass
        found |= dict.fromkeys((f"first{name}", f"later{name}"), 1e3 * taken.cpu / spec.images)
    return found


def step_through(net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], optimizer: torch.optim.Optimizer) -> None:
    """One epoch of the plain loop."""
    criterion = nn.CrossEntropyLoss()
    for images, labels in batches:
        loss = criterion(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
