"""Publishing: whole or not at all, with a manifest that names what is broken; stable bytes."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from headstart.errors import IntegrityError, StorageError
from headstart.storage import publish
from headstart.storage.publish import (
    digest,
    publishing,
    read_manifest,
    replacing,
    sha256,
    sweep,
    verify,
    verify_once,
    write_json,
    write_text,
)


def put(final: Path, **files: str) -> Path:
    with publishing(final) as draft:
        for name, text in files.items():
            (draft / f"{name}.txt").write_text(text)
    return final


class Faults:
    """Makes the nth call that publishing has the disk do fail, or all from the nth on. fired: whether any did."""

    CALLS = (
        (os, "replace"), (os, "rename"), (os, "fsync"), (Path, "write_bytes"), (Path, "mkdir"), (publish, "exchange")
    )  # fmt: skip

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, *, at: int, sticky: bool):
        self._patch, self._number, self._at, self._sticky = monkeypatch, number, at, sticky
        self._calls = 0
        self.fired = False

    def __enter__(self) -> None:
        for owner, name in self.CALLS:
            self._patch.setattr(owner, name, self._failing(getattr(owner, name)))

    def __exit__(self, *error: object) -> None:
        self._patch.undo()

    def _failing(self, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **keywords: object) -> object:
            self._calls += 1
            if self._calls == self._at or (self._sticky and self._calls > self._at):
                self.fired = True
                raise OSError(self._number, os.strerror(self._number))  # fsync's has no name either
            return function(*arguments, **keywords)

        return call


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_published_folder_holds_its_files_and_their_digests(tmp_path: Path):
    final = put(tmp_path / "deep" / "pack", a="hello")
    with publishing(final) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "a.txt").write_text("hello")
    assert names(final) == ["inner", "manifest.json"]
    hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # sha256 of "hello"
    assert verify(final) == {"inner/a.txt": {"sha256": hello, "size": 5}}
    assert names(final.parent) == ["pack"]  # nothing of the draft, nor of what stood there before


@pytest.mark.parametrize("writer", [publishing, replacing])
def test_an_error_inside_leaves_what_was_there(tmp_path: Path, writer):
    final = put(tmp_path / "pack", a="old")

    def fail() -> None:
        with writer(final) as draft:
            (draft / "a.txt").write_text("half of the n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (final / "a.txt").read_text() == "old"
    verify(final)
    assert names(tmp_path) == ["pack"]


def test_an_error_inside_leaves_nothing_where_nothing_was(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), publishing(tmp_path / "pack"):
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_an_error_while_the_manifest_is_written_leaves_what_was_there(tmp_path: Path, monkeypatch):
    final = put(tmp_path / "pack", a="old")
    monkeypatch.setattr(publish, "sha256", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        put(final, a="new")
    assert (final / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["pack"]


def test_replacing_writes_no_manifest(tmp_path: Path):
    with replacing(tmp_path / "data") as draft:
        (draft / "a.txt").write_text("hello")
    assert names(tmp_path / "data") == ["a.txt"]


def test_a_new_version_has_none_of_the_old_ones_files(tmp_path: Path):
    put(tmp_path / "pack", a="old", b="old")
    put(tmp_path / "pack", b="new")
    assert list(verify(tmp_path / "pack")) == ["b.txt"]
    assert names(tmp_path / "pack") == ["b.txt", "manifest.json"]


@pytest.mark.parametrize("text", ["hellO", "hello!", ""])
def test_verify_names_the_file_whose_bytes_are_others(tmp_path: Path, text: str):
    final = put(tmp_path / "pack", a="fine", b="hello")
    (final / "b.txt").write_text(text)
    with pytest.raises(IntegrityError, match=r"pack/b\.txt is not the file that was published.*delete .*pack"):
        verify(final)


def test_verify_names_the_missing_file(tmp_path: Path):
    final = put(tmp_path / "pack", a="fine", b="hello")
    (final / "b.txt").unlink()
    with pytest.raises(IntegrityError, match=r"pack/b\.txt is missing.*run the step again"):
        verify(final)


def test_a_folder_without_manifest_was_not_published(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(IntegrityError, match=r"has no manifest\.json: it was not published whole; run its step"):
            read_manifest(folder)


def test_a_manifest_that_is_not_json_is_named(tmp_path: Path):
    final = put(tmp_path / "pack", a="fine")
    (final / "manifest.json").write_text('{"a.txt": ')
    with pytest.raises(IntegrityError, match=r"manifest\.json is not valid JSON; delete .*pack"):
        verify(final)


@pytest.mark.parametrize("text", ["[]", '{"a.txt": 3}', '{"a.txt": {"sha257": "0", "size": 3}}'])
def test_a_manifest_of_another_form_is_damaged(tmp_path: Path, text: str):
    final = put(tmp_path / "pack", a="old")
    (final / "manifest.json").write_text(text)
    with pytest.raises(IntegrityError, match="is no manifest: it is damaged"):
        verify(final)


def test_equal_values_are_equal_bytes(tmp_path: Path):
    write_json(tmp_path / "one.json", {"b": 1, "a": [0.1, None]})
    write_json(tmp_path / "other.json", {"a": [0.1, None], "b": 1})
    assert (tmp_path / "one.json").read_bytes() == b'{\n "a": [\n  0.1,\n  null\n ],\n "b": 1\n}\n'
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()


def test_json_that_other_programs_cannot_read_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "one.json", {"a": float("nan")})
    assert names(tmp_path) == []


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch):
    write_text(tmp_path / "new" / "a.txt", "old ü")
    monkeypatch.setattr(publish.os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_text(tmp_path / "new" / "a.txt", "new")
    assert (tmp_path / "new" / "a.txt").read_text(encoding="utf-8") == "old ü"
    assert names(tmp_path / "new") == ["a.txt"]


def test_digests_are_those_of_any_other_program(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"hello")
    assert sha256(tmp_path / "a") == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    # printf '{"a": 1, "b": [2]}' | sha256sum
    assert digest({"b": [2], "a": 1}) == "ae8a9a50524642753023cd4de34447191a8651989979c60bbcc5b0eeebb6e1dc"
    assert digest({"a": 1}) != digest({"a": 2})


def test_what_nobody_touched_is_digested_once(tmp_path, monkeypatch):
    with publishing(tmp_path / "set") as draft:
        (draft / "a.txt").write_text("first")
    read = []
    whole = publish.sha256
    monkeypatch.setattr(publish, "sha256", lambda path: (read.append(path.name), whole(path))[1])
    for _ in range(3):
        verify_once(tmp_path / "set")
    assert read == ["a.txt"]
    verify(tmp_path / "set")
    assert read == ["a.txt", "a.txt"]


@pytest.mark.parametrize("change", ["bytes", "bytes with the old time", "gone", "manifest", "other directory"])
def test_what_was_touched_is_verified_again(tmp_path, change):
    with publishing(tmp_path / "set") as draft:
        (draft / "a.txt").write_text("first")
    path, manifest = tmp_path / "set" / "a.txt", tmp_path / "set" / "manifest.json"
    verify_once(tmp_path / "set")
    known = path.stat()
    if change == "gone":
        path.unlink()
    elif change == "manifest":
        manifest.write_text(manifest.read_text().replace('sha256": "', 'sha256": "0'))
    elif change == "other directory":
        (tmp_path / "set").rename(tmp_path / "old")
        shutil.copytree(tmp_path / "old", tmp_path / "set")
        path.write_text("other")
    else:
        path.write_text("other")
    if change == "bytes with the old time":
        os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(IntegrityError):
            verify_once(tmp_path / "set")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("sticky", [False, True], ids=["once", "from then on"])
def test_a_fault_at_any_write_leaves_what_was_there_and_is_named(tmp_path: Path, monkeypatch, number, sticky):
    """At the first, the second, ... until none is left to fail; where the cause is gone, it ends as if nothing was."""
    final = put(tmp_path / "pack", a="old")
    at = 0
    while True:
        at += 1
        faults = Faults(monkeypatch, number, at=at, sticky=sticky)
        with faults, suppress(StorageError):
            put(final, a="new", b="more")
            break
        assert faults.fired
        text = (final / "a.txt").read_text()
        assert text == ("old" if verify(final).keys() == {"a.txt"} else "new")
        assert names(tmp_path) == ["pack"]
    assert at > 8
    with Faults(monkeypatch, number, at=3, sticky=True), pytest.raises(StorageError) as told:
        put(final, a="newer")
    assert str(told.value).startswith(f"{final} cannot be written ({os.strerror(number)})")
    assert verify(put(final, a="new", b="more")).keys() == {"a.txt", "b.txt"}


@pytest.mark.parametrize("atomic", [True, False], ids=["exchanged", "renamed twice"])
def test_a_version_takes_the_place_of_another_with_and_without_an_exchange(tmp_path: Path, monkeypatch, atomic):
    final = put(tmp_path / "pack", a="old")
    if not atomic:
        monkeypatch.setattr(publish, "exchange", lambda one, other: False)
    put(final, a="new")
    assert (final / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["pack"]


def test_what_killed_processes_left_is_swept(tmp_path: Path):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    ).stdout
    pid = int(dead)
    for name in (f".pack.tmp-{pid}-00000000", f".kept.old-{pid}-00000000", f".gone.old-{pid}-00000000"):
        (tmp_path / "models" / name).mkdir(parents=True)
    put(tmp_path / "models" / "kept", a="new")
    (tmp_path / f".card.json.tmp-{pid}-00000000").write_text("half")
    at_work = tmp_path / f".mine.tmp-{os.getpid()}-00000000"
    at_work.mkdir()
    assert len(sweep(tmp_path)) == 4
    assert names(tmp_path) == [at_work.name, "models"]
    assert names(tmp_path / "models") == ["gone", "kept"]  # gone was put aside, and nothing had taken its place yet
    assert sweep(tmp_path) == []
