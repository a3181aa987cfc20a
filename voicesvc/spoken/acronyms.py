"""Words in capitals: which are said letter by letter, which are shouted, which are names."""

import re

from voicesvc.spoken.numbers import letters
from voicesvc.spoken.rules import listed

# Acronyms that are said as the word they make.
PRONOUNCED = listed(
    "AIDS AWOL BAFTA COVID FEMA FIFA IMAX INTERPOL ISIS LASER NAFTA NASA NASCAR NATO OPEC OSHA"
    " PETA POTUS RADAR SARS SCOTUS SCUBA SONAR SWAT UNESCO UNICEF WIFI YOLO"
)
# Said as phoneme programs read them in capitals: letter by letter, or as the word they make.
_KNOWN = listed(
    "ABC AC ADHD ADR AFK AI AIDS AKA AM API APR ASAP ASL ATM AWOL BA BAFTA BBC BBQ BC BCE BMW"
    " BMX BRB BST CBS CCTV CD CEO CEST CET CFO CGI CIA CNN CO COO COVID CPA CPR CPU CSI CST CT"
    " CTO CV DA DC DEA DHS DIY DJ DMV DNA DOA DOJ DVD EDT EEG EKG EMT ENT EPA ESP ESPN EST ET"
    " ETA EU EV FAA FAQ FBI FDA FEMA FIFA FM FOMO FPS FX FYI GED GI GIF GMT GOP GPA GPS GPU GQ"
    " HBO HD HDMI HIV HMO HQ HR HTML HTTP IBM ICU ID IMAX IMF INTERPOL IOU IPO IQ IRA IRS ISBN"
    " ISIS ISO ISP IT ITV IV JFK JPEG JR KFC KGB KIA KKK KO LA LAPD LASER LCD LED LGBT LGBTQ"
    " LLC LMAO LOL LSD LTE LKFS LUFS MA MBA MC MD MIA MIT MLK MMA MRI MS MTV MVP NAFTA NASA"
    " NASCAR NATO NBA NBC NCAA NCIS NDA NFL NGO NHL NHS NPR NRA NSA NSFW NY NYC NYPD OCD OD OK"
    " OMG OPEC OS OSHA OST OTT PA PBS PC PDF PE PETA PHD PM PMS POTUS POV POW PR PS PSA PST PTA"
    " PTSD PVC QA QC QR RADAR RAF RAM RBI RIP RN ROM ROTC RPG RPM RSVP RV SAG SARS SAT SCOTUS"
    " SCUBA SDK SEAL SEC SIDS SIM SMS SNL SONAR SOS SPF SQL STD SUV SWAT TBA TBD TGIF TLC TNT"
    " TSA TV UAE UCLA UFC UFO UK UN UNESCO UNICEF UPS URL US USA USB USC USMC USPS USS UTC UV"
    " VAT VCR VFX VHS VIP VO VP VPN VR WHO WIFI WTF WWE WWF XL XML YMCA YOLO ZIP"
)
# Those that would be read as a word, or oddly, if their letters were not named.
SPELLED = listed(
    "AB ABS AC ACE ADR AKA APR CO COO DA DOA DOJ EDT EG EMT ENT ESP EST ET ETA FAQ FAA FX GED"
    " GI IMF IOU IRA IPO ISO MA MIA NY NYC OD OS OST PA PE PSA PTA RAF SAG TBA UAE UPS VAT VIP"
    " VO QA LA IV AM UCLA ADHD"
)
# Capitals that are as often a word: shouted where the words around are.
_EITHER = listed(
    "AM CO DA ET HE ID IRA IT IV LA LED MA MIA OK OS PA PIN RAM SAT SEAL SEC SIM US WHO ZIP"
)
_PRONOUNS = listed("AM HE IT WHO")
_TWO = listed(
    "ad ah am an as at aw ax be by da do eh em er ex go ha he hi ho if in is it ma me my no of"
    " oh ok on or ow ox pa so to uh um up us we ya ye yo"
)
_THREE = listed(
    "ace act add age ago aid aim air ale all and ant any ape are arm art ash ask ass ate awe"
    " axe bad bag ban bar bat bay bed bee beg bet big bin bit boo bow box boy bra bug bum bun"
    " bus but buy bye cab can cap car cat cop cow cry cub cue cup cut dad dam day den did die"
    " dig dim dip doe dog dot dry dub due dug duh dye ear eat eel egg ego elf end era eve eye"
    " fan far fat fax fed fee few fig fin fir fit fix flu fly foe fog for fox fry fun fur gag"
    " gap gas gay gel gem get god got gum gun gut guy gym had ham has hat hay hem hen her hey"
    " hid him hip his hit hog hop hot how hub hug huh hum hut ice icy ill ink inn ivy jam jar"
    " jaw jay jet job jog joy jug key kid kin kit lab lad lap law lay leg let lid lie lip lit"
    " log lot low mad man map mat may men met mix mob mom mop mud mug mum nap net new nil nod"
    " nor not now nun nut oak odd off oil old one our out owe owl own pad pal pan pat paw pay"
    " pea peg pen pet pie pig pin pit ply pod pop pot pub pun put rag ram ran rap rat raw ray"
    " red rib rid rim rip rob rod rot row rub rug rum run rye sad say sea see set sew she shy"
    " sin sip sir sit six ski sky sly sob son sow soy spa spy sue sum sun tab tag tan tap tar"
    " tax tea ten the tie tin tip toe ton too top toy try tub tug two use van vet via vow wad"
    " war was wax way web wed wet who why wig win wit woe won wow yes yet you zip zoo nah yay"
    " hmm aye ugh ooh aah"
)
_NO_VOWEL = listed(
    "BRR GRR HMM HM MM MMM NTH PFFT PSST SH SHH SHHH TSK WHY MY BY CRY DRY FLY FRY GYM HYMN"
    " LYNX MYTH PRY SHY SKY SLY SPY TRY WRY SYNC GYPSY NYMPH"
)
_CAPS = re.compile(r"(?<![\w&])[^\W\d_a-z]{2,}(?:'[^\W\d_a-z]{1,2})?(?![\w&])")
_ROMAN = re.compile(r"(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_LETTERS = re.compile(r"[^\W\d_]+")
_SLUG = re.compile(
    r"\s*[A-Z' .]{2,30}:|\s*(?:INT|EXT|EST|I/E|INT\.?/EXT)[.\s]"
    r"|\s*(?:CUT|FADE|DISSOLVE|SMASH|MATCH|WIPE)\s"
    r"(?:TO|IN|OUT|CUT)\b|\s*(?:THE END|CONTINUED|END CREDITS|MONTAGE|INTERCUT)\b"
    r"|[^\n]{0,80}\((?:CONT'D|V\.?O\.?|O\.?[SC]\.?)\)\s*\Z"
)


def is_word(capitals: str) -> bool:
    """Whether what is written in capitals is a word, as far as its letters tell: not "FBI"."""
    upper, _, ending = capitals.upper().partition("'")
    low = upper.lower()
    if ending in ("T", "LL", "RE", "VE", "M"):
        return True
    if upper in _KNOWN or _ROMAN.fullmatch(upper):
        return False
    if len(upper) == 2:
        return low in _TWO
    if len(upper) == 3:
        return low in _THREE or re.search(r"([AEIOU])\1", upper) is not None
    return upper in _NO_VOWEL or re.search("[AEIOUYÀ-Ý]", upper) is not None


def _shouted_words(line: str) -> list[tuple[int, int, bool]]:
    """(start, end, whether it is shouted) of each word in capitals."""
    if _SLUG.match(line):
        return []
    found = [(m.start(), m.end(), m.group()) for m in _CAPS.finditer(line)]
    sure = [word for _, _, word in found if is_word(word)]
    whole = bool(sure) and not any(c.islower() for c in line)
    out = []
    for start, end, word in found:
        either = word.partition("'")[0] in _EITHER
        near = whole or (sure and _beside(line, start, end))
        named = re.search(r"\b(?i:the|an?|my|your|our|their)\s\Z", line[max(0, start - 6) : start])
        loud = is_word(word) or bool(either and (near or word in _PRONOUNS) and not named)
        out.append((start, end, loud))
    return out


def _beside(line: str, start: int, end: int) -> bool:
    """Whether the word before or after is in capitals too, and a word."""
    words = line[max(0, start - 20) : start].split()[-1:] + line[end : end + 20].split()[:1]
    plain = ["".join(_LETTERS.findall(w)) for w in words]
    return any(len(w) > 1 and w.isupper() and is_word(w) for w in plain)


def shouted(text: str, start: int) -> tuple[tuple[int, int], ...]:
    """The ranges of `text` (which begins at `start`) that are in capitals because they are shouted.

    Words in capitals that follow one another are one range; so is a line of nothing else, with
    its "I" and its acronyms. Acronyms alone, "I" alone and a script's slug lines are not shouted.
    """
    out: list[tuple[int, int]] = []
    at = 0
    for line in text.split("\n"):
        words = [(a, b) for a, b, loud in _shouted_words(line) if loud]
        whole = words and not any(c.islower() for c in line)
        if whole:
            runs = list(_LETTERS.finditer(line))
            words = [(runs[0].start(), runs[-1].end())]
        for a, b in words:
            between = line[out[-1][1] - start - at : a] if out and out[-1][1] >= start + at else "a"
            if not whole and not any(c.islower() or c.isdigit() for c in between):
                out[-1] = (out[-1][0], start + at + b)
            else:
                out.append((start + at + a, start + at + b))
        at += len(line) + 1
    return tuple(out)


def capitals(text: str) -> list[tuple[int, int, str]]:
    """(start, end, how it is said) of words in capitals that are not said as they are written."""
    out = []
    at = 0
    for line in text.split("\n"):
        for start, end, loud in _shouted_words(line):
            word = line[start:end]
            if loud:
                out.append((at + start, at + end, word.lower()))
            elif word in SPELLED:
                out.append((at + start, at + end, letters(word)))
        at += len(line) + 1
    return out
