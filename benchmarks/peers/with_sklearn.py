"""The scikit-learn script: torchvision's features once, then its logistic regression."""

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.peers.common import begin, loader, network
from benchmarks.speed.child import Figures, Spec, main, timed


def probe(spec: Spec) -> Figures:
    begin(spec)
    with timed() as taken:
        net = network(spec)
        net.fc = nn.Identity()
        net.eval()
        features, labels = _features(net, loader(spec.train, spec, training=False, augment=False))
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features, labels)
    features, labels = _features(net, loader(spec.test, spec, training=False, augment=False))
    return {"job": taken.cpu, "accuracy": float(model.score(features, labels))}


@torch.inference_mode()
def _features(net: nn.Module, batches: DataLoader) -> tuple[Tensor, Tensor]:
    found = [(net(images), labels) for images, labels in batches]
    features, labels = zip(*found, strict=True)
    return torch.cat(features).numpy(), torch.cat(labels).numpy()


if __name__ == "__main__":
    main({"probe": probe})
