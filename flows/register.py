"""Data as people have it becomes a dataset of the project: data/<name>, under DVC."""

import filecmp
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flows.console import show
from headstart.datasets.archive_names import is_archive
from headstart.datasets.settings import DataSettings, check_name
from headstart.datasets.table import get_built_in, is_built_in, torchvision_name
from headstart.errors import UserError
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from headstart.datasets.collect import Collection

WEIGHTS = "source.weights"
EXTRAS = {
    WEIGHTS: "skips pretraining: a .safetensors or .pth file, IMAGENET1K_V1 (torchvision) or pretrained (timm)",
    "target.test_data": "an own test set for --target.data PATH: a folder of class folders, or a table, of its kind",
    "target.unlabelled": "a folder of files without labels for --target.data PATH; they are kept beside the rows",
}  # flags that are no settings: what they name becomes a dataset, or part of one


@dataclass(frozen=True)
class Registration:
    """What a flag of a dataset comes to: the dataset's name, and what it is to be made of, where it is new.

    files, texts: as Versioning.add takes them; no files where it is there, or is fetched. what: it is, in words.
    """

    name: str
    text: str
    files: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    what: str = ""


def look_up(
    workspace: Workspace, text: str, settings: DataSettings, *, test_data: str = "", unlabelled: str = ""
) -> Registration:
    """Finds out what `text` means: the name of a dataset, torchvision:NAME, or a path. Copies nothing.

    Raises:
        UserError: a path is no folder or table, its name is taken, or an own test set comes without a path.
    """
    given = _expanded(text)
    path = opened(workspace, given, settings)
    if workspace.root.is_relative_to(path.resolve()) and path.is_dir():
        raise UserError(f"{text or 'an empty path'} is a folder that holds this project; give the folder of the data")
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

    collection = collect(
        path,
        settings,
        test_data=_path(workspace, test_data, settings),
        unlabelled=_path(workspace, unlabelled, settings),
        confined=any(is_archive(Path(part)) for part in (text, test_data)),
    )
    name = collection.name
    if not is_built_in(name) and same_files(workspace.data(name), collection.files, collection.texts):
        return Registration(name, text)
    check_free(workspace, name, text)
    return Registration(
        name,
        text,
        collection.files,
        collection.texts,
        f"{collection.rows:,} {settings.row_kind.many}{_left_out(collection)}",
    )


def opened(workspace: Workspace, path: Path, settings: DataSettings) -> Path:
    """The path; of an archive, the folder that it was unpacked to.

    Raises:
        DataError: see `unpack`.
    """
    if not (is_archive(path) and path.is_file()):
        return path
    from headstart.datasets.archive import unpack

    return unpack(path, workspace.own / "archives", settings.row_kind)


def _left_out(collection: "Collection") -> str:
    """What did not come along, in words."""
    if not collection.left_out:
        return ""
    place, reason = collection.left_out[0]
    return f" ({len(collection.left_out)} left out, such as {place}: {reason})"


def check_target(workspace: Workspace, registration: Registration, settings: DataSettings) -> None:
    """Refuses what ingest would refuse a target for, as far as files tell it, while nothing is copied or written.

    Raises:
        DataError: see `foresee_target`.
    """
    from headstart.datasets.arrange import refuse_attributes
    from headstart.datasets.foreseen import foresee_target

    data = workspace.data(registration.name)
    if registration.files:
        given = _expanded(registration.text)
        foresee_target(opened(workspace, given, settings), settings, anywhere=not is_archive(given))
    elif data.is_dir():
        foresee_target(data, settings)
    elif is_built_in(registration.name):
        refuse_attributes(data, get_built_in(registration.name).attributes)


def same_files(folder: Path, files: Mapping[str, Path], texts: Mapping[str, str]) -> bool:
    """Whether a dataset of the project holds just these, byte by byte: the same path was given before."""
    places = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return (
        places == {*files, *texts}
        and all((folder / place).stat().st_size == origin.stat().st_size for place, origin in files.items())
        and all(filecmp.cmp(folder / place, origin, shallow=False) for place, origin in files.items())
        and all((folder / place).read_text(encoding="utf-8") == text for place, text in texts.items())
    )


def check_free(workspace: Workspace, name: str, text: str) -> None:
    """Refuses a name under which there is a dataset, and one that none can have.

    Raises:
        UserError: a built-in or another dataset of the project has it, or it has characters that it may not have.
    """
    try:
        check_name(name)
    except ValueError as error:
        raise UserError(f"{text}: {error}; rename it, or give a link of another name") from None
    if is_built_in(name):
        raise UserError(f"{text}: {name} is the name of a built-in dataset; give it another name")
    if workspace.data(name).exists() or workspace.data(f"{name}.dvc").exists():
        raise UserError(
            f"data/{name} is there already; to use it: --target.data {name}, or --source.data {name}. To put {text} "
            f"there, remove it first (rm -r data/{name} data/{name}.dvc), or give it another name"
        )


def register(workspace: Workspace, registration: Registration) -> None:
    """Puts the files of a new dataset to data/<name>, links where that is safe, and adds them to DVC."""
    if not registration.files:
        return
    from tasks.versioning import versioning_of

    name = registration.name
    versioning_of(workspace.root).add(registration.files, workspace.data(name), texts=registration.texts)
    show(
        f"{registration.text}: {registration.what}, now data/{name} and versioned by DVC "
        f"(commit data/{name}.dvc to keep it)"
    )


def _expanded(text: str) -> Path:
    """A path with ~ in it as the shell would have it.

    Raises:
        UserError: it is empty, or of a user that is not known.
    """
    if not text.strip():
        raise UserError("the name or path of a dataset is empty; is a variable of the shell not set?")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"{text}: {error}") from None


def _path(workspace: Workspace, text: str, settings: DataSettings) -> Path | None:
    """A path, or the place of a dataset of the project; None where nothing is given."""
    path = _expanded(text) if text else Path()
    named = path.parent == Path(".") and not path.exists() and workspace.data(text).is_dir()
    return None if not text else workspace.data(text) if named else opened(workspace, path, settings)
