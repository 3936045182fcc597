"""timm: create_model, its loader with its training transforms, AdamW and its cosine schedule, as its train.py does."""

from pathlib import Path

import timm
import torch
from PIL import Image
from timm.data import create_dataset, create_loader, create_transform
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import freeze
from torch import nn

from benchmarks.peers.common import CLASSES, FIXED, accuracy, begin, body, train_mode
from benchmarks.speed.child import Figures, Spec, files_below, main, singly, timed

BODY = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
PROBE_RATE, TUNE_RATE = 1e-2, 1e-3  # AdamW


def ingest(spec: Spec) -> Figures:
    begin(spec)
    found = {}
    for name, augment in (("plain", False), ("augmented", True)):
        with timed() as taken:
            for _ in _loader(spec.source, spec, training=True, augment=augment, most=spec.images):
                pass
        found[name] = 1e3 * taken.cpu / spec.images
    return {"first": found["plain"], "later": found["plain"], "first_augmented": found["augmented"],
            "later_augmented": found["augmented"]}  # fmt: skip


def pretrain(spec: Spec) -> Figures:
    begin(spec)
    net = timm.create_model("resnet18", num_classes=12)
    batches = _loader(spec.source, spec, training=True, augment=True, most=spec.images)
    with timed() as taken:
        _fit(net, batches, rate=TUNE_RATE, epochs=1, fixed=())
    return {"image": 1e3 * taken.cpu / (len(batches) * spec.batch)}


def probe(spec: Spec) -> Figures:
    return _transfer(spec, BODY, PROBE_RATE)


def frozen(spec: Spec) -> Figures:
    return _transfer(spec, FIXED, TUNE_RATE)


def extraction(spec: Spec) -> Figures:
    """As its documentation of feature extraction has it: num_classes=0. The images are in memory as tensors."""
    begin(spec)
    net = timm.create_model("resnet18", num_classes=0).eval()
    net.load_state_dict(body(spec))
    batches = [images for images, _ in _loader(spec.source, spec, training=False, augment=False, most=spec.images)]
    with timed() as taken, torch.inference_mode():
        torch.cat([net(images) for images in batches])
    return {"image": 1e3 * taken.cpu / spec.images}


def predict(spec: Spec) -> Figures:
    begin(spec)
    net = _network(spec).eval()
    transform = create_transform((3, spec.side, spec.side), mean=spec.mean, std=spec.std, crop_pct=1.0)

    @torch.inference_mode()
    def one(path: object) -> int:
        with Image.open(path) as image:
            return int(net(transform(image.convert("RGB"))[None]).softmax(1).argmax())

    batches = _loader(spec.test, spec, training=False, augment=False)
    with timed() as taken, torch.inference_mode():
        torch.cat([net(images).softmax(1) for images, _ in batches])
    images = len(batches.dataset)
    return {"batch": 1e3 * taken.cpu / images, **singly(one, files_below(spec.test, spec.singles))}


def _transfer(spec: Spec, fixed: tuple[str, ...], rate: float) -> Figures:
    begin(spec)
    with timed() as taken:
        net = _network(spec)
        freeze(net, list(fixed))
        _fit(net, _loader(spec.train, spec, training=True, augment=True), rate=rate, epochs=spec.epochs, fixed=fixed)
    return {"job": taken.cpu, "accuracy": accuracy(net, _loader(spec.test, spec, training=False, augment=False))}


def _network(spec: Spec) -> nn.Module:
    net = timm.create_model("resnet18", num_classes=CLASSES)
    net.load_state_dict(body(spec), strict=False)
    return net


def _loader(folder: Path, spec: Spec, *, training: bool, augment: bool, most: int = 0):
    """Letters may not be flipped; crops keep most of them."""
    data = create_dataset("", root=str(folder), is_training=training)
    if most:
        samples = data.reader.samples
        data.reader.samples = [samples[row] for row in torch.linspace(0, len(samples) - 1, most).long().tolist()]
    return create_loader(
        data, input_size=(3, spec.side, spec.side), batch_size=spec.batch, is_training=training, no_aug=not augment,
        hflip=0.0, scale=(0.7, 1.0), mean=spec.mean, std=spec.std, crop_pct=1.0, interpolation="bicubic",
        num_workers=0, persistent_workers=False, use_prefetcher=False, device=torch.device("cpu"),
    )  # fmt: skip


def _fit(net: nn.Module, batches, *, rate: float, epochs: int, fixed: tuple[str, ...]) -> None:
    optimizer = create_optimizer_v2(net, opt="adamw", lr=rate, weight_decay=0.05)
    schedule, _ = create_scheduler_v2(optimizer, sched="cosine", num_epochs=epochs, warmup_epochs=0)
    criterion = nn.CrossEntropyLoss()
    train_mode(net, fixed)
    for epoch in range(epochs):
        for images, labels in batches:
            loss = criterion(net(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step(epoch + 1)


if __name__ == "__main__":
    main({"ingest": ingest, "pretrain": pretrain, "probe": probe, "frozen": frozen, "extraction": extraction,
          "predict": predict})  # fmt: skip
