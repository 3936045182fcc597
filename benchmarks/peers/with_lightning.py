"""Lightning: a plain LightningModule with Adam at 1e-3, as its first page has it, and its Trainer."""

import logging
import warnings

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.peers.common import Peer, train_mode
from benchmarks.speed.child import main

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


def fit(net: nn.Module, batches: DataLoader, *, rate: float, epochs: int, fixed: tuple[str, ...]) -> None:
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Classifier(net, rate=rate, fixed=fixed), batches)


PEER = Peer(probe_rate=1e-2, tune_rate=1e-3, source_rate=1e-3, fit=fit)  # a head alone learns too slowly at the page's


if __name__ == "__main__":
    main({"pretrain": PEER.pretrain, "probe": PEER.probe, "frozen": PEER.frozen})
