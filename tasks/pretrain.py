"""pretrain: the source model W (the article's step 1)."""

from headstart.datasets.pack import Pack, pack_digest
from headstart.datasets.weights_folder import find_weights
from headstart.objectives.kinds import kind_of
from headstart.storage.publish import digest
from headstart.training.accelerator import Accelerator, seed_of
from headstart.training.adopt import MATCHES, adopt
from headstart.training.checkpoint import Checkpoints
from headstart.training.pretrain import pretrain as train_source
from tasks.step import Context, Outcome, log
from tasks.workers import get_ready

SHOWN = 4  # names of tensors in a line


def pretrain(context: Context, source: str) -> Outcome:
    """Trains the backbone on the source and publishes models/source/<source>; or adopts the source's weights."""
    workspace, settings = context.workspace, context.settings
    if find_weights(workspace.data(source)):
        return _adopt(context, source)
    pack = Pack(workspace.pack(source))
    key = digest(
        [
            pack_digest(pack.directory),
            settings.pretrain.model_dump(),
            settings.backbone,
            settings.seed,
            context.code(f"pretrain@{source}"),
        ]
    )
    kind, reached = kind_of(pack.card), 0.0

    def say(epoch: int, epochs: int, loss: float, score: float) -> None:
        nonlocal reached
        reached = score
        log.info("pretrain epoch %d/%d: loss %.3f, validation %s %.3f", epoch, epochs, loss, kind.word, score)
        context.metrics({"train.loss": loss, f"validation.{kind.metric}": score}, epoch)
        context.progress(f"pretraining on {source}", epoch, epochs)

    assert context.device is not None
    if context.device.kind == "cpu" and not context.machines:
        get_ready()  # W trains on one core; the workers for the cells get ready on the others
    accelerator = Accelerator(context.device.torch_name)
    accelerator.start()
    directory = workspace.weights(source)
    card = train_source(
        pack,
        directory,
        backbone=settings.backbone,
        settings=settings.pretrain,
        seed=settings.seed,
        accelerator=accelerator,
        checkpoints=Checkpoints(workspace.cells / f"pretrain-{key}"),
        log=say,
    )
    return Outcome(
        f"W: {settings.backbone} on {source}",
        params={"backbone": settings.backbone, "source": source, **settings.pretrain.model_dump()},
        metrics={"compute": card.flops or 0.0} | ({kind.metric: reached} if reached else {}),
        artifacts=(directory,),
        datasets=(source,),
    )


def _adopt(context: Context, source: str) -> Outcome:
    workspace, settings = context.workspace, context.settings
    directory = workspace.weights(source)
    card, match = adopt(
        workspace.data(source),
        directory,
        backbone=settings.backbone,
        channels=settings.data.channels,
        image_size=settings.data.image_size,
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
