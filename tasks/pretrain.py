"""pretrain: the source model W (the article's step 1)."""

from dataclasses import dataclass
from pathlib import Path

from headstart.datasets.pack import Pack, pack_digest
from headstart.datasets.weights_folder import find_weights
from headstart.objectives.kinds import kind_of
from headstart.storage.publish import digest
from headstart.training.accelerator import Accelerator, seed_of
from headstart.training.adopt import MATCHES, adopt
from headstart.training.chance import read_warning
from headstart.training.checkpoint import Checkpoints
from headstart.training.pretrain import Log
from headstart.training.pretrain import pretrain as train_source
from headstart.training.settings import PretrainSettings
from headstart.training.weights import read_card
from tasks.ranks import Tell, run_ranks
from tasks.step import Context, Outcome, log
from tasks.workers import get_ready

SHOWN = 4  # names of tensors in a line


def pretrain(context: Context, source: str) -> Outcome:
    """Trains the backbone on the source and publishes models/source/<source>; or adopts the source's weights."""
    workspace, settings = context.workspace, context.settings
    if find_weights(workspace.data(source)):
        return _adopt(context, source)
    pack = Pack(workspace.pack(source))
    what = [pack_digest(pack.directory), settings.pretrain.model_dump(), settings.backbone, settings.seed]
    what += [context.code(f"pretrain@{source}"), *([settings.devices] if settings.devices > 1 else [])]
    what += [settings.precision] if settings.precision != "auto" else []
    training = Training(
        pack=pack.directory,
        directory=workspace.weights(source),
        backbone=settings.backbone,
        settings=settings.pretrain,
        seed=settings.seed,
        checkpoints=workspace.cells / f"pretrain-{digest(what)}",
    )
    kind, reached = kind_of(pack.card), 0.0

    def say(epoch: int, epochs: int, loss: float, score: float) -> None:
        nonlocal reached
        reached = score
        log.info("pretrain epoch %d/%d: loss %.3f, validation %s %.3f", epoch, epochs, loss, kind.word, score)
        context.metrics({"train.loss": loss, f"validation.{kind.metric}": score}, epoch)
        context.progress(f"pretraining on {source}", epoch, epochs)

    if context.beside:
        for told in run_ranks(training.tell, context.devices, settings.precision):
            say(*told)
    else:
        assert context.device is not None
        if context.device.kind == "cpu" and not context.machines:
            get_ready()  # W trains on one core; the workers for the cells get ready on the others
        accelerator = Accelerator(
            context.device.torch_name, cache=str(workspace.compiled), precision=settings.precision
        )
        accelerator.start()
        training.run(accelerator, say)
    directory, card = training.directory, read_card(training.directory)
    if warning := read_warning(directory):
        log.warning("pretrain: %s", warning)  # evaluate has it once more, beside the verdict
    return Outcome(
        f"W: {settings.backbone} on {source}",
        params={"backbone": settings.backbone, "source": source, **settings.pretrain.model_dump()},
        metrics={"compute": card.flops or 0.0} | ({kind.metric: reached} if reached else {}),
        artifacts=(directory,),
        datasets=(source,),
        spent=(training.checkpoints,),
    )


@dataclass(frozen=True)
class Training:
    """W's training as a rank is given it. pack, directory, checkpoints: folders."""

    pack: Path
    directory: Path
    backbone: str
    settings: PretrainSettings
    seed: int
    checkpoints: Path

    def run(self, accelerator: Accelerator, log: Log) -> None:
        """Publishes W."""
        train_source(
            Pack(self.pack),
            self.directory,
            backbone=self.backbone,
            settings=self.settings,
            seed=self.seed,
            accelerator=accelerator,
            checkpoints=Checkpoints(self.checkpoints),
            log=log,
        )

    def tell(self, accelerator: Accelerator, tell: Tell) -> None:
        """What each rank does; the first one tells of its epochs."""
        self.run(accelerator, lambda *said: tell(said))


def _adopt(context: Context, source: str) -> Outcome:
    workspace, settings = context.workspace, context.settings
    directory = workspace.weights(source)
    card, match = adopt(
        workspace.data(source),
        directory,
        backbone=settings.backbone,
        settings=settings.data,
        seed=seed_of(settings.seed, "adopt"),
    )
    line = f"W: {settings.backbone} with {len(match.taken):,} tensors of {source}"
    line += f"; from random values: {_some(match.fresh)}" if match.fresh else ""
    line += f"; not used: {_some(match.unused)}" if match.unused else ""
    return Outcome(
        f"{line} ({directory.relative_to(workspace.root)}/{MATCHES})",
        params={"backbone": settings.backbone, "source": source, "classes": len(card.classes)},
        metrics={"tensors.taken": len(match.taken), "tensors.fresh": len(match.fresh)},
        artifacts=(directory,),
        datasets=(source,),
    )


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
