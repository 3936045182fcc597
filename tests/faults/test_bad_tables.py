"""Tables that are broken, unusual or hostile: refused by row and column, rows set aside by number, or read as meant."""

import pandas as pd
import pytest
from corpus.tables import CASES, lines, write_images
from tally import trying

from headstart.datasets.check import check
from headstart.datasets.ingest import ingest_target
from headstart.datasets.pack import Pack
from headstart.errors import DataError
from headstart.storage.spreadsheet import without_formulas

PROMISE = "Bad input: tables come out as the table says"
CLASSES = {
    "na": {"NA", "None", "nan", "null"},
    "formula": {"=1+1", "@SUM(A1)"},
    "markup": {"<script>alert(1)</script>", "dog"},
    "bom": {"cat", "dog"},
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_comes_out_as_the_table_says(case, tmp_path, small, decoder):
    data = tmp_path / "data" / "set"
    write_images(data)
    case.make(data)
    settings = small.model_copy(update={"near_duplicates": 1.0})
    how = {"settings": settings, "seed": 0, "workers": decoder, "progress": lambda done, of: None}
    with trying(PROMISE):
        if case.outcome == "X":
            with pytest.raises(DataError) as refused:
                ingest_target(data, tmp_path / "packs" / "set", **how)
            assert refused.value.exit_code == 2
            assert all(word in str(refused.value) for word in case.words)
            assert len(str(refused.value)) < 2500
            assert not (tmp_path / "packs" / "set").exists()
            return
        ingest_target(data, tmp_path / "packs" / "set", **how)
        pack = Pack(tmp_path / "packs" / "set")
        if case.outcome == "Q":
            assert set(pack.card.rejected) <= set(case.words)
            assert pack.card.rejected
            return
        assert pack.card.rejected == {}
        assert set(pack.card.classes) == CLASSES.get(case.name, set(pack.card.classes))
        if case.says:
            warnings = check(data, budgets=(2,), seeds=2, **how)["warnings"]
            assert any(case.says in warning for warning in warnings)


def test_a_formula_is_text_where_a_spreadsheet_opens_it(tmp_path, small, decoder):
    data = tmp_path / "data" / "set"
    write_images(data)
    (data / "labels.csv").write_text(lines())
    (data / "=HYPERLINK(1).png").write_text("no picture")
    (data / "labels.csv").write_text(lines(more=["=HYPERLINK(1).png,cat"]))
    how = {"settings": small, "seed": 0, "workers": decoder, "progress": lambda done, of: None}
    ingest_target(data, tmp_path / "packs" / "set", **how)
    assert pd.read_csv(tmp_path / "packs" / "set" / "rejected.csv")["path"].tolist() == ["'=HYPERLINK(1).png"]
    table = pd.DataFrame({"path": ["=1", "a"], "label": ["-3.5", "@x"], "value": [-1.0, 2.0]})
    assert without_formulas(table).to_dict("list") == {
        "path": ["'=1", "a"],
        "label": ["-3.5", "'@x"],
        "value": [-1.0, 2.0],
    }
