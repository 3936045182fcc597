"""Prints docs/settings.md: every setting with its default, what is allowed, and what it means. Run by `make docs`."""

from typing import Any

from headstart.settings import Settings, knobs

HEAD = """# Settings

Every key of params.yaml. Each is a flag too: `headstart run --finetune.seeds 3`. This page is made from the settings'
own models by `make docs`.

| setting | default | allowed | |
|---|---|---|---|"""


def main() -> None:
    print(HEAD)
    for name, knob in knobs(Settings()).items():
        print(f"| `{name}` | {_cell(knob.value)} | {_allowed(name)} | {knob.line.replace('|', '/')} |")


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "empty"


def _allowed(name: str) -> str:
    """What the JSON schema of the models says of a setting, in words."""
    schema = Settings.model_json_schema()
    field: dict[str, Any] = {"$ref": ""} | schema
    for part in name.split("."):
        field = _resolved(field, schema)["properties"][part]
    return _words(field, schema)


def _resolved(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = field.get("$ref", "")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else field


def _words(field: dict[str, Any], schema: dict[str, Any]) -> str:
    field = _resolved(field, schema)
    if "enum" in field:
        return ", ".join(f"`{item}`" for item in field["enum"])
    if "anyOf" in field:
        return " or ".join(_words(option, schema) for option in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_words(field.get('items') or field['prefixItems'][0], schema)}"
    kinds = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "string": "text"}
    bounds = [
        f"{word} {field[key]:.10g}"
        for key, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if key in field
    ]
    return " ".join([kinds.get(field.get("type", ""), "any"), *bounds])


if __name__ == "__main__":
    main()
