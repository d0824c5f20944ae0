"""Cues of attempts to override instructions, plain or encoded, and of requests to empty the archive."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterator

from bot.triage.cues import table

_RULES = (
    r"(?:instructions?|rules?|prompts?|guidelines?|directives?|restrictions?|filters?|safeguards?|programming"
    r"|guardrails?|orders|policies|constraints)"
)

INJECTION = (
    *table(
        "injection",
        r"(?:ignore|disregard|forget|bypass|override|overwrite|drop|skip|disable|delete|stop following|do not follow"
        r"|turn off) (?:\w+ ){0,2}?(?:all|any|every|previous|prior|above|earlier|your|the|these|those|system)"
        r" (?:\w+ ){0,3}?" + _RULES + r"\b",
        r"(?:ignore|disregard|forget) (?:everything|all|anything) (?:above|before|you|that|i said before|prior|and)",
        r"(?:disable|remove|lift|turn off|without|no) (?:\w+ ){0,2}?(?:filters|restrictions|safeguards|guardrails"
        r"|content policy|limitations|limits)\b(?! (?:on|for|to) (?:holiday|leave|travel|expens))",
        r"(?:show|print|reveal|output|display|tell|give|repeat|share|leak|dump|send|paste|expose|write|translate"
        r"|write out|what is|what are|recite)\b {wide}(?:system prompt|(?:your|hidden|initial|secret|internal"
        r"|original|the) (?:\w+ )?(?:instructions|configuration|prompt|system message|guidelines)(?: (?:in|to"
        r"|verbatim|word)|\s*(?:$|[.?!,])))",
        r"your (?:system|hidden|secret|initial|original) (?:prompt|instructions|message|rules)",
        r"(?:each|every|next) (?:line|word) {wide}of your (?:instructions|prompt)",
        r"(?:repeat|print|output|translate) (?:\w+ )?(?:the text|everything|all|the words?|what is) (?:\w+ )?(?:above"
        r"|before this|in your context|you were)",
        r"what (?:were you|have you been) (?:told|instructed|given) (?:before|to|by|at)",
        r"you are now\b(?! (?:\w+ )?(?:connected|speaking|chatting))",
        r"from (?:now|here) on,? (?:you|answer|act|respond|reply|ignore|attach|always|only|every|pretend|speak)",
        r"pretend (?:to be|you are|that you|you have|i am)|(?:role-?play|act|behave|respond|answer"
        r"|speak) as (?:if (?:you|i)|an? (?:unrestricted|admin|hacker|ai|evil|uncensored)|though you|dan|the (?:ceo"
        r"|director|hr (?:director|head)))",
        r"(?:developer|god|admin|root|debug|hr|jailbreak|dan|maintenance|sudo|unrestricted|privileged) mode|jailbreak"
        r"|admin code|do anything now",
        r"(?:you are|you have|with|an ai with|be) (?:no|without) (?:rules|limits|restrictions|filters|limitations)"
        r"|without limits",
        r"restrictions (?:are )?(?:lifted|off|removed)|(?:user|i) (?:has|have) been verified as"
        r"|your guidelines: you may|(?:updated|changed) your (?:guidelines|rules|instructions)",
        r"(?:note|message|instructions?|attention) (?:to|for) (?:the )?(?:assistant|ai|bot|model|llm|chatbot)",
        r"<!--|<\|?(?:system|im_start|assistant|endoftext)|\[/?inst\]|#{2,} ?(?:system|instruction)",
        r"(?:system|assistant) ?:(?! ?(?:how|what|where|error))[^\n]{0,60}(?:user|verified|lifted|reveal|ignore|show"
        r"|you |override|assistant)|full access: |assistant:\s*$",
        r"system override",
        r"(?:dump|output|list|show me|give me|print|export|post)\b {gap}(?:every|all|entire|raw|full|first ten"
        r"|whole) {gap}(?:documents?|files?|index|database|contents|folder|knowledge base)(?: {gap}(?:you|search"
        r"|connected|have|incl))",
        r"(?:files|documents|folders|paths) (?:are )?(?:you|that you are) connected to|full contents of the"
        r"|raw (?:policy )?index",
        r"(?:confidential|restricted|hr-only|secret|hidden|hr only|managers-only) (?:version|documents?|files?|folder"
        r"|policies|data|ones)\b(?! (?:policy|training|be|are|is|stored|kept))",
        r"(?:set|change|switch|upgrade|make) (?:my role|my access|me (?:an? )?admin|to (?:hr|admin))|treat me as"
        r"|unlock the",
        r"(?:decode|decrypt|rot13|base64|deobfuscate) {gap}(?:this|and|for|it|do|the following)",
        r"i am (?:the|your|a) (?:developer|creator|administrator|admin|owner|programmer) of (?:this|the|you)"
        r"|debugging\. ",
        r"share personal data",
        r"let(?: us|s| 's)? play a game|approve my (?:raise|promotion|leave|expenses?|request)\s*(?:$|[.!])",
        r"authori[sz]es you|acting on behalf of {wide}(?:access|authori|treat|list|open)",
        r"(?:vergiss|ignoriere?|missachte|umgehe?) (?:\w+ ){1,3}(?:anweisungen|regeln|vorgaben|instruktionen)"
        r"|(?:oublie[sz]?|ignore[sz]?) (?:\w+ ){1,3}(?:consignes|instructions|regles)"
        r"|(?:olvida|ignora|omite) (?:\w+ ){1,3}(?:instrucciones|reglas|istruzioni|regole)"
        r"|(?:glem|ignorer|se bort fra) (?:\w+ ){1,3}(?:instruktioner|instrukser|regler|anvisninger)"
        r"|(?:zeige?|vis|montre|affiche|muestra|gib) {gap}(?:system-?prompt|prompt systeme|prompt del sistema)",
        r"vergiss (?:alle|deine)|ignoriere (?:alle|deine|die)|oublie (?:les|toutes|tes) (?:consignes|instructions"
        r"|regles)|ignor(?:e|ez) (?:les|toutes les) (?:consignes|instructions)"
        r"|(?:olvida|ignora) (?:todas )?(?:las|tus|le|tutte le) (?:instrucciones|reglas|istruzioni)|忽略.{0,12}(?:指示"
        r"|指令)|これまでの指示を無視|игнорируй",
    ),
)

_BASE64 = re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{24,4000}={0,2}(?![\w+/])")
_MAX_DECODED = 20


def decoded(text: str) -> Iterator[str]:
    """What a message hides in base64 and under rot13; the second is gibberish unless somebody wrote it so."""
    for number, found in enumerate(_BASE64.finditer(text)):
        if number == _MAX_DECODED:
            break
        try:
            yield base64.b64decode(found[0] + "=" * (-len(found[0].rstrip("=")) % 4)).decode("ascii")
        except (binascii.Error, ValueError):
            continue
    yield codecs.encode(text, "rot13")
