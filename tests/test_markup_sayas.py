import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicesvc.markup.sayas import LONGEST, READINGS, reading
from voicesvc.markup.values import Invalid
from voicesvc.phonemes import Espeak

ROWS = """
characters | W3C-A.1 | | W three C dash eigh dot one
spell-out | é x | | É X
verbatim | (a) | | open bracket eigh close bracket
cardinal | 1,234 | | one thousand two hundred and thirty four
cardinal | -3.50 | | minus three point five zero
number | 10 000 | | ten thousand
ordinal | 3rd | | third
ordinal | 1,021 | | one thousand and twenty first
digits | 10-4 | | one zero four
number_digit | 007 | | zero zero seven
fraction | 3/8 | | three eighths
fraction | 1 1/2 | | one and one half
fraction | 3+3/4 | | three and three quarters
fraction | 2½ | | two and one half
fraction | ⅔ | | two thirds
fraction | -7/100 | | minus seven hundredths
unit | 10kg | | ten kilograms
unit | 1 ft | | one foot
unit | 6'2" | | six feet two inches
unit | 5.5 km/h | | five point five kilometres per hour
unit | 20°C | | twenty degrees Celsius
unit | 2 meters | | two metres
date | 10/19/2010 | mdy | October nineteenth twenty ten
date | 19-10-2010 | dmy | the nineteenth of October twenty ten
date | 2010.10.19 | ymd | October nineteenth twenty ten
date | 2003/19/10 | ydm | the nineteenth of October two thousand and three
date | 10/19/99 | mdy | October nineteenth nineteen ninety nine
date | 10192010 | mdy | October nineteenth twenty ten
date | 20101019 | yyyymmdd | October nineteenth twenty ten
date | ????1019 | | October nineteenth
date | 10/2010 | my | October twenty ten
date | 1905/10 | ym | October nineteen oh five
date | 10/19 | md | October nineteenth
date | 29/2 | dm | the twenty ninth of February
date | 2010 | y | twenty ten
date | 10 | m | October
date | 19th | d | nineteenth
date | 2010-10-19 | | October nineteenth twenty ten
date | October 19, 2010 | | October nineteenth twenty ten
date | 19 Sept. 2010 | | the nineteenth of September twenty ten
date | Monday, Oct. 19th | | October nineteenth
date | May 2010 | | May twenty ten
time | 2:05pm | | two oh five P M
time | 4 a.m. | | four eigh M
time | 12:35 | hms12 | twelve thirty five
time | 14:30 | hms24 | fourteen thirty
time | 14:00 | hms24 | fourteen hundred
time | 4:00 | | four o'clock
time | 2:30:20 PM | | two thirty P M and twenty seconds
time | 1'21" | | one minute and twenty one seconds
duration | 01:18:30 | hms | one hour eighteen minutes and thirty seconds
duration | 1:18 | ms | one minute and eighteen seconds
duration | 0:00 | | zero seconds
telephone | (888) 555-1212 | 1 | eight eight eight five five five one two one two
telephone | +44 20 x23 | | plus four four two zero extension two three
telephone | 1-800-ABC | | one eight zero zero eigh B C
telephone | *69# | | star six nine pound
currency | $45.20 | | forty five dollars and twenty cents
currency | $1 | | one dollar
currency | £0.01 | | one penny
currency | 45.2 EUR | | forty five euros and twenty cents
currency | CAD 1,000 | | one thousand Canadian dollars
currency | ¥500 | | five hundred yen
currency | $3.5 million | | three point five million dollars
currency | -$4 | | minus four dollars
currency | 12 | gbp | twelve pounds
expletive | damn | | bleep
bleep | damn | | bleep
"""


def rows() -> list[tuple[str, ...]]:
    return [tuple(cell.strip() for cell in row.split("|")) for row in ROWS.strip().splitlines()]


@pytest.mark.parametrize(("kind", "text", "form", "said"), rows())
def test_readings(kind: str, text: str, form: str, said: str) -> None:
    assert reading(text, kind, form) == said


def test_every_kind_is_read_above() -> None:
    assert {row[0] for row in rows()} == set(READINGS)


@pytest.mark.parametrize(
    ("kind", "text", "form"),
    [
        ("address", "1 Main St", ""),
        ("cardinal", "5", "x"),
        ("cardinal", "five", ""),
        ("cardinal", "9" * 40, ""),
        ("ordinal", "3.5", ""),
        ("digits", "a1", ""),
        ("fraction", "1/0", ""),
        ("unit", "5 parsecs", ""),
        ("unit", "1 m 5", ""),
        ("date", "2/29/2023", "mdy"),
        ("date", "13/1/2020", "mdy"),
        ("date", "10/19/2010", "abc"),
        ("date", "someday", ""),
        ("date", "1/2/3/4", ""),
        ("time", "25:00", ""),
        ("time", "13:00pm", ""),
        ("time", "0:10", "hms12"),
        ("time", "2:60", ""),
        ("time", "2:30", "abc"),
        ("duration", "1:2:3:4", ""),
        ("duration", "1:2", "abc"),
        ("telephone", "é", ""),
        ("currency", "12", ""),
        ("currency", "$12 EUR", ""),
        ("currency", "12 XYZ", ""),
        ("characters", " ", ""),
        ("characters", "a" * (LONGEST + 1), ""),
    ],
)
def test_what_cannot_be_read_is_refused(kind: str, text: str, form: str) -> None:
    with pytest.raises(Invalid) as caught:
        reading(text, kind, form)
    assert caught.value.skippable
    assert caught.value.valid


@given(
    st.sampled_from(sorted(READINGS)),
    st.text(st.sampled_from("0123456789?.,:/-+'\"$€ amphxdtyzé½²١५")) | st.text(),
    st.sampled_from(("", "mdy", "ymd", "d", "hms12", "hms24", "ms", "eur", "1")),
)
def test_a_reading_is_words_or_refused(kind: str, text: str, form: str) -> None:
    try:
        said = reading(text, kind, form)
    except Invalid:
        return
    assert said == " ".join(said.split())
    assert not set(said) & set(",-.0123456789")


def test_letters_are_heard_as_letters() -> None:
    espeak = Espeak("en-us")
    heard = espeak.words(reading("ABA", "characters", ""), 0)
    espeak.close()
    assert ["".join(w.phones) for w in heard] == ["ˈeɪ", "bˈiː", "ˈeɪ"]
