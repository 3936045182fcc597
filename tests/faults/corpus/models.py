"""Hostile and broken files of weights, and delivered models that were tampered with."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from corpus.case import Case
from headstart.backbones.network import build

BACKBONE, CHANNELS = "resnet8", 1
Make = Callable[[Path], Path]


class Touch:
    """Unpickled, it would make a file."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self) -> Any:
        return (open, (str(self.canary), "w"))


def canary(folder: Path) -> Path:
    """The file that no case may make."""
    return folder / "canary"


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        name: tensor.contiguous() for name, tensor in build(BACKBONE, channels=CHANNELS, classes=2).state_dict().items()
    }


def _file(name: str, content: Callable[[Path], bytes]) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content(folder))
        return path

    return make


def _torch(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _legacy(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def _zip_with_code(folder: Path) -> bytes:
    """A file of torch.save whose pickle was swapped for another one."""
    found = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_torch(state()))) as origin, zipfile.ZipFile(found, "w") as archive:
        for name in origin.namelist():
            content = origin.read(name)
            archive.writestr(name, pickle.dumps(Touch(canary(folder))) if name.endswith("data.pkl") else content)
    return found.getvalue()


def _instruction(folder: Path) -> bytes:
    """The oldest form: an import by name and a call."""
    return f"cos\nsystem\n(S'touch {canary(folder)}'\ntR.".encode()


def _hidden_in_a_tensor(folder: Path) -> bytes:
    """Code among good tensors."""
    return _torch(state() | {"extra": Touch(canary(folder))})


def _header(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _whole() -> bytes:
    return save(state())


def _duplicate_keys(folder: Path) -> bytes:
    one = '{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}'
    return _header(f'{{"a":{one % (0, 4)},"a":{one % (4, 8)}}}'.encode(), bytes(8))


def _of(**tensors: Any) -> bytes:
    return _header(tensors, bytes(64))


def _entry(dtype: str = "F32", shape: tuple[int, ...] = (2,), offsets: tuple[int, int] = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def _with_nan() -> dict[str, torch.Tensor]:
    found = state()
    name = next(name for name, tensor in found.items() if tensor.dim() == 4)
    found[name].view(-1)[3] = float("nan")
    return found


def _other_shapes() -> dict[str, torch.Tensor]:
    return {name: torch.zeros((*tensor.shape, 2)) for name, tensor in state().items()}


def _zip_bomb(folder: Path) -> bytes:
    """A file of torch.save whose pickle unpacks to 100 MB."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("archive/data.pkl", "w", force_zip64=True) as file:
            for _ in range(10):
                file.write(bytes(10_000_000))
        archive.writestr("archive/version", "3\n")
    return found.getvalue()


CASES = [
    Case("pickle_code", "a pickle that makes a file", "X", ("mine.pth", "only tensors", "state_dict"),
         _file("mine.pth", lambda folder: pickle.dumps(Touch(canary(folder))))),
    Case("pickle_system", "a pickle that calls the shell", "X", ("mine.pth", "os.system"),
         _file("mine.pth", _instruction)),
    Case("zip_code", "torch.save's archive around code", "X", ("mine.pt", "only tensors"),
         _file("mine.pt", _zip_with_code)),
    Case("hidden_code", "code among good tensors", "X", ("mine.bin", "only tensors"),
         _file("mine.bin", _hidden_in_a_tensor)),
    Case("legacy_code", "torch's old format around code", "X", ("mine.pth", "only tensors"),
         _file("mine.pth", lambda folder: _legacy({"a": Touch(canary(folder))}))),
    Case("whole_model", "a pickled network instead of its weights", "X", ("mine.pth", "torch.nn.modules.linear.Linear"),
         _file("mine.pth", lambda folder: _torch(torch.nn.Linear(2, 2)))),
    Case("pickle_bomb", "an archive whose pickle unpacks to 100 MB", "X", ("mine.pth",), _file("mine.pth", _zip_bomb)),
    Case("pickle_empty", "no bytes", "X", ("mine.pth", "empty"), _file("mine.pth", lambda folder: b"")),
    Case("pickle_cut", "torch.save's archive cut at half", "X", ("mine.pth", "not a whole file"),
         _file("mine.pth", lambda folder: (whole := _torch(state()))[: len(whole) // 2])),
    Case("legacy_cut", "torch's old format cut at half", "X", ("mine.pth", "only tensors"),
         _file("mine.pth", lambda folder: (whole := _legacy(state()))[: len(whole) // 2])),
    Case("pickle_text", "text", "X", ("mine.pth", "not a whole file"),
         _file("mine.pth", lambda folder: b"not weights\n" * 20)),
    Case("pickle_nan", "a weight that is no number", "X", ("mine.pth", "not finite"),
         _file("mine.pth", lambda folder: _torch(_with_nan()))),
    Case("pickle_shapes", "every tensor of another shape", "X", ("mine.pth", "matches resnet8"),
         _file("mine.pth", lambda folder: _torch(_other_shapes()))),
    Case("empty", "no bytes", "X", ("mine.safetensors", "empty"), _file("mine.safetensors", lambda folder: b"")),
    Case("cut", "cut at half", "X", ("mine.safetensors", "not a whole"),
         _file("mine.safetensors", lambda folder: (whole := _whole())[: len(whole) // 2])),
    Case("cut_header", "cut within its header", "X", ("mine.safetensors", "not a whole"),
         _file("mine.safetensors", lambda folder: _whole()[:100])),
    Case("trailing", "bytes behind its end", "X", ("mine.safetensors", "not a whole"),
         _file("mine.safetensors", lambda folder: _whole() + b"more")),
    Case("header_of_2_60", "a header that says it has 2^60 bytes", "X", ("mine.safetensors", "header"),
         _file("mine.safetensors", lambda folder: _header({}, bytes(100), length=2**60))),
    Case("duplicate_keys", "two tensors of one name", "X", ("mine.safetensors", "'a'", "twice"),
         _file("mine.safetensors", _duplicate_keys)),
    Case("nan", "a weight that is no number", "X", ("mine.safetensors", "not finite"),
         _file("mine.safetensors", lambda folder: save(_with_nan()))),
    Case("shapes", "every tensor of another shape", "X", ("mine.safetensors", "matches resnet8"),
         _file("mine.safetensors", lambda folder: save(_other_shapes()))),
    Case("no_tensors", "a header and nothing in it", "X", ("mine.safetensors", "no tensors"),
         _file("mine.safetensors", lambda folder: _header({}))),
    Case("not_json", "a header that is not JSON", "X", ("mine.safetensors", "header"),
         _file("mine.safetensors", lambda folder: _header(b"{" * 1000))),
    Case("deep_json", "a header of a million brackets", "X", ("mine.safetensors", "header"),
         _file("mine.safetensors", lambda folder: _header(b'{"a":' + b"[" * 1_000_000))),
    Case("overlap", "two tensors of the same bytes", "X", ("mine.safetensors",),
         _file("mine.safetensors", lambda folder: _of(a=_entry(), b=_entry(), c=_entry(offsets=(8, 64), shape=(14,))))),
    Case("beyond", "a tensor beyond the end", "X", ("mine.safetensors",),
         _file("mine.safetensors", lambda folder: _of(a=_entry(offsets=(0, 2**40), shape=(2**38,))))),
    Case("overflow", "a shape whose product overflows", "X", ("mine.safetensors",),
         _file("mine.safetensors", lambda folder: _of(a=_entry(shape=(2**32, 2**32, 4))))),
    Case("negative", "a negative shape", "X", ("mine.safetensors",),
         _file("mine.safetensors", lambda folder: _of(a=_entry(shape=(-2, -16), offsets=(0, 64))))),
    Case("odd_type", "numbers of a type that there is not", "X", ("mine.safetensors",),
         _file("mine.safetensors", lambda folder: _of(a=_entry(dtype="F31", shape=(16,), offsets=(0, 64))))),
    Case("pickle_as_safetensors", "a pickle under the other name", "X", ("mine.safetensors",),
         _file("mine.safetensors", lambda folder: pickle.dumps(Touch(canary(folder))))),
]  # fmt: skip
