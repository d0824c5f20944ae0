"""The models as people and programs read them: what `quantahr models list` and `/api/models` say."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from config.errors import ModelError
from exporter.registry import Registry, State

SHIPPED = "(as shipped)"


class Listed(BaseModel):
    """One model. `generator` says what words the answers, `new_parts` what was trained for it."""

    name: str
    state: str
    since: datetime | None = None
    share: float = 0.0
    generator: str = ""
    wording: str = ""
    new_parts: list[str] = []
    runs: list[str] = []
    parent: str = ""
    why: str = ""


def listed(registry: Registry) -> list[Listed]:
    """All models, what ships first, then the newest.

    Raises:
        ModelError: The registry cannot be read.
    """
    current = registry.current()
    state = State.LIVE if not current.live else "can be gone back to" if current.previous == "" else ""
    rows = [Listed(name=SHIPPED, state=state, generator="as configured")]
    for name, standing in sorted(current.models.items(), key=lambda item: item[1].at, reverse=True):
        row = Listed(name=name, state=standing.state, since=standing.at, why=standing.why)
        row.share = current.canary_share if name == current.canary else 0.0
        try:
            manifest = registry.manifest(name)
        except ModelError as error:
            row.why = str(error)
        else:
            row.generator = f"new, {manifest.type}" if manifest.generator == "new" else manifest.generator
            row.wording, row.runs, row.parent = manifest.wording, list(manifest.runs), manifest.parent
            row.new_parts = [part for part, what in manifest.parts.items() if what == "new"]
        rows.append(row)
    return rows
