"""pretrain: the source model W (the article's step 1)."""

from headstart.datasets.pack import Pack, pack_digest
from headstart.objectives.kinds import kind_of
from headstart.storage.publish import digest
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.pretrain import pretrain as train_source
from tasks.step import Context, Outcome, log
from tasks.workers import get_ready


def pretrain(context: Context) -> Outcome:
    """Trains the backbone on the source and publishes models/source/<source>."""
    workspace, settings = context.workspace, context.settings
    source = settings.source.data
    pack = Pack(workspace.pack(source))
    key = digest(
        [
            pack_digest(pack.directory),
            settings.pretrain.model_dump(),
            settings.backbone,
            settings.seed,
            context.code("pretrain"),
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
    if context.device.kind == "cpu":
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
        metrics={"compute": card.flops} | ({kind.metric: reached} if reached else {}),
        artifacts=(directory,),
        datasets=(source,),
    )
