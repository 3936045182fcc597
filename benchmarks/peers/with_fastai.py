"""fastai: ImageDataLoaders with aug_transforms, its own head, fit_one_cycle: as vision_learner puts them together.

As it does by default, BatchNorm in frozen layers goes on learning.
"""

from pathlib import Path

import torch
from fastai.vision.all import (
    CrossEntropyLossFlat,
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    aug_transforms,
    create_body,
    create_head,
    get_image_files,
    params,
)
from torch import nn
from torchvision.models import resnet18

from benchmarks.peers.common import CLASSES, begin, ingested, network
from benchmarks.speed.child import Figures, Spec, files_below, main, singly, timed

RATE = 2e-3  # fine_tune's base_lr
WIDTH = 512  # of ResNet-18's features
LAYER3 = 6  # place of the third stage in the body


def ingest(spec: Spec) -> Figures:
    files = _some(spec.source, spec.images)
    loaders = {augment: _loaders(files, spec, augment=augment) for augment in (False, True)}
    return ingested(spec, lambda augment: loaders[augment].train)


def pretrain(spec: Spec) -> Figures:
    begin(spec)
    learner = _learner(resnet18(num_classes=12), _loaders(_some(spec.source, spec.images), spec, augment=True))
    with timed() as taken, learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(1, RATE)
    return {"image": 1e3 * taken.cpu / (len(learner.dls.train) * spec.batch)}


def probe(spec: Spec) -> Figures:
    """The body frozen."""
    return _transfer(spec, _body_and_head)


def frozen(spec: Spec) -> Figures:
    """The stem and the first two of the four stages frozen."""
    return _transfer(spec, lambda net: [params(net[0][:LAYER3]), params(net[0][LAYER3:]) + params(net[1])])


def cell(spec: Spec) -> Figures:
    """One cell of a sweep: the first labels of each class, and nothing or the body frozen."""
    files = files_below(spec.train, spec.labels[0] * CLASSES)
    if spec.ways[0] == "probe":
        return _transfer(spec, _body_and_head, files=files)
    return _transfer(spec, params, frozen_groups=0, files=files)


def predict(spec: Spec) -> Figures:
    begin(spec)
    learner = _learner(_with_head(spec), _loaders(get_image_files(spec.test), spec, augment=False))
    with learner.no_bar(), learner.no_logging():
        figures = singly(learner.predict, files_below(spec.test, spec.singles))
        files = get_image_files(spec.test)
        with timed() as taken:
            learner.get_preds(dl=learner.dls.test_dl(files))
    return {"batch": 1e3 * taken.cpu / len(files), **figures}


def _body_and_head(net: nn.Module) -> list:
    return [params(net[0]), params(net[1])]


def _transfer(spec: Spec, splitter, *, frozen_groups: int = 1, files: list[Path] | None = None) -> Figures:
    begin(spec)
    with timed() as taken:
        loaders = _loaders(files or get_image_files(spec.train), spec, augment=True)
        learner = _learner(_with_head(spec), loaders, splitter=splitter)
        learner.freeze_to(frozen_groups)
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(spec.epochs, RATE)
    files = get_image_files(spec.test)
    with learner.no_bar(), learner.no_logging():
        scores, _ = learner.get_preds(dl=loaders.test_dl(files))
    wanted = torch.tensor([loaders.vocab.o2i[path.parent.name] for path in files])
    return {"job": taken.cpu, "accuracy": float((scores.argmax(1) == wanted).float().mean())}


def _some(folder: Path, most: int) -> list[Path]:
    files = sorted(get_image_files(folder))
    return [files[row] for row in torch.linspace(0, len(files) - 1, most).long().tolist()]


def _loaders(files: list[Path], spec: Spec, *, augment: bool) -> ImageDataLoaders:
    """All files are for training: what is held back is in another folder. Letters may not be flipped."""
    batch = [*(aug_transforms(do_flip=False) if augment else []), Normalize.from_stats(spec.mean, spec.std, cuda=False)]
    return ImageDataLoaders.from_path_func(
        Path(), files, lambda path: path.parent.name, valid_pct=0, item_tfms=Resize(spec.side), batch_tfms=batch,
        bs=spec.batch, num_workers=0, seed=spec.seed, device=torch.device("cpu"),
    )  # fmt: skip


def _with_head(spec: Spec) -> nn.Module:
    return nn.Sequential(create_body(network(spec), cut=-2), create_head(WIDTH, CLASSES))


def _learner(net: nn.Module, loaders: ImageDataLoaders, **options) -> Learner:
    return Learner(loaders, net, loss_func=CrossEntropyLossFlat(), **options)


if __name__ == "__main__":
    main({"ingest": ingest, "pretrain": pretrain, "probe": probe, "frozen": frozen, "predict": predict, "cell": cell})
