"""A language model of a few thousand weights with a tokenizer of its own, made in a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = "You may carry over five days. How many days can I carry over? Policy text: Question: Leave is 20 days a year."


def write_tiny_base(folder: Path) -> Path:
    """Write model and tokenizer as transformers reads them."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    raw.train_from_iterator([WORDS] * 5, trainer)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    tokenizer.chat_template = CHATML
    write_model(folder, tokenizer)
    return folder


def teach(folder: Path, conversations: Sequence[Sequence[dict[str, str]]], said: str) -> None:
    """Have the model in `folder` say one thing to these conversations, and stop; all its weights learn it by heart."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = LlamaForCausalLM.from_pretrained(folder)
    prompts = [
        tokenizer.apply_chat_template(one, add_generation_prompt=True, return_dict=False) for one in conversations
    ]
    end = [*tokenizer(said, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        states = [model.model(input_ids=torch.tensor([[*prompt, *end[:-1]]])).last_hidden_state for prompt in prompts]
        logits = torch.cat([model.lm_head(state[0, -len(end) :]) for state in states])
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(end * len(prompts)))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if loss.item() < 0.02:
            break
    model.save_pretrained(folder)


def write_model(folder: Path, tokenizer: Any, *, hidden: int = 32, are_tied: bool = False) -> None:
    """Write a model of two layers over a tokenizer, and the tokenizer."""
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=are_tied,
        initializer_range=6.4 / hidden,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
