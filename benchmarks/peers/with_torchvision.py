"""torchvision: the loop of its references (references/classification): SGD with momentum, a cosine schedule."""

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.peers.common import Peer, begin, network, plain, step_through, train_mode
from benchmarks.speed.child import Figures, Spec, main


def fit(net: nn.Module, batches: DataLoader, *, rate: float, epochs: int, fixed: tuple[str, ...]) -> None:
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, rate, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    train_mode(net, fixed)
    for _ in range(epochs):
        step_through(net, batches, optimizer)
        schedule.step()


# the references' 0.1 is for a batch of 256 and everything; a head alone stands it
PEER = Peer(probe_rate=0.1, tune_rate=0.02, source_rate=0.1, fit=fit)


def extraction(spec: Spec) -> Figures:
    begin(spec)
    net = network(spec)
    net.fc = nn.Identity()
    return PEER.extract(spec, net)


def predict(spec: Spec) -> Figures:
    return PEER.predict(spec, plain(spec))


if __name__ == "__main__":
    main({"ingest": PEER.ingest, "pretrain": PEER.pretrain, "probe": PEER.probe, "frozen": PEER.frozen,
          "extraction": extraction, "predict": predict})  # fmt: skip
