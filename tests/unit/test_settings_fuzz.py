"""Whatever stands in params.yaml, a flag or a form: settings, or one refusal that names the setting; no stack ever."""

import copy
import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.overrides import apply_overrides, overridden, parse_overrides
from flows.serving.form import flags_of, make_form
from headstart.errors import SettingsError, UserError
from headstart.settings import Settings, default_text, knobs, load, read, validate, write_default
from tasks.workspace import Workspace

KNOBS = knobs(Settings())
NAMES = st.sampled_from(sorted(KNOBS))
FORM = make_form(None)
bounded = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 1, 2, 2**31, 2**63, -(2**64), 10**400, 0.5, 1.0, -0.0, 5e-324, 1.8e308]),
    st.sampled_from([math.nan, math.inf, -math.inf, b"\x00\xff", date(2026, 1, 1), ""]),
    st.floats(),
    st.text(),
    st.sampled_from(["mnist5k", "digits", "scratch", "full", "resnet8", "vit_b_16", "timm:", "timm:x", "auto", "all"]),
    st.sampled_from(
        ["../../etc/passwd", "a/b", ".", "-rf", "\x00", "\ud800", "$(ls)", "a\nb", "<script>", "x" * 10_000]
    ),
)
KEYS = st.one_of(st.text(max_size=5), st.sampled_from(["data", "seed"]))
JUNK = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3))


def nested(name: str, value: Any) -> dict[str, Any]:
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


def refusal(act: Callable[[], object]) -> str:
    """What it is refused with, "" where it is taken; anything else that is raised is a failure."""
    try:
        act()
    except UserError as error:
        return str(error) or "nothing said"
    return ""


def check_refusal(text: str, name: str) -> None:
    """It names the setting, and is short enough to be read."""
    section = name.rpartition(".")[0]
    assert name in text or (section and f"{section}:" in text), text
    assert len(text) < 2000
    assert "Traceback" not in text


@given(value=JUNK)
@settings(bounded, max_examples=40)
def test_any_value_of_any_setting_is_taken_or_refused_by_name(value: Any) -> None:
    for name in KNOBS:
        said = refusal(lambda name=name: validate(nested(name, value), where="params.yaml"))
        if said:
            check_refusal(said, name)


SECTIONS = st.sampled_from(sorted({name.rpartition(".")[0] for name in KNOBS} - {""}))


@given(name=SECTIONS, value=JUNK)
@bounded
def test_any_value_of_a_whole_section_is_taken_or_refused(name: str, value: Any) -> None:
    said = refusal(lambda: validate(nested(name, value), where="params.yaml"))
    assert not said or name in said
    assert len(said) < 5000


@given(values=st.dictionaries(st.one_of(st.text(max_size=8), st.sampled_from(["seed", "data"])), JUNK, max_size=4))
@bounded
def test_any_mapping_is_taken_or_refused(values: dict[str, Any]) -> None:
    said = refusal(lambda: validate(values, where="params.yaml"))
    assert not said or said.startswith("params.yaml: ")


ODD = st.sampled_from(
    [
        "2001-99-99",
        "!!int x",
        "!!float x",
        "!!timestamp x",
        "!!binary x",
        "!!python/object/apply:os.system [ls]",
        "!!set {a}",
        "!!omap [a]",
        "!a b",
        "&a [*a]",
        "*a",
        "<<: 1",
        "{<<: 1}",
        "? [a]\n: 1",
        "[" * 300,
        "{a: " * 200,
        "9" * 5000,
        "0x",
        "1_",
        ".inf",
        ".nan",
        "~",
        "|\n  a",
        "- - -",
        "%YAML 9.9\n---\n",
        "\t",
        "\x00",
        "\x85",
        "﻿",
        "--- 1\n--- 2",
        "...",
        "'",
        '"\\x"',
        '"\\uD800"',
        "`",
        "@a",
        "a: b: c",
        "#",
    ]
)
TEXT = st.one_of(ODD, st.text(max_size=20), st.text(alphabet="-[]{}:,&*!|>'\"%@`#? \n\ta1.", max_size=12))


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "params.yaml"
    write_default(path)
    return path


@given(name=NAMES, text=TEXT)
@settings(bounded, max_examples=60)
def test_any_text_in_params_yaml_is_read_or_refused(name: str, text: str, params: Path) -> None:
    """A small file: the default one takes 0.1 s to parse."""
    *sections, key = name.split(".")
    lines = [f"{'  ' * depth}{section}:" for depth, section in enumerate(sections)]
    path = params.with_name("small.yaml")
    path.write_bytes("\n".join([*lines, f"{'  ' * len(sections)}{key}: {text}", ""]).encode("utf-8", "surrogatepass"))
    said = refusal(lambda: load(path))
    assert not said or "small.yaml" in said or name.split(".")[0] in said
    assert len(said) < 5000


@given(
    cuts=st.lists(st.tuples(st.integers(0, len(default_text()) - 1), st.integers(0, 40), TEXT), min_size=1, max_size=3)
)
@settings(bounded, max_examples=25)
def test_params_yaml_with_pieces_cut_out_and_others_put_in_is_read_or_refused(cuts: Any, params: Path) -> None:
    text = default_text()
    for start, length, instead in cuts:
        text = text[:start] + instead + text[start + length :]
    path = params.with_name("mutated.yaml")
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    refusal(lambda: load(path))


@given(content=st.binary(max_size=60))
@settings(bounded, max_examples=60)
def test_any_bytes_are_no_settings_or_some(content: bytes, params: Path) -> None:
    path = params.with_name("bytes.yaml")
    path.write_bytes(content)
    refusal(lambda: load(path))


@given(
    flags=st.lists(
        st.one_of(NAMES.map(lambda name: f"--{name}"), NAMES.map(lambda name: f"--{name}=1"), TEXT), max_size=5
    )
)
@bounded
def test_any_words_are_flags_or_refused(flags: list[str]) -> None:
    assert len(refusal(lambda: parse_overrides(flags))) < 2000


@given(name=NAMES, text=TEXT)
@bounded
def test_any_text_of_any_flag_is_taken_or_refused_by_name(name: str, text: str, params: Path) -> None:
    document = _document(params)
    with patch("flows.overrides.read", lambda path: copy.deepcopy(document)):
        said = refusal(lambda: overridden(Workspace(params.parent), {name: text}))
    if said:
        check_refusal(said, name)


_read: dict[Path, Any] = {}


def _document(path: Path) -> Any:
    """Parsed once: it takes 0.1 s."""
    if path not in _read:
        _read[path] = read(path)
    return _read[path]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(
    filled=st.dictionaries(st.sampled_from(sorted(FORM.model_fields)), JSON, max_size=3),
    other=st.dictionaries(NAMES | st.text(max_size=6), JSON, max_size=3),
)
@example(filled={}, other={"pretrain.epochs": None})
@bounded
def test_any_filled_in_form_is_taken_or_refused(filled: dict[str, Any], other: dict[str, Any], params: Path) -> None:
    """Prefect's server checks a form by its schema; what that lets pass is refused in one line, or runs."""
    document = _document(params)
    try:
        form = FORM(**(filled | {"other": other}))
    except ValidationError as error:
        named = error.errors()[0]["loc"][0]
    else:
        named = ""
        with patch("flows.overrides.read", lambda path: copy.deepcopy(document)):
            said = refusal(lambda: overridden(Workspace(params.parent), flags_of(form)))
        assert len(said) < 5000
    assert named == "" or named in FORM.model_fields


NO_PATHS = [
    "\x00",
    "nul\x00l/x",
    "x" * 5000,
    "é" * 300,
    "a/" * 3000,
    "\ud800",
    "a\nb",
    "~nobody/x",
    "$(ls)",
    "-rf",
    ",",
]
NO_DATA = [
    "/dev/null",
    "/dev/zero",
    "/etc/passwd",
    "..",
    "torchvision:",
    "http://evil.example.org/a",
    "models:/x/1",
    "{}",
]


PATHS = ("source.data", "target.data", "source.weights", "target.test_data")
GIVEN = [
    (name, text) for name in PATHS for text in [*NO_PATHS[:6], *(NO_PATHS[6:] + NO_DATA if name == PATHS[1] else [])]
]


@pytest.mark.parametrize(("name", "text"), GIVEN, ids=range(len(GIVEN)))
def test_what_is_no_path_of_a_dataset_is_refused_and_changes_nothing(name: str, text: str, tmp_path: Path) -> None:
    write_default(tmp_path / "params.yaml")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    given = {name: text} | ({"target.data": "digits"} if name == "target.test_data" else {})
    said = refusal(lambda: apply_overrides(Workspace(tmp_path), given))
    assert said
    assert len(said) < 2000 + len(text)
    assert (tmp_path / "params.yaml").read_text() == default_text()


def test_what_is_refused_is_not_printed_by_the_page() -> None:
    """Ten lists in each other are a few bytes in YAML, and 10^10 words when printed."""
    laughs = ["ha"]
    for _ in range(10):
        laughs = [laughs] * 10
    with pytest.raises(SettingsError) as refused:
        validate({"seed": laughs, "unknown": laughs, "source": {"data": laughs}}, where="params.yaml")
    assert len(str(refused.value)) < 4000
