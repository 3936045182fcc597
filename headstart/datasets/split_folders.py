"""Reader of train/, val/ and test/ folders, each a folder of class folders."""

from pathlib import Path

from headstart.datasets.folder import UNLABELLED_FOLDERS, is_visible, list_rows
from headstart.datasets.listing import SPLITS, TRAIN, Listing, of_classes
from headstart.errors import DataError
from headstart.modalities.table import ModalityEntry


def is_split(directory: Path) -> bool:
    """Whether the folders are those of a split: train/ and none that is not a split's. (A class may be a train.)"""
    names = {path.name for path in directory.iterdir() if path.is_dir() and is_visible(path.name)}
    named = {SPLITS.get(name.lower()) for name in names - set(UNLABELLED_FOLDERS)}
    return TRAIN in named and None not in named


def list_split_folders(directory: Path, kind: ModalityEntry) -> Listing:
    """Lists <split>/<class>/<any depth>/<file>; the split of a row is its folder's.

    Raises:
        DataError: two folders of one split, files outside of class folders, or fewer than two classes in train/.
    """
    listing = of_classes([], [])
    seen: dict[str, str] = {}
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        split = SPLITS.get(folder.name.lower())
        if split is None:
            continue
        if split in seen:
            raise DataError(f"{directory} holds {seen[split]}/ and {folder.name}/, which are one split; join them")
        seen[split] = folder.name
        listing = listing.joined(_list_split(folder, split, kind))
    classes = {label for label, split in zip(listing.labels, listing.splits, strict=True) if split == TRAIN}
    if len(classes) < 2:
        raise DataError(
            f"{directory / seen[TRAIN]} holds {kind.many} in {len(classes)} class folder(s); at least two are "
            f"needed: {seen[TRAIN]}/<class>/<{kind.one}>, with {kind.many} named {kind.endings}"
        )
    return listing


def _list_split(folder: Path, split: str, kind: ModalityEntry) -> Listing:
    paths = list_rows(folder, kind)
    loose = [path for path in paths if "/" not in path]
    if loose:
        raise DataError(
            f"{folder} holds {len(loose)} {kind.many} outside of class folders, such as {loose[0]}; put each into "
            f"{folder.name}/<class>/, or {kind.many} without a label into {UNLABELLED_FOLDERS[0]}/ beside "
            f"{folder.name}/"
        )
    return of_classes([f"{folder.name}/{path}" for path in paths], [path.split("/")[0] for path in paths], split=split)
