"""The settings, assembled from the rooms' own models, read from and written to params.yaml.

Code owns types, ranges, texts and first defaults; params.yaml is generated from it once and is the user's from then on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, create_model, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from headstart.backbones.table import BACKBONES, in_words
from headstart.datasets.settings import DataSettings, SourceSettings, TargetSettings
from headstart.datasets.table import get_built_in, is_built_in
from headstart.errors import MOST_SAID, SettingsError, shown
from headstart.evaluation.settings import EvaluationSettings
from headstart.features.settings import ExtractSettings
from headstart.knobs import Knobs
from headstart.modalities.table import MODALITIES
from headstart.registry import nearest
from headstart.storage.publish import write_text
from headstart.strategies.settings import FinetuneSettings, RemedySettings, TuneRecipe
from headstart.strategies.table import STRATEGIES
from headstart.training.settings import Precision, PretrainSettings

MOST_REFUSALS = 20  # lines
SHOWN = 8  # names

_recipes: dict[str, Any] = {
    entry.name: (entry.recipe, Field(default_factory=entry.recipe, description=entry.line)) for entry in STRATEGIES
}
Recipes = create_model("Recipes", __base__=Knobs, __doc__="One recipe a strategy.", **_recipes)


class Settings(Knobs):
    """Everything that a run can be told; the sections are those of params.yaml."""

    seed: int = Field(0, ge=0, lt=2**31)
    """from which every random draw of a run follows"""

    backbone: str = "resnet8"
    """the network; `headstart list backbones` shows all"""

    built_in: tuple[str, ...] = ("mnist5k", "digits")
    """built-in datasets that fetch writes below data/; `headstart list datasets` shows all"""

    devices: int = Field(1, ge=1, le=64)
    """processes that train a network together, each on a device (or a core of a CPU) with its share of every batch"""

    precision: Precision = "auto"
    """auto: products in bfloat16 where the device has it in hardware and the network gains by it; or float32 for all"""

    source: SourceSettings = Field(default_factory=SourceSettings, description="where knowledge comes from")
    target: TargetSettings = Field(default_factory=TargetSettings, description="the task that has few labels")
    data: DataSettings = Field(default_factory=DataSettings, description="ingest: how files become rows")
    pretrain: PretrainSettings = Field(default_factory=PretrainSettings, description="pretrain: the source model W")
    extract: ExtractSettings = Field(default_factory=ExtractSettings, description="extract: what W computes once")
    finetune: FinetuneSettings = Field(default_factory=FinetuneSettings, description="finetune: the grid of cells")
    remedy: RemedySettings = Field(
        default_factory=RemedySettings, description="remedy: what is tried where the target falls short"
    )
    strategies: Recipes = Field(default_factory=Recipes, description="one recipe a strategy")
    evaluate: EvaluationSettings = Field(default_factory=EvaluationSettings, description="evaluate: the verdict")

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        self._backbone_takes_rows()
        self._datasets_differ()
        with _naming("finetune.strategies"):
            for name in self.finetune.strategies:
                STRATEGIES.get(name)
        self._strategies_take_rows()
        if "scratch" not in self.finetune.strategies:
            raise SettingsError(
                "finetune.strategies must include scratch: it is the control that the verdict is measured against"
            )
        if not any(STRATEGIES.get(name).role == "transfer" for name in self.finetune.strategies):
            ways = ", ".join(entry.name for entry in STRATEGIES if entry.role == "transfer")
            raise SettingsError(
                "finetune.strategies names no way to transfer, so there is nothing to compare with scratch; add one of "
                f"{ways}"
            )
        self._built_ins_are_fetched()
        self._control_is_strong()
        return self

    def _backbone_takes_rows(self) -> None:
        with _naming("backbone"):
            backbone = BACKBONES.get(self.backbone)
        kind = self.data.row_kind
        if backbone.takes != kind.gives:
            fitting = [entry.name for entry in BACKBONES if entry.takes == kind.gives]
            raise SettingsError(
                f"backbone is {self.backbone!r}, which takes {backbone.takes}, and {kind.many} (data.modality) are "
                f"{kind.gives}; set backbone to one of {', '.join(fitting[:SHOWN])}"
            )
        size = kind.load().size(self.data)
        refusal = backbone.refusal(size)
        if refusal:
            raise SettingsError(f"rows are of {in_words(size)}, but {refusal}, or choose another backbone")
        if backbone.tokens and backbone.tokens != self.data.text.tokens:
            raise SettingsError(
                f"backbone {self.backbone!r} reads the tokens of {backbone.tokens}; set data.text.tokens to that"
            )
        for role, name in self.datasets:
            if "data" not in getattr(self, role).model_fields_set:  # nobody has chosen it yet
                continue
            if is_built_in(name) and get_built_in(name).modality not in ("", self.data.modality):
                own = get_built_in(name).modality
                raise SettingsError(f"{role}.data is {name!r}, whose modality is {own}; set data.modality to {own}")

    def _strategies_take_rows(self) -> None:
        for name in self.finetune.strategies:
            if not STRATEGIES.get(name).takes(self.data.modality):
                kinds = " and ".join(MODALITIES.get(modality).many for modality in STRATEGIES.get(name).modalities)
                raise SettingsError(
                    f"finetune.strategies names {name}, which is for {kinds}, and data.modality is "
                    f"{self.data.modality}; take {name} out of finetune.strategies"
                )

    def _datasets_differ(self) -> None:
        if self.target.data in self.source.data:
            raise SettingsError(
                f"source.data and target.data are both {self.target.data!r}; transfer needs two different datasets"
            )
        if self.source.enter > len(self.source.data):
            raise SettingsError(
                f"source.enter is {self.source.enter}, but source.data names {len(self.source.data)}; set it to that "
                "or less, 0 for all"
            )
        for number, name in enumerate(self.source.data):
            if name in self.source.data[:number]:
                raise SettingsError(f"source.data names {name!r} twice; each source enters once")

    def _built_ins_are_fetched(self) -> None:
        with _naming("built_in"):
            for name in self.built_in:
                get_built_in(name)
        for role, name in self.datasets:
            if is_built_in(name) and name not in self.built_in:
                raise SettingsError(
                    f"{role}.data is the built-in {name!r}; add it to the list built_in, so it is fetched"
                )

    def _control_is_strong(self) -> None:
        """The control gets at least as many trials as any entrant, or the comparison is not fair."""
        trials = len(self.recipe("scratch").learning_rates)
        for name in self.finetune.strategies:
            recipe = self.recipe(name)
            if isinstance(recipe, TuneRecipe) and len(recipe.learning_rates) > trials:
                raise SettingsError(
                    f"strategies.{name}.learning_rates has {len(recipe.learning_rates)} rates but scratch only "
                    f"{trials}; give strategies.scratch.learning_rates at least as many, for a control as well tuned"
                )

    @property
    def entering(self) -> tuple[str, ...]:
        """The sources that fine-tuning enters from; the others are held for a remedy."""
        return self.source.data[: self.source.enter or None]

    @property
    def datasets(self) -> tuple[tuple[str, str], ...]:
        """(role, name) of each dataset, the target last."""
        return (*(("source", name) for name in self.source.data), ("target", self.target.data))

    def recipe(self, strategy: str) -> Any:
        """The recipe of a strategy, an instance of its registered model."""
        return getattr(self.strategies, strategy)


@contextmanager
def _naming(setting: str) -> Iterator[None]:
    """A refusal of the tables within the block says which setting asked them."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(f"{setting}: {error}") from None


def load(path: Path) -> Settings:
    """Reads params.yaml.

    Raises:
        SettingsError: the file is missing or not YAML, or a key, type or range in it is wrong (all are listed).
    """
    return _validated(_text(path), path)


@lru_cache(maxsize=1)  # a run looks many times whether the file was edited; to parse it takes 0.1 s
def _validated(text: str, path: Path) -> Settings:
    return validate(_document(text, path), where=path.name)


def read(path: Path) -> CommentedMap:
    """Reads params.yaml with its comments, unvalidated.

    Raises:
        SettingsError: the file is missing, not YAML, or not a mapping.
    """
    return _document(_text(path), path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing; `headstart run --preset default` writes it anew") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not valid YAML: {error}") from None


def _document(text: str, path: Path) -> CommentedMap:
    try:
        yaml = YAML()
        yaml.preserve_quotes = True  # or a run by flags writes quotes of its own everywhere
        document = yaml.load(text)
    except YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {error}") from None
    except Exception as error:  # of a date that is none, a number of 5,000 digits, brackets 1,000 deep: Python's own
        said = str(error) or type(error).__name__
        raise SettingsError(f"{path} has a value that cannot be read: {said.splitlines()[0]}") from None
    if not isinstance(document, CommentedMap):
        raise SettingsError(f"{path} must be a mapping of sections; `headstart run --preset default` writes it anew")
    return document


def validate(values: Any, *, where: str) -> Settings:
    """Checks a mapping against the settings model.

    Raises:
        SettingsError: one line for each wrong key, with what is allowed; the first 20 of them.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        found = error.errors()
        lines = [f"{where}: {_explain(item)}" for item in found[:MOST_REFUSALS]]
        more = [f"{where}: and {len(found) - MOST_REFUSALS} more"] if len(found) > MOST_REFUSALS else []
        raise SettingsError("\n".join([*lines, *more])) from None


@dataclass(frozen=True)
class Knob:
    """One leaf of the settings: its value and what it means."""

    value: Any
    line: str


def knobs(section: BaseModel, prefix: str = "") -> dict[str, Knob]:
    """Every leaf of the settings by its dotted name: flags and docs come from it."""
    found: dict[str, Knob] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            found |= knobs(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = Knob(value, field.description or "")
    return found


def text_of(settings: Settings) -> str:
    """params.yaml with these settings: every knob, and what it means."""
    return _section(settings, depth=0) + "\n"


def default_text() -> str:
    """params.yaml as a fresh clone has it: every knob with its default."""
    return text_of(Settings())


def write_default(path: Path) -> None:
    """Writes params.yaml anew from the defaults in code."""
    write_text(path, default_text())


def _section(section: BaseModel, *, depth: int) -> str:
    lines: list[str] = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        pad = "  " * depth
        if isinstance(value, BaseModel):
            if depth == 0:
                lines.append("")
            inner = _section(value, depth=depth + 1)
            lines.append(f"{pad}{name}:{'' if inner else ' {}'}  # {field.description}")
            lines += [inner] if inner else []
        else:
            lines.append(f"{pad}{name}: {_scalar(value)}  # {field.description}")
    return "\n".join(lines)


def _scalar(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_scalar(item) for item in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) or '""'


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])[:MOST_SAID]
    if item["type"] == "extra_forbidden":
        *sections, name = (str(part) for part in item["loc"])
        section: BaseModel = Settings()
        for part in sections:
            section = getattr(section, part)
        names = sorted(type(section).model_fields)
        return f"unknown setting {key!r}; {nearest(name, names) if names else 'there is nothing to set in it'}"
    message = item["msg"].removeprefix("Value error, ")
    given = "" if isinstance(item.get("input"), dict | CommentedMap) else f" (given: {shown(item.get('input'))})"
    return f"{key or 'settings'}: {message}{given}"
