"""timm: create_model, its loader with its training transforms, AdamW and its cosine schedule, as its train.py does."""

from pathlib import Path

import timm
import torch
from timm.data import create_dataset, create_loader, create_transform
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import freeze
from torch import nn

from benchmarks.peers.common import CLASSES, Peer, begin, body, step_through, train_mode
from benchmarks.speed.child import Figures, Spec, main


def new(classes: int) -> nn.Module:
    return timm.create_model("resnet18", num_classes=classes)


def from_w(spec: Spec) -> nn.Module:
    net = new(CLASSES)
    net.load_state_dict(body(spec), strict=False)
    return net


def load(folder: Path, spec: Spec, *, training: bool, augment: bool, most: int = 0):
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


def fit(net: nn.Module, batches, *, rate: float, epochs: int, fixed: tuple[str, ...]) -> None:
    optimizer = create_optimizer_v2(net, opt="adamw", lr=rate, weight_decay=0.05)
    schedule, _ = create_scheduler_v2(optimizer, sched="cosine", num_epochs=epochs, warmup_epochs=0)
    train_mode(net, fixed)
    for epoch in range(epochs):
        step_through(net, batches, optimizer)
        schedule.step(epoch + 1)


def hold(net: nn.Module, names: tuple[str, ...]) -> None:
    if names:  # of no names it freezes everything
        freeze(net, list(names))


PEER = Peer(probe_rate=1e-2, tune_rate=1e-3, source_rate=1e-3, fit=fit, new=new, load=load, from_w=from_w, hold=hold)


def extraction(spec: Spec) -> Figures:
    """As its documentation of feature extraction has it: num_classes=0."""
    begin(spec)
    net = new(0)
    net.load_state_dict(body(spec))
    return PEER.extract(spec, net)


def predict(spec: Spec) -> Figures:
    transform = create_transform((3, spec.side, spec.side), mean=spec.mean, std=spec.std, crop_pct=1.0)
    return PEER.predict(spec, transform)


if __name__ == "__main__":
    main({"ingest": PEER.ingest, "pretrain": PEER.pretrain, "probe": PEER.probe, "frozen": PEER.frozen,
          "extraction": extraction, "predict": predict, "cell": PEER.cell})  # fmt: skip
