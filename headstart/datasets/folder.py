"""Reader of a folder of class folders: <class>/<any depth>/<image>."""

import os
from pathlib import Path

from headstart.datasets.listing import Listing, of_classes
from headstart.errors import DataError
from headstart.modalities.image import EXTENSIONS

UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")  # beside the class folders; not a class


def list_folder(directory: Path) -> Listing:
    """Lists the images below each class folder; hidden files, links and files of other kinds are passed over.

    Raises:
        DataError: no such folder, no class folders, or fewer than two classes with images.
    """
    if not directory.is_dir():
        raise DataError(f"{directory} is not a folder; a dataset is a folder that holds one folder of images a class")
    found = [(path, path.split("/")[0]) for path in list_images(directory) if "/" in path]
    found = [(path, label) for path, label in found if label not in UNLABELLED_FOLDERS]
    classes = {label for _, label in found}
    if len(classes) < 2:
        raise DataError(
            f"{directory} holds images in {len(classes)} class folder(s), {sorted(classes) or 'none'}; at least two "
            f"are needed: {directory.name}/<class>/<image>, with images named {', '.join(sorted(EXTENSIONS))}"
        )
    return of_classes([path for path, _ in found], [label for _, label in found])


def list_images(directory: Path) -> list[str]:
    """Paths of the images at any depth, relative and sorted; hidden files, links and other kinds are passed over.

    Raises:
        DataError: a folder may not be read.
    """
    return [name for name in list_visible(directory) if Path(name).suffix.lower() in EXTENSIONS]


def list_visible(directory: Path) -> list[str]:
    """Paths of all files at any depth, relative and sorted; hidden ones and links are passed over.

    Raises:
        DataError: a folder may not be read.
    """
    return sorted(
        Path(root, name).relative_to(directory).as_posix()
        for root, folders, names in os.walk(directory, onerror=_refuse)
        if _visible(folders)
        for name in names
        if not name.startswith(".") and _is_file(Path(root, name))
    )


def _visible(folders: list[str]) -> bool:
    """Drops hidden folders from the walk, in place, as os.walk wants it."""
    folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
    return True


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot read {error.filename}: {error.strerror}; make the folder readable")
