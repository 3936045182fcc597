"""extract: what each W computes of its source and of the target is written once, for every strategy that reads it."""

from headstart.datasets.pack import Pack, pack_digest
from headstart.features.extract import extract as write_features
from headstart.features.extract import reads_of
from headstart.features.files import PACKS
from headstart.storage.publish import write_json
from headstart.training.accelerator import Accelerator
from tasks.step import Context, Outcome


def extract(context: Context) -> Outcome:
    """Publishes features/<source>/<source> and features/<source>/<target> of every source, and who reads what of it."""
    workspace, settings = context.workspace, context.settings
    sources, target = settings.source.data, settings.target.data
    workspace.prune_sources(sources)
    digests = {source: _extract(context, source) for source in sources}
    for strategy, reads in reads_of(digests).items():
        write_json(workspace.reads(strategy), reads)
    packs = {name: pack_digest(workspace.pack(name)) for name in (*sources, target)}
    write_json(workspace.features_root / PACKS, packs)
    boundary = settings.recipe("frozen_blocks").fixed_blocks
    return Outcome(
        f"features of {', '.join(sources)} and {target} under W, activations after {boundary} blocks",
        params={"boundary": boundary, **settings.extract.model_dump()},
        datasets=(*sources, target),
    )


def _extract(context: Context, source: str) -> dict[str, str]:
    workspace, settings = context.workspace, context.settings
    target = settings.target.data
    assert context.device is not None
    accelerator = Accelerator(context.device.torch_name, precision=settings.precision)
    accelerator.start()
    return write_features(
        Pack(workspace.pack(source)),
        Pack(workspace.pack(target)),
        weights=workspace.weights(source),
        directories=(workspace.features(source, source), workspace.features(source, target)),
        settings=settings.extract,
        boundary=settings.recipe("frozen_blocks").fixed_blocks,
        seed=settings.seed,
        accelerator=accelerator,
        progress=lambda done, of: context.progress(f"extracting features under W of {source}", done, of),
    )
