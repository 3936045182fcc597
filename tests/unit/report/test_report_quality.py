"""The section on the data's quality: what it says, its pictures, and names that are not to be trusted."""

import dataclasses
from pathlib import Path

import pytest

from headstart.evaluation.quality import Balance, Quality, Shift, Suspect, apart, lines
from headstart.report.inputs import ReportInputs
from headstart.report.page import render

FOUND = Quality(
    kind="class",
    labelled=1000,
    wrong=3,
    suspects=(
        Suspect(id="row00001", given="<script>alert(1)</script>", likely="7", margin=-0.99),
        Suspect(id="gone", given="4", likely="9", margin=-0.5),
    ),
    balance=Balance(smallest=("cat", 20), largest=("dog", 400), effective=1.6),
    shifts=(
        Shift(
            source="mnist5k", auc=0.97, low=0.96, high=0.98, traits={"brightness": (0.1, 0.2), "contrast": (0.3, 0.25)}
        ),
    ),
    rejected=2,
    duplicates=1,
    near_duplicates=12,
)


@pytest.fixture(scope="module")
def section(inputs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> str:
    pictures = {"row00001": next(iter(inputs.images.values()))}
    given = dataclasses.replace(inputs, quality=FOUND, quality_images=pictures)
    page = render(given, tmp_path_factory.mktemp("quality")).read_text()
    return page[page.index('<section aria-labelledby="quality">') : page.index('<section aria-labelledby="reproduce">')]


def test_what_is_worth_a_look_comes_first(section: str) -> None:
    assert "<li>3 of 1,000 labels (0.3%) may be wrong.</li>" in section
    assert "classes are uneven: 400 rows of dog, 20 of cat" in section.lower()
    assert "<li>12 rows nearly repeat another one" in section


def test_suspects_have_their_pictures_and_both_labels(section: str) -> None:
    assert section.count('<img src="data:image/png') == 1
    assert "others say 7" in section
    assert "given 4" in section
    assert "The 2 likeliest of 3." in section


def test_names_are_text(section: str) -> None:
    assert "<script>" not in section
    assert "&lt;script&gt;" in section


def test_the_shift_has_its_interval(section: str) -> None:
    assert "0.97" in section
    assert "0.96 to 0.98" in section


def test_where_nothing_was_found_it_says_so(inputs: ReportInputs, tmp_path: Path) -> None:
    nothing = Quality(
        kind="attribute", labelled=0, wrong=None, suspects=(), balance=None, shifts=(), rejected=0, duplicates=0,
        near_duplicates=0,
    )  # fmt: skip
    page = render(dataclasses.replace(inputs, quality=nothing), tmp_path).read_text()
    assert "Nothing that was found." in page
    assert lines(nothing) == []
    assert apart(nothing) == ""


def test_a_report_without_it_has_no_such_section(inputs: ReportInputs, tmp_path: Path) -> None:
    assert 'id="quality"' not in render(inputs, tmp_path).read_text()
