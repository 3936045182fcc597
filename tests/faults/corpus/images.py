"""Broken and unusual image files. Each case makes (file name, bytes), and of N the picture to be read from it."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, PngImagePlugin

from corpus.case import Case

SIZE = (64, 48)
Made = tuple[str, bytes, Image.Image | None]


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture in colour with waves, shapes and some noise, another one for each seed; no side like another."""
    draw = np.random.default_rng(seed)
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    across, down, shift = draw.uniform(-6, 6, 3), draw.uniform(-6, 6, 3), draw.uniform(0, 6, 3)
    waves = [np.sin(a * columns / width + d * rows / height + s) for a, d, s in zip(across, down, shift, strict=True)]
    ground = 128 + 70 * np.stack(waves, axis=2)
    image = Image.fromarray(np.clip(ground + draw.normal(0, 4, ground.shape), 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        x, y, side = draw.integers(0, width), draw.integers(0, height), int(draw.integers(6, 20))
        pen.rectangle(
            [int(x), int(y), int(x) + side, int(y) + side // 2], fill=tuple(draw.integers(0, 256, 3).tolist())
        )
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file of a kind that Pillow writes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, *, extra: bytes = b"", pixels: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(pixels, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + data + chunk(b"IEND", b"")


def _zeros(width: int, height: int) -> bytes:
    """A PNG whose pixels are really there: megabytes of zeros in kilobytes."""
    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _flipped(content: bytes, share: float) -> bytes:
    """The bytes with one of them flipped, at that share of their length."""
    changed = bytearray(content)
    changed[int(len(changed) * share)] ^= 0xFF
    return bytes(changed)


def _bad(name: str, content: Callable[[], bytes]) -> Callable[[], Made]:
    return lambda: (name, content(), None)


def _good(name: str, content: Callable[[Image.Image], bytes], expected: Any = None) -> Callable[[], Made]:
    """content: from the picture. expected: what must be read, from the picture; the picture itself by default."""

    def make() -> Made:
        image = picture(_seed(name))
        return name, content(image), expected(image) if expected else image

    return make


def _seed(name: str) -> int:
    return zlib.crc32(name.encode())


def _jpeg(**options: Any) -> Callable[[Image.Image], bytes]:
    return lambda image: encoded(image, "JPEG", **({"quality": 95} | options))


def _turned(orientation: int) -> Callable[[Image.Image], bytes]:
    """The file of a camera that was held otherwise: pixels as the sensor has them, and a note how to turn them."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    return lambda image: encoded(image.transpose(back), "JPEG", quality=95, exif=exif)


def _hidden_colours(image: Image.Image) -> bytes:
    """Wholly transparent in its right half, with noise in the colours that nobody sees."""
    pixels = np.dstack([np.asarray(image), np.full(image.size[::-1], 255, np.uint8)])
    noise = np.random.default_rng(1).integers(0, 256, pixels.shape, dtype=np.uint8)
    half = image.width // 2
    pixels[:, half:, :3], pixels[:, half:, 3] = noise[:, half:, :3], 0
    return encoded(Image.fromarray(pixels, "RGBA"), "PNG")


def _right_half_white(image: Image.Image) -> Image.Image:
    found = image.copy()
    found.paste("white", (image.width // 2, 0, *image.size))
    return found


def _deep(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L")).astype(np.uint16) * 257


def _deep_png(image: Image.Image) -> bytes:
    return encoded(Image.fromarray(_deep(image)), "PNG")


def _deep_colour(image: Image.Image) -> bytes:
    """Written by hand: Pillow has no such mode."""
    rows = (np.asarray(image).astype(">u2") * 257).reshape(image.height, -1)
    pixels = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", *image.size, 16, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def _animated(kind: str) -> Callable[[Image.Image], bytes]:
    others = [picture(seed) for seed in (101, 102)]
    options = {"lossless": True} if kind == "WEBP" else {}
    return lambda image: encoded(image, kind, save_all=True, append_images=others, duration=50, **options)


def _text_bomb() -> bytes:
    """100 MB of text in 100 KB, in a chunk that readers unpack."""
    bomb = b"comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    return _png(16, 16, extra=chunk(b"zTXt", bomb), pixels=bytes(17 * 16))


def _profile_bomb() -> bytes:
    bomb = b"icc\0\0" + zlib.compress(bytes(100_000_000), 9)
    return _png(16, 16, extra=chunk(b"iCCP", bomb), pixels=bytes(17 * 16))


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("run.sh", "echo never")
    return file.getvalue()


def _postscript() -> bytes:
    return (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\n"
        b"(touched) (w) file closefile newpath 0 0 moveto 64 48 lineto stroke showpage\n%%EOF\n"
    )


def _photoshop() -> bytes:
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 8, 8, 8, 3)
    return header + struct.pack(">III", 0, 0, 0) + struct.pack(">H", 0) + bytes(8 * 8 * 3)


def _fractions(image: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.float32) / 255), "TIFF")


def _loop_of_directories() -> bytes:
    """A TIFF whose directory says that the next one is itself."""
    content = bytearray(encoded(picture(5), "TIFF"))
    start = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[start : start + 2])[0]
    place = start + 2 + 12 * count
    content[place : place + 4] = struct.pack("<I", start)
    return bytes(content)


def _gif_beyond_its_screen() -> bytes:
    """A GIF whose frame begins outside of its own screen."""
    content = bytearray(encoded(picture(6).convert("P"), "GIF"))
    place = content.index(b"\x2c")
    content[place + 1 : place + 5] = struct.pack("<HH", 60_000, 60_000)
    return bytes(content)


def _bmp_upside_down_without_rows() -> bytes:
    content = bytearray(encoded(picture(7), "BMP"))
    content[22:26] = struct.pack("<i", -(2**31))
    return bytes(content)


GRAY = Image.Image.convert


CASES = [
    Case("empty", "a file of no bytes", "Q", "EMPTY", _bad("empty.jpg", lambda: b"")),
    Case("text", "text under an image's name", "Q", "NOT_AN_IMAGE", _bad("text.jpg", lambda: b"path,label\n" * 40)),
    Case("page", "the page of an error that a download saved", "Q", "NOT_AN_IMAGE",
         _bad("page.png", lambda: b"<!DOCTYPE html><html><title>404</title></html>")),
    Case("pointer", "what Git LFS leaves in place of a file", "Q", "NOT_AN_IMAGE",
         _bad("pointer.png", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\n")),
    Case("zeros", "what a full disk leaves: as long as it should be, all zeros", "Q", "NOT_AN_IMAGE",
         _bad("zeros.jpg", lambda: bytes(5000))),
    Case("half_jpeg", "a JPEG cut at half", "Q", "UNREADABLE",
         _bad("half.jpg", lambda: (whole := encoded(picture(1), "JPEG"))[: len(whole) // 2])),
    Case("half_progressive", "a progressive JPEG cut at half", "Q", "UNREADABLE",
         _bad("half_p.jpg", lambda: (whole := encoded(picture(2), "JPEG", progressive=True))[: len(whole) // 2])),
    Case("nearly_jpeg", "a JPEG without its last 2 bytes", "Q", "UNREADABLE",
         _bad("nearly.jpg", lambda: encoded(picture(3), "JPEG")[:-2])),
    Case("nearly_large", "a large JPEG, read at an eighth, without its last 2 bytes", "Q", "UNREADABLE",
         _bad("nearly_large.jpg", lambda: encoded(picture(3, (1600, 1200)), "JPEG")[:-2])),
    Case("half_large", "a large JPEG, read at an eighth, cut at nine tenths", "Q", "UNREADABLE",
         _bad("half_large.jpg", lambda: (w := encoded(picture(3, (1600, 1200)), "JPEG"))[: len(w) * 9 // 10])),
    *(
        Case(f"half_{kind.lower()}", f"a {kind} cut at half", "Q", "",
             _bad(f"half.{kind.lower()}", lambda kind=kind: (w := encoded(picture(4), kind))[: len(w) // 2]))
        for kind in ("PNG", "GIF", "WEBP", "BMP", "TIFF")
    ),
    *(
        Case(f"flipped_png_{tenth}", f"a PNG with a byte flipped at {tenth} tenths", "Q", "",
             _bad(f"flipped_{tenth}.png", lambda tenth=tenth: _flipped(encoded(picture(8), "PNG"), tenth / 10)))
        for tenth in range(10)
    ),
    Case("claims_400_megapixels", "a header that says 20000x20000", "Q", "TOO_LARGE",
         _bad("claims.png", lambda: _png(20_000, 20_000))),
    Case("claims_4_gigapixels", "a header that says 65000x65000", "Q", "TOO_LARGE",
         _bad("claims_more.png", lambda: _png(65_000, 65_000))),
    Case("is_100_megapixels", "10000x10000 pixels that are really there", "Q", "TOO_LARGE",
         _bad("large.png", lambda: _zeros(10_000, 10_000))),
    Case("line", "60000x1", "Q", "TOO_SMALL", _bad("line.png", lambda: _zeros(60_000, 1))),
    Case("strip", "20000x10: a thousandth of it would be seen", "Q", "TOO_LONG",
         _bad("strip.png", lambda: _zeros(20_000, 10))),
    Case("point", "1x1", "Q", "TOO_SMALL", _bad("point.png", lambda: _zeros(1, 1))),
    Case("nothing", "0x0", "Q", "", _bad("nothing.png", lambda: _png(0, 0))),
    Case("fractions", "a TIFF of floating point", "Q", "UNREADABLE",
         _bad("fractions.tif", lambda: _fractions(picture(9)))),
    Case("text_bomb", "a PNG with 100 MB of packed text", "Q", "UNREADABLE", _bad("bomb.png", _text_bomb)),
    Case("profile_bomb", "a PNG with 100 MB of packed colour profile", "Q", "UNREADABLE",
         _bad("profile.png", _profile_bomb)),
    Case("eps", "PostScript under an image's name", "Q", "NOT_AN_IMAGE", _bad("eps.jpg", _postscript)),
    Case("svg", "SVG under an image's name", "Q", "NOT_AN_IMAGE",
         _bad("svg.png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"/>')),
    Case("pdf", "PDF under an image's name", "Q", "NOT_AN_IMAGE", _bad("pdf.jpg", lambda: encoded(picture(), "PDF"))),
    Case("psd", "Photoshop's under an image's name", "Q", "NOT_AN_IMAGE", _bad("psd.jpg", _photoshop)),
    Case("ico", "an icon under an image's name", "Q", "NOT_AN_IMAGE",
         _bad("ico.png", lambda: encoded(picture(), "ICO"))),
    Case("jpeg_2000", "JPEG 2000 under an image's name", "Q", "NOT_AN_IMAGE",
         _bad("jp2.jpg", lambda: encoded(picture(), "JPEG2000"))),
    Case("avif", "AVIF under an image's name", "Q", "NOT_AN_IMAGE",
         _bad("avif.jpg", lambda: encoded(picture(), "AVIF"))),
    Case("directories_in_a_loop", "a TIFF whose directories go round", "N", "",
         lambda: ("loop.tif", _loop_of_directories(), picture(5))),
    Case("frame_off_screen", "a GIF whose frame lies outside", "Q", "", _bad("off.gif", _gif_beyond_its_screen)),
    Case("height_of_minus_2_31", "a BMP of -2147483648 rows", "Q", "",
         _bad("minus.bmp", _bmp_upside_down_without_rows)),
    Case("deep_gray", "16 bits of gray", "N", "16 bits", _good("deep.png", _deep_png, lambda image: GRAY(image, "L"))),
    Case("deep_gray_tiff", "16 bits of gray in a TIFF", "N", "16 bits",
         _good("deep.tif", lambda image: encoded(Image.fromarray(_deep(image)), "TIFF"), lambda i: GRAY(i, "L"))),
    Case("cmyk", "a JPEG in the printer's colours", "N", "CMYK",
         _good("cmyk.jpg", lambda image: encoded(image.convert("CMYK"), "JPEG", quality=98))),
    Case("gray_of_32_bits", "a TIFF of whole numbers far beyond 16 bits", "Q", "UNREADABLE",
         _bad("wide.tif", lambda: encoded(Image.fromarray(np.full((16, 16), 10**6, np.int32)), "TIFF"))),
    Case("deep_colour", "16 bits of red, green and blue", "N", "", _good("deep_rgb.png", _deep_colour)),
    Case("palette", "a PNG with a palette", "N", "palette",
         _good("palette.png", lambda image: encoded(image.quantize(255), "PNG"))),
    Case("bits", "a PNG of one bit a pixel", "N", "",
         _good("bits.png", lambda i: encoded(i.convert("1"), "PNG"), lambda i: i.convert("1").convert("L"))),
    Case("hidden_colours", "noise under full transparency", "N", "laid on white",
         _good("hidden.png", _hidden_colours, _right_half_white)),
    *(
        Case(f"orientation_{number}", f"EXIF orientation {number}", "N", "turned",
             _good(f"turned_{number}.jpg", _turned(number)))
        for number in range(2, 9)
    ),
    Case("orientation_99", "an EXIF orientation that there is not", "N", "",
         _good("turned_99.jpg", lambda image: _jpeg(exif=_exif(99))(image))),
    Case("broken_exif", "EXIF that is noise", "N", "", _good("exif.jpg", _jpeg(exif=b"Exif\0\0MM" + b"\xff" * 40))),
    Case("broken_profile", "a colour profile that is noise", "N", "",
         _good("icc.jpg", _jpeg(icc_profile=b"\x00" * 7 + b"noise" * 50))),
    Case("animated_gif", "a GIF of 3 frames", "N", "first frame",
         _good("moves.gif", lambda image: _animated("GIF")(image))),
    Case("animated_webp", "a WebP of 3 frames", "N", "first frame",
         _good("moves.webp", lambda image: _animated("WEBP")(image))),
    Case("trailing_zip", "a JPEG with a zip behind it", "N", "", _good("zip.jpg", lambda i: _jpeg()(i) + _zip())),
    Case("extension", "a PNG under the name of a JPEG", "N", "other extension",
         _good("other.jpg", lambda image: encoded(image, "PNG"))),
    Case("thousand_text_chunks", "a PNG with a thousand comments", "N", "",
         _good("comments.png", lambda image: _commented(image))),
]  # fmt: skip


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _commented(image: Image.Image) -> bytes:
    about = PngImagePlugin.PngInfo()
    for number in range(1000):
        about.add_text(f"key {number}", "text")
    return encoded(image, "PNG", pnginfo=about)


VALID = {
    "a.jpg": lambda: encoded(picture(11), "JPEG"),
    "b.jpg": lambda: encoded(picture(12), "JPEG", progressive=True),
    "c.png": lambda: encoded(picture(13, (24, 20)), "PNG"),
    "d.png": lambda: encoded(picture(14, (24, 20)).quantize(16), "PNG"),
    "e.gif": lambda: encoded(picture(15), "GIF"),
    "f.webp": lambda: encoded(picture(16), "WEBP"),
    "g.webp": lambda: encoded(picture(17), "WEBP", lossless=True),
    "h.bmp": lambda: encoded(picture(18, (24, 20)), "BMP"),
    "i.tif": lambda: encoded(picture(19, (24, 20)), "TIFF"),
    "j.tif": lambda: encoded(picture(20), "TIFF", compression="tiff_lzw"),
    "k.tif": lambda: encoded(picture(21), "TIFF", compression="jpeg"),
    "l.png": lambda: _deep_png(picture(22, (24, 20))),
}


def mutated(count: int, *, seed: int) -> Iterator[tuple[str, bytes]]:
    """(file name, bytes): valid small files with bytes changed, cut out, doubled, or two files joined."""
    draw = np.random.default_rng(seed)
    files = [(name, make()) for name, make in VALID.items()]
    for number in range(count):
        name, content = files[number % len(files)]
        changed = bytearray(content)
        for _ in range(int(draw.integers(1, 6))):
            place, length = int(draw.integers(0, len(changed) + 1)), int(draw.integers(1, 64))
            match int(draw.integers(0, 7)):
                case 0 | 1 if changed:
                    changed[place % len(changed)] ^= 1 << int(draw.integers(0, 8))
                case 2:
                    changed[place : place + length] = draw.integers(0, 256, length, dtype=np.uint8).tobytes()
                case 3:  # numbers at their edges, where sizes and offsets are read
                    edge = int(draw.choice([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]))
                    changed[place : place + 4] = struct.pack(">I" if draw.random() < 0.5 else "<I", edge)
                case 4:
                    del changed[place : place + length]
                case 5:
                    changed[place:place] = changed[place : place + length]
                case 6:
                    other = files[int(draw.integers(0, len(files)))][1]
                    changed[place:] = other[int(draw.integers(0, len(other))) :]
        yield f"{number:05d}-{name}", bytes(changed)
