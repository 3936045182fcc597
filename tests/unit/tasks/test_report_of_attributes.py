"""What the page says of a source that has attributes in place of classes."""

from headstart.datasets.pack import Pack
from tasks import ingest, report


def test_its_card_names_them_and_its_pictures_say_what_is_so(domains):
    pack = Pack(domains["marks"].places.source_pack)
    card = report._card(pack)
    assert card["attributes"] == "top (yes/no), left (yes/no), dot (yes/no), ink (number), shade (tag)"
    assert (card["classes"], card["values"]) == ({}, "")
    captions = [caption for caption, _ in report._samples(pack)]
    assert len(captions) == 20
    words = {word for caption in captions for word in caption.split(", ")}
    assert words <= {"top", "left", "dot", "bright", "dim", ""}
    assert {"top", "left", "dot", "bright", "dim"} <= words


def test_the_log_counts_them(domains):
    assert ingest.in_words(Pack(domains["marks"].places.source_pack).card) == "parts: 400 rows with 5 attributes"
