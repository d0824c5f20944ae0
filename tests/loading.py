"""What the tests of loading share: write a small file, load it, show what came out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import docx
import pytest
from docx.document import Document as WordDocument

from config.errors import DocumentError
from config.settings import DocumentSettings
from knowledge.load import Block, BlockKind, Document, load

SETTINGS = DocumentSettings()


def read(folder: Path, name: str, content: str | bytes) -> Document:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(path, folder, SETTINGS)


def word(folder: Path, fill: Callable[[WordDocument], object], name: str = "policy.docx") -> Document:
    document = docx.Document()
    fill(document)
    document.save(str(folder / name))
    return load(folder / name, folder, SETTINGS)


def shown(document: Document) -> list[tuple[str, str]]:
    return [(" › ".join(block.heading_path), block.text) for block in document.blocks]


def items(document: Document) -> list[tuple[int, str, str]]:
    return [(b.depth, b.marker, b.text) for b in document.blocks if b.kind is BlockKind.LIST_ITEM]


def rows(document: Document) -> list[Block]:
    return [block for block in document.blocks if block.kind is BlockKind.TABLE_ROW]


def refusal(folder: Path, name: str, content: bytes, settings: DocumentSettings = SETTINGS) -> str:
    (folder / name).write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        load(folder / name, folder, settings)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message
