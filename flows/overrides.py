"""Flags become settings: they are written to params.yaml, with what changed and the way back printed."""

import errno
import json
import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from flows.console import show
from flows.register import EXTRAS, WEIGHTS, Registration, check_target, look_up, register
from flows.weights import look_up_weights
from headstart.backbones.table import BACKBONES
from headstart.datasets.table import DATASETS, TORCHVISION, is_built_in
from headstart.errors import MOST_SAID, SettingsError, UserError, shown
from headstart.modalities.table import MODALITIES, fields_of
from headstart.presets.table import PRESETS
from headstart.registry import nearest
from headstart.settings import Knob, Settings, knobs, read, validate
from headstart.storage.publish import write_text
from tasks.workspace import Workspace

NONE = "none"  # as a flag and docs/settings.md have the empty list


def parse_overrides(flags: list[str]) -> dict[str, str]:
    """["--a.b", "1", "--c=2"] -> {"a.b": "1", "c": "2"}.

    Raises:
        SettingsError: not a known setting, or one without a value; the nearest names are listed.
    """
    known = knobs(Settings()) | {name: Knob("PATH", line) for name, line in EXTRAS.items()}
    overrides: dict[str, str] = {}
    words = list(flags)
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in known:
            raise SettingsError(
                f"unknown flag {shown(word)}; {nearest(name[:MOST_SAID], list(known))} (see `headstart run --help`)"
            )
        if not equals:
            if not words:
                raise SettingsError(f"--{name} needs a value, such as --{name} {known[name].value}")
            value = words.pop(0)
        overrides[name] = value
    return overrides


def apply_overrides(
    workspace: Workspace,
    overrides: dict[str, str],
    further: Callable[[Settings], dict[str, str]] = lambda settings: {},
) -> Settings:
    """Writes the overrides to params.yaml, comments kept, and returns the settings; a bad value changes nothing.

    further: gives more overrides, in view of the settings that the first ones make.

    Raises:
        SettingsError: a value is of the wrong type or out of range.
        UserError: a dataset's path is no folder, or its name is unknown.
    """
    document = read(workspace.params)
    validate(document, where=workspace.params.name)
    before = knobs(validate(document, where=workspace.params.name))
    for name, text in overrides.items():
        if name not in EXTRAS:
            _set(document, name, _value(name, text, before[name].value))
    if WEIGHTS in overrides and "source.data" in overrides:
        raise SettingsError(
            "give source.data, to pretrain on it, or source.weights, to skip pretraining: not both. To compare them, "
            "run with the weights first; then they are a dataset of the project, and --source.data A,B names both"
        )
    coming = _look_up_datasets(workspace, document, overrides)
    _fetch_what_is_used(document, overrides, before)
    settings = validate(document, where="flags")
    _check_datasets(workspace, settings, [registration.name for registration in coming if registration.files])
    _check_library(settings, overrides)
    for registration in coming:
        register(workspace, registration)
    for name, value in further(settings).items():
        _set(document, name, _value(name, value, before[name].value))
    settings = validate(document, where="flags")
    after = knobs(settings)
    added = _complete(document, settings)
    if after != before or added:
        with workspace.params.open("w", encoding="utf-8") as file:
            _yaml().dump(document, file)
        _show_changes(before, after)
        if added:
            show(f"params.yaml: {', '.join(added)} was not there, and is now, as it is by default")
    return settings


def _complete(document: Any, settings: Settings) -> list[str]:
    """Writes the settings that the document lacks, for DVC reads them there; returns which.

    It may be older than they are. Of the strategies only those that run, and those whose recipes extract and rank read.
    """
    used = list(dict.fromkeys([*settings.finetune.strategies, "frozen_blocks", "linear_probe"]))
    sections = [f"strategies.{name}" for name in used if not _has(document, f"strategies.{name}")]
    for section in sections:
        _set(document, section, {})
    added = []
    for name, knob in knobs(settings).items():
        parent = name.rpartition(".")[0]
        if not _has(document, name) and (not name.startswith("strategies.") or parent.partition(".")[2] in used):
            _set(document, name, _written(knob.value))
            added += [name] if parent not in sections else []
    return added + sections


def _written(value: Any) -> Any:
    """A setting's value as params.yaml has it."""
    if isinstance(value, tuple):
        return _flow_list(list(value))
    return DoubleQuotedScalarString("") if value == "" else value


def _has(document: Any, name: str) -> bool:
    for key in name.split("."):
        if not isinstance(document, Mapping) or key not in document:
            return False
        document = document[key]
    return True


def overridden(workspace: Workspace, overrides: dict[str, str]) -> Settings:
    """The settings as they would be with the overrides; nothing is written.

    Raises:
        SettingsError: a value is of the wrong type or out of range.
    """
    document = read(workspace.params)
    _overlay(document, overrides, knobs(validate(document, where=workspace.params.name)))
    return validate(document, where="flags")


def of_a_dataset(workspace: Workspace, overrides: dict[str, str]) -> Settings:
    """The settings by which a dataset is looked at alone: which others params.yaml names has no say in it.

    Raises:
        SettingsError: as `overridden`.
    """
    document = read(workspace.params)
    before = knobs(validate(document, where=workspace.params.name))
    document.pop("built_in", None)
    for role in ("source", "target"):
        document.get(role, {}).pop("data", None)
    _overlay(document, overrides, before)
    kind = MODALITIES.get(str(document.get("data", {}).get("modality", before["data.modality"].value)))
    if "backbone" not in overrides and BACKBONES.get(before["backbone"].value).takes != kind.gives:
        document["backbone"] = next(entry.name for entry in BACKBONES if entry.takes == kind.gives)
    return validate(document, where="flags")


def _overlay(document: Any, overrides: dict[str, str], before: dict[str, Knob]) -> None:
    for name, text in overrides.items():
        _set(document, name, _value(name, text, before[name].value))
    _fetch_what_is_used(document, overrides, before)


def apply_preset(workspace: Workspace, name: str) -> None:
    """Writes params.yaml anew as a preset has it; it may be missing or broken now."""
    preset = PRESETS.get(name)
    try:
        before = knobs(validate(read(workspace.params), where=workspace.params.name))
    except SettingsError:
        before = {}
    write_text(workspace.params, preset.text())
    show(f"{workspace.params.name} is now as the preset {name} has it", *preset.head)
    _show_changes(before, knobs(preset.settings()))


def _show_changes(before: dict[str, Knob], after: dict[str, Knob]) -> None:
    """What changed in params.yaml, and the command that takes it back."""
    changed = [name for name in before if before[name].value != after[name].value]
    for name in changed:
        show(f"params.yaml: {name}: {_shown(before[name].value)} -> {_shown(after[name].value)}")
    if changed:
        back = [word for name in changed for word in (f"--{name}", as_text(before[name].value))]
        show(f"back: headstart run {shlex.join(back)}")


def _look_up_datasets(workspace: Workspace, document: Any, overrides: dict[str, str]) -> list[Registration]:
    """What the flags of datasets come to; the document gets the datasets' names.

    Raises:
        UserError: a path is no folder or table, an own test set has no dataset to go to, or see `check_target`.
    """
    extras = {
        name.partition(".")[2]: text for name, text in overrides.items() if name in EXTRAS and name != WEIGHTS and text
    }
    if extras and "target.data" not in overrides:
        raise UserError(f"--target.{next(iter(extras))} goes with --target.data PATH, whose part it becomes")
    _check_names(overrides)
    how = validate({key: document[key] for key in ("backbone", "data") if key in document}, where="flags")
    sources, targets = [], []
    if WEIGHTS in overrides:
        sources = [look_up_weights(workspace, overrides[WEIGHTS], backbone=how.backbone, data=how.data)]
    if "source.data" in overrides:
        text = overrides["source.data"]
        parts = [text] if not text.strip() or os.path.lexists(text) else _parts(text)
        sources = [look_up(workspace, part, how.data) for part in parts]
    if "target.data" in overrides:
        targets = [look_up(workspace, overrides["target.data"], how.data, **extras)]
        check_target(workspace, targets[0], how.data)
    if sources:
        _set(document, "source.data", _flow_list([registration.name for registration in sources]))
    for registration in targets:
        _set(document, "target.data", registration.name)
    return sources + targets


def _check_names(overrides: Mapping[str, str]) -> None:
    """Refuses what no file can be called, before anything looks for it.

    Raises:
        UserError: a character that no name has, or too many of them.
    """
    for name in {"source.data", "target.data", *EXTRAS} & set(overrides):
        for part in [overrides[name]] if name != "source.data" else _parts(overrides[name]):
            try:
                os.lstat(part)
            except ValueError as error:
                raise UserError(f"{name} is {shown(part)}, which no file can be called: {error}") from None
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    raise UserError(f"{name} is {shown(part)}, which is too long for a path") from None


def _check_datasets(workspace: Workspace, settings: Settings, coming: list[str]) -> None:
    """Refuses a dataset that is neither a built-in nor below data/, before anything is written or started."""
    folder = workspace.root / "data"
    there = [path.name for path in folder.glob("*/")] + [path.stem for path in folder.glob("*.dvc")]
    known = [*DATASETS.names(), *TORCHVISION.names()]
    for role, name in settings.datasets:
        if not is_built_in(name) and name not in there and name not in coming:
            raise UserError(
                f"{role}.data is {name!r}, which is neither a built-in dataset nor a folder below data/; "
                f"{_sentence(nearest(name, sorted({*known, *there})))} Or give the path of a folder of class folders"
            )


def _sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


def _check_library(settings: Settings, overrides: dict[str, str]) -> None:
    """Refuses a network of timm that is unknown, or does not take these rows; of ours the table says so at once.

    Raises:
        SettingsError: see check_size; timm's nearest names are listed.
    """
    if settings.backbone in BACKBONES or not {"backbone", "data.image_size", "data.channels"} & set(overrides):
        return
    from headstart.backbones.network import check_size

    fields = fields_of(settings.data)
    check_size(settings.backbone, channels=fields["channels"], size=fields["size"])


def _fetch_what_is_used(document: Any, overrides: dict[str, str], before: dict[str, Knob]) -> None:
    """Where a flag names another dataset, built_in becomes the built-ins that are used now."""
    if {"source.data", "target.data", WEIGHTS} & set(overrides) and "built_in" not in overrides:
        sources, target = (
            document.get(role, {}).get("data", before[f"{role}.data"].value) for role in ("source", "target")
        )
        used = [name for name in (*sources, target) if isinstance(name, str)]  # what is none is refused by and by
        document["built_in"] = _flow_list([name for name in used if is_built_in(name)])


def _flow_list(items: list[Any]) -> CommentedSeq:
    sequence = CommentedSeq(items)
    sequence.fa.set_flow_style()
    return sequence


def _set(document: Any, name: str, value: Any) -> None:
    *sections, key = name.split(".")
    for section in sections:
        document = document.setdefault(section, {})
    document[key] = value


def _value(name: str, text: str, like: Any) -> Any:
    """A flag's text as YAML reads it; a list where the setting is one.

    Raises:
        SettingsError: it is not YAML; the flag is named.
    """
    if isinstance(like, tuple):
        item = _yaml_scalar if any(isinstance(own, int) for own in like) else _item
        return _flow_list(_items(name, text, item))
    return text or DoubleQuotedScalarString("") if isinstance(like, str) else _yaml_scalar(name, text)


def _items(name: str, text: str, item: Callable[[str, str], Any]) -> list[Any]:
    """A list's items as YAML reads them, those in quotes as they stand; none of "none", or of nothing.

    Raises:
        SettingsError: one is not YAML; the flag is named.
    """
    if text.strip() == NONE:
        return []
    quoted = _quoted(text)
    return [item(name, part) for part in _parts(text)] if quoted is None else quoted


def _item(name: str, text: str) -> Any:
    """An item of a list of texts: what YAML has no use for is a text all the same, such as the unit %."""
    try:
        return _yaml_scalar(name, text)
    except SettingsError:
        return DoubleQuotedScalarString(text)


def _parts(text: str) -> list[str]:
    """The items of a list as a flag takes it: "a,b", "[a, b]", or in quotes, as JSON has them."""
    quoted = _quoted(text)
    return [part.strip() for part in text.strip("[]").split(",") if part.strip()] if quoted is None else quoted


def _quoted(text: str) -> list[str] | None:
    """The items of a list of texts in quotes; None where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) and found and all(isinstance(item, str) for item in found) else None


def _yaml_scalar(name: str, text: str) -> Any:
    try:
        return YAML(typ="safe").load(text)
    except Exception:  # YAML's own errors, and Python's of a date that is none, or of brackets 1,000 deep
        raise SettingsError(f"{name}: {shown(text)} is not a value; give a number, true or false, or a word") from None


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 1000  # or long comments make it wrap lists
    return yaml


def _shown(value: Any) -> str:
    """As a shell takes it: '' is the empty text, and the empty list."""
    return shlex.quote(as_text(value))


def as_text(value: Any) -> str:
    """A setting's value as a flag takes it; a list whose items would be read otherwise has them in quotes."""
    if not isinstance(value, tuple):
        return str(value)
    text = ",".join(map(str, value))
    if not all(isinstance(item, str) for item in value):
        return text
    return text if _items("", text, _item) == list(value) else json.dumps(list(value), ensure_ascii=False)
