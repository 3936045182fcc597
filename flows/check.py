"""`headstart check`: what a run would make of a dataset as its target or as a source, without a run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.console import show
from flows.overrides import of_a_dataset
from flows.plan import expected_resolution, small_data_lines
from flows.register import opened
from headstart.datasets.archive_names import is_archive
from headstart.datasets.check import check as check_dataset
from headstart.datasets.check import check_source
from headstart.datasets.pack import POOL, TEST
from headstart.datasets.settings import SIGNATURES
from headstart.datasets.size import Size
from headstart.datasets.table import is_built_in, torchvision_name, units_of
from headstart.datasets.values import with_units
from headstart.errors import HeadstartError, UserError
from headstart.evaluation.measures import RATE, Measure, measure_of_values
from headstart.modalities.table import fields_of
from headstart.settings import Settings
from tasks import workers
from tasks.progress import Bars
from tasks.workspace import Workspace, here

SHOWN = 10  # rejected files and classes that are printed; --json has all


def check(text: str, overrides: dict[str, str], *, role: str, as_json: bool) -> int:
    """Prints the findings; returns 0 where a run would go through, 2 where it would be refused.

    role: target or source.

    Raises:
        UserError: what a run would say, unless JSON is asked for, which then holds it.
    """
    workspace = here()
    settings = of_a_dataset(workspace, overrides)
    fields_of(settings.data)  # or each row would be refused for a tokenizer that is not there
    given = _find(workspace, text)
    path = given
    try:
        path = opened(workspace, given, settings.data)
        found = {"target": _check_target, "source": _check_source}[role](path, settings, anywhere=not is_archive(given))
    except HeadstartError as error:
        if not as_json:
            raise
        show(json.dumps({"path": str(path), "accepted": False, "error": str(error)}, indent=1))
        return error.exit_code
    finally:
        workers.stop()
    refused = found["error"]
    if as_json:
        show(json.dumps({"accepted": not refused} | found, indent=1))
        return UserError.exit_code if refused else 0
    show(*(_target_lines if role == "target" else _source_lines)(found))
    if refused:
        raise UserError(refused)
    show(f"a run would take it{' as a source' if role == 'source' else ''}; nothing was written")
    return 0


def _check_source(path: Path, settings: Settings, *, anywhere: bool) -> dict[str, Any]:
    with Bars() as bars:
        return check_source(
            path,
            settings=settings.data,
            workers=workers.pool(),
            progress=lambda done, of: bars.show(f"reading {path.name}", done, of),
            anywhere=anywhere,
        )


def _check_target(path: Path, settings: Settings, *, anywhere: bool) -> dict[str, Any]:
    with Bars() as bars:
        found = check_dataset(
            path,
            settings=settings.data,
            seed=settings.seed,
            budgets=(settings.finetune.label_budget, *settings.finetune.curve_budgets),
            seeds=settings.finetune.seeds,
            workers=workers.pool(),
            progress=lambda done, of: bars.show(f"reading {path.name}", done, of),
            anywhere=anywhere,
        )
    measure = _measure(path.name, found, settings)
    largest = found["largest_label_budget"] if found["folds"] else 0
    counts = found.get("classes", {}).values()
    # what is refused is said once, by the error
    classes = () if found["error"] else tuple(rows[POOL] for rows in counts) or (found["splits"].get(POOL, 0),)
    rows = sum(found["splits"].values())
    size = Size(rows, found["test_rows"], found["test_units"], found["folds"], largest, classes)
    expected, line = expected_resolution(settings, size, measure)
    return found | {
        "resolution": {"half_width": expected.half_width, "line": line},
        "small_data": small_data_lines(settings, size, measure.kind),
    }


def _measure(name: str, found: dict[str, Any], settings: Settings) -> Measure:
    if found["kind"] == "class":
        return RATE
    values = with_units(found["value_names"], units_of(name, settings.target.unit))
    spreads = found["values"][POOL] if len(values) > 1 else {values[0].name: found["values"][POOL]}
    return measure_of_values([replace(own, std=spreads[own.name]["std"] or 1.0) for own in values])


def _find(workspace: Workspace, text: str) -> Path:
    """A path as it is; else the name of a dataset of the project."""
    path = Path(text).expanduser()
    if path.exists() or len(path.parts) > 1:
        return path
    name = torchvision_name(text)
    if not workspace.data(name).exists() and is_built_in(name):
        raise UserError(f"{name} is a built-in dataset that is not fetched yet; a run fetches it")
    return workspace.data(name)


def _target_lines(found: dict[str, Any]) -> list[str]:
    splits = found["splits"]
    known = splits.get(POOL, 0) + splits.get(TEST, 0)
    what = f"in {len(found['classes'])} classes" if found["kind"] == "class" else _of_values(found)
    lines = [f"{found['path']}: {known:,} rows {what}"]
    whose = "its own" if found["own_test"] else "drawn by the seed"
    if not found["folds"]:
        lines.append(f"split: {splits.get(POOL, 0):,} rows in the pool, {splits.get(TEST, 0):,} test rows ({whose})")
    lines += [f"split: {line}" for line in found["small_data"]]
    if found["validation"]:
        lines.append(f"split: {found['validation']:,} rows given for validation are in the pool")
    if "unlabelled" in splits:
        lines.append(f"split: {splits['unlabelled']:,} unlabelled rows beside them")
    if found["kind"] == "class":
        test = {name: "" if found["folds"] else f" pool, {n[TEST]:,} test" for name, n in found["classes"].items()}
        lines += [f"class {name}: {n[POOL]:,}{test[name]}" for name, n in _first(found["classes"].items())]
        lines += _more(found["classes"])
        if found["class_attributes"]:
            lines.append(f"classes are described by {len(found['class_attributes'])} columns of {SIGNATURES}")
        lines.append(f"label budget: at most {found['largest_label_budget']:,} a class{_disjoint(found)}")
    else:
        lines += _value_lines(found)
    return [*lines, found["resolution"]["line"], *_closing_lines(found)]


def _source_lines(found: dict[str, Any]) -> list[str]:
    splits = found["splits"]
    rows = splits.get(POOL, 0)
    what = {
        "class": f"in {len(found['classes'])} classes",
        "value": _of_values(found),
        "attribute": f"with {len(found['attributes'])} attributes",
    }[found["kind"]]
    lines = [f"{found['path']}: {rows:,} rows {what}"]
    if "unlabelled" in splits:
        lines.append(f"{splits['unlabelled']:,} unlabelled rows beside them")
    lines += [f"class {name}: {count:,}" for name, count in _first(found["classes"].items())] + _more(found["classes"])
    lines += [
        f"attribute {name}: {_attribute(about)}, known of {about['known']:,} of {rows:,} rows"
        for name, about in _first(found["attributes"].items())
    ]
    lines += _more(found["attributes"])
    return [*lines, *_value_lines(found), *_closing_lines(found)]


def _attribute(about: dict[str, Any]) -> str:
    """Such as "yes/no", "number", or "tag (thin, bold)"."""
    names = about["categories"]
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return f"{about['kind']} ({shown})" if names else str(about["kind"])


def _of_values(found: dict[str, Any]) -> str:
    """Such as "of values", "of 2 values: x, angle"."""
    names = found["value_names"]
    return f"of {len(names)} values: {', '.join(names)}" if len(names) > 1 else "of values"


def _value_lines(found: dict[str, Any]) -> list[str]:
    if len(found["value_names"]) == 1:
        return [_value_line("values", split, n) for split, n in found["values"].items()]
    return [_value_line(name, split, n) for split, each in found["values"].items() for name, n in each.items()]


def _value_line(what: str, split: str, n: dict[str, float]) -> str:
    return f"{what}, {split}: mean {n['mean']:.4g}, s.d. {n['std']:.4g}, from {n['min']:.4g} to {n['max']:.4g}"


def _closing_lines(found: dict[str, Any]) -> list[str]:
    """What is said of the files of a target and of a source."""
    lines = []
    lines.append(f"{found['many']}: {found['looks']}")
    if found["changed"]:
        lines.append(f"made like the others: {', '.join(f'{n:,} {what}' for what, n in found['changed'].items())}")
    near = f" and {found['near_duplicates']:,} near ones" if found.get("near_duplicates") else ""
    lines.append(f"exact duplicates: {found['duplicates']:,}{near}; independent units: {found['units']:,}")
    lines.append(f"set aside: {len(found['rejected']):,}")
    lines += [f"  {row['path']}: {row['reason']}" for row in _first(found["rejected"])] + _more(found["rejected"])
    lines += [f"warning: {text}" for text in found["warnings"]]
    return lines


def _disjoint(found: dict[str, Any]) -> str:
    """Up to which budget seeds share no labels; in folds they always do."""
    if found["folds"]:
        return ""
    return f"; up to {found['largest_disjoint_label_budget']:,} each seed has labels of its own"


def _first(items: Any) -> list[Any]:
    return list(items)[:SHOWN]


def _more(items: Any) -> list[str]:
    return [f"  and {len(items) - SHOWN} more (--json has all)"] if len(items) > SHOWN else []
