"""Which settings a model of the registry answers with.

Enters: the configured settings, and a model's id. Leaves: settings with its generator, its encoders and its wording in
their place; "" gives the configured ones.
"""

from __future__ import annotations

from config.settings import Settings
from exporter.registry import GGUF, PARTS_FOLDER, Registry, Served


def settings_with(model: str, settings: Settings, registry: Registry) -> Settings:
    """The settings under which a model answers.

    Raises:
        ModelError: There is no such model.
    """
    if not model:
        return settings
    manifest, folder = registry.manifest(model), registry.path(model)
    parts, gguf = folder / PARTS_FOLDER, folder / GGUF
    changes: dict[str, object] = {
        "parts_dir": parts,
        "answering": settings.answering.model_copy(update={"wording": manifest.wording}),
    }
    if manifest.parts.get("retriever") == "new":
        changes["index"] = settings.index.model_copy(update={"adapter": parts / "retriever"})
    if gguf.is_file():
        changes["model"] = settings.model.model_copy(update={"gguf": gguf})
    return settings.model_copy(update=changes)


def live_settings(settings: Settings) -> Settings:
    """The settings of the live model.

    Raises:
        ModelError: The registry cannot be read.
    """
    registry = Registry(settings.data_dir)
    return settings_with(registry.current().live, settings, registry)


def served(settings: Settings) -> Served:
    """What answers now, as an export carries it over."""
    registry = Registry(settings.data_dir)
    live = registry.current().live
    own = settings_with(live, settings, registry)
    return Served(live, own.model.gguf, own.parts_dir, own.answering.wording)
