"""What the peers share that is none of theirs: the folders as torchvision reads them, W, and the score."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18
from torchvision.transforms import v2

from benchmarks.speed.child import Spec

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
