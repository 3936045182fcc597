"""Weights and delivered models from others: no code of theirs runs, and what is wrong with them is said in one line."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from corpus import delivered
from corpus.models import BACKBONE, CASES, CHANNELS, canary
from tally import trying

from headstart.errors import DataError, HeadstartError, UserError
from headstart.prediction.model import load
from headstart.training.adopt import check_weights

PROMISE = "Bad input: weights of others are refused, no code runs"
MODELS = "Bad input: delivered models that were tampered with are refused"
IN_A_PROCESS = {"pickle_nan", "pickle_shapes"}  # whole files of good tensors: only reading tells


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_weights_are_refused(case, tmp_path):
    path = case.make(tmp_path)
    with trying(PROMISE):
        start = time.perf_counter()
        with pytest.raises(DataError) as refused:
            check_weights(path, backbone=BACKBONE, channels=CHANNELS)
        took = time.perf_counter() - start
        assert refused.value.exit_code == 2
        assert all(word.lower() in str(refused.value).lower() for word in case.words)
        assert not canary(tmp_path).exists()
        assert took < (30 if case.name in IN_A_PROCESS else 1)


def test_the_cases_would_do_harm_where_code_is_run(tmp_path):
    """Or the canary would be one that never sings."""
    import pickletools

    path = next(case for case in CASES if case.name == "pickle_code").make(tmp_path)
    asked = {argument for _, argument, _ in pickletools.genops(path.read_bytes()) if isinstance(argument, str)}
    assert {"io", "open", str(canary(tmp_path))} <= asked


@pytest.mark.parametrize("case", delivered.CASES, ids=lambda case: case.name)
def test_delivered_models_are_refused(case, tmp_path):
    folder = delivered.deliver(tmp_path / "model")
    case.make(folder)
    with trying(MODELS):
        start = time.perf_counter()
        with pytest.raises(HeadstartError) as refused:
            load(folder).predict(np.zeros((2, CHANNELS, 12, 12), np.uint8))
        assert all(word in str(refused.value) for word in case.words)
        assert str(folder) in str(refused.value) or case.name == "backbone"
        assert time.perf_counter() - start < 1


def test_the_model_itself_predicts(tmp_path):
    folder = delivered.deliver(tmp_path / "model")
    assert load(folder).predict(np.zeros((2, CHANNELS, 12, 12), np.uint8)).shape == (2, 3)


FOREIGN = {
    "another loader": ({"loader_module": "evil", "data": "data"}, "none that `headstart run` has registered"),
    "no loader": ({"model_path": "model.pkl"}, "none that `headstart run` has registered"),
    "data elsewhere": ({"loader_module": "headstart.prediction", "data": "../../elsewhere"}, "outside of the model"),
    "data absolute": ({"loader_module": "headstart.prediction", "data": "/etc"}, "outside of the model"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_mlmodel_of_others_is_refused_and_its_code_not_imported(name, tmp_path, monkeypatch):
    from tasks.tracking.models import RegisteredModels

    flavour, words = FOREIGN[name]
    folder = tmp_path / "registered"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "evil.py").write_text(f"open({str(canary(tmp_path))!r}, 'w')\n")
    rows = "\n".join(f"    {key}: {value}" for key, value in flavour.items())
    (folder / "MLmodel").write_text(f"flavors:\n  python_function:\n{rows}\n    code: code\nmodel_uuid: x\n")
    monkeypatch.syspath_prepend(str(folder / "code"))
    models = RegisteredModels(SimpleNamespace(uri=f"sqlite:///{tmp_path}/mlflow.db"))
    monkeypatch.setattr(RegisteredModels, "_model_version", lambda self, text: SimpleNamespace(source=str(folder)))
    with trying(MODELS), pytest.raises(UserError, match=words):
        models.fetch("stranger", tmp_path / "scratch")
    assert not canary(tmp_path).exists()
