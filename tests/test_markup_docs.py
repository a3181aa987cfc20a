"""docs/markup.md against the code, both ways."""

import re

from test_docs import codes, column, sections, tables

from voicesvc.markup import Kind, elements, parse, values
from voicesvc.markup.draft import DEEPEST
from voicesvc.markup.marks import BEATS, BREATHS, MARKS
from voicesvc.markup.names import DELIVERIES, STYLES
from voicesvc.markup.sayas import LONGEST, READINGS, reading
from voicesvc.markup.sayas_forms import DATE_FORMATS, DURATION_FORMATS, TIME_FORMATS
from voicesvc.markup.silence import TYPES
from voicesvc.markup.xml import MOST_ELEMENTS

PAGE = sections("markup")


def test_page_lists_the_kinds() -> None:
    assert set(codes(PAGE["Markup"])) >= set(Kind.__args__)


def test_page_lists_every_mark_and_each_does_something() -> None:
    (table,) = tables(PAGE["Light marks"])
    named = [codes(row["mark"])[0] for row in table]
    assert named[0] == "*harbour*"
    assert [re.split(r"[] ]", n[1:])[0] for n in named[1:-1]] == list(MARKS)
    for mark in codes(" ".join(row["mark"] + row["what it does"] for row in table)):
        if mark[0] in "*[(":
            found = parse(f"a {mark.replace('...', 'b')} c")
            assert found.styled or found.events, mark


def test_page_lists_every_cue() -> None:
    by_emotion, by_event = tables(PAGE["Cues"])
    told = {cue: codes(row["emotion"])[0] for row in by_emotion for cue in codes(row["cue"])}
    assert told == DELIVERIES
    assert column(by_event, "cue") == [*BEATS, *BREATHS]


def test_page_lists_every_element_and_attribute() -> None:
    known, refused = tables(PAGE["SSML"])
    assert {codes(r["element"])[0]: tuple(codes(r["attributes"])) for r in known} == (
        elements.ELEMENTS
    )
    told = {r["refused"].strip("`"): (r["why"], r["instead"]) for r in refused}
    assert told.keys() == elements.REFUSED.keys()
    for name, (why, instead) in elements.REFUSED.items():
        assert told[name][1] == instead
        assert told[name][0].replace("`", "") in why.replace("<", "").replace(">", "")
    (emphasis,) = (r["what it does"] for r in known if codes(r["element"]) == ["emphasis"])
    assert codes(emphasis) == list(values.EMPHASES)
    (effect,) = (r["what it does"] for r in known if codes(r["element"]) == ["amazon:effect"])
    assert codes(effect) == list(elements.EFFECTS)
    holds_text, holds_nothing = re.findall(
        r"((?:`[\w:-]+`[, and]*)+) (?:hold text alone|hold nothing)",
        PAGE["SSML"].replace("\n", " "),
    )
    assert set(codes(holds_text)) == elements.READ
    assert set(codes(holds_nothing)) == elements.EMPTY


def test_page_lists_the_strengths() -> None:
    (row,) = (r for r in tables(PAGE["Light marks"])[0] if codes(r["mark"]) == ["[pause]"])
    assert codes(row["what it does"])[3:] == list(values.STRENGTHS)


def test_page_lists_every_form_of_prosody() -> None:
    forms, labels = tables(PAGE["Prosody"])
    assert column(forms, "attribute") == list(elements.ELEMENTS["prosody"])
    for row in forms:
        (name,) = codes(row["attribute"])
        for form in codes(row["forms"]):
            found = parse(f"<speak><prosody {name}='{form}'>a</prosody></speak>")
            assert found.styled, (name, form)
    told = {
        "rate": values.RATE_LABELS,
        "pitch in st": values.PITCH_LABELS_ST,
        "range": values.RANGE_LABELS,
        "volume in dB": values.VOLUME_LABELS_DB,
    }
    for heading, known in told.items():
        (key,) = (k for k in labels[0] if k.replace("`", "") == heading)
        said = {codes(r["label"])[0]: float(r[key]) for r in labels if r[key]}
        assert said == known
    limits = {codes(r["attribute"])[0]: r["limits"] for r in forms}
    assert limits["rate"] == "{:g} to {:g}".format(*values.RATES)
    assert limits["volume"] == "{:g} to {:g} dB".format(*values.DECIBELS)
    assert limits["range"] == "{:g} to {:g} times".format(*values.RANGES)
    assert limits["pitch"] == (
        f"±{values.SEMITONES[1]:g} st; "
        f"{values.MEAN_PITCH_HZ[0]:g} to {values.MEAN_PITCH_HZ[1]:g} Hz, "
        f"±{values.PITCH_CHANGE_HZ[1]:g} Hz"
    )
    assert f"up to {values.LONGEST_STRETCH_S:g} s" in limits["duration"]
    assert f"a pause lasts up to {values.LONGEST_PAUSE_S:g} s" in PAGE["Prosody"]


def test_page_lists_every_reading() -> None:
    kinds, formats = tables(PAGE["Readings"])
    assert column(kinds, "interpret-as") == list(READINGS)
    for row in kinds:
        for kind in codes(row["interpret-as"]):
            assert reading(row["text"].strip("`"), kind, "") == row["what is said"]
    told = {codes(r["interpret-as"])[0]: codes(r["format"]) for r in formats}
    assert told["date"][:-1] == list(DATE_FORMATS)
    assert told["time"] == list(TIME_FORMATS)
    assert told["duration"] == list(DURATION_FORMATS)
    assert f"at most {LONGEST} characters" in PAGE["Readings"]


def test_page_lists_every_alphabet() -> None:
    alphabets = set(codes(PAGE["Pronunciations"])) & {"ipa", "x-sampa"}
    assert alphabets == set(elements.ALPHABETS.values())


def test_page_lists_every_style() -> None:
    (table,) = tables(PAGE["Emotions"])
    told = {codes(r["style"])[0]: (codes(r["emotion"])[0], float(r["intensity"])) for r in table}
    assert told == STYLES
    low, high = elements.STYLE_DEGREES
    assert f"from {low:g} to {high:g}" in PAGE["Emotions"]


def test_page_lists_every_silence() -> None:
    (table,) = tables(PAGE["Silences"])
    assert column(table, "type") == list(TYPES)


def test_page_gives_the_limits() -> None:
    said = " ".join(PAGE["Limits"].split())
    assert f"at most {DEEPEST} elements in one another and {MOST_ELEMENTS} in all" in said
    assert f"attributes of at most {elements.LONGEST_VALUE} characters" in said
    assert f"at most {DEEPEST} deep" in PAGE["Light marks"]
