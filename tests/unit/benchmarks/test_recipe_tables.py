"""docs/methods.md has the study's own numbers, and the defaults are what the study kept."""

import json

import pytest

from benchmarks import attributes, source_rows
from benchmarks.marked import begin, end
from benchmarks.recipes.study import DESIGNS
from benchmarks.recipes.tables import COMMAND, METHODS, RESULTS, with_tables
from headstart.settings import Settings
from headstart.strategies.table import STRATEGIES

DOCUMENT = json.loads(RESULTS.read_text())


def test_the_page_has_the_tables_of_the_results():
    page = METHODS.read_text()
    assert page == with_tables(page, DOCUMENT), "run `python -m benchmarks.recipes --tables`"


@pytest.mark.parametrize("name", DOCUMENT["strategies"])
def test_the_defaults_are_what_was_kept(name):
    settings = Settings()
    recipe = settings.recipe(name).model_dump(mode="json") | {"levels": settings.extract.levels}
    assert DOCUMENT["strategies"][name]["kept"].items() <= recipe.items()


@pytest.mark.parametrize("name", DESIGNS)
def test_what_was_tried_is_the_design(name):
    own, design = DOCUMENT["strategies"][name], DESIGNS[name]
    assert len(own["trials"]) == design.trials
    assert own["start"] == json.loads(json.dumps(design.start))
    better = own["gain"] is not None and own["gain"][1] > 0
    assert own["kept"] == (own["found"] if better else own["start"])


def test_each_strategy_has_a_section_of_its_own():
    page = METHODS.read_text()
    for name in STRATEGIES.names():
        assert f"\n## {name}\n" in page


def test_a_page_without_its_markers_is_refused():
    with pytest.raises(ValueError, match="the page lacks"):
        with_tables("# Methods", DOCUMENT)


def test_what_stands_around_the_tables_stays():
    page = with_tables(f"above\n{begin(COMMAND)}\nold\n{end(COMMAND)}\nbelow\n", DOCUMENT)
    assert page.startswith(f"above\n{begin(COMMAND)}\n")
    assert page.endswith(f"{end(COMMAND)}\nbelow\n")
    assert "\nold\n" not in page
    assert "| `lp_ft` |" in page


def test_the_page_has_the_table_of_source_rows():
    document = json.loads(source_rows.RESULTS.read_text())
    page = METHODS.read_text()
    assert page == source_rows.with_table(page, document), "run `python -m benchmarks.source_rows --table`"
    assert [row["rows"] for row in document["rows"]] == list(source_rows.ROWS)


def test_the_page_has_the_tables_of_attributes():
    document = json.loads(attributes.RESULTS.read_text())
    page = METHODS.read_text()
    assert page == attributes.with_tables(page, document), "run `python -m benchmarks.attributes --table`"
    assert set(document["ways"]) == set(attributes.WAYS)
    assert set(document["unseen"]["eszsl"]) == set(attributes.SCORES)
    own = document["unseen"]["eszsl"]
    assert f"| `eszsl` | {own['seen'][0]:.1f} +- {own['seen'][1]:.1f} | {own['unseen'][0]:.1f} +- " in page


def test_intervals_are_those_of_draws_that_share_no_label():
    """The draws of these pairs are disjoint; taken for shared, they would be some 20 points wide."""
    for own in DOCUMENT["test"]["mnist5k -> digits"].values():
        assert own["gain"] is None or own["gain"][2] - own["gain"][1] < 8
