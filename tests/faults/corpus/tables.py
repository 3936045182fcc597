"""Broken and unusual tables. Each case writes a table beside 40 images and gives its path."""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from corpus.case import Case
from corpus.images import encoded, picture

ROWS = 40
Make = Callable[[Path], Path]


def write_images(folder: Path) -> None:
    """Writes 00.png .. 39.png, every picture another one."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(ROWS):
        (folder / f"{number:02d}.png").write_bytes(encoded(picture(3000 + number, (24, 20)), "PNG"))


def rows(labels: Sequence[str] = ("cat", "dog")) -> list[str]:
    return [f"{number:02d}.png,{labels[number % len(labels)]}" for number in range(ROWS)]


def lines(*, header: str = "path,label", body: Iterable[str] | None = None, more: Iterable[str] = ()) -> str:
    return "\n".join([header, *(rows() if body is None else body), *more]) + "\n"


def _text(content: str | bytes, name: str = "labels.csv") -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def _large_field(folder: Path) -> Path:
    path = folder / "labels.csv"
    with path.open("w") as file:
        file.write(lines())
        file.write("00.png,")
        for _ in range(100):
            file.write("x" * 1_000_000)
        file.write("\n")
    return path


def _large_cell_of_parquet(folder: Path) -> Path:
    path = folder / "labels.parquet"
    frame = pd.read_csv(io.StringIO(lines()))
    frame.loc[3, "label"] = "x" * 100_000_000
    frame.to_parquet(path, compression="zstd")
    return path


def _cut_parquet(folder: Path) -> Path:
    path = folder / "labels.parquet"
    pd.read_csv(io.StringIO(lines())).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    return path


def _same_picture(folder: Path) -> Path:
    """A cat's picture, as another file, among the dogs."""
    (folder / "copy.png").write_bytes((folder / "00.png").read_bytes())
    return _text(lines(more=["copy.png,dog"]))(folder)


def _uneven(folder: Path) -> Path:
    """1,000 of one class, 4 of the other: many rows are of one file each, for files are what takes time."""
    for number in range(1004):
        (folder / f"u{number:04d}.bmp").write_bytes(encoded(picture(9000 + number, (10, 9)), "BMP"))
    body = [f"u{number:04d}.bmp,{'rare' if number < 4 else 'usual'}" for number in range(1004)]
    return _text(lines(body=body))(folder)


def _split(test: Sequence[str], train: Sequence[str]) -> str:
    body = [f"{n:02d}.png,{train[n % len(train)]},train" for n in range(30)]
    body += [f"{n:02d}.png,{test[n % len(test)]},test" for n in range(30, 40)]
    return lines(header="path,label,split", body=body)


def _grouped() -> str:
    """Owners of every fifth picture, whatever its split."""
    table = _split(["cat", "dog"], ["cat", "dog"]).splitlines()
    return "\n".join([f"{table[0]},group", *(f"{row},owner {n % 5}" for n, row in enumerate(table[1:]))]) + "\n"


def _numbers(*bad: str) -> str:
    body = [f"{n:02d}.png,{n}.5" for n in range(ROWS - len(bad))]
    body += [f'{ROWS - 1 - n:02d}.png,"{text}"' for n, text in enumerate(bad)]
    return lines(header="path,value", body=body)


CASES = [
    Case("one_class", "all rows of one class", "X", ("one class", "'cat'", "at least two"),
         _text(lines(body=rows(["cat"])))),
    Case("no_label", "every label empty", "X", ("no row has a label",), _text(lines(body=rows([""])))),
    Case("too_few", "a class of two rows", "X", ("'bird'", "2 readable", "data.min_rows_per_class"),
         _text(lines(body=rows()[:38], more=["38.png,bird", "39.png,bird"]))),
    Case("not_in_train", "a class that only the test rows have", "X", ("'bird'", "at least 4"),
         _text(_split(["cat", "dog", "bird"], ["cat", "dog"]))),
    Case("misspelt", "a label of the test rows that is nearly one of the others", "X", ("'dgo'", "did you mean 'dog'?"),
         _text(_split(["cat", "dog", "dgo"], ["cat", "dog"]))),
    Case("not_in_test", "a class that the test rows have not", "N", "no test row",
         _text(_split(["cat", "dog"], ["cat", "dog", "bird"]))),
    Case("group_on_both_sides", "a group with test rows and others", "X", ("both sides", "'owner 0'", "group column"),
         _text(_grouped())),
    Case("two_labels", "one picture as a cat and as a dog", "Q", "TWO_LABELS", _same_picture),
    Case("missing_files", "half of the files are not there", "X",
         ("MISSING", *(f"gone{n}.png" for n in range(10)), "data.max_rejected"),
         _text(lines(more=[f"gone{n}.png,cat" for n in range(40)]))),
    Case("one_missing", "a file is not there", "Q", "MISSING", _text(lines(more=["gone.png,cat"]))),
    Case("no_path", "a row names no file", "Q", "NO_PATH", _text(lines(more=[",cat"]))),
    Case("escape", "a path out of the folder", "Q", "OUTSIDE", _text(lines(more=["../../etc/passwd.png,cat"]))),
    Case("absolute", "an absolute path", "Q", "OUTSIDE", _text(lines(more=["/etc/hostname,cat"]))),
    Case("url", "an address", "Q", "ADDRESS", _text(lines(more=["https://example.org/a.png,cat"]))),
    Case("file_url", "an address of a file", "Q", "ADDRESS", _text(lines(more=["file:///etc/hostname,cat"]))),
    Case("repeated", "a file has two rows", "Q", "REPEATED", _text(lines(more=["00.png,cat"]))),
    Case("folder", "a path is a folder", "Q", "MISSING", _text(lines(more=[".,cat"]))),
    Case("device", "a path is a device", "Q", ("OUTSIDE", "MISSING"), _text(lines(more=["/dev/zero,cat"]))),
    Case("nul", "a NUL in a path", "Q", "MISSING", _text(lines(more=["a\0b.png,cat"]))),
    Case("long_path", "a path of 10,000 characters", "Q", "MISSING", _text(lines(more=["x" * 10_000 + ",cat"]))),
    Case("bad_split", "a split that there is not", "Q", "BAD_SPLIT",
         _text(_split(["cat", "dog"], ["cat", "dog"]).replace("00.png,cat,train", "00.png,cat,tarin"))),
    Case("bom", "a byte order mark", "N", "", _text(lines().encode("utf-8-sig"))),
    Case("utf_16", "UTF-16, as Excel's \"Unicode text\"", "X", ("labels.csv", "UTF-8", "save it"),
         _text(lines().encode("utf-16"))),
    Case("latin_1", "Latin-1", "X", ("labels.csv", "UTF-8", "save it"),
         _text(lines(body=rows(["caf\u00e9", "th\u00e9"])).encode("latin-1"))),
    Case("ragged_long", "a row of three cells under two columns", "X", ("labels.csv", "row 42", "3"),
         _text(lines(more=["00.png,cat,extra"]))),
    Case("ragged_all", "every row has a cell more than the header", "X", ("labels.csv", "row 2"),
         _text(lines(body=[f"{row},extra" for row in rows()]))),
    Case("ragged_short", "a row of one cell", "N", "", _text(lines(body=rows()[:39], more=["39.png"]))),
    Case("open_quote", "a quote that never ends", "X", ("labels.csv", "row 12", "quote"),
         _text(lines(body=rows()[:10], more=['"10.png,cat', *rows()[11:]]))),
    Case("nan", "a value that is no number", "Q", "BAD_VALUE", _text(_numbers("nan"))),
    Case("infinite", "a value without end", "Q", "BAD_VALUE", _text(_numbers("-inf"))),
    Case("too_large", "a value that no float can hold", "Q", "BAD_VALUE", _text(_numbers("1e999"))),
    Case("decimal_comma", "3,5 for 3.5", "Q", "BAD_VALUE", _text(_numbers("3,5"))),
    Case("all_decimal_commas", "3,5 throughout", "X", ("BAD_VALUE", "decimal comma", "labels.csv row 2"),
         _text(lines(header="path;value", body=[f"{n:02d}.png;{n},5" for n in range(ROWS)]))),
    Case("duplicate_header", "two columns of one name", "X", ("labels.csv", "two columns", "'label'"),
         _text(lines(header="path,label,label", body=[f"{row},x" for row in rows()]))),
    Case("header_only", "no rows", "X", ("labels.csv", "no row"), _text("path,label\n")),
    Case("no_bytes", "a file of no bytes", "X", ("labels.csv", "empty"), _text("")),
    Case("no_header", "rows without a header", "X", ("labels.csv", "no column 'path'"), _text("\n".join(rows()))),
    Case("na", "classes called NA, null and None", "N", "", _text(lines(body=rows(["NA", "null", "None", "nan"])))),
    Case("formula", "a class that a spreadsheet would run", "N", "",
         _text(lines(body=rows(["=1+1", "@SUM(A1)"])))),
    Case("markup", "a class that a browser would run", "N", "",
         _text(lines(body=rows(["<script>alert(1)</script>", "dog"])))),
    Case("label_twins", "one word of two spellings in Unicode", "X", ("caf\u00e9", "one name"),
         _text(lines(body=rows(["caf\u00e9", "cafe\u0301"])))),
    Case("large_field", "a field of 100 MB", "X", ("labels.csv", "row 42", "longer"), _large_field),
    Case("large_cell", "a Parquet cell of 100 MB", "X", ("labels.parquet", "row 4", "longer"), _large_cell_of_parquet),
    Case("cut_parquet", "a Parquet file without its end", "X", ("labels.parquet", "cannot be read"), _cut_parquet),
    Case("binary", "an image under the name of a table", "X", ("labels.csv", "UTF-8"),
         _text(encoded(picture(), "PNG"))),
    Case("uneven", "1,000 of one class and 4 of the other", "N", "uneven", _uneven),
    Case("many_columns", "1,000 columns", "N", "",
         _text("\n".join([line + "," * 998 for line in lines(header="path,label").splitlines()]).replace(
             "path,label" + "," * 998, "path,label," + ",".join(f"c{n}" for n in range(998))))),
]  # fmt: skip
