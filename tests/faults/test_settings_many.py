"""Every setting with every one of many bad values, in params.yaml, as a flag and in Prefect's form."""

import copy
import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML
from tally import trying

from flows.overrides import overridden
from flows.serving.form import flags_of, make_form
from headstart.errors import UserError
from headstart.settings import Settings, knobs, validate, write_default
from tasks.workspace import Workspace

pytestmark = pytest.mark.faults
PROMISE = "Settings: a value is taken, or refused in a few lines that name the setting"
KNOBS = knobs(Settings())
NUMBERS = [-1, 0, 1, 2, 3, 2**31, 2**63, -(2**64), 10**400, 0.5, 1.0, 1.5, -0.0, -1e-9, 5e-324, 1.8e308, 1e9]
ODD = [
    None,
    True,
    False,
    math.nan,
    math.inf,
    -math.inf,
    "",
    " ",
    "nan",
    "1e999",
    "0x10",
    "1_000",
    b"\x00",
    date(2026, 1, 1),
]
WORDS = ["mnist5k", "digits", "scratch", "resnet8", "timm:", "timm:x", "auto", "all", "None", "null", "yes"]
HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "-rf",
    "\x00",
    "\ud800",
    "$(ls)",
    "a\nb",
    "<script>",
    "x" * 10_000,
    "%s",
    "{}",
]
NESTED = [[], {}, [None], [[]], [[[1]]], {"a": 1}, [{"a": 1}], ["a"] * 1000, [1] * 1000, {"data": {"data": {}}}]
VALUES = [*NUMBERS, *ODD, *WORDS, *HOSTILE, *NESTED, *[[value] for value in [*NUMBERS, *ODD, *WORDS, *HOSTILE]]]
TEXTS = [
    *(str(value) for value in [*NUMBERS, *ODD, *WORDS, *HOSTILE]),
    *(
        "[",
        "{",
        "[1",
        "a: b",
        "&a [*a]",
        "*a",
        "!!int x",
        "!!binary x",
        "2001-99-99",
        "9" * 5000,
        "[" * 300,
        "1,2,,",
        ",,",
    ),
]


def nested(name: str, value: Any) -> dict[str, Any]:
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


def refusal(act: Callable[[], object]) -> str:
    """What it is refused with, "" where it is taken. What Prefect's own check of the form refuses is named by it."""
    try:
        act()
    except ValidationError as error:
        return str(error.errors()[0]["loc"][0])
    except UserError as error:
        return str(error)
    return ""


def check(text: str, name: str) -> None:
    section = name.rpartition(".")[0]
    assert not text or name in text or (section and f"{section}:" in text), text
    assert len(text) < 5000
    assert text.count("\n") < 25


def test_in_params_yaml() -> None:
    with trying(PROMISE, times=0) as count:
        for name in KNOBS:
            for value in VALUES:
                count.tried += 1
                check(refusal(lambda name=name, value=value: validate(nested(name, value), where="params.yaml")), name)
                count.held += 1


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Plain: one with its comments takes 20 ms to copy."""
    path = tmp_path_factory.mktemp("settings") / "params.yaml"
    write_default(path)
    return YAML(typ="safe").load(path)


def test_as_a_flag(document: Any) -> None:
    with trying(PROMISE, times=0) as count, patch("flows.overrides.read", lambda path: copy.deepcopy(document)):
        for name in KNOBS:
            for text in TEXTS:
                count.tried += 1
                check(refusal(lambda name=name, text=text: overridden(Workspace(Path()), {name: text})), name)
                count.held += 1


def test_in_the_form(document: Any) -> None:
    form = make_form(None)
    with trying(PROMISE, times=0) as count, patch("flows.overrides.read", lambda path: copy.deepcopy(document)):
        for name in form.model_fields:
            for value in VALUES:
                count.tried += 1
                said = refusal(
                    lambda name=name, value=value: overridden(Workspace(Path()), flags_of(form(**{name: value})))
                )
                assert len(said) < 5000
                count.held += 1
