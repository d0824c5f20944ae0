"""Read training data that people write by hand, line by line, and name what is wrong with a line.

Enters: files of JSON lines. Leaves: records whose fields are there and of the right kind.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from config.errors import ConfigError, QuantaHRError

Record = Mapping[str, Any]

SHIPPED = Path(__file__).parents[1] / "samples" / "training"
_BASE = "adapts all-MiniLM-L6-v2: Apache-2.0"


def licences(data: Path, *shipped: str, adapts_encoder: bool = True) -> tuple[str, ...]:
    """What a manifest says about terms: `shipped` holds for the rows that ship, others are under their owner's."""
    is_shipped = data.resolve() == SHIPPED.resolve()
    terms = shipped if is_shipped else ("trained on rows that are no part of QuantaHR, under the terms of these",)
    return (*terms, _BASE) if adapts_encoder else terms


def read_records(file: Path) -> Iterator[tuple[str, Record]]:
    """Each line's record, and its place in words: "Line 3 of rows.jsonl". Blank lines are passed over.

    Raises:
        ConfigError: The file cannot be read, or a line is no JSON object; it is named.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read ({error}); name a file of JSON lines.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"Line {number} of {file}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{place} is no JSON ({error}); mend or remove it.") from error
        if not isinstance(record, dict):
            raise ConfigError(f"{place} is no JSON object; mend or remove it.")
        yield place, record


def require(record: Record, fields: Mapping[str, type], place: str) -> None:
    """Check that a record has the fields, of these types, and that lists are of strings.

    Raises:
        ConfigError: One is missing or of another type; place and field are named.
    """
    for name, kind in fields.items():
        value: Any = record.get(name)
        is_right = isinstance(value, kind)
        if not is_right or (isinstance(value, list) and not all(isinstance(item, str) for item in value)):
            raise ConfigError(f'{place} has no "{name}" that is {_NAMES[kind]}; mend or remove it.')


_NAMES: Mapping[type, str] = {str: "a text", bool: "true or false", list: "a list of texts"}


def run(main: Callable[[], None]) -> None:
    """Run a module's main; what QuantaHR raises on purpose is one sentence on stderr, and exit status 1."""
    try:
        main()
    except QuantaHRError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
