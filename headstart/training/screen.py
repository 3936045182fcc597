"""What a file of weights says of itself, looked at before anything of it is loaded: no tensor, no code.

Torch-free. Measured: safetensors takes two tensors of one name; torch.load refuses code, but only in a process that
took a second or two to start.
"""

import json
import math
import pickletools  # nosec B403  # names what is in a pickle, and runs none of it
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from headstart.errors import DataError

LARGEST_HEADER = 100_000_000  # bytes, as safetensors has it
LARGEST_PICKLE = 64_000_000  # bytes; of a state dict it is some hundred a tensor
BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's old format
PARTS = 5  # pickles that the old format begins with: magic, version, machine, the object, the keys of its storages
ITEM_BYTES = {
    "torch DoubleStorage": 8, "torch LongStorage": 8, "torch ComplexFloatStorage": 8, "torch FloatStorage": 4,
    "torch IntStorage": 4, "torch HalfStorage": 2, "torch BFloat16Storage": 2, "torch ShortStorage": 2,
}  # fmt: skip
SAFE = re.compile(
    r"collections\.(OrderedDict|Counter|defaultdict)|_codecs\.encode|(__builtin__|builtins)\.(set|complex|bytearray)|"
    r"torch\.(Size|device|\w+Storage|b?float\w*|u?int\d+|double|half|long|bool|complex\d+)|"
    r"torch\.storage\.\w+|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_\w+|torch\.nn\.parameter\.Parameter|"
    r"torch\.serialization\._get_layout"
)  # what tensors are made of; whether it is loaded is for torch's own list to say
NOT_WHOLE = "it is not a whole file of torch.save"


def check_safetensors(path: Path) -> None:
    """Refuses a file whose header is not one of named tensors that fill it exactly, each name once.

    Raises:
        DataError: what is wrong with it.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = _header(file, size)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        if not tensors:
            raise ValueError("it holds no tensors")
        _check_places(tensors, size - header.length)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is not a whole safetensors file: {_words(error)}") from None


class _Header(dict[str, Any]):
    """A header, and how many bytes it takes."""

    length = 0


def _header(file: IO[bytes], size: int) -> _Header:
    if not size:
        raise ValueError("it is empty")
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, LARGEST_HEADER):
        raise ValueError(f"its header should have {length:,} bytes, and the file has {size:,}")
    try:
        found = _Header(json.loads(file.read(length), object_pairs_hook=_once))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its header is not JSON of named tensors ({_words(error)})") from None
    found.length = 8 + length
    return found


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is there twice")
        found[name] = value
    return found


def _check_places(tensors: dict[str, Any], size: int) -> None:
    """size: bytes behind the header, which the tensors must fill one after the other."""
    end = 0
    for name, entry in sorted(tensors.items(), key=lambda item: list(item[1]["data_offsets"])):
        shape, (first, last) = entry["shape"], entry["data_offsets"]
        if entry["dtype"] not in BYTES or not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError(f"{name!r} is of {entry['dtype']} {shape}")
        if first != end or last - first != math.prod(shape) * BYTES[entry["dtype"]]:
            raise ValueError(f"the bytes {first}..{last} of {name!r} are not those of {entry['dtype']} {shape}")
        end = last
    if end != size:
        raise ValueError(f"its tensors end at byte {end:,} of {size:,}")


def check_pickled(path: Path) -> None:
    """Refuses a file of torch.save that is cut, or whose pickle names anything that tensors are not made of.

    Raises:
        DataError: what is wrong with it.
    """
    try:
        for name in _named(path):
            if not SAFE.fullmatch(name):
                raise ValueError(f"it holds {name}")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        said = str(error) if str(error).startswith("it ") else NOT_WHOLE
        raise DataError(cannot_be_read(path, said)) from None


def cannot_be_read(path: Path, said: str) -> str:
    """The words of a refusal."""
    return (
        f"{path} cannot be read as weights: {said}. Only tensors are loaded, never other pickled objects: save "
        "model.state_dict() with torch.save or safetensors"
    )


def _named(path: Path) -> Iterator[str]:
    """What the pickles of a file would import, such as os.system."""
    if not path.stat().st_size:
        raise ValueError("it is empty")
    if not zipfile.is_zipfile(path):
        yield from _named_in_old_format(path)
        return
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise ValueError("it is a packed archive, and none of torch.save's")
        pickles = [entry for entry in archive.infolist() if entry.filename.endswith(".pkl")]
        if not pickles:
            raise ValueError(NOT_WHOLE)
        for entry in pickles:
            with archive.open(entry) as file:
                content = file.read(LARGEST_PICKLE + 1)
            if len(content) > LARGEST_PICKLE:
                raise ValueError(f"it has a pickle of more than {LARGEST_PICKLE:,} bytes")
            yield from _imports(pickletools.genops(content))


def _named_in_old_format(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        first = list(pickletools.genops(_limited(file)))
        yield from _imports(first)
        if not any(argument == MAGIC for _, argument, _ in first):
            raise ValueError(NOT_WHOLE)
        sizes: dict[str, int] = {}
        for _ in range(PARTS - 1):
            operations = list(pickletools.genops(_limited(file)))
            yield from _imports(operations)
            sizes |= _storages(operations)
        # Behind them each storage: how many numbers it has, in 8 bytes, and the numbers.
        if path.stat().st_size < file.tell() + sum(8 + size for size in sizes.values()):
            raise ValueError(NOT_WHOLE)


def _storages(operations: Iterable[tuple[Any, Any, Any]]) -> dict[str, int]:
    """The least number of bytes of each storage that a pickle names, by its key: ("storage", type, key, place, count).

    Where it names them in other ways than torch.save does, they are not found, and whether they are whole is for the
    load to say.
    """
    stack: list[Any] = []
    kept: dict[int, Any] = {}
    found: dict[str, int] = {}
    for operation, argument, _ in operations:
        if operation.name == "MARK":
            stack = []
        elif "GET" in operation.name:
            stack.append(kept.get(int(argument)))
        elif "PUT" in operation.name:
            kept[int(argument)] = stack[-1] if stack else None
        elif operation.name == "MEMOIZE":
            kept[len(kept)] = stack[-1] if stack else None
        elif operation.name == "STACK_GLOBAL":
            stack[-2:] = [" ".join(map(str, stack[-2:]))]
        elif operation.name == "BINPERSID" and len(stack) >= 5 and stack[0] == "storage":
            _, kind, key, _, count, *_ = stack
            if isinstance(key, str) and isinstance(count, int):
                found[key] = count * ITEM_BYTES.get(str(kind), 1)
        elif argument is not None:
            stack.append(argument)
    return found


def _limited(file: IO[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", _Limited(file))


class _Limited:
    """A file of which a pickle may take so much and no more: a line without an end would be all of it."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._left = LARGEST_PICKLE

    def read(self, count: int) -> bytes:
        return self._take(self._file.read(min(count, self._left)))

    def readline(self) -> bytes:
        return self._take(self._file.readline(self._left))

    def _take(self, content: bytes) -> bytes:
        self._left -= len(content)
        return content


def _imports(operations: Iterable[tuple[Any, Any, Any]]) -> Iterator[str]:
    """Names that a pickle asks for, in its own words or by the last two texts before it asks."""
    texts: list[Any] = []
    kept: dict[int, Any] = {}
    for operation, argument, _ in operations:
        if operation.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif operation.name == "STACK_GLOBAL":
            yield ".".join(str(text) for text in texts[-2:])
        elif operation.name == "MEMOIZE":
            kept[len(kept)] = texts[-1] if texts else None
        elif "PUT" in operation.name:
            kept[int(argument)] = texts[-1] if texts else None
        elif "GET" in operation.name:
            texts.append(kept.get(int(argument)))
        elif operation.name in ("EXT1", "EXT2", "EXT4"):
            yield f"extension {argument}"
        elif isinstance(argument, str):
            texts.append(argument)


def _words(error: Exception) -> str:
    if isinstance(error, KeyError | TypeError | AttributeError):
        return "an entry of its header is none of a tensor"
    return "its header is nested too deeply" if isinstance(error, RecursionError) else str(error)
