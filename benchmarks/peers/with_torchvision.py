"""torchvision: the loop of its references (references/classification): SGD with momentum, a cosine schedule."""

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision.models import resnet18

from benchmarks.peers.common import FIXED, accuracy, begin, fix, loader, network, plain, train_mode
from benchmarks.speed.child import Figures, Spec, files_below, main, singly, timed

BODY = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
PROBE_RATE, TUNE_RATE = 0.1, 0.02  # the references' 0.1 is for a batch of 256 and everything; a head alone stands it


def ingest(spec: Spec) -> Figures:
    begin(spec)
    found = {}
    for name, augment in (("plain", False), ("augmented", True)):
        with timed() as taken:
            for _ in loader(spec.source, spec, training=True, augment=augment, most=spec.images):
                pass
        found[name] = 1e3 * taken.cpu / spec.images
    return {"first": found["plain"], "later": found["plain"], "first_augmented": found["augmented"],
            "later_augmented": found["augmented"]}  # fmt: skip


def pretrain(spec: Spec) -> Figures:
    begin(spec)
    net = resnet18(num_classes=12)
    batches = loader(spec.source, spec, training=True, augment=True, most=spec.images)
    with timed() as taken:
        _fit(net, batches, rate=0.1, epochs=1, fixed=())
    return {"image": 1e3 * taken.cpu / (len(batches) * spec.batch)}


def probe(spec: Spec) -> Figures:
    return _transfer(spec, BODY, PROBE_RATE)


def frozen(spec: Spec) -> Figures:
    return _transfer(spec, FIXED, TUNE_RATE)


def extraction(spec: Spec) -> Figures:
    """The images are in memory, as tensors, before the clock starts."""
    begin(spec)
    net = network(spec)
    net.fc = nn.Identity()
    net.eval()
    batches = [images for images, _ in loader(spec.source, spec, training=False, augment=False, most=spec.images)]
    with timed() as taken, torch.inference_mode():
        torch.cat([net(images) for images in batches])
    return {"image": 1e3 * taken.cpu / spec.images}


def predict(spec: Spec) -> Figures:
    begin(spec)
    net, transform = network(spec).eval(), plain(spec)

    @torch.inference_mode()
    def one(path: object) -> int:
        with Image.open(path) as image:
            return int(net(transform(image.convert("RGB"))[None]).softmax(1).argmax())

    batches = loader(spec.test, spec, training=False, augment=False)
    with timed() as taken, torch.inference_mode():
        torch.cat([net(images).softmax(1) for images, _ in batches])
    images = len(batches.dataset)
    return {"batch": 1e3 * taken.cpu / images, **singly(one, files_below(spec.test, spec.singles))}


def _transfer(spec: Spec, fixed: tuple[str, ...], rate: float) -> Figures:
    begin(spec)
    with timed() as taken:
        net = network(spec)
        fix(net, fixed)
        _fit(net, loader(spec.train, spec, training=True, augment=True), rate=rate, epochs=spec.epochs, fixed=fixed)
    return {"job": taken.cpu, "accuracy": accuracy(net, loader(spec.test, spec, training=False, augment=False))}


def _fit(net: nn.Module, batches: DataLoader, *, rate: float, epochs: int, fixed: tuple[str, ...]) -> None:
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, rate, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    criterion = nn.CrossEntropyLoss()
    train_mode(net, fixed)
    for _ in range(epochs):
        for images, labels in batches:
            loss = criterion(net(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()


if __name__ == "__main__":
    main({"ingest": ingest, "pretrain": pretrain, "probe": probe, "frozen": frozen, "extraction": extraction,
          "predict": predict})  # fmt: skip
