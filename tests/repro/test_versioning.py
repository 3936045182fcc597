"""Each of DVC's internals that tasks/versioning.py calls, on real repositories: what an upgrade breaks is named here.

The steps are files of text, written by the test; DVC itself would fail on their command, so it never ran one.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from headstart.errors import HeadstartError, IntegrityError, UserError
from tasks.integrity import damaged_objects
from tasks.versioning import Versioning
from tasks.worktree_data import checkout, share_cache

ROOT = Path(__file__).parents[2]
PIPELINE = """
stages:
  write:
    foreach: ${items}
    do:
      cmd: "false"
      params: ["scale.${item}"]
      deps:
        - input/${item}.txt
        - headstart/${item}.py
      outs:
        - made/${item}
  read:
    cmd: "false"
    params: [depth]
    deps:
      - made/a/reads/b.json
    outs:
      - table.csv
    metrics:
      - score.json
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of DVC's with a step for each item, and one that depends on a file inside another's folder."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)  # DVC takes paths from there, and the flow stands there
    Repo.init(str(tmp_path), no_scm=True)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    write_params(tmp_path, a=1, b=1, c=1)
    for item in "abc":
        (tmp_path / "input").mkdir(exist_ok=True)
        (tmp_path / "headstart").mkdir(exist_ok=True)
        (tmp_path / "input" / f"{item}.txt").write_text(f"input {item}")
        (tmp_path / "headstart" / f"{item}.py").write_text(f"# {item}\n")
    return tmp_path


def write_params(root: Path, **scales: int | str) -> None:
    (root / "params.yaml").write_text(json.dumps({"items": sorted(scales), "scale": scales, "depth": 2}))


def writer(root: Path, item: str, text: str, *, reads: str = "{}") -> Callable[[], None]:
    """A step's function: writes the folder that the step declares."""

    def write() -> None:
        folder = root / "made" / item
        (folder / "reads").mkdir(parents=True)
        (folder / "text.txt").write_text(text)
        (folder / "reads" / "b.json").write_text(reads)

    return write


def reader(root: Path) -> Callable[[], None]:
    def write() -> None:
        (root / "table.csv").write_text((root / "made" / "a" / "reads" / "b.json").read_text())
        (root / "score.json").write_text('{"score": 1}')

    return write


def never() -> None:
    raise AssertionError("the step ran")


def lock_of(root: Path) -> dict:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(root / "dvc.lock")["stages"]


def test_a_step_runs_once_and_dvc_records_it(root):
    versioning = Versioning(root)
    before = (root / "dvc.yaml").read_bytes()
    assert versioning.ensure("write@a", writer(root, "a", "one")).outcome == "ran"
    assert versioning.ensure("write@a", never).outcome == "unchanged"
    assert Versioning(root).ensure("write@a", never).outcome == "unchanged"
    assert (root / "dvc.yaml").read_bytes() == before  # dump(update_pipeline=False) writes dvc.lock alone
    entry = lock_of(root)["write@a"]
    assert entry["cmd"] == "false"
    assert entry["params"] == {"params.yaml": {"scale.a": 1}}
    assert [dep["path"] for dep in entry["deps"]] == ["headstart/a.py", "input/a.txt"]
    assert [out["path"] for out in entry["outs"]] == ["made/a"]
    assert entry["outs"][0]["md5"].endswith(".dir")
    assert entry["outs"][0]["nfiles"] == 2


def test_committed_outputs_lie_in_the_cache(root):
    Versioning(root).ensure("write@a", writer(root, "a", "one"))
    digest = lock_of(root)["write@a"]["outs"][0]["md5"]
    cached = root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    assert [entry["relpath"] for entry in json.loads(cached.read_text())] == ["reads/b.json", "text.txt"]
    assert list((root / ".dvc" / "cache" / "runs").rglob("*"))


def test_changed_sees_settings_inputs_code_and_outputs(root):
    versioning = Versioning(root)
    assert versioning.changed() == ["write@a", "write@b", "write@c", "read"]
    for item in "abc":
        versioning.ensure(f"write@{item}", writer(root, item, item))
    versioning.ensure("read", reader(root))
    assert versioning.changed() == []

    write_params(root, a=1, b=2, c=1)
    assert versioning.changed() == ["write@b"]
    write_params(root, a=1, b=1, c=1)
    (root / "input" / "c.txt").write_text("another")
    assert versioning.changed() == ["write@c"]
    (root / "input" / "c.txt").write_text("input c")
    (root / "headstart" / "b.py").write_text("# b, edited\n")
    assert versioning.changed() == ["write@b"]
    (root / "headstart" / "b.py").write_text("# b\n")
    assert versioning.changed() == []

    os.chmod(root / "score.json", 0o644)
    os.unlink(root / "score.json")
    assert versioning.changed() == ["read"]
    assert versioning.ensure("read", never).outcome == "restored"  # a metric's file comes back as well
    assert json.loads((root / "score.json").read_text()) == {"score": 1}


def test_setting_a_value_back_restores_the_earlier_files(root):
    versioning = Versioning(root)
    first = versioning.ensure("write@a", writer(root, "a", "scale 1"))
    write_params(root, a=2, b=1, c=1)
    second = versioning.ensure("write@a", writer(root, "a", "scale 2"))
    assert (first.outcome, second.outcome) == ("ran", "ran")
    assert first.digest != second.digest
    write_params(root, a=1, b=1, c=1)
    back = versioning.ensure("write@a", never)
    assert (back.outcome, back.digest) == ("restored", first.digest)
    assert (root / "made" / "a" / "text.txt").read_text() == "scale 1"
    assert versioning.ensure("write@a", never).outcome == "unchanged"
    assert lock_of(root)["write@a"]["params"] == {"params.yaml": {"scale.a": 1}}


def test_a_new_value_runs_though_dvc_lock_lists_outputs_of_another(root):
    """restore() hands out the outputs in dvc.lock when save_deps() was called before it: measured with 3.67.1."""
    versioning = Versioning(root)
    versioning.ensure("write@a", writer(root, "a", "scale 1"))
    write_params(root, a=2, b=1, c=1)
    assert versioning.ensure("write@a", writer(root, "a", "scale 2")).outcome == "ran"
    assert (root / "made" / "a" / "text.txt").read_text() == "scale 2"


def test_restore_says_when_there_is_nothing_to_restore(root):
    from dvc.repo import Repo, lock_repo
    from dvc.stage.cache import RunCacheNotFoundError

    repo = Repo(str(root), _wait_for_lock=True)
    with lock_repo(repo):
        stage = repo.stage.load_one(path=str(root / "dvc.yaml"), name="write@a")
        with pytest.raises(RunCacheNotFoundError):
            repo.stage_cache.restore(stage)
    assert not (root / "made").exists()


def test_a_loaded_stage_tells_what_it_reads_and_makes(root):
    from dvc.dependency import ParamsDependency
    from dvc.repo import Repo

    stage = Repo(str(root)).stage.load_one(path=str(root / "dvc.yaml"), name="write@b")
    stage.save_deps()
    files = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    assert {os.path.relpath(dep.fs_path, root) for dep in files} == {"input/b.txt", "headstart/b.py"}
    assert all(dep.is_in_repo and dep.exists and len(dep.hash_info.value) == 32 for dep in files)
    assert [dep.hash_info.value for dep in params] == [{"scale.b": 1}]
    assert [out.def_path for out in stage.outs] == ["made/b"]
    assert stage.name == "write@b"


def test_outputs_are_removed_before_a_step_runs_again(root):
    versioning = Versioning(root)
    versioning.ensure("write@a", writer(root, "a", "one"))
    (root / "made" / "a" / "stray.txt").write_text("left by hand")
    write_params(root, a=2, b=1, c=1)
    seen = []
    versioning.ensure("write@a", lambda: (seen.append((root / "made" / "a").exists()), writer(root, "a", "two")()))
    assert seen == [False]
    assert not (root / "made" / "a" / "stray.txt").exists()


def test_a_dependency_inside_a_folder_ignores_the_rest_of_it(root):
    versioning = Versioning(root)
    versioning.ensure("write@a", writer(root, "a", "one", reads='{"b": 1}'))
    versioning.ensure("read", reader(root))
    write_params(root, a=2, b=1, c=1)
    versioning.ensure("write@a", writer(root, "a", "two", reads='{"b": 1}'))
    assert versioning.ensure("read", never).outcome == "unchanged"
    write_params(root, a=3, b=1, c=1)
    versioning.ensure("write@a", writer(root, "a", "three", reads='{"b": 2}'))
    assert versioning.ensure("read", reader(root)).outcome == "ran"


def test_an_item_that_is_added_is_a_step_of_its_own(root):
    write_params(root, a=1, b=1)
    versioning = Versioning(root)
    assert sorted(versioning.stages()) == ["read", "write@a", "write@b"]
    assert versioning.stages().index("write@a") < versioning.stages().index("read")
    for item in "ab":
        versioning.ensure(f"write@{item}", writer(root, item, item))
    write_params(root, a=1, b=1, c=1)
    assert versioning.changed() == ["write@c", "read"]
    assert versioning.ensure("write@c", writer(root, "c", "c")).outcome == "ran"
    assert versioning.ensure("write@a", never).outcome == "unchanged"


def test_what_may_run_includes_all_that_depends_on_a_change(root):
    versioning = Versioning(root)
    for item in "abc":
        versioning.ensure(f"write@{item}", writer(root, item, item))
    versioning.ensure("read", reader(root))
    assert versioning.affected() == []
    write_params(root, a=2, b=1, c=2)
    assert versioning.changed() == ["write@a", "write@c"]
    assert set(versioning.affected()) == {"write@a", "write@c", "read"}
    assert versioning.affected().index("write@a") < versioning.affected().index("read")


def test_dvc_itself_finds_nothing_to_do_afterwards(root):
    versioning = Versioning(root)
    for item in "abc":
        versioning.ensure(f"write@{item}", writer(root, item, item))
    versioning.ensure("read", reader(root))
    command = [sys.executable, "-m", "dvc"]
    assert json.loads(subprocess.run([*command, "status", "--json"], check=True, capture_output=True).stdout) == {}
    done = subprocess.run([*command, "repro"], check=True, capture_output=True, text=True)
    assert "Running stage" not in done.stdout
    assert "Data and pipelines are up to date." in done.stdout


def test_three_processes_record_at_once_and_none_is_lost(root):
    program = """
import sys, time
from pathlib import Path
from tasks.versioning import Versioning

root, item = Path.cwd(), sys.argv[1]
versioning = Versioning(root)
(root / f"ready-{item}").touch()
while len(list(root.glob("ready-*"))) < 3:
    time.sleep(0.01)

def write():
    folder = root / "made" / item
    (folder / "reads").mkdir(parents=True)
    for number in range(50):
        (folder / f"{number}.txt").write_text(f"{item} {number}")

print(versioning.ensure(f"write@{item}", write).outcome)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, item],
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for item in "abc"
    ]
    assert [process.communicate(timeout=60) for process in running] == [("ran\n", "")] * 3
    assert sorted(lock_of(root)) == ["write@a", "write@b", "write@c"]
    assert Versioning(root).changed() == ["read"]


def test_it_waits_while_another_process_holds_dvcs_lock(root, monkeypatch):
    from dvc.repo import Repo, lock_repo

    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.06)  # seconds that DVC tries where it was not told to wait
    held, released = threading.Event(), []

    def hold() -> None:
        with lock_repo(Repo(str(root))):
            held.set()
            time.sleep(0.5)
            released.append(time.monotonic())

    versioning = Versioning(root)
    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    versioning.ensure("write@a", writer(root, "a", "one"))
    assert time.monotonic() > released[0]
    other.join()


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("params.yaml: scale.a", lambda root: write_params(root, a=9, b=1, c=1)),
        ("input/a.txt", lambda root: (root / "input" / "a.txt").write_text("edited")),
        ("headstart/a.py", lambda root: (root / "headstart" / "a.py").write_text("# edited\n")),
    ],
    ids=["setting", "input", "code"],
)
def test_an_edit_while_a_step_runs_is_refused_by_name(root, name, edit):
    versioning = Versioning(root)
    versioning.ensure("write@b", writer(root, "b", "b"))
    before = (root / "dvc.lock").read_bytes()
    with pytest.raises(HeadstartError, match=f"{name} changed while step write@a was running") as caught:
        versioning.ensure("write@a", lambda: (writer(root, "a", "one")(), edit(root)))
    assert caught.value.exit_code == 1
    assert (root / "dvc.lock").read_bytes() == before
    assert Versioning(root).ensure("write@a", writer(root, "a", "two")).outcome == "ran"


def test_a_step_whose_code_was_edited_since_the_start_is_not_even_run(root):
    versioning = Versioning(root)
    (root / "headstart" / "a.py").write_text("# edited\n")
    with pytest.raises(HeadstartError, match=r"headstart/a\.py was edited since this run began\. Run again"):
        versioning.ensure("write@a", never)
    assert versioning.ensure("write@b", writer(root, "b", "b")).outcome == "ran"  # it does not read that file


def test_a_missing_input_is_named_with_the_way_to_get_it(root):
    (root / "input" / "a.txt").unlink()
    with pytest.raises(UserError, match=r"step write@a needs input/a\.txt, which is not there; .*dvc pull input/a"):
        Versioning(root).ensure("write@a", never)


def test_a_step_that_is_not_there_is_refused(root):
    with pytest.raises(UserError, match="dvc.yaml has no step 'write@z'"):
        Versioning(root).ensure("write@z", never)


def test_a_folder_without_dvc_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no \.dvc folder; run `git init && dvc init`"):
        Versioning(tmp_path)


def test_a_folder_is_copied_and_added(root, tmp_path_factory):
    origin = tmp_path_factory.mktemp("mine")
    (origin / "cat").mkdir()
    (origin / "cat" / "1.png").write_bytes(b"picture")
    versioning = Versioning(root)
    versioning.add({"cat/1.png": origin / "cat" / "1.png"}, root / "data" / "mine", texts={"labels.csv": "path\n"})
    assert (root / "data" / "mine" / "labels.csv").read_text() == "path\n"
    assert (root / "data" / "mine" / "cat" / "1.png").read_bytes() == b"picture"
    assert (origin / "cat" / "1.png").read_bytes() == b"picture"
    assert "md5:" in (root / "data" / "mine.dvc").read_text()
    assert versioning.data_digest(root / "data" / "mine").endswith(".dir")
    assert versioning.data_digest(root / "data" / "other") == ""
    assert "data/mine.dvc" not in versioning.changed()


@pytest.mark.parametrize("kinds", ["reflink,hardlink,symlink,copy", "hardlink,copy", "copy", "symlink"])
def test_what_is_added_leaves_the_original_as_it_was(root, kinds):
    """With hardlink first, `dvc add` makes a hard-linked file itself the cache's object, and read-only."""
    subprocess.run([sys.executable, "-m", "dvc", "config", "cache.type", kinds], cwd=root, check=True)
    origin = root / "mine.txt"
    origin.write_text("mine")
    before = origin.stat()
    Versioning(root).add({"1.txt": origin}, root / "data" / "mine")
    after = origin.stat()
    assert (after.st_ino, after.st_mode, after.st_nlink) == (before.st_ino, before.st_mode, 1)
    origin.write_text("another")
    assert (root / "data" / "mine" / "1.txt").read_text() == "mine"


def test_what_dvc_refuses_leaves_nothing_behind(root, tmp_path_factory):
    origin = tmp_path_factory.mktemp("mine") / "1.txt"
    origin.write_text("one")
    with pytest.raises(UserError, match=r"made cannot be added to DVC"):
        Versioning(root).add({"a/1.txt": origin, "gone.txt": origin.with_name("gone.txt")}, root / "data" / "made")
    assert not (root / "data" / "made").exists()
    assert origin.read_text() == "one"


def test_a_dataset_that_was_edited_is_recorded_as_dvc_repro_would(root, tmp_path_factory):
    origin = tmp_path_factory.mktemp("mine")
    (origin / "1.txt").write_text("one")
    versioning = Versioning(root)
    versioning.add({"1.txt": origin / "1.txt"}, root / "data" / "mine")
    first = versioning.data_digest(root / "data" / "mine")
    assert versioning.record_datasets() == []
    (root / "data" / "mine" / "2.txt").write_text("two")
    assert "data/mine.dvc" in versioning.changed()
    assert versioning.record_datasets() == ["data/mine"]
    assert "data/mine.dvc" not in versioning.changed()
    assert Versioning(root).data_digest(root / "data" / "mine") != first


def test_names_do_not_depend_on_the_current_directory(root, monkeypatch):
    monkeypatch.chdir(root / "input")
    assert sorted(Versioning(root).stages()) == ["read", "write@a", "write@b", "write@c"]
    assert Versioning(root).changed() == ["write@a", "write@b", "write@c", "read"]


def test_dvc_lock_has_the_bytes_that_dvc_writes(root):
    """Settings that YAML may quote among them."""
    from dvc.repo import Repo, lock_repo

    versioning = Versioning(root)
    write_params(root, a="12e4", b="yes: no", c=1)
    for name in ("a", "b", "c"):
        versioning.ensure(f"write@{name}", writer(root, name, name))
    ours = (root / "dvc.lock").read_bytes()
    (root / "dvc.lock").unlink()
    repo = Repo(str(root))
    with lock_repo(repo):
        for name in ("a", "b", "c"):
            stage = repo.stage.load_one(path=str(root / "dvc.yaml"), name=f"write@{name}")
            stage.save()
            stage.dump(update_pipeline=False)
    assert (root / "dvc.lock").read_bytes() == ours


# -- worktrees: another checkout that shares the cache -----------------------------------------------------------------


@pytest.fixture
def beside(root, tmp_path_factory) -> Path:
    """A checkout of the same project elsewhere, with nothing made in it, over the same cache."""
    from dvc.repo import Repo

    place = tmp_path_factory.mktemp("beside")
    Repo.init(str(place), no_scm=True)
    shutil.copytree(root, place, ignore=shutil.ignore_patterns(".dvc", "dvc.lock", "made"), dirs_exist_ok=True)
    share_cache(root, place)
    return place


def test_what_the_cache_has_is_restored_in_a_checkout_where_nothing_ran(root, beside):
    versioning = Versioning(root)
    for item in "ab":
        versioning.ensure(f"write@{item}", writer(root, item, item))
    versioning.ensure("read", reader(root))
    with chdir(beside):
        assert Versioning(beside).restore() == ["write@c"], "nobody made c"
    assert (beside / "made" / "a" / "text.txt").read_text() == "a"
    assert json.loads((beside / "score.json").read_text()) == {"score": 1}
    versioning.ensure("write@c", writer(root, "c", "c"))
    with chdir(beside):
        assert Versioning(beside).restore() == []
        assert lock_of(beside) == lock_of(root)
        write_params(beside, a=2, b=1, c=1)
        assert Versioning(beside).restore() == ["write@a", "read"]


def test_checkout_brings_what_dvc_lock_names(root, beside):
    Versioning(root).ensure("write@a", writer(root, "a", "one"))
    shutil.copy(root / "dvc.lock", beside)
    checkout(beside)
    assert (beside / "made" / "a" / "text.txt").read_text() == "one"
    assert not (beside / "made" / "b").exists()


def test_the_record_has_each_file_of_each_step(root):
    versioning = Versioning(root)
    for item in "abc":
        versioning.ensure(f"write@{item}", writer(root, item, "one"))
    with pytest.raises(UserError, match=r"dvc\.lock has no record of step read"):
        versioning.recorded_files()
    versioning.ensure("read", reader(root))
    files = versioning.recorded_files()
    assert sorted(files) == ["read", "write@a", "write@b", "write@c"]
    assert files["write@a"] == {
        "made/a/text.txt": hashlib.md5(b"one").hexdigest(),
        "made/a/reads/b.json": hashlib.md5(b"{}").hexdigest(),
    }
    assert files["read"]["score.json"] == hashlib.md5(b'{"score": 1}').hexdigest()
    assert versioning.recorded_text("score.json") == '{"score": 1}'
    (root / "score.json").chmod(0o644)
    (root / "score.json").unlink()
    assert versioning.recorded_text("score.json") == '{"score": 1}', "from the cache"
    folder = root / ".dvc" / "cache" / "files" / "md5"
    listing = lock_of(root)["write@b"]["outs"][0]["md5"]
    (folder / listing[:2] / listing[2:]).unlink()
    with pytest.raises(UserError, match=r"DVC's cache has no listing of made/(a|b|c) as it was then"):
        Versioning(root).recorded_files()


def test_a_step_that_another_checkout_is_at_is_computed_once(root, beside):
    """The second waits for the first, and takes its result."""
    begun, go_on, results = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        assert go_on.wait(30)
        writer(root, "a", "one")()

    first = threading.Thread(target=lambda: results.append(Versioning(root).ensure("write@a", slow)))
    first.start()
    assert begun.wait(30)
    code = (
        "from pathlib import Path; from tasks.versioning import Versioning\n"
        "print('begun', flush=True)\n"
        "print(Versioning(Path.cwd()).ensure('write@a', lambda: 1 / 0).outcome)"
    )
    second = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=beside,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(4)
    assert second.poll() is None, second.communicate()
    go_on.set()
    out, err = second.communicate(timeout=60)
    first.join()
    assert results[0].outcome == "ran"
    assert out.split() == ["begun", "restored"], err
    assert (beside / "made" / "a" / "text.txt").read_text() == "one"


def flip(path: Path, *, at: int = 0) -> None:
    """Flips a bit of a file, whose dates and size stay: what a disk does."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    with path.open("r+b") as file:  # the same inode
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_damaged_object_is_not_given_back_and_its_step_runs_again(root: Path, caplog) -> None:
    versioning = Versioning(root)
    versioning.ensure("write@a", writer(root, "a", "one"))
    write_params(root, a=2, b=1, c=1)
    versioning.ensure("write@a", writer(root, "a", "two"))
    objects = [path for path in (root / ".dvc" / "cache" / "files" / "md5").glob("*/*") if path.read_text() == "one"]
    flip(objects[0])
    write_params(root, a=1, b=1, c=1)
    result = versioning.ensure("write@a", writer(root, "a", "one"))
    assert result.outcome == "ran"
    assert "is damaged in DVC's cache" in caplog.text
    assert damaged_objects(root / ".dvc" / "cache" / "files" / "md5") == []
    write_params(root, a=2, b=1, c=1)
    assert versioning.ensure("write@a", writer(root, "a", "two")).outcome == "restored"


def test_a_damaged_file_of_a_dataset_is_named_before_it_is_read(root: Path) -> None:
    (root / "pets").mkdir()
    for name in "xyz":
        (root / "pets" / f"{name}.txt").write_text(name)
    versioning = Versioning(root)
    versioning.add({}, root / "data" / "pets", texts={f"{name}.txt": name for name in "xyz"})
    versioning.refuse_damaged(root / "data" / "pets")
    flip(root / "data" / "pets" / "y.txt")
    with pytest.raises(IntegrityError, match=r"^data/pets/y.txt is damaged: .*headstart doctor --repair"):
        versioning.refuse_damaged(root / "data" / "pets")
