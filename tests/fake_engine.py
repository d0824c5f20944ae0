"""An engine that says what it is told to, for tests of what happens around generation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from bot.engine import GenerationParams, Message


@dataclass
class FakeEngine:
    """Streams `says` word by word, or raises `error`. What it was asked is in `prompts`."""

    says: str = ""
    error: Exception | None = None
    prompts: list[Sequence[Message]] = field(default_factory=list)
    cancelled: int = 0
    model_version: str = "fake-1"
    waiting: int = 0

    async def generate(
        self,
        messages: Sequence[Message],
        params: GenerationParams,
        on_position: Callable[[int], None] | None = None,
    ) -> AsyncGenerator[str, None]:
        self.prompts.append(messages)
        if self.error:
            raise self.error
        try:
            for word in self.says.split(" "):
                yield f"{word} "
        except GeneratorExit:
            self.cancelled += 1
            raise

    async def prime(self, messages: Sequence[Message]) -> None:
        """Nothing to evaluate."""

    async def close(self) -> None:
        """Nothing to free."""
