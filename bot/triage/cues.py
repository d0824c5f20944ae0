"""The language in which the tables of cues are written: what betrays a message that belongs to a human.

The tables are in `bot/triage/danger.py`, `bot/triage/wrongs.py`, `bot/triage/private.py` and
`bot/triage/override.py`; they are matched against the plain form of a message (`bot/triage/plain.py`).

A topic alone never decides: "what is the harassment policy?" is a question like any other. A pattern needs an
incident: somebody does something to somebody, or somebody says what is the matter with them. Patterns are written
with names in braces (`_NAMES`), may not cross a sentence's end, and have bounded gaps, so that their cost is linear
in the message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAMES = {
    "gap": r"[^.?!\n]{0,40}?\b",
    "wide": r"[^.?!\n]{0,90}?\b",
    "me": r"(?:me|us|my \w+|our \w+|him|her|them|the intern|the apprentices?|(?:a|one of my|my) colleagues?)",
    "boss": r"(?:boss|manager|supervisor|team ?lead(?:er)?|lead|director|foreman|chef|mentor|shift lead|line manager"
    r"|head"
    r"|ceo|cfo|vp|owner|partner at)",
    "they": r"(?:he|she|they|who|someone|somebody|people|two men|the men|(?:my|our|a|the|one of (?:my|our|the)) "
    r"(?:\w+ ){0,2}?(?:boss|manager|supervisor|lead|leader|director|foreman|mentor|colleagues?|team ?mates?|client"
    r"|customers?|guest|patient|resident|guy|man|woman|ceo|cfo|vp|drivers?|owner|head|trainer|directors|fitters"
    r"|spouse))",
    "partner": r"(?:my|her|his) (?:ex[- ]?)?(?:husband|wife|partner|boyfriend|girlfriend|ex|spouse|fiance|fiancee|dad"
    r"|father"
    r"|stepdad|stepfather|mum|mom|mother|son|brother|flatmate)",
    "self": r"(?:myself|himself|herself|themself|themselves|meself)",
    "been": r"(?:am|was|have been|had been|got|get|feel|felt|keep being|keep getting|am being|was being|is being"
    r"|are being"
    r"|been|being)",
    "adv": r"(?:\w+ly |being |getting |still |always |just |now |also ){0,2}",
    "protected": r"(?:woman|female|girl|mum|mom|mother|man over|black|brown|asian|african|indian|arab|polish|romanian"
    r"|turkish"
    r"|chinese|foreign(?:er)?|immigrant|muslim|jew|jewish|hindu|sikh|christian|catholic|gay|lesbian|bi|bisexual|trans"
    r"|transgender|queer|non-?binary|disabled|deaf|blind|dyslexic|autistic|pregnant|old|older|older worker"
    r"|part-?timer)",
    "trait": r"(?:race|skin|colou?r|religion|faith|headscarf|hijab|accent|age|sex|gender|sexuality|orientation"
    r"|disability"
    r"|wheelchair|dyslexia|autism|nationality|ethnicity|background|pregnancy|maternity leave|hearing impairment"
    r"|beliefs)",
    "weapon": r"(?:knife|knives|gun|handgun|pistol|rifle|weapon|machete|brass knuckles|firearm|blade|bat|hammer)\b",
}


# No `unless` is longer: it is looked for so many characters around what it may except.
_REACH = 300


@dataclass(frozen=True)
class Cue:
    """A message of `category` matches `pattern` at some place that no match of `unless` overlaps.

    `unless` speaks for its own place alone: "what if someone is bullied? my boss bullies me" tells of an incident.
    """

    category: str
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None

    def is_in(self, said: str) -> bool:
        """Whether a message, in its plain form, is of this category."""
        return any(not self._is_excepted(said, found) for found in self.pattern.finditer(said))

    def _is_excepted(self, said: str, found: re.Match[str]) -> bool:
        if self.unless is None:
            return False
        near = self.unless.finditer(said, max(0, found.start() - _REACH), found.end() + _REACH)
        return any(other.start() < found.end() and found.start() < other.end() for other in near)


def _compiled(source: str) -> re.Pattern[str]:
    """Compile a pattern, its names filled in and a word's start required: "{they} hit {me}"."""
    filled = re.sub(r"\{([a-z]+)\}", lambda name: _NAMES[name[1]], source)
    return re.compile(rf"(?<!\w)(?:{filled})")


def table(category: str, *patterns: str, unless: str = "") -> tuple[Cue, ...]:
    excluded = _compiled(unless) if unless else None
    return tuple(Cue(category, _compiled(pattern), excluded) for pattern in patterns)


# Sayings with grave words in them; they are taken out before anything is matched. "My husband is going to kill me" is
# none: said of a partner or a parent it may be meant.
IDIOMS = re.compile(
    r"(?<!\w)(?:(?:this|that|the|these|those|it)(?: \w+){0,2} (?:is|are|was|will be)(?: \w+)? (?:killing me|murder"
    r"|the death of me)|(?:this|that|the)(?: (?!(?:man|men|woman|women|neighbou?r|stalker|father|ex)\b)\w+){0,2}"
    r" (?:kills|will kill|is going to kill) me\b"
    r"|my (?:boss|manager|lead|team ?lead) (?:is going to|will|would) kill me\b|dying to (?:know"
    r"|see|hear|go|try|get|find)"
    r"|(?:nearly |almost )?(?:die|died|dying) (?:of|from|with)? ?(?:boredom|laugh\w*|laughter|embarrassment|shame"
    r"|curiosity"
    r"|the heat|thirst|hunger)|(?:could|would) (?:murder|kill for) (?:a|an|some)\b|kill(?:ing)? (?:time|two birds)"
    r"|dead(?:ly)? (?:tired|line|lines|end|weight|beat|slow)|shoot (?:me|us|you|him|her|over|off)? ?(?:an?|the|your)"
    r" (?:\w+ )?(?:email|e-mail|mail|message|invite|note|line|link|copy)|take a stab|stab at"
    r"|blow(?:ing)? (?:up )?my phone|smashed it"
    r"|bit(?:e|ing)? the bullet|up in arms|drowning in|stop (?:harassing|bugging|pestering|bullying|stalking) (?:me"
    r"|us) with"
    r"|(?:sorry|apologies) (?:to|for) (?:pester|bug|harass|bother)\w*|harass(?:ing|es) (?:me|us) (?:with"
    r"|about) (?:\w+ )?"
    r"(?:reminders?|timesheets?|e-?mails?|notifications?)|(?:system|app|portal|laptop|computer|phone|software|printer)"
    r" (?:has |is |keeps )?(?:hate|kill|attack|threaten|harass|bull|abus)\w*(?: me)?)"
)
