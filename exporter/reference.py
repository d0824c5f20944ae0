"""What a merged model says, written down for the GGUF to be held against.

Enters: a model and its tokenizer as transformers has them. Leaves: `reference.json` (token ids of texts that tokenizers
differ over, rendered conversations) and `reference.npz` (log-probabilities of the next token at the end of each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from config.errors import ModelError

JSON_FILE, LOGITS_FILE = "reference.json", "reference.npz"
Conversation = list[dict[str, str]]
# Log-probabilities (n, v) at the last n positions of one conversation over a vocabulary of v tokens.
LogProbabilities = NDArray[np.float32]

TEXTS = (
    "Employees may carry over up to 5 days (40 hours) into the next year.",
    "£1,250.00 gross / €2.345,67 per month; 12.5 % after 6 months – or $0.",
    "Who's eligible? You'll need your manager's approval, won't you?",
    "  two spaces,\ttabs\tand\n\nblank lines \n  - a list\n  - of two",
    "Krankmeldung über 3 Tage: ärztliche Bescheinigung nötig. Où est-ce écrit ?",
    "有給休暇は何日ありますか? Сколько дней отпуска? 🙂👍🏽",
    "GET /api/v1/leave?id=007&from=2026-01-31T09:00:00Z",
    "ALLCAPS camelCase snake_case 3.14159 1e-9 0x7F a1b2c3",
    "“quoted” ‘single’ … ½ ² ™ ﬁ non breaking",
    "x" * 40 + " " * 12 + "=" * 25,
)
_SYSTEM = {"role": "system", "content": "You are an HR assistant. Use only the policy text you are given."}
CONVERSATIONS: tuple[Conversation, ...] = (
    [
        _SYSTEM,
        {
            "role": "user",
            "content": "Policy text:\nYou may carry over five unused days until 31 March.\n\nQuestion: How many days "
            "can I carry over?",
        },
    ],
    [
        _SYSTEM,
        {
            "role": "user",
            "content": "Policy text:\nThe allowance is £450 a year, pro rata for part-timers.\n\nQuestion: Do "
            "part-timers get the full allowance?",
        },
        {"role": "assistant", "content": "No, it is pro rata: £450 a year is for full-timers."},
        {"role": "user", "content": "And who approves it?"},
    ],
    [{"role": "user", "content": "Wie viele Urlaubstage habe ich? 🙂"}],
    [
        {"role": "user", "content": "Notice is 1 month in the first 5 years, then 3 months."},
        {"role": "assistant", "content": "Understood."},
        {"role": "user", "content": "What is my notice after six years?"},
    ],
)
_POSITIONS = 48


@dataclass(frozen=True)
class Reference:
    """`texts` are the token ids of `TEXTS`; of each of `CONVERSATIONS` there is what the template makes of it, as text
    and as ids, and what may come next at its last positions. The tokens in `ends` end a turn. It was
    held in `dtype`."""

    texts: list[list[int]]
    rendered: list[str]
    conversations: list[list[int]]
    ends: list[int]
    parameters: int
    dtype: str = "float32"


_REFERENCE = TypeAdapter(Reference)


def write_reference(model: Any, tokenizer: Any, folder: Path) -> None:
    """Ask the model, and write what it says."""
    import torch

    rendered = [_rendered(tokenizer, one) for one in CONVERSATIONS]
    ids = [_ids(tokenizer, text) for text in rendered]
    logits: dict[str, LogProbabilities] = {}
    for number, one in enumerate(ids):
        with torch.inference_mode():
            out = model(input_ids=torch.tensor([one])).logits[0, -_POSITIONS:].float()
        logits[str(number)] = torch.log_softmax(out, dim=-1).numpy()
    np.savez(folder / LOGITS_FILE, **logits)  # type: ignore[arg-type]
    ends = {tokenizer.eos_token_id, *_listed(getattr(model.generation_config, "eos_token_id", None))}
    reference = Reference(
        texts=[_ids(tokenizer, text) for text in TEXTS],
        rendered=rendered,
        conversations=ids,
        ends=sorted(end for end in ends if end is not None),
        parameters=model.num_parameters(),
        dtype=str(model.dtype).removeprefix("torch."),
    )
    (folder / JSON_FILE).write_bytes(_REFERENCE.dump_json(reference, indent=1) + b"\n")


def read_reference(folder: Path) -> tuple[Reference, list[LogProbabilities]]:
    """What `write_reference` wrote.

    Raises:
        ModelError: There is none in the folder.
    """
    try:
        reference = _REFERENCE.validate_json((folder / JSON_FILE).read_bytes())
        with np.load(folder / LOGITS_FILE) as arrays:
            return reference, [arrays[str(number)] for number in range(len(reference.conversations))]
    except (OSError, KeyError, ValueError, ValidationError) as error:
        raise ModelError(f"{folder} does not hold what the merged model says ({error}); export it anew.") from error


def _rendered(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> str:
    return str(tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False))


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _listed(value: int | list[int] | None) -> list[int]:
    return value if isinstance(value, list) else [] if value is None else [value]
