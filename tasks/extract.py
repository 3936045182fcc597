"""extract: what W computes of source and target is written once, for every strategy that reads it."""

from headstart.datasets.pack import Pack
from headstart.features.extract import extract as write_features
from headstart.training.accelerator import Accelerator
from tasks.step import Context, Outcome


def extract(context: Context) -> Outcome:
    """Publishes features/<source>/<source> and features/<source>/<target>."""
    workspace, settings = context.workspace, context.settings
    source, target = settings.source.data, settings.target.data
    assert context.device is not None
    accelerator = Accelerator(context.device.torch_name)
    accelerator.start()
    boundary = settings.recipe("frozen_blocks").fixed_blocks
    write_features(
        Pack(workspace.pack(source)),
        Pack(workspace.pack(target)),
        weights=workspace.weights(source),
        directories=(workspace.features(source, source), workspace.features(source, target)),
        settings=settings.extract,
        boundary=boundary,
        seed=settings.seed,
        accelerator=accelerator,
        progress=lambda done, of: context.progress("extracting features", done, of),
    )
    return Outcome(
        f"features of {source} and {target} under W, activations after {boundary} blocks",
        params={"boundary": boundary, **settings.extract.model_dump()},
        datasets=(source, target),
    )
