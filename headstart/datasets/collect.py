"""What a dataset of the project is made of, when it is registered from files that lie elsewhere.

Nothing is copied here: the result says which file goes where, and which table is written anew.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from headstart.datasets.folder import UNLABELLED_FOLDERS, Refused, list_rows, look_through, printable
from headstart.datasets.listing import SPLITS
from headstart.datasets.pack import TEST
from headstart.datasets.read import list_labelled
from headstart.datasets.settings import SIGNATURES, DataSettings
from headstart.datasets.split_folders import is_split
from headstart.datasets.tabular import clean, find_table, is_inside, is_table, list_table, read_table
from headstart.errors import DataError, UserError
from headstart.modalities.table import ModalityEntry

AS_SELF = os.access in os.supports_effective_ids  # Windows knows none
FILES = "files"  # where images go that lie outside of their table's folder
TRAIN_FOLDER, TEST_FOLDER = "train", "test"


@dataclass(frozen=True)
class Collection:
    """A dataset to be: its name, where each file of it lies now, and tables that are written anew.

    files: place in the dataset -> file. texts: place in the dataset -> content. rows: how many there are so far.
    left_out: what is called like a row and is not taken along, with the reason.
    """

    name: str
    files: dict[str, Path]
    texts: dict[str, str]
    rows: int
    left_out: tuple[Refused, ...] = ()


def collect(
    path: Path,
    settings: DataSettings,
    *,
    test_data: Path | None = None,
    unlabelled: Path | None = None,
    confined: bool = False,
) -> Collection:
    """Collects a folder, or a table and the files that it names; with an own test set or unlabelled files on top.

    test_data: like `path`, of the same kind; its rows become the test rows. unlabelled: a folder of files.
    confined: tables may not name files outside of their folder, for they are not of the user's own making.

    Raises:
        DataError: see `list_labelled`; or the parts do not fit together.
        UserError: a path is neither a folder nor a table.
    """
    for given in (path, test_data):
        if given is not None and not given.is_dir() and not (given.is_file() and is_table(given)):
            raise UserError(
                f"{given} is not a folder, a table (.csv or .parquet) or an archive (.zip or .tar); give the path of "
                "a folder of class folders, of a table or of an archive, or a dataset's name"
            )
    rows = len(list_labelled(path, settings, anywhere=not confined))
    collection = replace(_collect(path, settings, confined), rows=rows)
    if test_data is not None:
        collection = _with_test(collection, path, test_data, settings, confined)
    if unlabelled is not None:
        collection = _with_unlabelled(collection, unlabelled, settings.row_kind)
    return collection


def _collect(path: Path, settings: DataSettings, confined: bool) -> Collection:
    table = _table_of(path, settings)
    name = path.resolve().stem if path.is_file() else path.resolve().name
    files, left_out = _readable(path, settings.row_kind) if path.is_dir() else (_beside(path), ())
    if table is None:
        return Collection(name, files, {}, 0, left_out)
    frame, named, moved = _gather(table, settings, lambda place: place, confined)
    files |= named
    if not moved:
        return Collection(name, files | {table.name: table}, {}, 0, left_out)
    files.pop(table.name, None)
    return Collection(name, files, {_csv(table): frame.to_csv(index=False)}, 0, left_out)


def _readable(folder: Path, kind: ModalityEntry) -> tuple[dict[str, Path], tuple[Refused, ...]]:
    """The files of a folder by their places, and what is left out of them."""
    places, refused = look_through(folder, kind)
    files = {place: folder / place for place in places}
    locked = [place for place, file in files.items() if not os.access(file, os.R_OK, effective_ids=AS_SELF)]
    refused += [(printable(place), "UNREADABLE: the file may not be read") for place in locked]
    return {place: file for place, file in files.items() if place not in locked}, tuple(refused)


def _beside(table: Path) -> dict[str, Path]:
    """What lies beside a table and belongs to it: what is known of its classes."""
    known = table.with_name(SIGNATURES)
    return {SIGNATURES: known} if known.is_file() else {}


def _table_of(path: Path, settings: DataSettings) -> Path | None:
    return path if path.is_file() else find_table(path, settings)


def _csv(table: Path) -> str:
    """The name of a table that is written anew."""
    return f"{table.stem}.csv"


def _gather(
    table: Path, settings: DataSettings, place_of: Callable[[str], str], confined: bool
) -> tuple[pd.DataFrame, dict[str, Path], bool]:
    """A table with its paths as they will be, the files that it names by place, and whether any path changed.

    place_of: where a file inside of the table's folder goes. One outside goes to files/ beside the table; a path that
    names no file stays as it is, and ingest says what is wrong with it.
    """
    frame = read_table(table)
    files: dict[str, Path] = {}
    places: list[str] = []
    if settings.path_column not in frame:  # its rows are in the table itself
        return frame, files, False
    for text in frame[settings.path_column]:
        path = clean(text)
        origin = table.parent / path
        if not path or (confined and not is_inside(path)) or not origin.is_file():
            places.append(place_of(path) if path and is_inside(path) else text)
            continue
        place = place_of(path if is_inside(path) else f"{FILES}/{PurePosixPath(path).name}")
        while files.get(place, origin) != origin:  # two folders may have a file of one name
            place = f"{os.path.splitext(place)[0]}-{len(files)}{PurePosixPath(place).suffix}"
        files[place] = origin
        places.append(place)
    moved = any(place != clean(text) for place, text in zip(places, frame[settings.path_column], strict=True) if text)
    return frame.assign(**{settings.path_column: places}), files, moved


def _with_test(
    collection: Collection, path: Path, test_data: Path, settings: DataSettings, confined: bool
) -> Collection:
    table, other = _table_of(path, settings), _table_of(test_data, settings)
    if (table is None) != (other is None):
        raise DataError(
            f"{path} and {test_data} cannot be joined: one is a table and the other is not; give both as tables or "
            "both as folders of class folders"
        )
    if table is not None and other is not None:
        return _join_tables(collection, table, other, settings, confined)
    return _join_folders(collection, path, test_data, settings.row_kind)


def _join_folders(collection: Collection, path: Path, test_data: Path, kind: ModalityEntry) -> Collection:
    """Class folders go to train/ unless they lie in split folders already; those of the test set go to test/."""
    if is_split(path):
        _refuse_two_tests(path, {SPLITS[name.lower()] for name in os.listdir(path) if name.lower() in SPLITS})
        files = collection.files
    else:
        files = {
            place if "/" not in place or place.split("/")[0] in UNLABELLED_FOLDERS else f"{TRAIN_FOLDER}/{place}": file
            for place, file in collection.files.items()
        }
    rows = [place for place in list_rows(test_data, kind) if "/" in place]
    if not rows or is_split(test_data):
        raise DataError(
            f"{test_data} is not a folder of class folders; a test set is {test_data.name}/<class>/<{kind.one}>"
        )
    found = {f"{TEST_FOLDER}/{place}": test_data / place for place in rows}
    return replace(collection, files=files | found, rows=collection.rows + len(rows))


def _join_tables(
    collection: Collection, table: Path, other: Path, settings: DataSettings, confined: bool
) -> Collection:
    """One table with a split column; the test set's files go to test/."""
    base, listed = (list_table(part, settings, anywhere=not confined) for part in (table, other))
    _refuse_two_tests(table, set(base.splits))
    if base.kind != listed.kind:
        raise DataError(f"{table} and {other} cannot be joined: one has labels, the other values")
    frame, _, _ = _gather(table, settings, lambda place: place, confined)
    test, files, _ = _gather(other, settings, lambda place: f"{TEST_FOLDER}/{place}", confined)
    joined = pd.concat([frame, test.assign(**{settings.split_column: TEST})], ignore_index=True).fillna("")
    kept = {place: file for place, file in collection.files.items() if file != table}
    return replace(
        collection,
        files=kept | files,
        texts={_csv(table): joined.to_csv(index=False)},
        rows=collection.rows + len(listed),
    )


def _refuse_two_tests(path: Path, splits: set[str] | set[str | None]) -> None:
    if TEST in splits:
        raise DataError(
            f"{path} has test rows of its own already; leave out --target.test_data, or take them out of it"
        )


def _with_unlabelled(collection: Collection, folder: Path, kind: ModalityEntry) -> Collection:
    rows = list_rows(folder, kind) if folder.is_dir() else []
    if not rows:
        raise DataError(f"{folder} is not a folder with {kind.many}; --target.unlabelled takes a folder of {kind.many}")
    found = {f"{UNLABELLED_FOLDERS[0]}/{place}": folder / place for place in rows}
    return replace(collection, files=collection.files | found, rows=collection.rows + len(rows))
