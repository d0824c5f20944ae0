"""The words of quantities: number words, months, units, kinds of days, currencies; and how a quantity is written.

`bot/ground/quantities.py` reads texts with these tables.
"""

from __future__ import annotations

import re

from bot.ground.terms import word_set

SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
WORDS = {word: number for number, word in enumerate(SMALL.split())}
WORDS |= {word: 10 * number for number, word in enumerate(TENS.split(), 2)}
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
ORDINAL_WORDS = {word: number for number, word in enumerate(_ORDINALS.split(), 1)}
_MONTHS = "january february march april may june july august september october november december"
MONTH_NUMBER = {name: number for number, name in enumerate(_MONTHS.split(), 1)}
MONTH_NUMBER |= {name[:3]: number for name, number in MONTH_NUMBER.items()} | {"sept": 9}
# In small letters it is a verb; `written_out` leaves it its capital.
MONTH_NUMBER["May"] = MONTH_NUMBER.pop("may")
_ALONE = sorted(set(MONTH_NUMBER) - {"May", "march"} - {name for name in MONTH_NUMBER if len(name) <= 4}, key=len)

UNITS = {
    **{form: "day" for form in ("day", "days", "day's", "days'")},
    **{form: "week" for form in ("week", "weeks", "week's", "weeks'", "wk", "wks")},
    **{form: "month" for form in ("month", "months", "month's", "months'")},
    **{form: "year" for form in ("year", "years", "year's", "years'", "yr", "yrs")},
    **{form: "hour" for form in ("hour", "hours", "hour's", "hours'", "hr", "hrs")},
    **{form: "minute" for form in ("minute", "minutes", "minutes'", "min", "mins")},
    **{form: "km" for form in ("km", "kms", "kilometre", "kilometres", "kilometer", "kilometers")},
    **{form: "mile" for form in ("mile", "miles")},
    **{form: "gb" for form in ("gb", "gigabytes")},
    **{form: "kg" for form in ("kg", "kilos", "kilograms")},
    **{form: "time" for form in ("times", "time")},
    **{form: "night" for form in ("night", "nights")},
    **{form: "person" for form in ("person", "persons", "people")},
    **{form: "point" for form in ("point", "points")},
}
# Kinds of days and pay that a draft may neither add nor drop.
QUALIFIERS = sorted(
    word_set(
        """
        working business calendar school scheduled consecutive clear full half paid unpaid net gross basic
        contracted additional extra further more other weekly monthly
        """
    )
)
LOOSE = {"paid", "additional", "extra", "further", "more", "other", "full"}
# Counted per something, they need no unit; a date or a length of time may be before, after or by something.
TIMED = {"day", "week", "month", "year", "hour", "minute", "night"}
PERIODS = (
    r"year|month|week|day|night|hour|mile|km|kilomet(?:re|er)|quarter|person|child|shift|trip|session|head|claim|event"
    r"|course|term|semester|parent|illness|cycle|employee|season|annum|meal|dependant|dose|visit|pay ?period|paycheck"
)
KNOWN_UNITS = frozenset(UNITS.values())
CURRENCIES = {
    **{form: "gbp" for form in ("£", "gbp", "pounds", "pound")},
    **{form: "usd" for form in ("$", "us$", "usd", "dollars", "dollar")},
    **{form: "eur" for form in ("€", "eur", "euros", "euro")},
    **{form: "inr" for form in ("₹", "rs", "rs.", "inr", "rupees", "rupee")},
    **{form: "penny" for form in ("p", "pence")},
    **{form: "cent" for form in ("c", "cents", "cent")},
    **{
        form: form
        for form in ("dkk", "sek", "nok", "kes", "zar", "aud", "cad", "sgd", "chf", "pln", "a$", "c$", "s$", "r")
    },
}

_NUMBER = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_MONTH = r"(?:" + "|".join(sorted(MONTH_NUMBER, key=len, reverse=True)) + r")\b\.?"
TOKEN = re.compile(
    "|".join(
        (
            r"(?P<skip>https?://\S+|\S+@\S+|\b(?!(?:rs|dkk|kes|zar|sgd|aud|cad|usd|eur|gbp|inr"
            r"|r)\d)[a-z]+-?\d+[a-z\d]*\b)",
            r"(?P<phone>\+\d[\d ()-]{6,18}\d|\b0\d{2,4}[ -]\d{3,4}(?:[ -]?\d{3,4}){0,2}|\b\d{3}-\d{3}-\d{4}\b)",
            r"(?P<iso>\b\d{4}-\d\d-\d\d\b|\b\d{1,2}/\d{1,2}/\d{2,4}\b|\b\d{1,2}\.\d{1,2}\.\d{4}\b)",
            rf"(?P<dmy>\b(?P<dmy_d>\d{{1,2}})(?:st|nd|rd|th)?(?: day)?(?: of)? (?P<dmy_m>{_MONTH})"
            r"(?:,? (?P<dmy_y>\d{4}))?)",
            rf"(?P<mdy>\b(?P<mdy_m>{_MONTH}) (?P<mdy_d>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\s?%)(?:,? (?P<mdy_y>\d{{4}}))?)",
            rf"(?P<my>\b(?P<my_m>{_MONTH}) (?P<my_y>\d{{4}})\b)",
            r"(?P<ampm>\b(?P<ap_h>\d{1,2})(?:[:.](?P<ap_m>\d\d))? ?(?P<ap>a\.?m\b\.?|p\.?m\b\.?))",
            r"(?P<noon>\b(?:noon|midday|midnight)\b)",
            r"(?P<ratio>\b\d+(?:\.\d+)?:\d(?:\.\d+)?(?![\d:])\b)",
            r"(?P<clock>\b(?P<cl_h>[01]?\d|2[0-4])[:h](?P<cl_m>[0-5]\d)\b(?: ?(?:hrs|hours|h)\b)?)",
            r"(?P<dot>(?<=at |by )\d{1,2}\.[0-5]\d\b|(?<=before )\d{1,2}\.[0-5]\d\b|(?<=until )\d{1,2}\.[0-5]\d\b"
            r"|(?<=from )\d{1,2}\.[0-5]\d\b"
            r"|(?<=after )\d{1,2}\.[0-5]\d\b)(?! ?(?:%|per|days|hours))",
            rf"(?P<share>(?P<sh>{_NUMBER}) ?(?:%|per ?cent\b|percentage points?\b))",
            r"(?P<money>(?P<mo_c>us\$|a\$|c\$|s\$|[£$€₹]"
            r"|\b(?:dkk|sek|nok|kes|zar|aud|cad|sgd|chf|pln|usd|eur|gbp|inr|rs\.?|r)(?= ?\d))"
            rf" ?(?P<mo>{_NUMBER})(?P<mo_k>k\b|m\b| million\b)?)",
            rf"(?P<cash>\b(?P<ca>{_NUMBER}) ?"
            r"(?P<ca_c>pounds?|dollars?|euros?|rupees?|pence|p|cents?|c|usd|eur|gbp|dkk|kes|inr|€|£)(?![\w]))",
            r"(?P<nth>\b(?P<nt>\d{1,3})(?:st|nd|rd|th)\b)",
            r"(?P<nth_word>\b(?P<nw>" + "|".join(ORDINAL_WORDS) + r")\b(?! (?:aid|name|of all|come)))",
            rf"(?P<number>(?<![\w.])(?:{_NUMBER})(?![\w]|\.\d))",
            r"(?P<month>\b(?:" + "|".join(_ALONE) + r")\b|(?:(?<=in )|(?<=of )|(?<=by )|(?<=to )|(?<=each )|(?<=until )"
            r"|(?<=from )|(?<=and )|(?<=before ))(?:May|march)\b)",
        )
    )
)
