"""Write the configuration reference from the settings themselves.

Enters: nothing but `config/settings.py`. Leaves: `docs/configuration.md`.
Run: `python -m config.reference`; a test fails when the page and the settings differ.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from config.settings import Contact, CrisisLine, Settings

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
_INTRODUCTION = """\
# Configuration

Written by `python -m config.reference` from `config/settings.py`; do not edit it by hand.

QuantaHR reads one TOML file: the one that `quantahr --config FILE` or `$QUANTAHR_CONFIG` names, else
`config/quantahr.toml`. Every setting can also be given in the environment, which wins over the file:
`QUANTAHR_<SECTION>__<KEY>`, for example `QUANTAHR_SERVER__PORT=9000`. Secrets belong there, not in the file. A key that
is not listed here is refused, and the nearest known one is named. `quantahr doctor` checks the whole.
"""


def reference() -> str:
    """The page, as markdown."""
    top = {name: field for name, field in Settings.model_fields.items() if not _is_section(field)}
    sections = {name: field for name, field in Settings.model_fields.items() if _is_section(field)}
    parts = [_INTRODUCTION, "## Top level\n", _table(top)]
    for name, field in sections.items():
        model: type[BaseModel] = field.annotation  # type: ignore[assignment]
        parts += [f"## `[{name}]`\n", f"{_doc(model)}\n", _table(model.model_fields)]
    for shape in (Contact, CrisisLine):
        parts += [f"## {shape.__name__}\n", f"{_doc(shape)}\n", _table(shape.model_fields)]
    return "\n".join(parts)


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _table(fields: dict[str, FieldInfo]) -> str:
    rows = ["| Key | Default | Values | What it is |", "| --- | --- | --- | --- |"]
    for name, field in fields.items():
        cells = (f"`{name}`", _default(field), _values(field), field.description or "")
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr) or value in ("", None, ()):
        return "empty"
    if isinstance(value, BaseModel) or (isinstance(value, tuple) and isinstance(value[0], BaseModel)):
        return "see below"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _values(field: FieldInfo) -> str:
    """The type in a reader's words, with its bounds."""
    bounds = [
        f"{symbol} {getattr(limit, name):,}"
        for limit in field.metadata
        for name, symbol in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if hasattr(limit, name)
    ]
    return ", ".join([_kind(field.annotation), *bounds])


def _kind(annotation: Any) -> str:
    names = {
        int: "whole number",
        float: "number",
        str: "text",
        bool: "true or false",
        Path: "path",
        SecretStr: "secret",
    }
    if annotation in names:
        return names[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type):
        return f"table ({annotation.__name__})"
    inner = [argument for argument in get_args(annotation) if argument not in (type(None), Ellipsis)]
    if get_origin(annotation) is tuple:
        return f"list of {_kind(inner[0])}"
    if all(isinstance(value, str) for value in inner):
        return " or ".join(f"`{value}`" for value in inner)
    return _kind(inner[0])


def _doc(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip()


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"wrote {PAGE}")
