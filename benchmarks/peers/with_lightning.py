"""Lightning: a plain LightningModule with Adam at 1e-3, as its first page has it, and its Trainer."""

import logging
import warnings

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.models import resnet18

from benchmarks.peers.common import FIXED, accuracy, begin, fix, loader, network, train_mode
from benchmarks.speed.child import Figures, Spec, main, timed

BODY = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
PROBE_RATE, TUNE_RATE = 1e-2, 1e-3  # Adam; a head alone learns too slowly at the page's rate

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")


class Classifier(lightning.LightningModule):
    def __init__(self, net: nn.Module, *, rate: float, fixed: tuple[str, ...]):
        super().__init__()
        self.net, self.rate, self.fixed = net, rate, fixed

    def on_train_epoch_start(self) -> None:
        train_mode(self.net, self.fixed)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        images, labels = batch
        return nn.functional.cross_entropy(self.net(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam((own for own in self.parameters() if own.requires_grad), self.rate)


def pretrain(spec: Spec) -> Figures:
    begin(spec)
    net = resnet18(num_classes=12)
    batches = loader(spec.source, spec, training=True, augment=True, most=spec.images)
    with timed() as taken:
        _fit(net, batches, rate=TUNE_RATE, epochs=1, fixed=())
    return {"image": 1e3 * taken.cpu / (len(batches) * spec.batch)}


def probe(spec: Spec) -> Figures:
    return _transfer(spec, BODY, PROBE_RATE)


def frozen(spec: Spec) -> Figures:
    return _transfer(spec, FIXED, TUNE_RATE)


def _transfer(spec: Spec, fixed: tuple[str, ...], rate: float) -> Figures:
    begin(spec)
    with timed() as taken:
        net = network(spec)
        fix(net, fixed)
        _fit(net, loader(spec.train, spec, training=True, augment=True), rate=rate, epochs=spec.epochs, fixed=fixed)
    return {"job": taken.cpu, "accuracy": accuracy(net, loader(spec.test, spec, training=False, augment=False))}


def _fit(net: nn.Module, batches: DataLoader, *, rate: float, epochs: int, fixed: tuple[str, ...]) -> None:
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Classifier(net, rate=rate, fixed=fixed), batches)


if __name__ == "__main__":
    main({"pretrain": pretrain, "probe": probe, "frozen": frozen})
