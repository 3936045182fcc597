"""The flow that makes a run again: what its form asks for, before anything starts."""

import pytest


def test_its_form_has_two_fields_with_words_and_ranges():
    from flows.reproduce import reproduce

    fields = reproduce.parameters.properties
    assert {name: field["default"] for name, field in fields.items()} == {"run": "latest", "tolerance": 0.03}
    assert all(field["description"] for field in fields.values())
    from prefect.exceptions import ParameterTypeError

    with pytest.raises(ParameterTypeError, match="less than 1"):
        reproduce.validate_parameters({"tolerance": 1.0})


def test_a_run_that_is_not_there_is_one_line_and_no_stack(tmp_path, monkeypatch):
    """The function behind the flow: it returns the state, and does not raise."""
    from flows.reproduce import reproduce
    from headstart.settings import write_default

    write_default(tmp_path / "params.yaml")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    state = reproduce.fn("zzzz", 0.03)
    assert state.is_failed()
    assert state.message
