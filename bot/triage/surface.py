"""How a message is worded, in numbers: who did what to whom, whether anything is asked, and which grave words it holds.

Enters: a message. Leaves: one number per name in `SURFACE`, which the classifier reads beside the message's vector. The
vector says what a message is about; whether it tells of an incident or asks about a policy lies in its wording, and a
vector trained to find policies keeps little of that.

Not guaranteed: more than a hint. Word lists are English, with the commonest words in German, French, Spanish and
Danish.
"""

from __future__ import annotations

import hashlib
import math
import re

import numpy as np
from numpy.typing import NDArray

from bot.triage.plain import plain

_SENTENCE = re.compile(r"[.!?;\n]+")
_WORD = re.compile(r"\w+(?:'\w+)?")
_ASKING_START = re.compile(
    r"\W*(?:(?:and|but|so|ok|hi|hello|hey|please|also|btw|quick one|sorry)\W+){0,3}(?:what|whats|which|who|whom|whose"
    r"|where|wheres|when|whens|why|how|do|does|did|is|are|am|can|could|may|might|must|should|shall|will|would|have|has"
    r"|was|were|wer|wem|wen|was|wann|wo|wie|warum|welche\w*|darf|kann|gibt|bekomme|comment|combien|quand|qui|quel\w*"
    r"|ou|est-ce|puis-je|a qui|que|cuant\w+|cuando|como|donde|quien|a quien|puedo|hvor\w*|hvem|hvad|kan|far|ma)\b"
)
_QUANTITY = (
    r"how (?:many|much|long|often|early|far|old)|until when|by when|wie (?:viele?|lange)|combien|cuant\w+|hvor mange"
)
_PATTERNS = {
    "i": r"i|ich|je|j'\w+|yo|jeg",
    "me": r"me|myself|mich|mir|moi|mig",
    "my": r"my|mine|mein\w*|mon|ma|mes|mi|mis|min|mit|mine",
    "we": r"we|us|our|wir|uns|nous|on|nos|vi|os",
    "you": r"you|your|sie|vous|usted",
    "he or she": r"he|she|er|il|elle|el|ella|han|hun",
    "him or her": r"him|his|her|hers|ihn|ihm|seine?|lui|son|sa|su|ham|hans|hende\w*",
    "they": r"they|them|their",
    "somebody": r"somebody|someone|nobody|everyone|everybody|jemand|quelqu'un|alguien|nogen",
    "two of us": r"(?:he|she|they|who|boss|manager|lead|colleague|guy|man)\W+(?:\w+\W+){0,5}?(?:me|us|my)",
    "role": r"boss|manager|supervisor|lead|leader|director|chef\w*|foreman|mentor|trainer|head|ceo|vorgesetzte\w*"
    r"|jefe|jefa"
    r"|responsable|leder",
    "colleague": r"colleagues?|coworkers?|team ?mates?|workmates?|guys?|man|men|woman|women|driver|drivers|customer"
    r"|client"
    r"|guest|patient|kolleg\w*|collegues?|companer\w+",
    "kin": r"husband|wife|partner|boyfriend|girlfriend|ex|mann|freund|mari|marido|novio|mand",
    "told": r"said|told|says|called|calls|asked|asks|tells|laughed|laughs|shouted|keeps?|kept|made|makes|took|takes"
    r"|got|gave"
    r"|put|puts|threw|wants?|won|will not|sagt|dit|dice",
    "was": r"was|were|been|being|got|had|did",
    "repeated": r"always|every (?:day|time|week|shift|morning|night)|again|constantly|all the time|since|still"
    r"|never|each|keeps?"
    r"|anymore|third|standig|immer|jeden tag|tous les jours|todos los dias|hele tiden|hver dag",
    "because": r"because|since|after|when i|weil|wegen|seit|parce que|porque|fordi",
    "hedge": r"probably|maybe|i think|i suspect|i believe|apparently|rather|not sure|do not know|guess|somehow"
    r"|coincidence",
    "feeling": r"afraid|scared|frightened|terrified|fear|dread|ashamed|alone|cry|crying|cries|hurt|hurts|hopeless"
    r"|desperate"
    r"|tired|sick|shaking|crawl|uncomfortable|unsafe|safe|worried|can not (?:sleep|cope|take|go|stand|face)|coping"
    r"|enough"
    r"|worthless|burden|angst|peur|miedo|bange|lonely|humiliat\w+",
    "negated i": r"i (?:do|can|will|would|could|did|am|have|should) (?:really |just |even )?not",
    "death": r"die|dead|dying|death|kill\w*|suicid\w*|alive|live|living|life|gone|goodbye|end|ends|ending|over"
    r"|pills|rope"
    r"|bridge|grave|rather not be|burden|exist|funeral|sterben|leben|selbstmord|umbringen|mourir|vivre|morir|vivir"
    r"|vida"
    r"|leve|selvmord",
    "violence": r"hit|hits|punch\w*|slap\w*|kick\w*|push\w*|shov\w*|grab\w*|chok\w*|beat\w*|bit|bite|spat|spit"
    r"|throw\w*|threw"
    r"|knife|gun|weapon|threat\w*|attack\w*|fight|fought|stab\w*|strangl\w*|smash\w*|break|broke|bruis\w*|burn\w*"
    r"|blood\w*"
    r"|schlagt|geschlagen|droht|gedroht|frappe|menac\w+|pega|amenaz\w+|slog|slar|truede",
    "harassment": r"harass\w*|bull(?:y|ie)\w*|touch\w*|grop\w*|stalk\w*|star(?:es|ed|ing)|comments?|jokes?|laugh\w*"
    r"|mock\w*|humiliat\w*"
    r"|scream\w*|shout\w*|yell\w*|insult\w*|stupid|useless|skirt|body|legs|chest|kiss\w*|hug\w*|flirt\w*|advances"
    r"|dinner|drinks|messages?|messaging|text\w*|pictures|photos?|nickname|names|ignor\w+|exclud\w+|follow\w*"
    r"|alone with"
    r"|lachen|beleidig\w*|mobb\w*|belastig\w*|gemobbt|harcel\w*|insult\w*|acos\w*|molest\w*|toca|touche|rorer",
    "trait": r"woman|female|women|men|male|black|white|asian|polish|muslim|jewish|christian|gay|lesbian|trans"
    r"|disab\w+|deaf|blind"
    r"|wheelchair|pregnan\w*|maternity|mother|mothers|mums?|age|old|older|young\w*|accent|hijab|headscarf|faith"
    r"|religio\w+"
    r"|race|racis\w+|foreign\w*|skin|dyslexi\w+|frau|manner|femme|mujer|gravid\w*|kopftuch|part time",
    "denied": r"passed over|promot\w+|not (?:renewed|invited|promoted|allowed)|refus\w+|reject\w+|denied|taken off"
    r"|took|less than"
    r"|lost|cut|worse|worst|only|halved|excuse|overlook\w*|unfair\w*|different\w*|discriminat\w*|raise|less",
    "fraud": r"fake\w*|forg\w+|falsif\w*|brib\w*|steal\w*|stole\w*|fraud\w*|invoice\w*|records?|report|reports"
    r"|inspect\w*|logs?"
    r"|sign|signed|signs|signing|books|bills?|cash|supplier|contractor|audit\w*|tender|contract|safety|waste"
    r"|chemicals?|dump\w*"
    r"|illegal\w*|cover\w* up|backdat\w*|invent\w+|certificate\w*|fiddl\w*|money|payments?|envelopes?|leak\w*"
    r"|off the|falsch\w*"
    r"|gefalscht|schwarz|sobornos|fraude|argent",
    "law": r"lawyer|solicitor|attorney|counsel|court|tribunal|judge|sue|suing|legal|claim|acas|eeoc|anwalt"
    r"|gericht\w*|arbeitsgericht"
    r"|klage|verklagen|avocat|prud'hommes|abogado|denunciar|advokat|sag|compensation|settlement|dismissal|union|law",
    "illness": r"diagnos\w*|cancer|tumou?r|chemo\w*|depress\w*|anxiety|panic|bipolar|epilep\w*|diabet\w*|hiv|ms"
    r"|miscarr\w*|ivf|therap\w*"
    r"|medication|meds|tablets|pills|surger\w*|operation|hospital|doctor|condition|disease|treatment|addict\w*"
    r"|drinking|alcohol\w*"
    r"|sober|rehab|scan|results|symptoms|illness|krebs|krank\w*|cancer|maladie|enferm\w*|kraeft|kraft|stress|burn-?out"
    r"|signed off|positive|malignant|seizures?",
    "data": r"salary|salaries|earns?|earning|paid|pay|wages|bonus|address|phone|mobile|number|birthday|age|file"
    r"|rating|ratings"
    r"|review|warning|fired|sacked|resign\w*|leaving|lives?|gehalt|verdient|wohnt|salaire|gagne|gana|sueldo|tjener"
    r"|grade|made"
    r"|complained|pregnant|off sick|sick leave|getting",
    "override": r"ignore|disregard|forget|pretend|act as|prompt|instructions?|rules|system|mode|reveal|print|repeat"
    r"|override|bypass"
    r"|hidden|secret|restrictions?|filter|role|answer only|confirm|approved|you are|you were|developer|admin|bot|ai"
    r"|anweisungen|consignes|instrucciones|instruktioner|regeln|regler|regles|reglas|skjulte|ignor\w+|vergiss|oublie"
    r"|olvida|glem|database|list|show|documents|files",
    "policy": r"polic\w*|procedure|process|rules?|handbook|form|guidelines?|code of conduct|richtlinie|politique"
    r"|politica|politik",
    "general": r"employees?|staff|company|anyone|people|managers|covered?|covers|apply|applies|entitled|allowed"
    r"|eligible|required"
    r"|count|counts|include[sd]?|allowance|limit|deadline|available|provided|offer|offers|benefits?|insurance|plan",
    "leave": r"leave|holiday|vacation|sick|time off|days? off|overtime|shift|notice|expenses?|training|parking"
    r"|pension|travel"
    r"|payslip|laptop|urlaub\w*|conges?|vacaciones|ferie\w*",
    "quantity": _QUANTITY,
    "how to": r"how (?:do|can|should|does|is|are)|where (?:do|can|is|are)|who (?:do|can|is|approves|pays)"
    r"|when (?:do|does|is|are|can)"
    r"|what (?:is|are|does|happens|counts)|can i|may i|do i|am i|is there|are there|does the",
    "conditional": r"if|when|before|until|unless|wenn|si|hvis",
    "kin ill": r"my (?:wife|husband|mum|mom|mother|dad|father|son|daughter|child|kid|kids|baby|grand\w+|partner|dog)",
}
_COUNTED = {name: re.compile(rf"(?<!\w)(?:{pattern})(?!\w)") for name, pattern in _PATTERNS.items()}
_PAST = re.compile(r"(?<!\w)(?!need|used)\w{2,}ed(?!\w)")
_NAME = re.compile(r"(?<=[a-z,;] )(?!I\b)[A-Z][a-z]{2,}\b")
_QUOTE = re.compile(r"['\"‘’“”«»][^'\"‘’“”«»]{3,80}['\"‘’“”«»]")
_FOREIGN = re.compile(
    r"(?<!\w)(?:ich|nicht|und|der|die|das|ist|ein|eine|mich|bei|je|ne|pas|les|est|que|mon|une|des|el|los|mi|en|por"
    r"|jeg|ikke"
    r"|og|det|er|til|med)(?!\w)"
)
SURFACE = (
    "words",
    "sentences",
    "question mark",
    "asks",
    "asks first",
    "asks nothing",
    "statements",
    "past",
    "name",
    "quote",
    "exclaims",
    "foreign",
    *_PATTERNS,
)
# Weights are fitted to these very lists.
SURFACE_VERSION = hashlib.sha256(repr((SURFACE, _PATTERNS)).encode()).hexdigest()[:8]
# More of a kind than this says nothing new, and a long message is not graver for being long.
_MOST = 3


def surface(text: str) -> NDArray[np.float32]:
    """The numbers, (len(SURFACE),), each between 0 and about 3."""
    said = plain(text)
    sentences = [sentence for sentence in _SENTENCE.split(said) if _WORD.search(sentence)]
    asking = [bool(_ASKING_START.match(sentence)) for sentence in sentences]
    asks = sum(asking)
    words = len(_WORD.findall(said))
    shape = [
        math.log1p(words) / 2,
        math.log1p(len(sentences)),
        float("?" in text),
        min(asks, _MOST),
        float(bool(asking and asking[0])),
        float(not asks and "?" not in text),
        math.log1p(len(sentences) - asks),
        min(len(_PAST.findall(said)), _MOST),
        min(len(_NAME.findall(text)), _MOST),
        float(bool(_QUOTE.search(text))),
        float("!" in text),
        float(len(_FOREIGN.findall(said)) > words / 8),
    ]
    counts = [min(len(pattern.findall(said)), _MOST) for pattern in _COUNTED.values()]
    return np.array([*shape, *counts], dtype=np.float32)
