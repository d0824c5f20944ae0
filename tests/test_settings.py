"""Settings: the file, the environment, and what is said about mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.offline import SWITCHES
from config.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("QUANTAHR_"):
            monkeypatch.delenv(name)


def write(folder: Path, text: str) -> Path:
    file = folder / "quantahr.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_file_changes_defaults_and_environment_wins_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "[server]\nport = 9000\nhost = '::1'\n")
    monkeypatch.setenv("QUANTAHR_SERVER__PORT", "9001")
    settings = load_settings(file)
    assert (settings.server.port, settings.server.host) == (9001, "::1")
    assert settings.retrieval == Settings().retrieval


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[retrieval]\ntop_key = 4\n", "Unknown setting 'retrieval.top_key' in .*; did you mean 'top_k'"),
        ("retrival = 1\n", "did you mean 'retrieval'"),
        ("[index]\nchunk_size = 'big'\n", "'index.chunk_size' in .* does not fit .*'big'"),
        ("[index\n", "is not valid TOML"),
    ],
)
def test_mistake_in_file_is_named_with_what_to_do(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_settings(write(tmp_path, text))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no configuration file .*absent\.toml"):
        load_settings(tmp_path / "absent.toml")


def test_unknown_environment_variable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTAHR_SERVER__PROT", "1")
    with pytest.raises(ConfigError, match=r"server\.prot.*did you mean 'port'"):
        load_settings(write(tmp_path, ""))


def test_empty_text_switches_an_optional_path_off(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "[index]\nadapter = ''\n")).index.adapter is None


def test_trained_parts_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (Settings().parts_dir / "reader").is_dir()
    (tmp_path / "models" / "starter").mkdir(parents=True)
    assert Settings().parts_dir == Path("models/starter")


def test_token_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTAHR_SERVER__API_TOKEN", "very-secret")
    assert "very-secret" not in repr(load_settings(write(tmp_path, "")))


def test_shipped_settings_are_valid() -> None:
    assert load_settings(Path(__file__).parent.parent / "config" / "quantahr.toml").documents.folder.name == "handbook"


def test_importing_any_room_switches_telemetry_and_hub_off() -> None:
    code = "import os, knowledge.chunk; print([os.environ[name] for name in " + repr(list(SWITCHES)) + "])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str(list(SWITCHES.values()))


def test_retriever_is_the_one_among_the_parts_that_are_named(tmp_path: Path) -> None:
    (tmp_path / "parts" / "retriever").mkdir(parents=True)
    settings = Settings.model_validate({"parts_dir": str(tmp_path / "parts")})
    assert settings.index.adapter == tmp_path / "parts" / "retriever"
    assert (
        Settings.model_validate({"parts_dir": str(tmp_path / "parts"), "index": {"adapter": ""}}).index.adapter is None
    )
    assert Settings.model_validate({"parts_dir": str(tmp_path)}).index.adapter == Settings().index.adapter


def test_parts_dir_that_is_no_path_is_named(tmp_path: Path) -> None:
    file = tmp_path / "quantahr.toml"
    file.write_text("parts_dir = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="'parts_dir'"):
        load_settings(file)


def test_folder_in_place_of_a_file_of_settings_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path)
