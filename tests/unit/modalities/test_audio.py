"""Sound: clips become spectrograms as a reference computes them; what is broken is refused with a reason."""

import os
import subprocess
import sys
import tracemalloc
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headstart.modalities.audio.mel import Spectrogram, filters, log_mel, quantised
from headstart.modalities.audio.modality import (
    AUDIO,
    EXTENSIONS,
    HowAudio,
    augment,
    augment_strongly,
    decode,
    how,
    vectors,
)
from headstart.modalities.settings import AudioSettings

HOW = HowAudio()
RATE = 16_000
TIMES = np.arange(RATE) / RATE
CHIRP = 0.5 * np.sin(2 * np.pi * (300 * TIMES + 1500 * TIMES**2)) + 0.02 * np.sin(2 * np.pi * 5000 * TIMES)


def file_of(samples: np.ndarray, *, rate: int = RATE, subtype: str = "FLOAT") -> BytesIO:
    file = BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    file.seek(0)
    return file


def read(samples: np.ndarray, *, rate: int = RATE) -> np.ndarray:
    """(mels, frames)"""
    found = decode(file_of(samples, rate=rate), HOW)
    assert found.reason == ""
    assert found.values is not None
    assert found.values.shape == (1, 64, 63)
    assert found.values.dtype == np.uint8
    return found.values[0].astype(int)


# Of librosa 0.11.0, in an environment of its own:
#   bands = librosa.filters.mel(sr=16000, n_fft=512, n_mels=64, fmin=20, fmax=8000, htk=True, norm=None, dtype=float)
#   padded = numpy.zeros(63 * 256 + 512); padded[128:16128] = CHIRP
#   power = librosa.feature.melspectrogram(y=padded, sr=16000, n_fft=512, hop_length=256, window="hann", center=False,
#       n_mels=64, fmin=20, fmax=8000, htk=True, norm=None)[:, :63]
#   decibels = librosa.power_to_db(power, ref=numpy.max, amin=1e-30, top_db=80)
BANDS = {(0, 1): 0.399819869, (0, 2): 0.508766826, (20, 30): 0.571089746, (63, 250): 0.573027405}
BAND_SUMS = {0: 0.908586695, 1: 0.952224166, 10: 1.322356773, 31: 3.02423036, 50: 6.234774686, 63: 10.261833408}
DECIBELS = {(3, 0): -28.2248, (10, 5): -49.1438, (20, 20): -77.9697, (33, 31): -23.4829, (45, 60): -53.8934,
            (50, 30): -80.0, (63, 62): -40.8814}  # fmt: skip


def test_the_bands_are_librosas():
    bands = filters(HOW.spectrogram)
    assert bands.shape == (64, 257)
    assert bands.sum() == pytest.approx(249.65257108)
    assert {place: bands[place] for place in BANDS} == pytest.approx(BANDS, abs=1e-8)
    assert {row: bands[row].sum() for row in BAND_SUMS} == pytest.approx(BAND_SUMS, abs=1e-8)


def test_the_spectrogram_is_librosas():
    found = log_mel(CHIRP, HOW.spectrogram)
    assert {place: found[place] for place in DECIBELS} == pytest.approx(DECIBELS, abs=2e-4)
    assert (found.mean(), found.std()) == pytest.approx((-71.219631, 19.327664), abs=1e-4)


def test_a_sine_of_full_scale_is_0_decibels_and_one_of_a_tenth_20_below():
    """Where 0 dB is full scale and a band is wide enough to hold the tone."""
    plan = Spectrogram(own_level=False, mels=8)
    peak = filters(plan)[4].argmax() * RATE / plan.points
    for share, expected in ((1, 0), (0.1, -20)):
        found = log_mel(share * np.sin(2 * np.pi * peak * TIMES), plan)
        assert found[4, 30] == pytest.approx(expected, abs=0.5)


def test_bytes_are_steps_of_a_third_of_a_decibel():
    decibels = log_mel(CHIRP, HOW.spectrogram)
    back = quantised(decibels, HOW.spectrogram).astype(float) * (80 / 255) - 80
    assert np.abs(back - decibels).max() <= 80 / 255 / 2 + 1e-9
    assert (back.max(), back.min()) == (0, -80)


def test_a_gain_changes_nothing_where_the_level_is_the_clips_own():
    one, soft = read(CHIRP), read(CHIRP / 50)
    assert np.abs(one - soft).max() <= 1
    loud = HowAudio(Spectrogram(own_level=False))
    found = decode(file_of(CHIRP / 50), loud).values
    assert found is not None
    assert int(found.max()) == pytest.approx(one.max() - (20 * np.log10(100)) * 255 / 80, abs=4)


@given(st.floats(100, 7_500), st.integers(0, 62))
def test_a_tone_lies_in_its_band_and_nothing_else_is_as_loud(hertz, frame):
    picture = read(0.5 * np.sin(2 * np.pi * hertz * TIMES))
    bins = np.arange(257) * RATE / 512
    band = np.average(np.arange(64), weights=filters(HOW.spectrogram)[:, np.abs(bins - hertz).argmin()] + 1e-9)
    assert abs(picture[:, min(max(frame, 1), 60)].argmax() - band) <= 1.5


def test_short_clips_lie_between_silences_and_of_long_ones_the_loudest_part_is_kept():
    picture = read(CHIRP[:4_000])
    assert decode(file_of(CHIRP[:4_000]), HOW).changes == ("padded",)
    assert (picture[:, :22] == 0).all()
    assert (picture[:, -22:] == 0).all()
    assert picture[:, 31].max() > 200
    long = np.concatenate([np.zeros(3 * RATE + 77), CHIRP, np.zeros(RATE)]) + 1e-4
    assert decode(file_of(long), HOW).changes == ("cut",)
    assert (np.abs(read(long) - read(CHIRP)) > 30).mean() < 0.1  # to a step of 16 ms


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_another_rate_gives_nearly_the_same_picture(rate):
    times = np.arange(rate) / rate
    picture = read(0.5 * np.sin(2 * np.pi * (300 * times + 1000 * times**2)), rate=rate)
    wanted = read(0.5 * np.sin(2 * np.pi * (300 * TIMES + 1000 * TIMES**2)))
    assert np.abs(picture - wanted)[:40, 2:-2].mean() < 2


def test_channels_are_mixed_and_said():
    found = decode(file_of(np.stack([CHIRP, CHIRP], axis=1)), HOW)
    assert found.values is not None
    assert (found.values[0] == read(CHIRP)).all()
    assert found.changes == ("mixed to one channel",)
    assert found.facts == {"seconds": 1.0, "rate": RATE, "channels": 2, "peak": pytest.approx(0.52, abs=0.01)}


@pytest.mark.parametrize(("wave", "said"), [
    (np.sin(2 * np.pi * 100 * TIMES), ()),
    (np.clip(4 * CHIRP, -1, 1), ("clipped",)),
    (np.zeros(RATE), ("silent",)),
    (CHIRP / 1_000, ("silent",)),
])  # fmt: skip
def test_clipped_and_silent_clips_are_kept_and_said(wave, said):
    assert decode(file_of(wave, subtype="PCM_16"), HOW).changes == said


def test_equal_sound_has_one_digest_whatever_the_file(tmp_path):
    samples = (CHIRP * 20_000).astype(np.int16)
    digests = []
    for name in ("a.wav", "b.flac"):
        soundfile.write(tmp_path / name, samples, RATE, subtype="PCM_16")
        digests.append(decode(tmp_path / name, HOW).sha256)
    soundfile.write(tmp_path / "c.wav", samples[::-1], RATE, subtype="PCM_16")
    assert digests[0] == digests[1] != decode(tmp_path / "c.wav", HOW).sha256
    assert len(digests[0]) == 64


def test_eight_hours_are_refused_by_the_header_before_any_memory_is_taken(tmp_path):
    """A file of 921 MB, nearly all of it a hole."""
    soundfile.write(tmp_path / "a.wav", np.zeros(100, np.int16), RATE)
    size = 8 * 3600 * RATE * 2
    with open(tmp_path / "a.wav", "r+b") as file:
        file.seek(40)
        file.write(size.to_bytes(4, "little"))
        file.truncate(44 + size)
    tracemalloc.start()
    found = decode(tmp_path / "a.wav", HOW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.reason.startswith("TOO_LONG: 28,800 seconds, at most 60 (data.audio.longest_seconds)")
    assert peak < 2_000_000


def test_what_is_no_file_and_what_is_written_to_meanwhile_are_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "a.wav")
    assert decode(tmp_path / "a.wav", HOW).reason.startswith("NOT_A_FILE")
    assert decode(tmp_path / "gone.wav", HOW).reason.startswith("UNREADABLE: FileNotFoundError")
    soundfile.write(tmp_path / "b.wav", CHIRP, RATE)
    check = soundfile.SoundFile.read

    def read_and_touch(self, *args, **named):
        os.utime(tmp_path / "b.wav", ns=(1, 1))
        return check(self, *args, **named)

    monkeypatch.setattr(soundfile.SoundFile, "read", read_and_touch)
    assert decode(tmp_path / "b.wav", HOW).reason == "CHANGED: something wrote to the file while it was read"


def test_ingests_workers_need_no_torch():
    code = "import sys, headstart.modalities.audio.modality; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_become_samples():
    settings = SimpleNamespace(audio=AudioSettings(sample_rate=8_000, seconds=2, mels=40, window_ms=40, hop_ms=20))
    found = how(settings)
    assert found.spectrogram == Spectrogram(8_000, 16_000, 40, 320, 160, 20.0, 4_000.0, -80.0, True)
    assert AUDIO.size(settings) == (40, 100)
    assert AUDIO.channels(settings) == 1
    shape = log_mel(np.zeros(16_000), found.spectrogram).shape
    assert shape == (40, found.spectrogram.frames) == AUDIO.size(settings)
    assert frozenset({".wav", ".flac", ".ogg"}) == EXTENSIONS


@pytest.mark.parametrize(("given", "words"), [
    ({"mels": 200}, "mels 200 are too many"),
    ({"hop_ms": 40}, "leaves gaps"),
    ({"highest_hz": 9_000}, "at most half the sample rate, 8000"),
    ({"seconds": 60}, "make 3750 frames, 8 to 1024 are allowed"),
    ({"shortest_seconds": 61}, "every file would be set aside"),
])  # fmt: skip
def test_settings_that_do_not_fit_together_are_refused(given, words):
    with pytest.raises(ValidationError, match=words):
        AudioSettings(**given)


def rows_of(batch: int) -> torch.Tensor:
    return torch.randn(batch, 1, 20, 30, generator=torch.Generator().manual_seed(0))


def test_augmenting_masks_bands_of_time_and_pitch_and_moves_the_rest():
    rows = torch.arange(30.0).expand(200, 1, 20, 30) + 100.3 * torch.arange(20.0)[:, None]
    found = augment(rows, torch.Generator().manual_seed(1))
    assert found.shape == rows.shape
    shifts, wide, high = set(), set(), set()
    original = rows[0]
    for row in found[:, 0]:
        mean = (row - original.mean()).abs() < 1e-3
        times, pitches = mean.all(0), mean.all(1)
        wide.add(int(times.sum()))
        high.add(int(pitches.sum()))
        kept = row[~pitches][:, ~times]
        free = torch.arange(30)[~times]
        row_of = torch.arange(20)[~pitches][0] * 100.3
        shifts.add(round(float((free - kept[0] + row_of)[len(free) // 2])))
    assert (min(wide), max(wide)) == (0, 6)
    assert (min(high), max(high)) == (0, 4)
    assert (min(shifts), max(shifts)) == (-3, 3)


def test_a_part_of_a_batch_is_changed_as_in_the_whole():
    rows = rows_of(12)
    whole = augment(rows, torch.Generator().manual_seed(1))
    part = augment(rows[3:8], torch.Generator().manual_seed(1), of=12, part=slice(3, 8))
    assert torch.equal(part, whole[3:8])
    assert not torch.equal(whole, augment(rows, torch.Generator().manual_seed(2)))


def test_the_strong_view_follows_from_its_generator_and_is_further_away():
    rows = rows_of(64)
    one, same = (augment_strongly(rows, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, same)
    assert one.shape == rows.shape
    assert (one - rows).abs().mean() > (augment(rows, torch.Generator().manual_seed(1)) - rows).abs().mean()


def test_vectors_are_averages_of_a_map_that_need_not_be_square():
    rows = np.random.default_rng(0).integers(0, 256, (2, 1, 64, 63)).astype(np.uint8)
    found = vectors(rows, np.array([1]))
    assert found.shape == (1, 32 * 32)
    assert found[0, 0] == pytest.approx(rows[1, 0, :2, :2].mean() / 255)
