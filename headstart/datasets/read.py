"""Chooses the reader of a dataset by what its folder holds: a table, split folders, class folders, or loose files."""

from dataclasses import replace
from pathlib import Path

from headstart.datasets.folder import UNLABELLED_FOLDERS, is_row, list_folder, list_rows, look_through
from headstart.datasets.listing import Listing, of_unlabelled
from headstart.datasets.pack import UNLABELLED
from headstart.datasets.settings import DataSettings
from headstart.datasets.split_folders import is_split, list_split_folders
from headstart.datasets.table import get_built_in, is_built_in
from headstart.datasets.tabular import find_table, list_table
from headstart.errors import DataError


def list_dataset(path: Path, settings: DataSettings, *, anywhere: bool = False) -> Listing:
    """Lists a dataset: a folder, or a table. Files in unlabelled/ come on top, whatever the reader.

    anywhere: whether a table may name files outside of its folder, as it may before the dataset is registered.

    Raises:
        DataError: there is no such folder, or it cannot be read as any kind of dataset.
    """
    if path.is_file():
        return list_table(path, settings, anywhere=anywhere)
    if not path.is_dir():
        return list_folder(path, settings.row_kind)  # which refuses it
    unlabelled = of_unlabelled(
        [
            f"{name}/{file}"
            for name in UNLABELLED_FOLDERS
            if (path / name).is_dir()
            for file in list_rows(path / name, settings.row_kind)
        ]
    )
    if is_built_in(path.name):
        entry = get_built_in(path.name)
        settings = settings.of_built_in(entry.attributes, tuple(own.name for own in entry.values))
    table = find_table(path, settings)
    if table is not None:
        return list_table(table, settings, anywhere=anywhere).joined(unlabelled)
    found, refused = look_through(path, settings.row_kind)
    files = [file for file in found if is_row(file, settings.row_kind)]
    loose = [file for file in files if "/" not in file]
    if is_split(path):
        listing = list_split_folders(path, settings.row_kind)
    elif files and len(loose) + len(unlabelled) == len(files):
        listing = of_unlabelled(loose)
    else:
        listing = list_folder(path, settings.row_kind, files)
    listing = listing.joined(unlabelled)
    return replace(listing, rejected=(*listing.rejected, *refused))


def list_labelled(path: Path, settings: DataSettings, *, anywhere: bool = False) -> Listing:
    """As `list_dataset`, of a dataset that a run can learn from.

    Raises:
        DataError: as there; no row has a label, all have the same one, or one of several values never varies.
    """
    listing = list_dataset(path, settings, anywhere=anywhere)
    if all(split == UNLABELLED for split in listing.splits):
        if path.is_dir() and find_table(path, settings) is None:
            return list_folder(path, settings.row_kind)  # which refuses it, and says what a folder must look like
        raise DataError(f"{path}: no row has a label; fill its column, or see data.label_column and data.value_columns")
    classes = set(listing.labels) - {None}
    if listing.kind == "class" and len(classes) == 1:
        raise DataError(f"{path} has one class, {classes.pop()!r}; at least two are needed")
    known = [own for own in listing.values if own is not None]
    for name, column in zip(listing.names, zip(*known, strict=True), strict=True):
        if len(set(column)) == 1 and len(listing.names) > 1:
            raise DataError(
                f"{path}: {name} is {column[0]:g} in every row, so there is nothing to predict; take it out of "
                "data.value_columns, or give it values"
            )
    return listing
