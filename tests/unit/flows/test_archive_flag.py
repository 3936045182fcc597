"""An archive where the path of a dataset may be given: what it is called, what comes of it, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest

from flows.cli import run_command
from flows.register import check_target, look_up
from headstart.errors import DataError, UserError
from headstart.settings import load

ROOT = Path(__file__).parents[3]
SMALL = ["--finetune.label_budget", "4", "--data.image_size", "12", "--data.smallest_test", "0"]


def pack(tmp_path: Path, folder: Path, kind: str) -> Path:
    return Path(shutil.make_archive(str(tmp_path / "given" / "pets"), kind, folder.parent, folder.name))


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_it_is_a_dataset_of_its_own_name_made_of_what_it_holds(workspace, draw_pictures, tmp_path, kind):
    data = load(workspace.params).data
    path = pack(tmp_path, draw_pictures(tmp_path / "my cats", per_class=10), kind)
    found = look_up(workspace, str(path), data)
    assert (found.name, found.what) == ("pets", "30 images")
    assert set(found.files) == {f"{name}/{row:03d}.png" for name in ("bar", "cross", "disc") for row in range(10)}
    assert all(file.is_relative_to(workspace.own / "archives") for file in found.files.values())
    check_target(workspace, found, data)
    assert list((workspace.root / "data").iterdir()) == []


def test_what_is_there_already_is_known_again_and_another_of_its_name_is_refused(workspace, draw_pictures, tmp_path):
    data = load(workspace.params).data
    folder = draw_pictures(tmp_path / "my cats", per_class=10)
    path = pack(tmp_path, folder, "zip")
    shutil.copytree(folder, workspace.data("pets"))
    assert look_up(workspace, str(path), data).files == {}
    (folder / "bar" / "000.png").unlink()
    with pytest.raises(UserError, match="data/pets is there already"):
        look_up(workspace, str(pack(tmp_path, folder, "zip")), data)


def test_a_table_in_it_may_not_name_files_of_this_machine_not_even_as_a_test_set(workspace, draw_pictures, tmp_path):
    folder = draw_pictures(tmp_path / "cats", per_class=10)
    secret = draw_pictures(tmp_path / "secret", per_class=1) / "bar" / "000.png"
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in sorted(folder.rglob("*.png"))]
    (folder / "labels.csv").write_text("\n".join(["path,label", *rows, f"{secret},bar", ""]))
    data = load(workspace.params).data
    path = pack(tmp_path, folder, "zip")
    for found in (
        look_up(workspace, str(path), data),
        look_up(workspace, str(folder / "labels.csv"), data, test_data=str(path)),
    ):
        assert secret not in found.files.values()


def test_check_looks_into_it_and_exits_with_2_where_it_is_refused(workspace, draw_pictures, tmp_path, capsys):
    path = pack(tmp_path, draw_pictures(tmp_path / "cats", per_class=10), "zip")
    assert run_command(["check", str(path), "--json", *SMALL]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["accepted"], found["splits"]) == (True, {"pool": 18, "test": 12})
    path.write_bytes(path.read_bytes()[:-100])
    assert run_command(["check", str(path), "--json", *SMALL]) == 2
    assert "pets.zip is damaged, cut short" in json.loads(capsys.readouterr().out)["error"]
    with pytest.raises(DataError, match=r"pets\.zip is damaged, cut short"):
        look_up(workspace, str(path), load(workspace.params).data)


def test_a_file_of_another_kind_says_what_may_be_given(workspace, tmp_path):
    (tmp_path / "pets.rar").touch()
    with pytest.raises(UserError, match=r"is not a folder, a table \(\.csv or \.parquet\) or an archive \(\.zip or"):
        look_up(workspace, str(tmp_path / "pets.rar"), load(workspace.params).data)
