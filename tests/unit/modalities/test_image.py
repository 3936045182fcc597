"""Images: what cameras, scanners and paint programs write is read rightly; what is broken is refused with a reason."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import affine_grid

from headstart.modalities.image.limits import Limits
from headstart.modalities.image.modality import _grid, augment, augment_strongly, decode, fit

RED, WHITE = (255, 0, 0), (255, 255, 255)


def read(path: Path, *, size: int = 8, channels: int = 3) -> np.ndarray:
    found = decode(path, size=size, channels=channels)
    assert found.reason == ""
    assert found.values is not None
    assert found.values.shape == (channels, size, size)
    assert found.values.flags.c_contiguous
    assert found.values.dtype == np.uint8
    return found.values.transpose(1, 2, 0)


def refused(path: Path) -> str:
    found = decode(path, size=8, channels=3)
    assert found.values is None
    assert found.sha256 == ""
    return found.reason


def left_red(size: tuple[int, int] = (16, 16)) -> Image.Image:
    """The left half red, the right half white."""
    image = Image.new("RGB", size, WHITE)
    image.paste(RED, (0, 0, size[0] // 2, size[1]))
    return image


def png(width: int, height: int) -> bytes:
    """A PNG with a true header and no pixels to speak of."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.gif", "a.tif", "a.TIFF", "a.webp", "a.jpg", "a.JPEG"])
def test_each_format_is_read(tmp_path, name):
    left_red().save(tmp_path / name, **({"quality": 95} if name != "a.gif" else {}))
    pixels = read(tmp_path / name).astype(int)
    assert np.abs(pixels[4, 1] - RED).max() < 25
    assert np.abs(pixels[4, 6] - WHITE).max() < 25


@pytest.mark.parametrize(("orientation", "side"), [(1, "left"), (3, "right"), (6, "top"), (8, "bottom"), (2, "right")])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_exif_orientation_is_followed(tmp_path, name, orientation, side):
    """A camera held upright writes its pixels sideways and says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    left_red((64, 64)).save(tmp_path / name, exif=exif)
    pixels = read(tmp_path / name).astype(int)
    red = np.abs(pixels - RED).max(2) < 60
    where = {"left": red[:, :2], "right": red[:, -2:], "top": red[:2], "bottom": red[-2:]}
    assert where.pop(side).all()
    assert not any(part.all() for part in where.values())


def test_16_bit_gray_is_scaled_not_saturated(tmp_path):
    """Pillow's own convert() takes all values over 255 for white."""
    values = np.repeat(np.array([0, 256, 32768, 65535], np.uint16), 16).reshape(4, 16).repeat(4, axis=0)
    Image.fromarray(values).save(tmp_path / "a.png")
    pixels = read(tmp_path / "a.png", size=16, channels=1)
    assert [int(pixels[row, 8, 0]) for row in (1, 5, 10, 14)] == pytest.approx([0, 1, 128, 255], abs=1)
    assert read(tmp_path / "a.png", size=16, channels=3)[9, 8].tolist() == pytest.approx([128] * 3, abs=8)


def test_16_bit_gray_in_a_tiff_too(tmp_path):
    Image.fromarray(np.full((8, 8), 0x4000, np.uint16)).save(tmp_path / "a.tif")
    assert set(read(tmp_path / "a.tif", channels=1).ravel().tolist()) == {64}


def test_float_pixels_have_no_known_range(tmp_path):
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "a.tif")
    assert refused(tmp_path / "a.tif") == (
        "UNREADABLE: ValueError: float pixels have no known range; save the image with 8 or 16 bits"
    )


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_lie_on_white(tmp_path, mode):
    """Under a transparent pixel most programs write black: a figure on nothing would be a figure in the dark."""
    image = Image.new(mode, (8, 8), (0,) * len(mode))
    image.paste((0,) * (len(mode) - 1) + (255,), (0, 0, 4, 8))
    image.save(tmp_path / "a.png")
    pixels = read(tmp_path / "a.png", channels=1)[:, :, 0]
    assert (pixels[:, :3] < 20).all()
    assert (pixels[:, 5:] > 235).all()


def test_half_transparent_pixels_are_mixed_with_white(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png")[4, 4].tolist() == pytest.approx([255, 127, 127], abs=1)


def test_a_transparent_colour_of_a_palette_is_white_too(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(1, (0, 0, 4, 8))
    image.save(tmp_path / "a.gif", transparency=0)
    pixels = read(tmp_path / "a.gif")
    assert pixels[4, 1].tolist() == list(RED)
    assert pixels[4, 6].tolist() == list(WHITE)


@pytest.mark.parametrize("mode", ["P", "1", "L", "CMYK", "YCbCr", "HSV"])
def test_each_mode_becomes_colour_or_gray(tmp_path, mode):
    name = "a.png" if mode in ("P", "1", "L") else "a.tif"
    image = left_red().convert(mode) if mode != "HSV" else left_red()
    image.save(tmp_path / name)
    colour, gray = read(tmp_path / name), read(tmp_path / name, channels=1)
    assert colour[4, 6].tolist() == pytest.approx(WHITE, abs=3)
    assert gray[4, 6, 0] == pytest.approx(255, abs=3)
    if mode in ("P", "CMYK", "YCbCr", "HSV"):
        assert colour[4, 1].tolist() == pytest.approx(RED, abs=3)


def test_a_cmyk_jpeg_as_printers_write_it(tmp_path):
    left_red((64, 64)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    pixels = read(tmp_path / "a.jpg").astype(int)
    assert np.abs(pixels[4, 1] - RED).max() < 25
    assert np.abs(pixels[4, 6] - WHITE).max() < 25


def test_gray_to_colour_and_back(tmp_path):
    values = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(values).save(tmp_path / "gray.png")
    colour = read(tmp_path / "gray.png", channels=3)
    assert (colour == values[:, :, None]).all()
    Image.fromarray(colour).save(tmp_path / "colour.png")
    assert (read(tmp_path / "colour.png", channels=1)[:, :, 0] == values).all()


def test_the_centre_of_an_oblong_picture_is_kept(tmp_path):
    image = Image.new("RGB", (80, 20), WHITE)
    image.paste(RED, (30, 0, 50, 20))  # the middle square
    image.save(tmp_path / "wide.png")
    image.rotate(90, expand=True).save(tmp_path / "tall.png")
    for name in ("wide.png", "tall.png"):
        assert (read(tmp_path / name)[1:-1, 1:-1] == RED).all()


def test_a_picture_of_the_right_size_is_taken_as_it_is(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png") == values).all()
    assert (fit(Image.fromarray(values), size=8, channels=3) == values).all()


def test_a_large_jpeg_is_read_at_a_fraction_of_its_size_and_is_the_same_picture(tmp_path):
    left_red((800, 800)).save(tmp_path / "a.jpg", quality=95)
    pixels = read(tmp_path / "a.jpg").astype(int)
    assert np.abs(pixels[4, 1] - RED).max() < 25


def test_equal_pixels_have_one_digest_whatever_the_file(tmp_path):
    left_red((8, 8)).save(tmp_path / "a.png")
    left_red((8, 8)).save(tmp_path / "b.bmp")
    left_red((8, 8)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "c.png")
    digests = [decode(tmp_path / name, size=8, channels=3).sha256 for name in ("a.png", "b.bmp", "c.png")]
    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 64


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_file_that_ends_too_early_is_refused(tmp_path, name, share):
    """Pillow's verify() passes such a JPEG; gray bars would be learned as if they were the picture."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    assert refused(tmp_path / name).startswith("UNREADABLE: ")


@pytest.mark.parametrize("content", [b"this is a text", b"\x00" * 100, b"<svg/>", b"%PDF-1.7"])
def test_what_is_no_image_is_refused(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    assert refused(tmp_path / "a.jpg") == "NOT_AN_IMAGE: none of BMP, GIF, JPEG, PNG, TIFF, WEBP"


def test_a_file_of_no_bytes_and_what_is_no_file_are_told_apart(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert refused(tmp_path / "a.jpg") == "EMPTY: a file of no bytes"
    os.mkfifo(tmp_path / "b.jpg")
    assert refused(tmp_path / "b.jpg") == "NOT_A_FILE: a folder, a pipe or a device"


def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path, monkeypatch):
    """Half of the old picture and half of the new one would be a picture that never was."""
    left_red().save(tmp_path / "a.png")
    read = os.read

    def read_and_touch(handle: int, count: int) -> bytes:
        content = read(handle, count)
        os.utime(tmp_path / "a.png", ns=(1, 1))
        return content

    monkeypatch.setattr("headstart.modalities.decoded.os.read", read_and_touch)
    assert refused(tmp_path / "a.png") == "CHANGED: something wrote to the file while it was read"


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((1, 40), "TOO_SMALL: 1x40 pixels, at least 2 a side (data.smallest_side)"),
        ((40, 20), "TOO_LONG: 40x20 pixels, at most 1.5 to 1 (data.largest_aspect)"),
        ((40, 40), "TOO_LARGE: 40x40 pixels, at most 1,000 (data.largest_pixels)"),
        ((30, 20), ""),
    ],
)
def test_limits_of_the_size_are_settings(tmp_path, size, reason):
    Image.new("L", size).save(tmp_path / "a.png")
    limits = Limits(largest_aspect=1.5, largest_pixels=1000)
    assert decode(tmp_path / "a.png", size=8, channels=1, limits=limits).reason == reason


def test_gray_of_32_bits_has_no_known_range(tmp_path):
    Image.fromarray(np.full((8, 8), 1_000_000, np.int32)).save(tmp_path / "a.tif")
    assert refused(tmp_path / "a.tif").startswith("UNREADABLE: ValueError: gray of 32 bits has no known range")


def test_what_was_done_to_an_image_is_said(tmp_path):
    left_red().save(tmp_path / "plain.png")
    left_red().quantize(4).save(tmp_path / "palette.gif", save_all=True, append_images=[Image.new("P", (16, 16))])
    left_red().convert("RGBA").save(tmp_path / "alpha.jpg", "PNG")
    found = {path.stem: decode(path, size=8, channels=3).changes for path in tmp_path.iterdir()}
    assert found == {
        "plain": (),
        "palette": ("palette", "first frame of several"),
        "alpha": ("laid on white", "other extension"),
    }


def test_a_format_that_pillow_knows_and_we_do_not_is_refused(tmp_path):
    left_red().save(tmp_path / "a.ppm")
    (tmp_path / "a.ppm").rename(tmp_path / "a.png")
    assert refused(tmp_path / "a.png").startswith("NOT_AN_IMAGE")


def test_a_header_that_claims_too_much_is_refused_before_any_memory_is_taken(tmp_path):
    (tmp_path / "large.png").write_bytes(png(9_000, 9_000))
    assert refused(tmp_path / "large.png") == "TOO_LARGE: 9000x9000 pixels, at most 64,000,000 (data.largest_pixels)"
    for side in (10_000, 100_000):
        (tmp_path / "bomb.png").write_bytes(png(side, side))
        assert refused(tmp_path / "bomb.png").startswith("TOO_LARGE: at most 64,000,000 pixels")


def test_a_file_that_is_gone_is_a_reason_too(tmp_path):
    assert refused(tmp_path / "a.png").startswith("UNREADABLE: FileNotFoundError")


def test_memory_that_runs_out_is_a_reason_too(tmp_path, monkeypatch):
    left_red().save(tmp_path / "a.png")

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("headstart.modalities.image.modality._to_array", fail)
    assert refused(tmp_path / "a.png") == "OUT_OF_MEMORY: the image does not fit into memory"


@pytest.mark.parametrize("channels", [1, 3])
def test_augmenting_keeps_shape_and_range(channels):
    images = torch.rand(16, channels, 12, 12, generator=torch.Generator().manual_seed(0)) * 5 - 2
    found = augment(images, torch.Generator().manual_seed(1))
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert found.min() >= images.min() - 1e-5
    assert found.max() <= images.max() + 1e-5
    assert not torch.equal(found, images)


def test_augmenting_follows_from_its_generator():
    images = torch.rand(4, 1, 12, 12)
    one, same, other = (augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_each_image_is_changed_in_its_own_way():
    images = torch.rand(1, 1, 12, 12).repeat(4, 1, 1, 1)
    found = augment(images, torch.Generator().manual_seed(0))
    assert len({image.numpy().tobytes() for image in found}) == 4


def test_the_changes_are_small_and_even():
    """A dot in the middle of 41 pixels wanders by at most 9% each way, and on average nowhere."""
    images = torch.zeros(400, 1, 41, 41)
    images[:, 0, 20, 20] = 1
    found = augment(images, torch.Generator().manual_seed(0))[:, 0]
    places = torch.arange(41) - 20.0
    for axis in (1, 2):
        wander = (found.sum(3 - axis) @ places) / found.sum((1, 2)).clamp_min(1e-9)
        assert wander.abs().max() < 0.09 * 41 * 1.4  # the scale, and the turn of the other axis, come on top
        assert wander.abs().max() > 0.09 * 41 * 0.8
        assert abs(wander.mean().item()) < 0.3


@pytest.mark.parametrize(("height", "width"), [(28, 28), (12, 20), (1, 3)])
def test_the_grid_is_torchs_affine_grid(height, width):
    matrix = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = affine_grid(matrix, [6, 1, height, width], align_corners=False)
    found = _grid(matrix, height, width)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)


def test_edges_are_repeated_outwards():
    """Not zeros, which a network could take for a frame."""
    assert torch.allclose(augment(torch.ones(8, 1, 12, 12) * 3, torch.Generator().manual_seed(0)), torch.tensor(3.0))


def test_the_strong_view_is_another_one_of_the_same_shape_and_follows_from_its_generator():
    images = torch.rand(6, 3, 12, 16)
    one, same, other = (augment_strongly(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert one.shape == images.shape
    assert not torch.equal(one, other)


def test_a_square_of_the_strong_view_is_cut_out():
    """A third of the side, of one value in all channels: the image's mean."""
    images = torch.rand(8, 2, 30, 30, generator=torch.Generator().manual_seed(3))
    for image in augment_strongly(images, torch.Generator().manual_seed(0)):
        values, counts = image.flatten().unique(return_counts=True)
        assert counts.max() >= 2 * 10 * 10
        square = (image == values[counts.argmax()]).all(0).nonzero()
        assert (square.max(0).values - square.min(0).values + 1).tolist() == [10, 10]
