"""Cues of wrongs done at work: harassment, discrimination, suspected wrongdoing, and disputes that went to law."""

from __future__ import annotations

from bot.triage.cues import table

_NO_INCIDENT = (
    r"(?:what|who|how|where|which|does|do|is|are|can|should|must) {wide}(?:if|when) (?:i am|someone|somebody|you are"
    r"|an employee"
    r"|a (?:colleague|manager|customer|visitor)|staff|anyone) (?:\w+ ){0,7}(?:bullied|harassed|discriminat|bullying"
    r"|harassing)"
)

HARASSMENT = (
    *table(
        "harassment",
        r"\b(?:raped (?:me|her|him|them|my)|(?:was|were|been|got|being|getting) raped|sexually assaulted)\b",
        r"\bdemand(?:s|ed|ing)? (?:sex|sexual)\b",
        r"(?:i|me) (?:\w+ )?{been} {adv}(?:bullied|harass|stalk|grop|molest|humiliat|intimidat|belittl|mock|insult"
        r"|yelled|scream"
        r"|shouted|ridicul|demean|ostraci|gaslit|gaslight|blackmail|catcall|victimi[sz]|excluded|singled out"
        r"|picked on|laughed at"
        r"|bullying|sexually|followed|touched|ganged up)",
        r"(?:friend|mate|girl|guy|colleague|sister|brother|wife|husband|daughter|son|intern|apprentice|she|he|woman"
        r"|man) {gap}(?:is|was|are"
        r"|has been|gets|keeps) (?:getting |being |\w+ly ){0,2}(?:bullied|harassed|groped|molested|humiliated|stalked"
        r"|touched|mocked)",
        r"{they} {gap}(?:bull(?:y|ies|ied|ying)|harass(?:es|ed|ing)?|stalk(?:s|ed|ing)?|grop(?:e|es|ed|ing)"
        r"|molest(?:s|ed|ing)?"
        r"|humiliat(?:e|es|ed|ing)|intimidat(?:e|es|ed|ing)|belittl(?:e|es|ed|ing)|mock(?:s|ed|ing)?|insult(?:s|ed"
        r"|ing)?"
        r"|ridicul(?:e|es|ed|ing)|victimi[sz](?:e|es|ed|ing)|blackmail(?:s|ed|ing)?|undermin(?:e|es|ed|ing)"
        r"|ignor(?:es|ing)"
        r"|ogl(?:e|es|ed|ing)|leer(?:s|ed|ing)?|catcall(?:s|ed|ing)?) (?:at |on )?{me}\b",
        r"(?:yell|scream|shout|swear|spit|spat|star)(?:s|ed|e|es|ing)? (?:\w+ )?at {me}\b",
        r"{they} {gap}(?:touch|strok|rub|hug|kiss|grab|pinch|squeez|tickl|caress)\w* (?:at )?(?:me|my (?!heart|pay"
        r"|maternity|salary|pension|leave|benefits)|her|him|his|us)\b",
        r"{they} {gap}(?:put|puts|putting|lays?) (?:his|her|their|a) (?:hands?|arms?) (?:on|around|round|over)",
        r"(?:he|she|they|boss|manager|supervisor) {gap}(?:stands?|sits?|gets?|leans?) (?:\w+ )?(?:too |very |so "
        r"|really )close (?:to|$|[.,;!?])",
        r"stands? (?:too|very|so|really) close",
        r"(?:grabbed|groped|touched|kissed|cornered|followed) (?:me|my|her|him)\b",
        r"touching (?:my|me|her|his|him|us)\b",
        r"(?:comments?|jokes?|remarks?|rumou?rs?|gossip|memes?|pictures|drawings) (?:\w+ ){0,3}(?:about|of|on) (?:me"
        r"|my|her|his) ?(?:\b)"
        r"(?:body|looks?|legs|breasts?|chest|weight|clothes|appearance|figure|sex|love|private)?",
        r"(?:sexual|sexist|inappropriate|unwanted|suggestive|lewd|obscene|creepy|dirty"
        r"|personal) (?:\w+ )?(?:comments?|jokes?|remarks?"
        r"|messages?|advances|pictures|photos|texts?|touch\w*|attention|favou?rs|contact|nature to me)",
        r"(?:send|sends|sending|sent|text|texts|texting|messages?|messaging) (?:me|her|him) {gap}(?:pictures|photos"
        r"|pics|nudes|messages|at night"
        r"|never asked|every night|skirt|kisses|hearts)",
        r"(?:is it normal|keeps?|boss|manager) {wide}(?:wear that|send me a (?:pic|photo)|asks? (?:me|her) (?:out"
        r"|for drinks|to dinner|on a date))",
        r"(?:asked|asks|asking|invit\w+) me (?:out|(?:to|for) (?:dinner|drinks|a drink|coffee"
        r"|lunch)) (?:\w+ ){0,3}(?:again|times|though|and each"
        r"|even|now|after i|twice|every)",
        r"(?:said|told) (?:he|she) (?:could|would) help with the promotion|hotel room (?:at|after|with|in)",
        r"(?:turned|turn) (?:him|her|them) down|said no to (?:him|her|dinner|a date|drinks)|rejected (?:him|her|his"
        r"|my (?:boss|manager))",
        r"call(?:s|ed|ing)? (?:me|her|him) (?:\w+ ){0,4}(?:stupid|fat|useless|idiot|names|ugly|worthless|lazy|dumb"
        r"|slut|bitch|moron|retard|a rat"
        r"|the rat|pathetic|old|cow|pig|whore|crazy|loser|princess|sweetheart|baby|babe|honey)",
        r"call(?:s|ed|ing)? (?:me|us|her|him) [\"']",
        r"(?:since|after|because|when) i (?:have )?(?:reported|complained|gave evidence|filed|put in (?:that|a"
        r"|my) (?:grievance|complaint)|raised"
        r"|spoke up|made a complaint|turned|said no|refused|stood up)[^?!\n]{0,120}(?:cut|moved|taken off|ignor"
        r"|cancel|poor|worse|demot|punish"
        r"|writ|excluded|denied|shouts?|threat|nobody|no one|fired|removed|coincidence)",
        r"i (?:have )?(?:reported|complained (?:about|to)|raised) [^?!\n]{0,80}(?:and now|since then|now he|now she"
        r"|now they|ever since)",
        r"retaliat(?:ed|ing|es|ion) (?:against|from|by) (?:me|us|my|him|her)",
        r"(?:being|be) alone with (?:him|her|my (?:boss|manager))",
        r"(?:not|rather not|no longer|never) (?:to )?be (?:\w+ )?(?:near|around|rostered with|working with"
        r"|in the same) [^?!\n]{0,30}"
        r"(?:follow|him|her|anymore|he |she )",
        r"(?:somebody|someone|a person) [^.?!\n]{0,30}(?:i )?need (?:not )?to (?:not )?be (?:near|away)",
        r"(?:told|tells|telling|asked) (?:everyone|everybody|them all|the team|others) (?:\w+ )?(?:not to"
        r"|never to) (?:speak|talk|work|sit|eat)",
        r"(?:hide|hides|hid|hiding|steal|took) my (?:tools|things|stuff|lunch|bag|shoes)",
        r"pick(?:s|ed|ing)? on (?:me|him|her|us)|gang(?:s|ed|ing)? up on|makes? my (?:life|work|days?) (?:hell"
        r"|miserable|a misery)",
        r"(?:turn(?:s|ing)? up|show(?:s|ing)? up|wait(?:s|ing)?) (?:at|outside|by) my (?:desk|house|home|car|flat"
        r"|door)",
        r"(?:follows?|following|stalking|watching) (?:me|her|him) (?:to|home|around|into|after|from|on)",
        r"leaves? (?:\w+ )?notes on my|(?:will not|would not|does not) (?:leave me alone|stop (?:touching|messaging"
        r"|calling|texting|asking|staring))",
        r"(?:get|make|how do i) {gap}(?:stop|to stop) (?:messaging|texting|calling|contacting|touching|following"
        r"|bothering|bullying|harassing) me",
        r"i (?:am|was|have been) (?:\w+ )?(?:the|a|an) (?:punchline|laughing stock|outcast|target|scapegoat)"
        r"|cry(?:ing)? (?:in the|every|at work|after|because)",
        r"(?:saw|seen|watched|witnessed|noticed|heard) {gap}(?:corner|grab|touch|grop|shout|hit|bull(?:y|ied|ying)"
        r"|harass|humiliat|scream|push)\w*",
        r"(?:threw|throws|throwing) (?:my|his|her|the|a)? ?(?:\w+ ){1,3}(?:back )?(?:at|across|in my)",
        r"{boss} is (?:the one )?(?:the problem|doing it|the bully|the harasser|one doing it)",
        r"(?:toxic|hostile|abusive) (?:boss|manager|lead|supervisor|behaviou?r|work(?:ing)? environment|team lead)",
        r"uncomfortable (?:around|with|near|when) (?:him|her|my (?:boss|manager|supervisor|colleague|lead)|he|she)",
        r"banter {gap}(?:too far|out of hand|hurts?)",
        r"me (?:grita|insulta|acosa|humilla|toca)|me sento molestat|mi molesta|(?:werde|wurde"
        r"|bin) (?:\w+ ){0,4}(?:gemobbt|belastigt|schikaniert)"
        r"|(?:je suis|suis) harcele|me harcele|(?:mobbt|belastigt|schikaniert) mich",
        unless=_NO_INCIDENT,
    ),
    *table(  # the same in other languages
        "harassment",
        r"(?:belastigt|bedrangt|begrapscht|mobbt|mobben|schikaniert|demutigt|beleidigt|erniedrigt) (?:mich|uns)\b",
        r"(?:mich|uns) (?:\w+ ){0,4}(?:belastigt|begrapscht|gemobbt|schikaniert|gedemutigt|beleidigt|angefasst)\b",
        r"fasst mich (?:\w+ ){0,2}(?:immer|standig|wieder|an)\b",
        r"me (?:harcele|humilie|insulte|touche)\b|m'a (?:touchee?|insultee?|agressee?|harcelee?|humiliee?)\b",
        r"me (?:humilla|insulta|acosa|manosea|toca)n?\b",
        r"(?:bliver|blev|er blevet) (?:\w+ ){0,2}(?:mobbet|chikaneret|krænket|ydmyget)"
        r"|(?:mobber|chikanerer|ydmyger) mig|rorer (?:\w+ )?ved mig",
        unless=r"(?:wenn|falls|si quelqu'un|si on|si alguien|hvis)\b[^.?!\n]{0,60}",
    ),
)

_ADVERSE = (
    r"(?:passed over|pass(?:ing)? me over|overlook|denied|den(?:y|ies)|refus|fired|dismiss|demot|taken off"
    r"|took me off|gone\b|treat|exclud"
    r"|paid less|less than|lost my|not (?:renewed|promoted|considered|invited)|wasnt renewed|reject|laugh|failed"
    r"|ignored|nobody asks|no one asks"
    r"|given away|held against|poor rating|worst|never make|not ready|changed|was told|sidelined|mocked|struggle with)"
)

DISCRIMINATION = (
    *table(
        "discrimination",
        r"(?:i|me|we|she|he) (?:\w+ )?{been} {adv}discriminated",
        r"discriminat(?:ed|ing|es|ion) (?:against|towards?) (?:me|us|my|him|her|women|black|older)",
        r"(?:face|facing|faced|experienc\w+|suffer\w*|victim of) (?:\w+ ){0,2}(?:discrimination|racism|sexism"
        r"|homophobia|ageism|transphobia)",
        r"because (?:i am|of my|she is|he is|of her|of his|i have|i look|we are|they are"
        r"|my) (?:\w+ ){0,3}(?:{protected}|{trait})\b[^?!\n]{0,60}" + _ADVERSE,
        _ADVERSE
        + r"[^?!\n]{0,60}because (?:i am|of my|she is|he is|of her|of his|i have|i look) (?:\w+ ){0,3}(?:{protected}"
        r"|{trait}|from)\b",
        r"my (?:\w+ )?{trait} {gap}(?:held|used|counted) against",
        r"with my (?:\w+ ){0,2}(?:{trait}) {gap}(?:never|not|can not|will not|would not)",
        r"(?:i am|she is|he is|im) (?:also )?the only (?:\w+ )?{protected}\b",
        r"(?:einzige frau|seule femme|unica donna|unica mujer)",
        r"(?:told|tell|said to) (?:my |the )?(?:\w+ )?(?:boss|manager|lead|hr|them|supervisor)? ?(?:that )?i (?:am"
        r"|was) (?:pregnant|gay|trans|having a baby|expecting"
        r"|disabled|muslim|jewish)[^?!\n]{0,60}" + _ADVERSE,
        r"(?:ever )?since i (?:came out|got pregnant|told (?:them|my)|announced|became (?:shop steward|a mother"
        r"|a union)|had my (?:baby|kids?)|turned \d\d"
        r"|converted|transitioned)[^?!\n]{0,80}(?:nobody|no one|worst|no |never|taken|lost|stopped|denied|dropped"
        r"|ignored|changed|less)",
        r"after i said i (?:was|am) (?:having a baby|pregnant|gay|ill)|(?:contract"
        r"|probation)[^?!\n]{0,40}(?:not renewed|ended|failed)[^?!\n]{0,60}"
        r"(?:pregnan|having a baby|illness|maternity|disab)",
        r"(?:failed|ended) my probation for[^?!\n]{0,40}(?:tired|ill|sick|absen)",
        r"(?:paid|earn|earns|get|gets|make|makes|on|is on) {gap}(?:less|more|lower|6k more"
        r"|higher) (?:than )?{gap}(?:men|women|man|guys?|male|female|white|younger)",
        r"i earn less|i (?:am|think i am|suspect i am) (?:\w+ )?(?:paid|under-?paid) (?:less|below"
        r"|under)[^?!\n]{0,120}(?:being|from|because|woman|age)",
        r"(?:why (?:do|does|are|is)|only|always|every) (?:the |\w+ ){0,4}(?:guys|men|lads|boys|whites?) (?:get|who"
        r"|are|in|go|got)[^?!\n]{0,60}(?:girls|women|us|for years|never|i |ladies)",
        r"goes to (?:the )?(?:men|guys|lads|white)|(?:only|just) (?:the |us )?(?:mums|women|mothers|polish|foreign\w*"
        r"|black|asian)(?: guys| staff| people)?\b[^?!\n]{0,30}"
        r"(?:asked|if they|though|are|were|get|have to)",
        r"pass(?:ed|ing|es)? me over|(?:been|was|am|got) passed over",
        r"(?:younger|young|fresh|new) (?:energy|blood)\b|everyone (?:on|in) (?:the"
        r"|that) [^?!\n]{0,30}(?:over|under) \d\d",
        r"(?:racist|sexist|homophobic|transphobic|ageist|islamophobic|antisemitic|racial"
        r"|ableist) (?:\w+ )?(?:comments?|jokes?|remarks?|boss|manager|colleague|slurs?|abuse|name|team)",
        r"(?:is|are|was|being) (?:so |openly |really |a )?(?:racist|sexist|homophobic|transphobic) (?:to|towards?"
        r"|about|at|with)",
        r"(?:jokes?|comments?|remarks?) (?:\w+ ){0,2}about (?:my|her|his|our) (?:\w+ )?(?:{trait}|country|name|hair)",
        r"(?:call|calls|calling|called) me by the name of my country|people of my (?:faith|race|religion|colou?r"
        r"|background)",
        r"(?:my|the) accent|(?:deadnam|misgender)\w+ (?:me|him|her)|(?:uses?|old name"
        r"|dead name)[^?!\n]{0,50}on purpose",
        r"use a wheelchair[^\n]{0,80}(?:no lift|upstairs|read the|could not|no ramp)",
        r"explained about (?:prayers?|my (?:faith|religion))|(?:refus|den)\w+ (?:me )?(?:\w+ ){0,3}(?:prayer"
        r"|religious|adjustments?)",
        r"told she can ?not be on|because of 'the image'|of [\"']the image|not [\"']a fit",
        r"treated (?:\w+ )?(?:differently|unfairly|worse|like dirt) (?:than|because|as|from|by|since)",
        r"as a dad and (?:my )?(?:boss|manager|lead)",
        r"(?:asked|asks) (?:me )?{gap}(?:if|whether) i (?:plan|want|intend|am planning|was planning) (?:to have|for"
        r"|on) (?:\w+ ){0,2}(?:kids|children|a baby|pregnan)",
        r"(?:back|returned) from (?:maternity|parental|sick) leave (?:and|to)[^?!\n]{0,40}(?:role|job|desk|position"
        r"|given|gone|demot)",
        unless=_NO_INCIDENT + r"|anti[- ]?discrimination (?:training|policy)",
    ),
)

# "Somebody stole my bike, is it insured?" accuses nobody and asks what every loss makes one ask.
_STOLE_MINE = (
    r"(?:someone|somebody|a thief|thieves) (?:has |have |just |is |keeps )?(?:stole|steals|stealing) (?:my|our) "
    r"(?:\w+ ){0,2}?(?:bike|bicycle|scooter|moped|helmet|car|van|tyres?|wheels?|phone|mobile|laptop|tablet|charger"
    r"|headphones|bag|backpack|handbag|suitcase|luggage|wallet|purse|keys?|badge|card|passport|coat|jacket|umbrella"
    r"|shoes|glasses|lunch|food|mug|tools?|parcel)\b"
)
_ASKS_ABOUT_A_LOSS = (
    r"(?:insur|cover|claim|compensat|replac|reimburs|refund|pay for|what (?:do|should|can|must|to)"
    r"|who (?:do|should|can)|where (?:do|should|can)|how (?:do|should|can|to))"
)
_ACCUSES = r"[^\n]{0,120}\b(?:he|she|boss|manager|supervisor|lead|director|colleague|know who|think it)\b"
_LOST_TO_A_THIEF = (
    rf"(?:{_STOLE_MINE}(?!{_ACCUSES})(?=[^\n]{{0,120}}\b{_ASKS_ABOUT_A_LOSS})"
    rf"|{_ASKS_ABOUT_A_LOSS}[^.\n]{{0,60}}\b{_STOLE_MINE}(?!{_ACCUSES}))"
)

WHISTLEBLOWING = (
    *table(
        "whistleblowing",
        r"(?:{they}|{boss}|we|i am told|i think|i know|i found out|i suspect|company|department|branch|team|site"
        r"|everyone|husband|wife) "
        r"{wide}(?:is |are |was |were |been |has |have )?(?:steal(?:s|ing)?|stole|embezzl\w+|forg(?:es?|ed|ing) (?!ot"
        r"|et)|falsif\w+|fak(?:es|ed|ing)|fiddl\w+|brib(?:es|ed|ing)"
        r"|kickbacks?|launder\w+|backdat\w+(?! my)|shredd?(?:ed|ing|s)|cook(?:s|ed|ing) the books|skimm?(?:ed|ing)"
        r"|siphon\w*|tamper\w*|over-?bill\w*|pocket(?:s|ed|ing)"
        r"|commit(?:s|ted|ting)? fraud|defraud\w*|rigg(?:ed|ing)|doctor(?:ed|ing)|cover(?:ed|ing|s)? (?:it |this "
        r"|that )?up|insider trading|smuggl\w+|relabel\w*)\b",
        r"taking (?:money|cash|backhanders|bribes) (?:from|off|under)",
        r"(?:told|asked|ordered|made|forced|pressured|instructed) (?:me|us|my \w+|our \w+|to|them"
        r"|by my \w+)? ?(?:\w+ )?to (?:\w+ )?(?:backdate|delete|hide|falsify|lie|fake|alter|change|switch off|swich off"
        r"|turn off|not mention|cover|shred|destroy|sign (?:off|that|for)|sign [^.?!\n]{0,20}(?:not|had|received)"
        r"|swap tacho|hold back|fill in [^.?!\n]{0,40}nobody|keep quiet|look away|ignore (?:the )?safety|bill|mislead"
        r"|invent|make up)",
        r"(?:would like|want|need|wish|going) to (?:report|disclose|flag|expose) [^.?!\n]{0,80}(?:confidence"
        r"|anonymous|fraud|bribe|payments?|corrupt|theft|illegal|wrongdoing|misconduct|safety|public official|manager"
        r"|boss|colleague)",
        r"payments? to (?:a |the )?(?:public |government |local )?(?:official|minister|inspector"
        r"|politician)s?\b(?! {gap}allowed)",
        r"two sets of books|do not want my name (?:anywhere|on|near)|off the books|under the table|slush fund"
        r"|ghost (?:workers?|employees?)|shell company",
        r"(?:company|firm|supplier|agency) (?:that|which|who) belongs? to (?:his|her|their) (?:wife|husband|brother"
        r"|son|sister|cousin|family)",
        r"(?:invoices?|expenses?|dinners?|hours|claims?|overtime sheets|timesheets?|records?|checks|certificates?"
        r"|results|numbers) [^.?!\n]{0,50}(?:nobody (?:actually )?(?:does|worked|did)|never (?:there|happened|done"
        r"|took place|existed)"
        r"|are (?:being )?(?:changed|made up|fake|false|invented)|were (?:made up|fake|false|invented|changed)"
        r")",
        r"(?:hours|work|jobs?|trips?) (?:that )?(?:nobody|no one|none of us) (?:ever |actually )?(?:worked|did|does"
        r"|happened)",
        r"(?:pour|pours|poured|dump|dumps|dumped|dumping|tip|tipping|release|burn|bury)\w* {gap}(?:solvents?"
        r"|chemicals?|waste|oil|acid|paint|asbestos|sewage|toxic|drain|river)",
        r"(?:interlock|guard|alarm|sensor|safety (?:switch|device)|smoke detector|dust monitor) {gap}(?:bridged"
        r"|disabled|bypassed|removed|taped|switched off|turned off|off before)",
        r"(?:fire exits?|emergency exits?|fire doors?|escape routes?) {gap}(?:chained|locked|blocked|shut)",
        r"(?:without|w/o|no) (?:papers|contracts?|permits?|safety training|training)[^.?!\n]{0,40}(?:cash|hire|agency"
        r"|boss keeps|asbestos|illegal)",
        r"(?:expired|rotten|out of date|spoiled) (?:meat|food|medicine|goods|stock|products?) {gap}(?:relabel\w*|sold"
        r"|used|served|gets)",
        r"(?:customer|patient|personal|employee|user) (?:data|records) {wide}(?:being sold|sold to|leaked)",
        r"(?:choose|pick|picked|decide|rig) the (?:tender|bid|contract) winner"
        r"|got the contract (?:renewed)? ?(?:after|because)",
        r"book orders? in \w+ and cancel"
        r"",
        r"something (?:going on|wrong|fishy|illegal|not right|dodgy) (?:with|in) (?:the|our|my) \w+ (?:fund|accounts?"
        r"|books|contract|figures|money)",
        r"(?:shredded|deleted|destroyed|wiped) (?:\w+ ){1,5}(?:after|before|because) (?:the|an?|they|we|lawyers)",
        r"(?:something|anything) illegal (?:is|at|going|in my|happening)|breaking the law (?:here|at|in my)",
        r"falsificano|falsificiert|falscht (?:die|der)|segnalare in modo anonimo|denunciar (?:un|a)|signaler (?:une"
        r"|un) fraude",
        unless=r"(?:where|how|who|what|which) (?:do|does|can|should|to|is) (?:i |we |you |one )?(?:report|blow"
        r"|counts?) {gap}"
        r"(?:fraud|theft|wrongdoing|bribery|stealing|something)\s*(?:[?.!]|$)|" + _LOST_TO_A_THIEF,
    ),
)

_LAWYER = r"(?:lawyer|solicitor|attorney|barrister|counsel|legal team|legal insurance)"

LEGAL_THREAT = (
    *table(
        "legal_threat",
        r"(?:my|our) "
        + _LAWYER
        + r"s? {gap}(?:says?|said|advis|need|want|wants|told|will|has|have|is|contact|write|agreed|think|wrote)",
        r"(?:hear(?:ing)? from|spoken to|spoke to|talked to|instructed|hired|got|contacted|seeing|consult\w*) (?:my|a"
        r"|an|our) {gap}" + _LAWYER,
        r"(?:says|think) we have a case",
        r"(?:i am|i will|we will|we are|i can|thinking of|going to|considering|threatening to|about to"
        r"|planning to) (?:\w+ )?su(?:e|ing)\b",
        r"sue (?:you|the company|them|this company|my (?:boss|employer))",
        r"see (?:you|them|y'?all) in court",
        r"(?:take|taking|bring|bringing) (?:you|them|this company|the company|it|this|my employer|a claim"
        r"|my case) (?:all )?(?:to|before) (?:the |an? )?(?:\w+ )?(?:court|tribunal|acas|labou?r board)",
        r"(?:leave|hand) it to the courts|labou?r board it is|(?:have|get) it enforced|legal action (?:against|if"
        r"|over)|take legal (?:action|advice|steps)",
        r"(?:employment|labou?r|industrial) (?:tribunal|court|board) {gap}(?:case|claim|papers|number|complaint"
        r"|hearing|after i|against)",
        r"(?:claim|complaint|case|charge) {gap}(?:at|with|to) (?:the )?(?:employment|labou?r|industrial) (?:tribunal"
        r"|court|board)",
        r"(?:eeoc|acas|nlrb|fair work) (?:charge|claim|complaint|case|filed|commission)|(?:contacted|called"
        r"|rung) (?:acas|the eeoc|the labou?r board)",
        r"letter before action|without prejudice|serve papers|admissible (?:as evidence|in court)|settlement offer"
        r"|independent (?:legal )?advice",
        r"(?:contest|challeng|disput|appeal)(?:ing|e)? (?:my|the|this) (?:dismissal|termination|firing"
        r"|redundancy)\b(?= ?(?:$|[.!;,]|in court|because|and))",
        r"(?:getting|got|get|seek|seeking|taking|took) legal advice",
        r"(?:attorney|lawyer|solicitor) (?:wants|needs|asked) ",
        r"(?:joint|class|collective) (?:claim|action|suit|lawsuit)|lawsuit against",
        r"my union (?:rep\w*|steward) (?:says?|said|wants|told|advis|thinks|will)"
        r"|union rep(?:resentative)? with me in",
        r"broken the (?:collective agreement|law|contract) in my|kundigungsschutzklage|klage eingereicht|mein anwalt"
        r"|mon avocat|mi abogado|il mio avvocato",
        unless=r"(?:does|do) {gap}(?:cover|pay for|include) {gap}" + _LAWYER,
    ),
)
