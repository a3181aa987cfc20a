"""docs/emotion.md against the code."""

import re
from dataclasses import astuple, fields

import pytest
from pydantic import ValidationError
from test_docs import codes, column, sections, tables

from voicesvc.delivery import EMOTIONS, Delivery, Prosody, Shape


def test_emotion_page_has_the_table_and_its_sources() -> None:
    table, sources = tables(sections("emotion")["The table"])
    names = list(table[0])[1:10]
    assert len(names) == len(fields(Shape))
    for row, (name, emotion) in zip(table, EMOTIONS.items(), strict=True):
        assert codes(row["emotion"]) == [name]
        assert [float(row[n]) for n in names] == list(astuple(emotion.shape))
        place = row["valence, arousal, dominance"]
        assert place == ", ".join(f"{p:g}" for p in emotion.place or ())
    assert {codes(row["emotion"])[0]: row["sources"] for row in sources} == {
        name: "; ".join(row.sources) for name, row in EMOTIONS.items() if row.sources
    }


def test_emotion_page_lists_every_field_and_its_bounds() -> None:
    each, whole = tables(sections("emotion")["Emotion and delivery"])
    assert column(each, "field") == list(Prosody.model_fields)
    assert column(whole, "field") == [
        f for f in Delivery.model_fields if f not in Prosody.model_fields
    ]
    for row in each[1:]:
        low, high = map(float, re.findall(r"-?[\d.]+", row["bounds"])[-2:])
        name = codes(row["field"])[0]
        for value in (low, high):
            assert getattr(Delivery.model_validate({name: value}), name) == value
        for value in (low - 0.1, high + 0.1):
            with pytest.raises(ValidationError):
                Delivery.model_validate({name: value})
