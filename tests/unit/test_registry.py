"""Registries: names are unique, unknown ones list the nearest, every entry's code is there, tables are torch-free."""

import subprocess
import sys

import pytest

from headstart.backbones.table import BACKBONES
from headstart.datasets.table import DATASETS
from headstart.errors import SettingsError
from headstart.registry import Entry, Registry, nearest
from headstart.strategies.table import STRATEGIES

REGISTRIES = {"backbone": BACKBONES, "built-in dataset": DATASETS, "strategy": STRATEGIES}
ENTRIES = [(kind, entry.name) for kind, registry in REGISTRIES.items() for entry in registry]


def small() -> Registry[Entry]:
    return Registry("fruit", [Entry("apple", "round", "fruits:apple"), Entry("pear", "long", "fruits:pear")])


def test_entries_keep_their_order():
    found = small()
    assert found.names() == ["apple", "pear"]
    assert [entry.name for entry in found] == ["apple", "pear"]
    assert found.get("pear").line == "long"
    assert "apple" in found
    assert "plum" not in found


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(ValueError, match="fruit 'apple' is already registered as fruits:apple"):
        small().add(Entry("apple", "other", "fruits:other"))
    with pytest.raises(ValueError, match="already registered"):
        Registry("fruit", [Entry("a", "", "x:y"), Entry("a", "", "x:y")])


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(SettingsError, match=r"^unknown fruit 'appl'; did you mean apple\?$"):
        small().get("appl")


def test_where_nothing_is_near_all_are_listed():
    with pytest.raises(SettingsError, match=r"^unknown fruit 'xyz'; allowed: apple, pear$"):
        small().get("xyz")


def test_an_entry_may_stand_for_all_names_of_a_library():
    library = Entry("plums:NAME", "any plum", "plums:plum")
    found = Registry("fruit", [Entry("apple", "round", "fruits:apple")], libraries=(library,))
    assert found.get("plums:damson") == Entry("plums:damson", "any plum", "plums:plum")
    assert found.names() == ["apple"]
    assert [entry.name for entry in found.listing()] == ["apple", "plums:NAME"]
    assert "plums:damson" not in found
    for name in ("plums:", "plums", "pears:x", ":plums"):
        with pytest.raises(SettingsError, match="unknown fruit"):
            found.get(name)


def test_at_most_three_are_guessed():
    assert nearest("seed", ["seeds", "seedy", "seeded", "weeds"]).count(" or ") == 2


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_entry_has_one_line_and_its_code(kind, name):
    registry = REGISTRIES[kind]
    assert registry.kind == kind
    entry = registry.get(name)
    assert callable(entry.load())
    assert entry.line
    assert "\n" not in entry.line
    assert len(entry.line) <= 100


def test_the_settings_and_all_tables_come_without_torch():
    """`headstart --help` and `headstart list` answer at once."""
    command = (
        "import sys, headstart.settings, headstart.cells.grid, headstart.cells.results, headstart.cells.select; "
        "heavy = {'torch', 'torchvision', 'timm', 'sklearn', 'scipy', 'matplotlib', 'mlflow', 'prefect', 'dvc'}; "
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
