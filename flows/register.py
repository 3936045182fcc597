"""Data as people have it becomes a dataset of the project: data/<name>, under DVC."""

from dataclasses import dataclass
from pathlib import Path

from flows.console import show
from flows.weights import WEIGHTS
from headstart.datasets.settings import DataSettings
from headstart.datasets.table import is_built_in, torchvision_name
from headstart.errors import UserError
from tasks.workspace import Workspace

EXTRAS = {
    WEIGHTS: "skips pretraining: a .safetensors or .pth file, IMAGENET1K_V1 (torchvision) or pretrained (timm)",
    "target.test_data": "an own test set for --target.data PATH: a folder of class folders, or a table, of its kind",
    "target.unlabelled": "a folder of images without labels for --target.data PATH; they are kept beside the rows",
}  # flags that are no settings: what they name becomes a dataset, or part of one


@dataclass(frozen=True)
class Registration:
    """What a flag of a dataset comes to: the dataset's name, and the files it is to be made of, where it is new."""

    name: str
    text: str
    collection: object = None


def look_up(
    workspace: Workspace, text: str, settings: DataSettings, *, test_data: str = "", unlabelled: str = ""
) -> Registration:
    """Finds out what `text` means: the name of a dataset, torchvision:NAME, or a path. Copies nothing.

    Raises:
        UserError: a path is no folder or table, its name is taken, or an own test set comes without a path.
    """
    path = Path(text).expanduser()
    name = torchvision_name(text)
    inside = path.resolve().parent == workspace.root / "data"
    is_name = path.parent == Path(".") and not path.is_dir() and not (path.is_file() and path.suffix)
    if name != text or is_name or (inside and path.is_dir()):
        if test_data or unlabelled:
            raise UserError(
                f"{text} is a dataset of the project already, and stays as it is; --target.test_data and "
                "--target.unlabelled go with the path of a new one"
            )
        return Registration(path.resolve().name if inside else name, text)
    from headstart.datasets.collect import collect

    extras = {"test_data": _path(workspace, test_data), "unlabelled": _path(workspace, unlabelled)}
    collection = collect(path, settings, **extras)
    name = collection.name
    if is_built_in(name):
        raise UserError(f"{text}: {name} is the name of a built-in dataset; give your folder another name")
    if workspace.data(name).exists() or workspace.data(f"{name}.dvc").exists():
        raise UserError(
            f"data/{name} is there already; to use it: --target.data {name}. To put {text} there, remove it first "
            f"(rm -r data/{name} data/{name}.dvc), or give your folder another name"
        )
    return Registration(name, text, collection)


def register(workspace: Workspace, registration: Registration) -> None:
    """Puts the files of a new dataset to data/<name>, links where that is safe, and adds them to DVC."""
    from headstart.datasets.collect import Collection
    from tasks.versioning import versioning_of

    found = registration.collection
    if not isinstance(found, Collection):
        return
    versioning_of(workspace.root).add(found.files, workspace.data(found.name), texts=found.texts)
    show(
        f"{registration.text}: {found.images:,} images, now data/{found.name} and versioned by DVC "
        f"(commit data/{found.name}.dvc to keep it)"
    )


def _path(workspace: Workspace, text: str) -> Path | None:
    """A path, or the place of a dataset of the project; None where nothing is given."""
    path = Path(text).expanduser()
    named = path.parent == Path(".") and not path.exists() and workspace.data(text).is_dir()
    return None if not text else workspace.data(text) if named else path
