"""Cues of what is private: medical detail of the asker's own, and requests for another person's data."""

from __future__ import annotations

from bot.triage.cues import table

_CONDITION = (
    r"(?:cancer|chemo(?:therapy)?|tumou?r|leuka?emia|lymphoma|radiotherapy|depress(?:ion|ed|ive)|anxiety"
    r"|panic attacks?|bipolar|adhd|autis\w+|asperger\w*|ptsd"
    r"|schizo\w+|psycho(?:sis|tic)|ocd|eating disorder|anorexi\w+|bulimi\w+|burn-?out|breakdown|epilep\w+|seizures?"
    r"|hiv|aids\b|hepatitis|crohn\w*|colitis"
    r"|colostomy|stoma|ibs|diabet\w+|insulin|hypos|ivf|fertility treatment|miscarr\w+|abortion|stillb\w+|hysterectomy"
    r"|endometriosis|menopaus\w+|hormone treatment"
    r"|addict\w*|alcoholi\w+|rehab|opioids?|dependence|heart attack|heart condition|stroke|pacemaker|slipped discs?"
    r"|sciatica|herniated|arthritis|fibromyalgia"
    r"|multiple sclerosis|ms|parkinson\w*|dementia|alzheimer\w*|memory clinic|retinitis|losing my (?:sight|hearing)"
    r"|going (?:deaf|blind)|biopsy|transplant|dialysis|kidney|lupus|long covid"
    r"|chronic (?:pain|fatigue|illness|condition|migraine\w*)|migraines?|postnatal|post-?partum|sickle cell"
    r"|tuberculosis|std|vertigo|narcolep\w*|insomnia)\b"
)

# "my wife miscarried" is not about the asker: leave for it is a question like any other.
_NOT_KIN = r"(?!(?:wife|husband|partner|mum|mom|mother|dad|father|son|daughter|child|kid|kids|parent|brother|sister)\b)"

MEDICAL = (
    *table(
        "medical",
        r"i (?:am|was|have|had|got|have got|have been|think i am|suffer|am being|need|live|take|am on"
        r"|was on) (?:(?!to\b|off\b|for\b|about\b|leave\b|insurance\b)\w+ ){0,5}?(?:diagnosed|" + _CONDITION + ")",
        r"i {gap}(?:diagnosed with|suffer(?:ing)? from|treated for|recovering from|living with|off (?:\w+ )?with"
        r"|signed off (?:with|for)|hospitali[sz]ed) {gap}" + _CONDITION,
        r"(?:my|our) (?:" + _NOT_KIN + r"\w+ )?" + _CONDITION,
        r"diagnosed (?:with|at|as)|got (?:\w+ )?diagnosed|(?:have|had|been|was) (?:\w+ )?diagnosed",
        r"(?:we are|doing|having|start(?:ed|ing)?|undergoing|going through) (?:ivf|chemo\w*|dialysis|rehab|hormone"
        r"|fertility|radiotherapy|cancer treatment)",
        r"^(?:" + _NOT_KIN + r"\w+ )?" + _CONDITION + r"[^\n]{0,80}(?: i | my |flaring|meds)",
        r"(?:^|[.!?] )(?:just )?(?:had|got|have|having|recovering from) (?:a |an )?(?:\w+ )?" + _CONDITION,
        r"(?:mate|friend|colleague) {gap}(?:is|has|has been having) (?:\w+ ){0,3}" + _CONDITION,
        r"(?:back|returning|signed off|off work|off) (?:from|with|for|because of) (?:\w+ )?" + _CONDITION,
        r"(?:meds|medication) (?:was|were|will|make|makes|are|is)|on (?:\w+ )?(?:antidepressants|antipsychotics"
        r"|methadone|lithium)",
        r"my (?:psychiatrist|therapist|cardiologist|oncologist|neurologist|gyna?ecologist|psychologist) (?:says|said"
        r"|wants|thinks|has|told|recommend|advis)",
        r"i (?:drink|am drinking|have been drinking|use|gamble|am using) (?:\w+ )?(?:too much|drugs|every day"
        r"|heavily)|gambling addict|(?:days|months|years) (?:clean|sober)",
        r"(?:i am|im) (?:\d+|a few|\w+) weeks? pregnant (?:and|with|but)|pregnant[^?!\n]{0,80}(?:have not told"
        r"|without telling|sickness|chemicals|bleeding|risk|complicat)",
        r"(?:my back|my spine|my knee|my hip) is (?:wrecked|ruined|gone|shot)|need(?:s)? (?:to be )?(?:close"
        r"|near) to a (?:bathroom|toilet)",
        r"(?:nature|details?) of (?:the|my) (?:operation|surgery|illness|condition|diagnosis)"
        r"|found something on (?:the|my) scan",
        r"he is diabetic|estoy embarazada y|ich habe (?:krebs|depressionen)|j'ai (?:un cancer|une depression)"
        r"|ho (?:un tumore|la depressione)|tengo (?:cancer|depresion)",
        unless=r"{wide}(?:does|do|is|are|will|would) (?:the |my |our )?(?:\w+ ){0,3}(?:insurance|plan|benefits?|policy"
        r"|cover|eap|medical) {gap}(?:cover|pay|include|help)[^.?!\n]{0,90}"
        r"|(?:someone|anyone|employees?|colleagues?|staff) (?:who |with |in |on )[^?\n]{0,30}(?:cancer|depress"
        r"|burn-?out)",
    ),
)

# What follows "'s" or comes after "does … have": data about one person.
_DATA = (
    r"(?:salary|salaries|pay\b(?! ?(?:slip|day|roll|date|policy))|pay ?slips?|wages?|earnings|bonus|raise"
    r"|home address|private address|address(?! book)|phone number|new phone number|number|mobile"
    r"|date of birth|birthday|age|bank (?:details|account)|personnel file|personal file|file|reviews?"
    r"|performance review|rating|appraisal|medical \w+|diagnosis|illness|sick (?:notes?|days|leave)"
    r"|disciplinary \w+|warning|visa|contract|cv|notice|health|pregnancy|religion|disability|remaining holiday"
    r"|holiday balance|leave balance|absences?|grievance|complaint)"
)
_PERSON = (
    r"(?!(?:the|a|an|it|i|we|you|my|your|our|this|that|there|everyone|what|who|level|hr|company|employer|today"
    r"|tomorrow|one|pay|payroll|leave|holiday|overtime|bonus|salary|insurance|policy"
    r"|staff|people|employees?|somebody|someone|anyone|anybody|manager|line|new|each|every|and|in|on|for|of|week"
    r"|month|year|last|next|all|not)\b)\w{2,20}(?: \w{2,20})?"
)
_SOMEBODY = (
    r"(?:my (?:\w+ )?(?:colleague|boss|manager|supervisor|lead|director|team ?mate|ex(?: ?-?wife| ?-?husband)?|wife"
    r"|husband|neighbour)|(?:the|our) (?:\w+ )?(?:ceo|cfo|coo|cto|boss|director|directors|vp|head of \w+"
    r"|managers|new guy|other candidate|guys|girls|sales \w+)|(?:mr|mrs|ms|dr)\.? \w+|(?:other )?colleagues|others|he"
    r"|she|they|everybody|everyone (?:else )?in)"
)

# "my payslips of last year", but not "my colleague 's payslip" nor "our salaries of the team".
_OWN_DATA = (
    r"(?:my|our) (?:(?:own|old|past|last|previous|recent|latest|full|monthly|annual) ){0,2}"
    + _DATA
    + r"s?\b(?! of (?!(?:the )?(?:last|past|previous|this|current|recent|january|february|march|april|may|june|july"
    r"|august|september|october|november|december|\d)))"
)

ANOTHERS_DATA = (
    *table(
        "confidential_data",
        r"(?!(?:today|month|months|years|weeks|days|hours|year|week|january|february|march|april|may|june|july|august"
        r"|september|october|november|december|monday|friday|member|let|it|what|who|that|company|employee|worker|day"
        r"|doctor|driver|parent|child|children|partner|spouse|manager|men|women|people|country|government|everyone"
        r"|user|one|student|mother|father|person|staff|employer|position|role|job|bachelor|master|friend|client"
        r"|customer|car|team|department|landlord|grandparent|carer|dependant|baby|kid|son|daughter|wife|husband"
        r"|sister|brother|mum|mom|dad|visitor|apprentice|season|period|union|town|city|council|state|bank|school"
        r"|university|supplier|vendor|organisation|organization|agency)\b)"
        r"\w{3,20} 's (?:\w+ ){0,2}" + _DATA + r"\b",
        r"what does (?:" + _PERSON + r"|" + _SOMEBODY + r") (?:in \w+ )?(?:earn|make|get paid)",
        r"how much (?:money |bonus |salary |holiday )?(?:does|do|did|is|was) (?:"
        + _PERSON
        + r"|"
        + _SOMEBODY
        + r") (?:\w+ ){0,3}?(?:earn|make|get paid|paid|on|earning|making)\b(?! (?:up|sure|leave|for|call|probation"
        r"|top|average))",
        r"how much bonus {gap}(?:guys|team|colleagues|people|others|directors|managers) (?:get|got|receive)",
        r"how many (?:sick|absence|leave|holiday|vacation) days (?:has|did|have) (?!(?:i|we|you|the|a|an|my"
        r"|employees?|staff|people|someone)\b)\w+",
        r"(?:home|private|personal) (?:address|number|phone|e-?mail|details) of ",
        r"(?:bank details|salary|salaries|pay ?slips?|personnel files?|performance reviews?|medical records?"
        r"|date of birth|addresses|ages|home address|disciplinary records?|ratings) of (?!(?:the role|a |an "
        r"|my (?:own )?(?:job|role|self)|new|level|temporary|work|interns?|apprentices?|employees?|staff))",
        r"(?:her|his|their) (?:\w+ )?(?:date of birth|private address|home address|salary|bank details|personnel file"
        r"|medical \w+|pay ?slip|last salary|remaining holiday|sick days)",
        r"(?:give|show|send|list|tell|get|need|want|open|look up|export"
        r"|print)\b (?:me )?{wide}(?<!my )(?<!\d )(?<!own )(?:salaries|reviews of|personnel files?|home address"
        r"|payslips of|pay grade next|salary (?:table|list|of)|names and (?:ages|salaries)|case list|open cases)",
        r"list (?:of )?(?:all |every )?(?:the )?(?:employees|colleagues|staff|people|women|men) {gap}(?:with|who"
        r"|that are|on) (?:a )?(?:disab|sick|pregnan|medical|union|warning|pip|ill)",
        r"who(?: is|se)? {gap}(?:on the (?:layoff|redundancy|lay-off|dismissal) list|getting (?:the sack|fired|sacked"
        r"|laid off|let go|axed)|getting made redundant|going to be (?:fired|laid off|let go|sacked))",
        r"who (?:\w+ )?(?:made|filed|raised|wrote|submitted|lodged) (?:the|a|that|this) (?:complaint|grievance|report"
        r"|allegation)s? (?:about|against|on) (?:me|him|her|my)",
        r"who (?:reported|complained about|grassed on|snitched on) (?:me|him|her|us)\b|who got the promotion"
        r"|(?:complaint|grievance) against [^?\n]{0,20}(?:come|made|from)",
        r"why (?:has|was|is|did|does|had) (?!(?:i|we|my|it|the|there|this|that|our|a"
        r"|an)\b)\w+ (?:\w+ ){0,2}?(?:been off|fired|let go|off sick|off so|sacked|laid off|suspended|dismissed"
        r"|resign|on leave|on a warning|absent|on sick)",
        r"(?:is|was) (?!(?:i|we|my|it|the|there|this|that|our|a|an|off|being|someone|somebody|who"
        r"|what)\b)\w+ (?:still |really |currently )?(?:on a (?:warning|pip|final)|pregnant|being (?:fired|sacked"
        r"|investigated|let go)|getting (?:fired|sacked)|in the union|ill\b|sick again|pushed)",
        r"did (?!(?:i|we|my|it|the|you)\b)\w+ (?:resign|quit|get (?:fired|sacked)|leave) or",
        r"(?:which|who) of (?:my|our|the) (?:colleagues|team|staff|people) (?:\w+ )?(?:are|is|has|have|earn|got|get)",
        r"what did the (?:interviewers?|panel|manager) (?:write|say) about (?:the other|another|him|her|other)",
        r"the people who were let go|who was let go|names (?:pls|please)",
        r"my (?:ex[- ]?)?(?:wife|husband|partner)s? (?:'s )?(?:new )?(?:phone number|address|salary|pay ?day)"
        r"|how much will (?:she|he) (?:get|earn|be paid)",
        r"how long (?:mr|mrs|ms|dr)\.? \w+ has been|was (?:her|his) last salary|why did (?:she|he) leave",
        unless=r"(?:who|where|when|how) (?:can|do|does|is|should) {gap}(?:see|access|view|keep|store) "
        + _OWN_DATA
        + r"|where (?:can|do|should) (?:i|we) (?:keep|store) my (?:wife|husband|partner)",
    ),
)
