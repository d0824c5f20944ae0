"""The configuration reference is what the settings are."""

from __future__ import annotations

from config.reference import PAGE, reference


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run: python -m config.reference"
