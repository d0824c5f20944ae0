"""Cues of danger: to the asker's own life or another's (crisis), and of violence at work.

Not guaranteed: that every veiled hint is caught. Hence replies about violence and harassment name the crisis lines too.
"""

from __future__ import annotations

from bot.triage.cues import table

# "Suicide prevention training" is a topic; "I am thinking about suicide. Is there training?" is not.
_NO_TOPIC = r"(?! (?:prevention|training|awareness|policy|clause|exclusion)\b)"

# Danger to life comes first, whatever else a message says.
CRISIS = (
    *table(
        "crisis",
        r"(?:kill|hurt|hang|drown|shoot|harm|starve|killing|hanging|harming|cutting|hurting|killed|burning"
        r"|poison) {self}",
        r"(?:(?:end|ending|ended) (?:it all\b|things\b(?! up))|(?:end|ending|ended|take|taking|took) (?:my|his|her"
        r"|their) (?:own )?life)",
        r"(?:am|feel|feeling|is|was|been|felt|having|have|had|get|getting|these|so) (?:\w+ )?suicidal",
        r"(?:thoughts? of|thinking (?:of|about)|think about|considering|attempted|commit|planning"
        r"|tried) (?:\w+ )?suicide\b" + _NO_TOPIC,
        r"(?:do|does|did) not (?:really |even )?want to (?:be alive|exist|wake up|be here anymore|be around anymore"
        r"|go on"
        r"|live (?:anymore|like this|this life|with this pain)|live\s*(?:$|[.,!?;\n]))",
        r"(?:want|wants|wanted|wish|wishing|ready|rather|going|decided|hope|hoping) (?:to |i )?(?:die|be dead"
        r"|were dead|was dead"
        r"|could die|disappear forever|was never born|had never been born)\b(?! (?:of|laugh|from|down|in|hard|on))",
        r"(?:go|going) to sleep and (?:not|never) wake",
        r"(?:not|never) wak(?:e|ing) up (?:again|anymore|tomorrow|$)",
        r"better off (?:without me|dead|if i (?:was|were) (?:gone|dead))",
        r"(?:hope|hoping|wish) i (?:do not|never|did not|will not) (?:make it|wake up|come home|arrive)",
        r"(?:no|any) (?:reason|point|will) (?:to|in|of) (?:keep going|live|living|carry on|go on|going on|being alive)",
        r"nothing (?:left )?to live for",
        r"can not (?:go|carry|keep) (?:on|going)(?: (?:much longer|anymore|like this|living))?\s*(?:$|[.,!;\n])",
        r"do not think i can (?:go|carry) on",
        r"can not (?:go on|carry on|live|take it|do this)\b[^\n]{0,40}(?:much longer|all of it|not the job"
        r"|life itself)",
        r"(?:bought|saved up|collected|counted(?: out)?|hoarded|got) (?:the|enough|all (?:the|my)) (?:pills|tablets)"
        r"(?! (?:that|which|my|the|for|from|prescribed|on|at|covered|reimbursed)\b)",
        r"(?:tired|sick) of (?:being here|living|life|being alive|existing|my life)",
        r"i (?:have )?(?:decided|made up my mind) {gap}(?:will not|would not) be (?:around|here|alive)",
        r"i will not be (?:around|here|alive) {gap}(?:by then|much longer|anymore).{0,40}(?:not anywhere|any longer"
        r"|tell my)",
        r"(?:if|when|after|once) i (?:am|was|were) gone\b(?=[^\n]{0,60}(?:be long|nobody|trouble|notice|funeral"
        r"|for good|better|miss me|my (?:kids|family|wife|children)))",
        r"(?:nobody|no trouble|easier|better|sorted) {wide}(?:when|after|once) i am gone\b",
        r"i (?:was|am|were) gone for good",
        r"(?:dark|dangerous|intrusive) thoughts",
        r"(?:scared|afraid|frightened) of what i (?:might|may|could|will) do",
        r"(?:overdos(?:e|ed|ing)|too many pills|all (?:of )?my pills|bottle of pills|slit my|cut my wrists?)",
        r"jump (?:off|from|in front of) (?:a|the) (?:bridge|roof|train|building|window|tracks|car park)",
        r"(?:written|wrote|writing|left) (?:\w+ ){0,2}(?:goodbye|suicide|farewell) (?:letters?|notes?|messages?)",
        r"(?:written|wrote|writing) letters? to my (?:kids|children|family|wife|husband|parents)",
        r"(?:message|text|note|letter|call)(?:ed)? {gap}saying goodbye",
        r"(?:will|would) not make it to (?:\d\d\b|christmas|my birthday|next)",
        r"(?:nobody|no one) would (?:\w+ )?(?:notice|care|miss me|mind) if i (?:was|were|am|died|did not|disappeared)",
        r"(?:started|am|been|keep|keeps|still) (?:to )?(?:self-? ?harm\w*\b" + _NO_TOPIC + r"|cutting again)",
    ),
    *table(
        "crisis",
        r"i (?:have )?(?:hurt|cut|burn(?:ed|t)?) myself(?! {gap}(?:lift|slip|trip|fall|fell|on the|on a|with a"
        r"|with the|moving|carrying|accident|claim|insurance|workers|stairs|machine|first aid|report))",
    ),
    *table(  # domestic violence
        "crisis",
        r"{partner} (?:\w+ ){0,2}?(?:hit|hits|hitting|beat|beats|beating|chok|strangl|punch|kick|hurt|slap|rap(?:e"
        r"|ing)|abus|attack"
        r"|threaten|lock|controls|follow|burn|shov|push)\w*(?: {gap}(?:me|us|her|the kids)\b)",
        r"{partner} (?:\w+ ){0,3}(?:will|going to|wants to|tried to|threatened to) (?:kill(?! me if i (?:forget|miss"
        r"|book|work)\w*)|hurt|find|finish|stab|shoot) ?(?:me|her|us)?",
        r"{partner} (?:\w+ ){0,3}would kill (?:me|her|us)\b(?! if i (?:forget|miss|book|work)\w*)",
        r"{partner} (?:\w+ ){0,3}(?:is|are) (?:\w+ )?(?:violent|abusive|dangerous|outside (?:the|my|our))",
        r"{partner} {gap}(?:found|knows|finds) (?:out )?where (?:i|she|we) live",
        r"(?:leave|flee|escape|get away from|get out of|left|fled) (?:home|my home|him|her|the house|{partner}) "
        r"{gap}(?:before|safe|scared|afraid|tonight|hits|violent|abus)",
        r"(?:scared|afraid|terrified|frightened) (?:of|to go) (?:what (?:he|she) |home|my (?:husband|wife|partner"
        r"|boyfriend|ex)|going home)",
        r"(?:not|never|un) ?(?:be |feel )?safe (?:at home|to go home|to go back|in my (?:own )?home)",
        r"(?:i am|i have been|i was|my \w+ is|she is|experiencing|suffering|victim of|survivor of|escaping|fleeing"
        r"|because of) "
        r"(?:(?!employees? affected)\w+ ){0,5}domestic (?:abuse|violence)",
        r"i am (?:an|one of (?:the|these|those|your)) employees? affected by domestic",
        r"(?:he|she) (?:takes? (?:all )?my (?:wages|money|salary|phone)|checks my phone|(?:\w+ )?hurts? me (?:badly"
        r"|again|at home|last))",
        r"(?:he|she|they) (?:says|said|threatened|is going|wants|will) {gap}(?:kill|finish) (?:me|her|him|us|the kids"
        r"|my)\b",
        r"(?:the|that|this) (?:\w+ )?(?:man|men|woman|women|neighbou?r|stalker|father|ex) (?:\w+ )?(?:says|said"
        r"|threatened|is going|wants|will) {gap}kill (?:me|her|him|us|the kids|my)\b",
    ),
    *table(  # danger now
        "crisis",
        r"(?:someone|somebody|a man|a guy|person|he|she|they) {gap}(?:in|at|outside) (?:the|our|my) (?:building"
        r"|office|door|site|lobby)"
        r" {gap}(?:wants? to (?:hurt|kill)|with a {weapon}|has a {weapon})",
        r"(?:i|we) (?:have |am |are )?(?:locked|hiding|barricaded|trapped) (?:\w+ ){0,3}(?:myself|ourselves|in"
        r"|under)\b{gap}"
        r"(?:room|toilet|bathroom|office|closet|desk|lift|elevator|from)",
        r"(?:active shooter|bomb in|there is a bomb|has taken hostages)",
        r"(?:is|has|are) (?:not breathing|unconscious|collapsed|bleeding (?:badly|heavily|out))(?! {gap}(?:who|what"
        r"|policy))",
        r"i (?:can not breathe|think i am having a (?:heart attack|stroke)|am having a (?:heart attack|stroke))",
        r"(?:severe|bad|crushing|have|having|got) chest pains?(?= {gap}(?:now|breath|arm|help|right))",
        unless=r"(?:what|who|how) {gap}(?:if|when) (?:someone|somebody|a colleague|an employee|a visitor)\b"
        r"[^.?!\n]{0,40}",
    ),
    *table(  # the same in other languages
        "crisis",
        r"nicht mehr (?:leben|da sein|weiterleben)|(?:bringe?|bringen) mich um|mich umbringen|mich umzubringen"
        r"|nehme mir das leben"
        r"|mir das leben (?:zu )?nehmen|will (?:nur noch )?sterben|selbstmordgedanken|suizidgedanken"
        r"|mein mann schlagt mich",
        r"me suicider|me tuer\b|envie de mourir|veux mourir|plus envie de vivre|en finir avec la vie"
        r"|mon mari me (?:bat|frappe)",
        r"suicidarme|matarme|quiero morir|no quiero vivir|no quiero seguir viviendo|quitarme la vida|mi marido me pega",
        r"uccidermi|voglio morire|farla finita|suicidarmi|non voglio piu vivere|togliermi la vita",
        r"me matar\b|quero morrer|nao quero (?:mais )?viver|tirar a minha vida",
        r"vil ikke leve\b|tage mit (?:eget )?liv|selvmordstanker|(?:begar?|tænker pa) selvmord"
        r"|vil (?:bare |gerne )?do\b|min (?:mand|kæreste|partner|eks\w*) slar",
        r"mein(?:e|em)? (?:\w+ )?(?:mann|freund|freundin|partner|frau|ex\w*) (?:schlagt|wurgt|bedroht) (?:mich|uns)\b"
        r"|mein(?:e|em)? (?:\w+ )?(?:mann|freund|freundin|partner|frau|ex\w*) hat (?:mich|uns) (?:\w+ ){0,3}"
        r"(?:geschlagen|gewurgt|bedroht)|(?:will|mochte) (?:\w+ ){0,2}nicht mehr (?:aufwachen|existieren)",
        r"mon (?:mari|copain|compagnon|conjoint|ex\w*) me (?:frappe|bat|menace)"
        r"|(?:veux|vais) en finir\b(?! avec (?!ma vie))",
        r"mi (?:marido|novio|pareja|ex\w*) me (?:pega|golpea|maltrata|amenaza)",
        r"wil niet meer leven|wil dood\b|zelfmoord plegen|mezelf van kant|zabic sie|nie chce (?:juz )?zyc"
        r"|odebrac sobie zycie",
    ),
)

VIOLENCE = (
    *table(
        "violence",
        r"{they} {gap}(?:punched|slapped|kicked|shoved|spat (?:on|at)|grabbed|choked|beat up|beats|attacked|assaulted"
        r"|headbutted"
        r"|bites?|bit|hits?(?! (?:me up|us up|our|my (?:target|goal|head|limit|cap|knee|elbow|hand|inbox)))|pushed"
        r"|pushes|punches|kicks|strangled|stabbed|tripped|shook) {me}\b",
        r"(?:he|she|they) (?:\w+ )?(?:slapped|hit|punched|pushed|shoved|choked) ",
        r"(?:threw|throws|swung|raised|waved|hurled|pointed|pulled) (?:a|an|his|her|the) [^.?!\n]{1,30} (?:at|on"
        r"|against) (?:me|us)\b",
        r"(?:i|me|he|she|we|mine) (?:\w+ )?(?:was|were|got|been|get) (?:\w+ )?(?:punched|slapped|kicked|shoved"
        r"|attacked|assaulted|beaten"
        r"(?: up)?|hit by|pushed by|spat at|headbutted|stabbed|jumped by|bitten)",
        r"(?:colleague|friend|mate|one) {gap}(?:was|got) (?:shoved|punched|slapped|kicked|attacked|assaulted|beaten)",
        r"(?:had|has|grabbed|took) (?:me|him|her) by the (?:collar|throat|neck|arm|hair|shirt)",
        r"(?:physical(?:ly)?|violent(?:ly)?) (?:attack|assault|threat|abus|hurt|aggress)\w* (?:on |by )?(?:me|us|my)\b",
        r"threat (?:to|against) (?:my|me|our|us)\b",
        r"{they} {gap}(?:threaten(?:s|ed|ing)?|is threatening) (?:me|us|to (?:hurt|kill|beat|hit|shoot|stab|burn|harm"
        r"|find|break))",
        r"i (?:\w+ )?(?:was|am|have been|feel|felt|got) (?:\w+ )?threatened",
        r"(?:going|gonna|want|wants|like|love) to (?:\w+ )?(?:break|smash|bash|kick|punch|stab|shoot|strangle|beat"
        r"|hit|hurt|murder|kill|slap) "
        r"(?:his|her|their|that|him|them|my (?:boss|manager|supervisor|colleague|foreman|lead)|your|the (?:boss"
        r"|manager|supervisor)"
        r"|someone|somebody|everyone|people)",
        r"(?:smash|break|punch|kick|bash) (?:\w+ ){1,3}(?:face|jaw|teeth|nose|legs|skull|head) ?in?\b",
        r"(?:i|who) {gap}(?:thoughts|thinking|fantasi[sz]ing|dream\w*) (?:of|about) (?:hurting|killing|shooting"
        r"|attacking|stabbing) (?!my ?self)",
        r"(?:come|coming|came) back and (?:make|shoot|kill|burn|hurt|get)",
        r"make (?:everyone|them all|you all|him|her) pay\b",
        r"sort (?:me|him|her|us) out'?\b(?! with)",
        r"you(?: will|'ll) (?:regret (?:it|this)|be sorry|leave in an ambulance|pay for)",
        r"(?:know|knows|knew) (?:where|which \w+) (?:i|we|they|you|she|he|my \w+) (?:all |both )?(?:lives?|parks?"
        r"|go(?:es)? to school|go(?:es)? home)",
        r"{they} {gap}(?:has|had|have|carr(?:y|ies|ied)|carrying|keeps|kept|brought|brings|bringing|pulled|showed"
        r"|showing|waving) {gap}{weapon}\b",
        r"(?:i|we) (?:saw|found|noticed|have seen) {gap}{weapon} (?:in|on|under) (?:a|his|her|their|the|my|someone)",
        r"(?:bring|brings|bringing|carry|carrying) (?:a )?{weapon} {gap}(?:to work)?[^\n]{0,20}(?:one of (?:ours|them"
        r"|us)|he does|she does|does it)",
        r"followed (?:me|us) (?:home|to (?:my|our|the) (?:cars?|bus|train|station|house))",
        r"(?:fought|fighting|fist ?fight|brawl(?:ed)?|came to blows|pushing and shoving|punch-?up) (?:in|at|on|with"
        r"|between)",
        r"giv(?:e|ing) {gap}(?:a (?:good )?beating|a kicking)",
        r"(?:do|does|did) not feel (?:\w+ )?safe (?:at work|going|coming|around|with|here|in (?:the|my)|near"
        r"|on (?:the|my))",
        r"(?:scared|afraid|terrified|frightened) of (?:him|her|them|the man|the woman|my (?:\w+ )?(?:boss|manager"
        r"|supervisor|colleague|lead))",
        r"(?:hold|held) a knife",
        r"casser les jambes|va me (?:frapper|tuer)|m'a (?:frappe|menace)|hat mich (?:geschlagen|bedroht)|me (?:pego"
        r"|golpeo|amenazo)"
        r"|mi ha (?:picchiat|minacciat)",
    ),
)
