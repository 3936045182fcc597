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
