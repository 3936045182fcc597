"""Names of entrants: there and back for every name that a dataset may have."""

from hypothesis import given
from hypothesis import strategies as st

from headstart.entrants import Entrant, source_as_it_is, words

NAMES = st.from_regex(r"[a-z_]+", fullmatch=True)


@given(strategy=NAMES, variant=NAMES | st.just(""), source=st.text())
def test_a_name_is_read_as_it_was_made(strategy, variant, source):
    entrant = Entrant(strategy, variant, source)
    assert Entrant.parse(entrant.name) == entrant


def test_names_as_tables_and_sentences_have_them():
    assert Entrant("full").name == "full"
    assert Entrant("scratch", "half_steps").name == "scratch:half_steps"
    assert Entrant("full", source="torchvision:CIFAR10@home").name == "full@torchvision:CIFAR10@home"
    assert words("full@torchvision:CIFAR10@home") == "full from torchvision:CIFAR10@home"
    assert words("scratch:half_steps") == "scratch, half steps"


def test_the_source_as_it_is_has_the_same_w():
    assert source_as_it_is("full") == source_as_it_is("source") == "source"
    assert source_as_it_is("full@mnist5k") == "source@mnist5k"
