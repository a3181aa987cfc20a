"""Short forms of one word, with and without their dot, and what they are said as."""

import re

# What they are said as; a dot after them ends no sentence.
TITLES = {
    "adm.": "admiral",
    "approx.": "approximately",
    "capt.": "captain",
    "cf.": "compare",
    "cmdr.": "commander",
    "col.": "colonel",
    "dr.": "doctor",
    "e.g.": "for example",
    "ext.": "exterior",
    "gen.": "general",
    "gov.": "governor",
    "i.e.": "that is",
    "int.": "interior",
    "lt.": "lieutenant",
    "maj.": "major",
    "messrs.": "messers",
    "mr.": "mister",
    "mrs.": "mrs",
    "ms.": "miz",
    "mt.": "mount",
    "ph.d.": "P H D",
    "pres.": "president",
    "prof.": "professor",
    "sen.": "senator",
    "sgt.": "sergeant",
    "viz.": "namely",
    "vs.": "versus",
}
# The same, but these may stand at a sentence's end: it ends there if a usual first word follows.
ENDINGS = {
    "apr.": "april",
    "aug.": "august",
    "ave.": "avenue",
    "blvd.": "boulevard",
    "co.": "company",
    "corp.": "corporation",
    "dec.": "december",
    "dept.": "department",
    "est.": "established",
    "etc.": "etc",
    "feb.": "february",
    "ft.": "feet",
    "inc.": "incorporated",
    "jan.": "january",
    "jr.": "junior",
    "ltd.": "limited",
    "nov.": "november",
    "oct.": "october",
    "rd.": "road",
    "rep.": "representative",
    "rev.": "reverend",
    "sept.": "september",
    "sr.": "senior",
    "st.": "saint",
}
# Short forms only before a figure: "No. 5", "fig. 3".
COUNTED = {"fig.": "figure", "no.": "number", "vol.": "volume"}
INITIALS = re.compile(r"(?:[^\W\d_]\.)+")
# Read as the same short form without its dot.
_BARE = frozenset({"dr", "jr", "lt", "mr", "mrs", "ms", "mt", "prof", "sgt", "sr", "vs"})


def is_short_form(word: str, after: str = "") -> bool:
    """Whether `word` with its dot ("Dr.", "U.S.", "J.") is a short form before `after`."""
    low = word.lower()
    counted = low in COUNTED and after[:1].isdigit()
    return counted or low in TITLES or low in ENDINGS or bool(INITIALS.fullmatch(word))


def spoken(word: str, after: str = "") -> str:
    """What a phoneme program is given for `word`, before `after` as written.

    "Dr." -> "doctor"; most words are left alone.
    """
    return _short_form(word, after) or word


def _short_form(word: str, after: str) -> str:
    low = word.lower()
    if low == "st.":
        return "saint" if after[:1].isupper() else "street"
    if low in COUNTED and after[:1].isdigit():
        return COUNTED[low]
    if low in _BARE:
        low += "."
    if "." in word and INITIALS.fullmatch(word.removesuffix(".") + "."):
        return TITLES.get(low) or word.replace(".", "")
    return TITLES.get(low) or ENDINGS.get(low) or ""
