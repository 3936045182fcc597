"""The page as a whole: self-contained, accessible, safe, the same bytes each time, and whole with anything missing."""

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import headstart.report.page
from headstart.evaluation.ranking import Estimate, Ranked, Ranking
from headstart.report.canvas import COLOURS
from headstart.report.inputs import ReportInputs
from headstart.report.page import render

VOID = {"meta", "link", "img", "br"}
STYLE = Path(headstart.report.page.__file__).with_name("page.css").read_text(encoding="utf-8")


class Page(HTMLParser):
    """A page's elements in their order, its visible text, and whether all that was opened was closed."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data + " "

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture(scope="module")
def folder(inputs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("reports")
    assert render(inputs, directory) == directory / "report.html"
    return directory


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(folder / "report.html")


def test_the_verdict_comes_first_in_words(page: Page) -> None:
    start = page.words[: page.words.index("The contrasts")]
    assert "helped Transfer helped +4.1 points over training from scratch" in start
    assert "10 labels a class, 5 seeds, test accuracy" in start
    assert "±3.1 points" in start
    assert "1.3× to 2.8×" in start


def test_every_part_of_the_contract_is_there(page: Page) -> None:
    for title in (
        "The contrasts, named before a test label was opened",
        "What a label buys",
        "Every strategy minus scratch",
        "Was the control trained enough?",
        "What training and predicting cost",
        "Where they err",
        "Test rows that transfer won and lost",
        "Do the source’s features already separate the target? Largely",
        "What W sees in the target",
        "Which source knows the target best?",
        "The comparison",
        "The data",
        "How to reproduce",
    ):
        assert title in page.words
    for fact in ("has been opened once", "git checkout 4f1c2d9", "backbone: resnet8", "2.14.1", "sha256:9b1c7f0e5a"):
        assert fact in page.words
    for said in ("predicted rows a second", "12,300 0.84 ms 12 ms"):
        assert said in page.words
    assert "Doubling its steps gained +0.8 points" in page.words
    assert "has reached its plateau" in page.words


def test_it_loads_nothing(page: Page) -> None:
    assert not page.all("script", "iframe", "object", "embed", "base")
    for attributes in page.all("img", "image", "use", "a", "link"):
        for name in ("src", "href", "xlink:href", "srcset"):
            assert str(attributes.get(name) or "#").startswith(("data:", "#")), attributes
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)\)", page.source))
    assert "@import" not in page.source
    assert "http" not in page.source


def test_it_is_accessible(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("title")) > 0
    assert all(attributes.get("alt") for attributes in page.all("img"))
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in page.all("svg"))
    assert all(attributes.get("scope") in ("row", "col") for attributes in page.all("th"))
    tables = [attributes for attributes in page.all("table") if "aria-labelledby" in attributes]
    assert len(tables) + len(page.all("caption")) == len(page.all("table"))
    assert all(
        attributes.get("tabindex") == "0" for attributes in page.all("div") if attributes.get("class") == "scroll"
    )


def test_headings_never_skip_a_level(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_ids_are_unique_and_every_anchor_leads_somewhere(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    aimed = {str(attributes["href"])[1:] for attributes in page.all("a", "use") if attributes.get("href")}
    aimed |= set(re.findall(r"url\(#([^)]*)\)", page.source))
    assert all("aria-labelledby" in attributes for attributes in page.all("section"))
    aimed |= {str(attributes["aria-labelledby"]) for _, attributes in page.elements if "aria-labelledby" in attributes}
    assert aimed <= set(ids)


def test_figures_are_files_too(folder: Path) -> None:
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "contrasts.svg",
        "label-efficiency.svg",
        "differences.svg",
        "convergence.svg",
        "clusters.svg",
        "confusion-source.svg",
        "confusion-scratch.svg",
        "confusion-full.svg",
        "map-features.svg",
        "map-raw.svg",
    }


def test_the_same_inputs_give_the_same_bytes_whatever_was_there(
    folder: Path, inputs: ReportInputs, tmp_path: Path
) -> None:
    stale = tmp_path / "figures" / "confusion-gone.svg"
    stale.parent.mkdir()
    stale.write_text("<svg/>")
    render(inputs, tmp_path)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    for name in files:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_it_is_light(page: Page) -> None:
    assert len(page.source) < 1_000_000


def test_names_are_text_wherever_they_stand(make_inputs: Callable[..., ReportInputs], tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    given = make_inputs(rows=40, classes=[evil, "\" onload='x'", "{{ 7 * 7 }}"], seeds=2)
    verdict = given.verdict | {
        "sentence": f"{evil}: <b>bold</b>",
        "warnings": [evil],
        "rounds": [dict.fromkeys(("round", "tried", "because", "change", "kept"), evil)],
        "interim": evil,
    }
    given = dataclasses.replace(
        given,
        verdict=verdict,
        settings_yaml=evil,
        source_cards=[{**given.source_cards[0], "name": evil, "description": evil, "rejected": {evil: 1}}],
        reproduce={"commands": [evil], "versions": {evil: evil}, "revision": evil},
    )
    page = Page(render(given, tmp_path))
    assert not page.all("script")
    assert page.words.count(evil) > 10
    assert "{{ 7 * 7 }}" in page.words
    assert not [attributes for _, attributes in page.elements if "onload" in attributes]


EVIL = "<script>alert(1)</script>"
OURS = {"metric", "verdict", "against", "strategy", "bound"}  # of our own tables, never of what was given


def _evil(value: Any, key: str = "") -> Any:
    """Every text in it is a tag."""
    if isinstance(value, dict):
        return {name: _evil(inside, name) for name, inside in value.items()}
    if isinstance(value, list):
        return [_evil(inside, key) for inside in value]
    return f"{EVIL}{value}" if isinstance(value, str) and key not in OURS else value


def test_no_text_of_any_part_is_a_tag(make_inputs: Callable[..., ReportInputs], tmp_path: Path) -> None:
    """Names of classes, datasets, files and units, settings, commands, versions, sentences: all at once."""
    given = make_inputs(rows=40, classes=[f"{EVIL}{number}" for number in range(3)], seeds=2)
    ids = {row: f"{EVIL}{row}.png" for row in given.images}
    given = dataclasses.replace(
        given,
        **{name: _evil(getattr(given, name)) for name in ("verdict", "source_cards", "reproduce", "settings_yaml")},
        target_card=_evil(given.target_card) | {"classes": {EVIL: 3}, "splits": {EVIL: 1}, "rejected": {EVIL: 2}},
        predictions=given.predictions.assign(id=given.predictions["id"].map(ids)),
        images={ids[row]: picture for row, picture in given.images.items()},
        ranking=Ranking((Ranked(EVIL, Estimate(0.9, 0.8, 1.0), None, 0.9, 0.3, 50, None),), {}, 0),
        measure=dataclasses.replace(given.measure, unit=EVIL),
    )
    page = Page(render(given, tmp_path))
    assert not page.all("script")
    assert "<script" not in page.source
    assert page.words.count(EVIL) > 20
    for figure in (tmp_path / "figures").glob("*.svg"):
        assert "<script" not in figure.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("verdict", "kind", "badge"),
    [
        ({"verdict": "hurt"}, "hurt", "hurt"),
        ({"verdict": "equivalent"}, "equivalent", "equivalent"),
        ({"verdict": "not settled"}, "unsettled", "not settled"),
        ({"verdict": "not settled", "withheld": "it still improves"}, "withheld", "verdict withheld"),
        (None, "withheld", "no verdict"),
    ],
)
def test_the_badge_says_the_verdict(inputs: ReportInputs, verdict: Any, kind: str, badge: str) -> None:
    entry = verdict and {**inputs.verdict["against_scratch"], **verdict}
    given = dataclasses.replace(inputs, verdict={**inputs.verdict, "against_scratch": entry})
    assert headstart.report.page._badge(given) == (kind, badge)


def test_warnings_rounds_and_reasons_are_shown(make_inputs: Callable[..., ReportInputs], tmp_path: Path) -> None:
    given = make_inputs(rows=30, seeds=1, budgets=(10,), strategies=("scratch", "full"), classes=["cat", "dog"])
    more = {
        "withheld": "training from scratch still improves",
        "warnings": ["one seed: these two models"],
        "rounds": [
            {
                "round": 1,
                "tried": "frozen_blocks:1_fixed",
                "because": "another fixed depth",
                "change": "+1.0 points against full",
                "kept": True,
            }
        ],
        "interim": "full on held-out labels: -1.0 points against scratch",
        "to_settle": {"sentence": "to settle a difference of this size: 14 seeds (5 now)"},
        "against_source": None,
        "equal_compute": None,
        "opened": 3,
    }
    page = Page(render(dataclasses.replace(given, verdict={**given.verdict, **more}), tmp_path))
    for text in (
        "verdict withheld",
        "The verdict is withheld: training from scratch still improves",
        "one seed: these two models",
        "frozen_blocks, 1 fixed another fixed depth +1.0 points against full yes",
        "Before the test rows were opened: full on held-out labels: -1.0 points against scratch.",
        "To settle a difference of this size: 14 seeds (5 now).",
        "opened 3 times",
        "10 labels a class, 1 seed,",
    ):
        assert text in page.words
    assert "more than half of the seeds" not in page.words
    assert "What was tried where the target fell short Remedies, inside the label budget" in page.words
    assert page.all("a")[1] == {"href": "#remedies"}
    assert [name for attributes in page.all("td") if (name := attributes.get("data-name"))] == [
        "round",
        "because",
        "change",
        "best so far",
    ]  # what each cell is called where rows are stacked, on a phone


def test_without_remedies_the_page_has_neither_their_section_nor_a_way_there(page: Page) -> None:
    assert "remedies" not in page.source
    assert page.all("a")[1] == {"href": "#efficiency"}


def test_captions_stand_outside_of_what_scrolls(page: Page) -> None:
    """In the box they are as wide as the table, and what does not fit into the window is cut off."""
    boxes = re.findall(r'<div class="scroll".*?</div>', page.source, re.DOTALL)
    captions = re.findall(r'<p class="caption" id="([a-z]+)-caption">', page.source)
    assert captions == ["cost", "clusters", "sources", "comparison"]
    assert len(boxes) == len(captions)
    assert not any("<caption" in box for box in boxes)


def test_wide_tables_have_the_whole_width(page: Page) -> None:
    pair = page.source[page.source.index('<div class="pair-of-sections">') : page.source.index('id="cost"')]
    assert pair.count("<div") == pair.count("</div>")
    clusters = page.source[page.source.index('id="clusters"') : page.source.index('id="map"')]
    assert clusters.index("</table>") < clusters.index('<div class="two">')


def test_in_cross_validation_rows_are_not_said_to_be_no_test_rows(
    make_inputs: Callable[..., ReportInputs], tmp_path: Path
) -> None:
    given = make_inputs(rows=30, seeds=2)
    tried = {"round": 1, "tried": "full", "because": "it was not tried", "change": "none", "kept": False}
    verdict = given.verdict | {"folds": 5, "rounds": [tried], "interim": "behind"}
    page = Page(render(dataclasses.replace(given, verdict=verdict), tmp_path))
    assert "the labelled ones test rows in turn, as in any cross-validation" in page.words
    assert "Each fold’s models were compared on rows outside of it." in page.words
    assert "Before the folds were scored: behind." in page.words
    for said in ("none of them a test row", "No test row", "Before the test rows"):
        assert said not in page.words


def test_a_hundred_classes_in_colour(make_inputs: Callable[..., ReportInputs], tmp_path: Path) -> None:
    names = [f"species number {place} with a very long name" for place in range(100)]
    page = Page(render(make_inputs(classes=names, colour=True, rows=150), tmp_path))
    assert "and 88 more" in page.words
    assert len(page.source) < 1_000_000


def test_with_next_to_nothing_it_is_still_a_page(inputs: ReportInputs, tmp_path: Path) -> None:
    tables = {
        item.name: getattr(inputs, item.name).iloc[:0]
        for item in dataclasses.fields(inputs)
        if isinstance(getattr(inputs, item.name), pd.DataFrame)
    }
    bare = ReportInputs(
        verdict={},
        classes=[],
        chosen="full",
        headline_budget=10,
        images={},
        source_samples=[[]],
        target_samples=[],
        target_features=np.zeros((0, 0)),
        target_raw=np.zeros((0, 0)),
        target_labels=[],
        source_cards=[{}],
        target_card={},
        settings_yaml="",
        **tables,
    )
    page = Page(render(bare, tmp_path))
    for text in ("No verdict", "No costs were recorded", "There are no predictions to compare", "None."):
        assert text in page.words
    assert list((tmp_path / "figures").iterdir()) == []


def test_nulls_everywhere_in_the_verdict(inputs: ReportInputs, tmp_path: Path) -> None:
    inner = dict.fromkeys(inputs.verdict["against_scratch"])
    verdict = dict.fromkeys(inputs.verdict) | {"against_scratch": inner}
    words = Page(render(dataclasses.replace(inputs, verdict=verdict), tmp_path)).words
    assert "No verdict" in words
    assert not re.search(r"\b(nan|None|null)\b(?!\.)", words)


def _scheme(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))


def _contrast(one: str, two: str) -> float:
    """WCAG 2 contrast ratio of two colours, 1 to 21."""
    light = sorted((_luminance(one), _luminance(two)))
    return (light[1] + 0.05) / (light[0] + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_and_figures_have_their_colours(scheme: str) -> None:
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)", 1)
    colours = _scheme(light) if scheme == "light" else _scheme(dark)
    assert set(COLOURS) <= set(colours)
    for text in ("ink", "muted"):
        for ground in ("card", "page", "soft"):
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for tone in ("good", "bad", "calm", "open", "muted"):  # the badge and the lead, either way round
        assert _contrast(colours[tone], colours["card"]) >= 4.5, tone


def test_several_sources_have_a_card_each_and_the_chosen_ones_is_the_source(
    make_inputs: Callable[..., ReportInputs], tmp_path: Path
) -> None:
    """Tables name the entrants "full@mnist5k"; the page says "full from mnist5k"."""
    given = make_inputs(rows=40, seeds=2)
    renamed = {"source": "source@mnist5k", "full": "full@mnist5k", "linear_probe": "linear_probe@fonts"}
    tables = {
        name: getattr(given, name).assign(strategy=getattr(given, name)["strategy"].replace(renamed))
        for name in ("comparison", "differences", "predictions", "convergence", "cells")
    }
    inputs = dataclasses.replace(
        given,
        **tables,
        chosen="full@mnist5k",
        source_cards=[given.source_cards[0], {**given.source_cards[0], "name": "fonts"}],
        source_samples=[given.source_samples[0], []],
    )
    page = render(inputs, tmp_path).read_text()
    assert "<b>mnist5k, fonts</b>" in page
    assert page.count('<span class="role">source</span>') == 2
    assert "The strategy is <b>full from mnist5k</b>" in page
    for said in ("source from mnist5k", "linear_probe from fonts"):
        assert said in page
    assert "@" not in page.replace("@media", "").replace("@page", "")


def test_one_source_is_a_row_of_its_own_without_rivals(page: Page) -> None:
    own = page.words[page.words.index("Which source knows") : page.words.index("The comparison")]
    assert "mnist5k 96.2% 94.5% to 97.9% 96.6% 0.40 5,000" in own
    assert "against the best" not in own
    assert "Kendall" not in own
    assert "Sources" in page.words


def test_several_sources_stand_beside_what_fine_tuning_came_to(inputs: ReportInputs, tmp_path: Path) -> None:
    ranked = (
        Ranked("mnist5k", Estimate(0.962, 0.945, 0.979), None, 0.966, 0.396, 5000, 0.941),
        Ranked("fonts", Estimate(0.9, 0.85, 0.95), Estimate(0.062, -0.01, 0.134), 0.87, -0.1, 800, 0.9),
    )
    given = dataclasses.replace(inputs, ranking=Ranking(ranked, {"size": 1.0, "ridge": 1.0, "knn": -1.0}, 2))
    words = Page(render(given, tmp_path)).words
    assert "mnist5k 96.2% 94.5% to 97.9% the best 96.6% 0.40 5,000 94.1%" in words
    assert "fonts 90.0% 85.0% to 95.0% −6.2 points (−13.4 to +1.0) 87.0% −0.10 800 90.0%" in words
    assert "that of 2 sources: ridge +1.00, neighbours −1.00, size +1.00" in words
