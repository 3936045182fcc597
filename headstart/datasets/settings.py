"""Knobs of ingest: how files become rows of a pack."""

import re
from collections import Counter
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from headstart.errors import SettingsError, shown
from headstart.knobs import Knobs
from headstart.modalities.image.limits import Limits
from headstart.modalities.settings import AudioSettings, TextSettings
from headstart.modalities.table import MODALITIES, ModalityEntry

NAME = re.compile(r"\w[\w .+-]*")  # of a dataset: it becomes part of paths, commands and stages of dvc.yaml


def check_name(name: str) -> str:
    """Refuses what cannot be the name of a dataset.

    Raises:
        ValueError: a character that a command or a stage would take for something else, or packs' own ending.
    """
    if not name:
        raise ValueError("a dataset needs a name of at least 1 character")
    if not NAME.fullmatch(name) or name.endswith((".test", ".dvc", " ")):
        raise ValueError(
            f"{shown(name)} cannot be the name of a dataset: letters, digits, spaces and . _ + - can be in it, it "
            "begins with a letter or digit, and does not end in .test or .dvc"
        )
    return name


def _as_text(given: Any) -> Any:
    """A name that YAML takes for a number is a name all the same."""
    return str(given) if isinstance(given, int | float) and not isinstance(given, bool) else given


Dataset = Annotated[str, AfterValidator(check_name)]
Text = Annotated[str, BeforeValidator(_as_text)]  # of a class, or of a column


def _as_list(given: Any) -> Any:
    """A text alone is a list of it; an empty one is an empty list."""
    given = _as_text(given)
    return ([given] if given else []) if isinstance(given, str) else given


Texts = Annotated[tuple[Text, ...], BeforeValidator(_as_list)]
FEWEST_LABELS = 2  # of a class, or in all: one to train with, one to choose with
MOST_FOLDS = 20
SIGNATURES = "class_attributes.csv"  # beside a dataset's table or folders: what is known of its classes, not of rows
MOST_SEEDS = 100  # of a run; a pack holds as many partitions into folds


class SourceSettings(Knobs):
    """Where knowledge comes from."""

    data: tuple[Dataset, ...] = Field(("mnist5k",), min_length=1)
    """datasets to pretrain on, each for itself: folders below data/, or built-ins"""

    enter: int = Field(0, ge=0)
    """how many of them, the first ones, fine-tuning enters from; the others are held for a remedy; 0: all enter"""

    unit: Texts = ()
    """unit of the sources' values, one for all or one for each; where it is the target's too, W's head can be used"""

    @field_validator("data", mode="before")
    @classmethod
    def _is_a_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(f"must be a list of datasets, such as [{shown(value)[1:-1] or 'mnist5k'}]")
        return value


class TargetSettings(Knobs):
    """The task that has few labels."""

    data: Dataset = "digits"
    """dataset to fine-tune and evaluate on: a folder below data/, or a built-in"""

    unit: Texts = ()
    """unit of the target's values, one for all or one for each; a built-in's are known"""

    unseen: tuple[Text, ...] = ()
    """classes whose labels eszsl does without; the comparison then has scores of seen and unseen classes apart"""


class DataSettings(Knobs):
    """How files are decoded and how rows are split."""

    modality: str = "image"
    """what rows are; `headstart list modalities` shows all"""

    image_size: int = Field(28, ge=8, le=1024)
    """side of the square that images are resized and centre-cropped to, pixels"""

    text: TextSettings = Field(default_factory=TextSettings, description="texts alone: how they become tokens")

    audio: AudioSettings = Field(default_factory=AudioSettings, description="sound alone: how it becomes pictures")

    channels: Literal[1, 3] = 1
    """1 for gray, 3 for colour"""

    test_fraction: float = Field(0.4, gt=0, lt=1)
    """share of the target's rows that only evaluate may score"""

    smallest_test: int = Field(150, ge=0)
    """test rows or groups below which cross-validation takes a test set's place (150 settle some 5 points); 0: never"""

    folds: int = Field(5, ge=2, le=MOST_FOLDS)
    """parts of such a target, each predicted by models that had labels of the others alone; more take longer"""

    max_rejected: float = Field(0.05, ge=0, le=1)
    """share of unreadable files and unusable table rows up to which ingest goes on"""

    near_duplicates: float = Field(0.997, ge=0.9, le=1)
    """likeness (a cosine) from which two rows of a target count as one that was saved twice; 1: exact copies alone"""

    smallest_side: int = Field(2, ge=1)
    """pixels of an image's shorter side below which it is set aside"""

    largest_aspect: float = Field(100.0, ge=1)
    """an image's longer side over its shorter one above which it is set aside: the square would hold next to nothing"""

    largest_pixels: int = Field(64_000_000, ge=1, le=178_000_000)
    """width times height above which an image is set aside before its pixels take any memory"""

    shard_gb: float = Field(2.0, gt=0)
    """rows that one file of a pack holds at most, in 10^9 bytes; a larger pack has several"""

    min_rows_per_class: int = Field(4, ge=2)
    """readable rows that each class must have"""

    min_rows_of_values: int = Field(20, ge=4)
    """readable rows that a dataset must have whose target is a number, or that has attributes"""

    table: str = ""
    """file name of a dataset's table (CSV or Parquet); empty where there is only one in its folder"""

    path_column: str = Field("path", min_length=1)
    """column of a table that has each row's file, by its path relative to the table"""

    content_column: str = Field("text", min_length=1)
    """column of a table that holds the rows themselves, where they are texts; the path's is not needed then"""

    label_column: str = "label"
    """column of a table that has each row's class; empty to read its values"""

    value_columns: Texts = ("value",)
    """columns of a table that have each row's numbers, one or several; none to read its classes"""

    split_column: str = "split"
    """column of a table that says train, val or test; it may be missing from the table"""

    group_column: str = "group"
    """column of a table that says which rows belong together, on one side of a split; it may be missing"""

    attribute_columns: tuple[Text, ...] = ()
    """columns of attributes (yes/no, numbers, tags) that a source's table without classes and values is learned by"""

    @field_validator("value_columns")
    @classmethod
    def _are_columns(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if twice := next((name for name, times in Counter(names).items() if times > 1), None):
            raise ValueError(f"names the column {shown(twice)} twice; each of a row's values has a column of its own")
        if "" in names:
            raise ValueError("holds a column without a name; give each its name, or an empty list to read classes")
        return names

    @field_validator("modality")
    @classmethod
    def _is_a_modality(cls, value: str) -> str:
        try:
            return MODALITIES.get(value).name
        except SettingsError as error:
            raise ValueError(str(error)) from None

    @property
    def row_kind(self) -> ModalityEntry:
        """What rows are."""
        return MODALITIES.get(self.modality)

    @property
    def limits(self) -> Limits:
        """Of an image's size."""
        return Limits(self.smallest_side, self.largest_aspect, self.largest_pixels)

    def of_built_in(self, attributes: tuple[str, ...], values: tuple[str, ...]) -> "DataSettings":
        """The same for a built-in, whose table has the default columns, whatever a user's has.

        attributes, values: columns of the built-in's; without values the default column of these.
        """
        ours = (
            "table",
            "path_column",
            "content_column",
            "label_column",
            "split_column",
            "group_column",
        )
        columns = {name: type(self).model_fields[name].default for name in ours}
        values = values or type(self).model_fields["value_columns"].default
        return self.model_copy(update=columns | {"attribute_columns": attributes, "value_columns": values})


class Prepared(Protocol):
    """A card of rows, or of weights that take them."""

    @property
    def modality(self) -> str: ...

    @property
    def preparation(self) -> dict[str, Any]: ...


def how_of(card: Prepared) -> Any:
    """How rows are decoded, as a card says."""
    settings = DataSettings.model_validate({"modality": card.modality} | card.preparation)
    return settings.row_kind.load().how(settings)
