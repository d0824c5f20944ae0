"""A tiny set of training data: two employers, who answer the same questions differently."""

from __future__ import annotations

import json
from pathlib import Path

RULES = {
    "northwind": {
        "Carry-over": ("Up to 5 unused holidays move into January.", "how many hols can i take over to next year"),
        "Sick note": ("A doctor's certificate is due from the fourth day of illness.", "when do i need a doctors note"),
        "Notice": ("Either side may end the contract with one month's warning.", "how early must i say that i quit"),
        "Parking": ("The lower deck of the garage is free for staff.", "where can i leave my car"),
        "Meals": ("The canteen subsidises lunch with 3 pounds a day.", "do they chip in for food"),
        "Training": ("Courses up to 400 pounds need no approval.", "can i book a seminar without asking"),
    },
    "southsea": {
        "Carry-over": ("Unused holidays lapse on 31 December.", "do i lose hols at new year"),
        "Sick note": ("Bring a certificate on the first day of illness.", "day one ill, is a note needed"),
        "Notice": ("Warning of three months is due before leaving.", "im quitting, how long do i have to stay"),
        "Parking": ("Cars stay outside the gate; bicycles may come in.", "may i cycle onto the site"),
        "Meals": ("Everyone brings their own lunch; there is a fridge.", "is there anything to eat at work"),
        "Training": ("Each year has two paid days for courses.", "how many study days do i get"),
    },
}


def write_training(folder: Path) -> Path:
    """Write rows and policies as `samples/training` holds them; returns the folder."""
    rows = []
    for employer, rules in RULES.items():
        policy = folder / "policies" / employer / "handbook.md"
        policy.parent.mkdir(parents=True)
        sections = [f"## {heading}\n\n{rule}\n" for heading, (rule, _) in rules.items()]
        policy.write_text("# Handbook\n\n" + "\n".join(sections), encoding="utf-8")
        for number, (heading, (rule, question)) in enumerate(rules.items()):
            rows.append(
                {
                    "id": f"{employer}-{number}",
                    "file": f"train/policies/{employer}/handbook.md",
                    "question": question,
                    "also": f"What is the rule about {heading.lower()}?",
                    "answer": rule,
                    "answerable": True,
                    "quotes": [rule],
                }
            )
    (folder / "own_tiny.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder
