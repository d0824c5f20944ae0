"""Print the handling of each line of standard input: `python -m bot.triage < messages.txt`."""

import sys

from bot.triage import triage

for line in sys.stdin:
    decision = triage(line)
    print(f"{decision.handling:<22}{decision.category}")
