"""How written words are said: as words of a pronouncing dictionary, and letter by letter where none has them. English.

Only for alignment: what a recogniser wrote ("$3.50", "G2", "it's") becomes what an aligner can look up ("three",
"dollars", ...). The written word itself is kept as it is by the caller.
"""

import re
import unicodedata

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
UNITS = {"$": "dollars", "£": "pounds", "€": "euros", "%": "percent", "°": "degrees"}
SIGNS = {"&": "and", "+": "plus", "=": "equals", "@": "at"}

_TOKEN = re.compile(
    r"(?P<initials>(?:[a-z]\.){2,}(?:'?s)?)"  # u.s., p.m.
    r"|(?P<number>\d+(?:,\d{3})*(?:\.\d+)?)(?P<suffix>st|nd|rd|th|'?s)?(?![a-z])"
    r"|(?P<digits>\d+)"
    r"|(?P<word>[a-z]+(?:'[a-z]+)*|'[a-z]+)"
    r"|(?P<sign>[&+=@$£€%°])"
)


def spoken(written: str) -> list[str]:
    """The lower-case words that are said for one written word; none for mere punctuation.

    Single letters that stand for their own name come with a stop, as in the CMU dictionary: "G2" gives "g.", "two".
    """
    plain = unicodedata.normalize("NFKD", written.replace("’", "'"))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    capitals = len(plain) > 1 and plain.isupper() and not re.search("[AEIOUY]", plain)
    words: list[str] = []
    units: list[str] = []
    for token in _TOKEN.finditer(plain.lower()):
        text = token.group()
        if token["initials"]:
            words += [f"{letter}." for letter in re.findall(r"([a-z])\.", text)]
        elif token["number"]:
            words += number(token["number"], token["suffix"] or "")
        elif token["digits"]:
            words += number(token["digits"], "")
        elif token["word"]:
            letters = capitals and text.isalpha()
            single = len(text) == 1 and len(plain) > 1 and re.search(r"\d", plain)
            words += [f"{letter}." for letter in text] if letters or single else [text]
        elif text in UNITS:
            units.append(UNITS[text])  # "$5" is said as "five dollars"
        else:
            words.append(SIGNS[text])
    return words + units


def number(digits: str, suffix: str) -> list[str]:
    """A written number as words: "1,984" and "3.5", years such as "1984", with st, nd, rd, th or s after it."""
    whole, _, fraction = digits.replace(",", "").partition(".")
    if whole != "0" and (whole.startswith("0") or len(whole) > 15):
        words = [ONES[int(digit)] for digit in whole]
    elif len(whole) == 4 and "," not in digits and "11" <= whole[:2] <= "20" and whole[1:3] != "00":
        words = [*cardinal(int(whole[:2])), *(cardinal(int(whole[2:])) if whole[2:] != "00" else ["hundred"])]
        if whole[2] == "0" and whole[3] != "0":
            words.insert(-1, "oh")
    else:
        words = cardinal(int(whole))
    if fraction:
        words += ["point", *(ONES[int(digit)] for digit in fraction)]
    last = words[-1]
    if suffix in ("st", "nd", "rd", "th"):
        words[-1] = ORDINALS.get(last, last[:-1] + "ieth" if last.endswith("y") else last + "th")
    elif suffix:
        words[-1] = last[:-1] + "ies" if last.endswith("y") else last + ("es" if last.endswith("x") else "s")
    return words


def cardinal(value: int) -> list[str]:
    """A whole number below 10**15 in words, without "and"."""
    if value < 20:
        return [ONES[value]]
    if value < 100:
        return [TENS[value // 10], *([ONES[value % 10]] if value % 10 else [])]
    size, name = next((size, name) for size, name in SCALES if value >= size)
    return [*cardinal(value // size), name, *(cardinal(value % size) if value % size else [])]


# Spellings, longest first, and their sounds in ARPABET. Rough, and good enough to find a word's place in time.
_SOUNDS = {
    "tion": "SH AH N", "sion": "ZH AH N", "ough": "AO", "augh": "AO", "eigh": "EY", "tch": "CH", "igh": "AY",
    "sch": "SH", "air": "EH R", "ear": "IH R", "eer": "IH R", "our": "AW R", "ch": "CH", "sh": "SH", "th": "TH",
    "ph": "F", "wh": "W", "ck": "K", "ng": "NG", "qu": "K W", "gh": "G", "kn": "N", "wr": "R", "ee": "IY", "ea": "IY",
    "oo": "UW", "ou": "AW", "ow": "OW", "oi": "OY", "oy": "OY", "ai": "EY", "ay": "EY", "ei": "EY", "ey": "IY",
    "ie": "IY", "oa": "OW", "au": "AO", "aw": "AO", "ue": "UW", "ew": "UW", "ar": "AA R", "er": "ER", "ir": "ER",
    "or": "AO R", "ur": "ER", "bb": "B", "cc": "K", "dd": "D", "ff": "F", "gg": "G", "ll": "L", "mm": "M", "nn": "N",
    "pp": "P", "rr": "R", "ss": "S", "tt": "T", "zz": "Z", "ce": "S", "ci": "S IH", "cy": "S IY", "ge": "JH",
    "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH", "k": "K",
    "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V",
    "w": "W", "x": "K S", "y": "IY", "z": "Z",
}  # fmt: skip
_SPELLING = re.compile("|".join(sorted(_SOUNDS, key=len, reverse=True)))
_LONG = {"a": "EY", "i": "AY", "o": "OW", "u": "UW"}
_SILENT_E = re.compile(r"([aiou])([bdfgklmnprstvz])e$")


def letters_to_sounds(word: str) -> str:
    """A guess at the sounds of an English word that no dictionary has, as ARPABET phones between spaces."""
    letters = re.sub("[^a-z]", "", word.lower())
    silent_e = _SILENT_E.search(letters)
    if silent_e:
        stem = letters[: silent_e.start()]
        phones = [*_phones(stem), _LONG[silent_e[1]], *_phones(silent_e[2])]
    else:
        phones = _phones(letters[:-1] if len(letters) > 3 and re.search("[^aeiou]e$", letters) else letters)
        if len(letters) > 2 and letters.endswith(("o", "a")):
            phones[-1] = "OW" if letters.endswith("o") else "AH"
    return " ".join(phones or ["AH"])


def _phones(letters: str) -> list[str]:
    return [phone for spelling in _SPELLING.findall(letters) for phone in _SOUNDS[spelling].split()]
