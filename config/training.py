"""How far training is, as the trainer writes it and the API shows it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

STATE_FILE = "training.json"


class TrainingState(BaseModel):
    """One moment. `collected` of `needed` answers with feedback are new; `percent` and `eta_s` are of a run under way;
    `result` says what came of the last, whose id is `run`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: Literal["idle", "collecting", "running", "failed"] = "idle"
    collected: int = 0
    needed: int = 0
    percent: int = 0
    eta_s: int = 0
    result: str = ""
    run: str = ""
    at: datetime | None = None

    @classmethod
    def read(cls, data_dir: Path) -> Self:
        """The state that was written last; idle where there is none or it cannot be read."""
        try:
            return cls.model_validate_json((data_dir / STATE_FILE).read_bytes())
        except (OSError, ValidationError):
            return cls()

    @property
    def in_words(self) -> str:
        """For people."""
        match self.state:
            case "collecting":
                return f"collecting {self.collected}/{self.needed}"
            case "running":
                return f"running {self.percent} %"
        return f"{self.state}: {self.result}" if self.result else self.state
