"""Bad and unusual texts, as files or cells of a table. Each case makes (bytes or str, and of N the text to be read)."""

from collections.abc import Callable

from corpus.case import Case

Made = tuple[bytes | str, str]
LARGEST = 1_000_000  # bytes, as settings have it


def _bad(content: Callable[[], bytes | str]) -> Callable[[], Made]:
    return lambda: (content(), "")


def _good(content: bytes | str, read: str) -> Callable[[], Made]:
    return lambda: (content, read)


TEXTS = [
    Case("no bytes", "a file of no bytes", "Q", "EMPTY", _bad(lambda: b"")),
    Case("empty cell", "an empty text", "Q", "EMPTY", _bad(lambda: "")),
    Case("blank", "spaces and line ends alone", "Q", "EMPTY", _bad(lambda: b" \n\t \r\n")),
    Case("wide blank", "spaces that Unicode has, alone", "Q", "EMPTY", _bad(lambda: "\u3000\u00a0\u2003")),
    Case("mark alone", "a byte order mark and nothing else", "Q", "EMPTY", _bad(lambda: b"\xef\xbb\xbf")),
    Case("nul", "a NUL byte within a text", "Q", "CONTROL", _bad(lambda: b"good\0film")),
    Case("escape", "an escape sequence of a terminal", "Q", "CONTROL", _bad(lambda: b"\x1b[31mred\x1b[0m")),
    Case("latin 1", "a text in Latin-1", "Q", "NOT_UTF8", _bad(lambda: "un caf\u00e9".encode("latin-1"))),
    Case("utf 16", "a text in UTF-16", "Q", "NOT_UTF8", _bad(lambda: "a text".encode("utf-16"))),
    Case("utf 16 without mark", "UTF-16 without its mark", "Q", "CONTROL", _bad(lambda: "text".encode("utf-16-le"))),
    Case("overlong", "a slash in two bytes, which hides it", "Q", "NOT_UTF8", _bad(lambda: b"a\xc0\xaf")),
    Case("cut character", "a file that ends within a character", "Q", "NOT_UTF8", _bad(lambda: b"caf\xc3")),
    Case("surrogate bytes", "half of a pair, encoded", "Q", "NOT_UTF8", _bad(lambda: b"a\xed\xa0\x80b")),
    Case("surrogate", "half of a pair in a cell, as JSON can have it", "Q", "NOT_UTF8", _bad(lambda: "a\ud800b")),
    Case("image", "a PNG called .txt", "Q", "NOT_UTF8", _bad(lambda: b"\x89PNG\r\n\x1a\n" + bytes(40))),
    Case("one too many", "a byte more than is allowed", "Q", "TOO_LARGE", _bad(lambda: b"a" * (LARGEST + 1))),
    Case("50 MB row", "a cell of 50 MB", "Q", "TOO_LARGE", _bad(lambda: "word " * 10_000_000)),
    Case("50 MB file", "a file of 50 MB", "Q", "TOO_LARGE", _bad(lambda: b"word " * 10_000_000)),
    Case("mark", "a byte order mark before a text", "N", "byte order mark", _good(b"\xef\xbb\xbfabc", "abc")),
    Case("composed", "an accent as a character of its own", "N", "composed (NFC)", _good("cafe\u0301", "caf\u00e9")),
    Case("windows", "line ends of Windows", "N", "line ends", _good(b"one\r\ntwo", "one\ntwo")),
    Case("old line ends", "line ends of old Macs", "N", "line ends", _good(b"one\rtwo", "one\ntwo")),
    Case("long", "more tokens than are kept", "N", "cut", _good(b"a" * 5000, "a" * 256)),
    Case("accents piled up", "one letter under 10,000 accents", "N", "cut", _good("a" + "\u0335" * 10_000, "")),
    Case("another language", "a text in Greek", "N", "", _good("\u03b1\u03b2\u03b3", "\u03b1\u03b2\u03b3")),
    Case(
        "emoji",
        "a family of four in one sign",
        "N",
        "",
        _good("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
    ),
    Case("right to left", "a text with marks of direction", "N", "", _good("a\u202eb\u202c", "a\u202eb\u202c")),
    Case("one letter", "a text of one letter", "N", "", _good(b"a", "a")),
    Case("form feed", "the page break of a plain text", "N", "", _good(b"one\ftwo", "one\ftwo")),
    Case("formula", "what a spreadsheet would compute", "N", "", _good("=1+1", "=1+1")),
    Case("word nan", "the word that pandas takes for nothing", "N", "", _good("nan", "nan")),
]
