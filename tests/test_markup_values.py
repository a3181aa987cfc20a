import math
from collections.abc import Callable

import pytest

from voicesvc.directions import Style
from voicesvc.markup import values
from voicesvc.markup.values import Invalid, Level


@pytest.mark.parametrize(
    ("value", "time_s"), [("250ms", 0.25), ("1.5s", 1.5), (".5s", 0.5), (" 2S ", 2.0), ("+1s", 1.0)]
)
def test_times(value: str, time_s: float) -> None:
    assert values.seconds(value, 10.0) == time_s


@pytest.mark.parametrize("value", ["", "1", "-1s", "1 s", "1m", "11s", "1e1s", "s", "١s", "nans"])
def test_no_times(value: str) -> None:
    with pytest.raises(Invalid):
        values.seconds(value, 10.0)


@pytest.mark.parametrize(
    ("read", "value", "style"),
    [
        (values.rate, "80%", Style(rate=0.8)),
        (values.rate, "+10%", Style(rate=1.1)),
        (values.rate, "-25.0%", Style(rate=0.75)),
        (values.rate, "1.25", Style(rate=1.25)),
        (values.rate, "X-Slow", Style(rate=0.5)),
        (values.rate, "default", Style(rate=1.0)),
        (values.pitch, "+2st", Style(pitch_st=2.0)),
        (values.pitch, "-0.5St", Style(pitch_st=-0.5)),
        (values.pitch, "+100%", Style(pitch_st=12.0)),
        (values.pitch, "-50%", Style(pitch_st=-12.0)),
        (values.pitch, "120Hz", Style(pitch_hz=120.0)),
        (values.pitch, "+10Hz", Style(pitch_delta_hz=10.0)),
        (values.pitch, "-5.5hz", Style(pitch_delta_hz=-5.5)),
        (values.pitch, "x-high", Style(pitch_st=4.0)),
        (values.span, "+20%", Style(range=1.2)),
        (values.span, "-100%", Style(range=0.0)),
        (values.span, "+12st", Style(range=2.0)),
        (values.span, "low", Style(range=0.7)),
        (values.volume, "+6dB", Style(energy_db=6.0)),
        (values.volume, "-3.5db", Style(energy_db=-3.5)),
        (values.volume, "50", Style(energy_db=20 * math.log10(0.5))),
        (values.volume, "100", Style(energy_db=0.0)),
        (values.volume, "0", Style(energy_db=values.SILENT_DB)),
        (values.volume, "+10%", Style(energy_db=20 * math.log10(1.1))),
        (values.volume, "-10", Style(energy_db=20 * math.log10(0.9))),
        (values.volume, "silent", Style(energy_db=values.SILENT_DB)),
        (values.volume, "x-loud", Style(energy_db=6.0)),
    ],
)
def test_forms(read: Callable[[str], Style], value: str, style: Style) -> None:
    assert read(value) == style


@pytest.mark.parametrize(
    ("read", "wrong"),
    [
        (
            values.rate,
            ["", "0", "0%", "-100%", "fast!", "20", "+2st", "1e1", "inf", "9" * 400 + "%"],
        ),
        (
            values.pitch,
            ["2st", "10%", "-100%", "10", "+10", "0Hz", "9999Hz", "+25st", "higher", "١st"],
        ),
        (values.span, ["120Hz", "+10Hz", "20%", "2st", "+900%", "-101%", "+99999st"]),
        (values.volume, ["101", "50%", "+25dB", "-97dB", "+2st", "quiet", "+99999999%"]),
    ],
)
def test_what_is_no_form_is_refused_with_those_that_are(
    read: Callable[[str], Style], wrong: list[str]
) -> None:
    for value in wrong:
        with pytest.raises(Invalid) as caught:
            read(value)
        assert len(caught.value.valid) > 4, value


def test_a_label_is_a_level_and_a_change_is_not() -> None:
    around = Level(rate=0.5, pitch_st=-3.0, range=2.0, energy_db=-6.0)
    assert values.rate("medium", around) == Style(rate=2.0)
    assert values.pitch("high", around) == Style(pitch_st=5.0)
    assert values.span("default", around) == Style(range=0.5)
    assert values.volume("soft", around) == Style(energy_db=0.0)
    assert values.rate("+10%", around) == Style(rate=1.1)
    assert around.within(Style(rate=2.0, pitch_st=1.0, range=0.5, energy_db=6.0)) == Level(
        1.0, -2.0, 1.0, 0.0
    )


def test_contours() -> None:
    assert values.contour("(0%,+2st) (50%,+100%)(100%,low)") == Style(
        pitch_st=((0.0, 2.0), (0.5, 12.0), (1.0, -2.0))
    )
    both = values.contour("(0%, +20Hz) (10%,-2st) ( 40% ,+10Hz)")  # nearest holds to the end
    assert both.pitch_delta_hz == ((0.0, 20.0), (0.1, 0.0), (0.4, 10.0), (1.0, 10.0))
    assert both.pitch_st == ((0.0, 0.0), (0.1, -2.0), (0.4, 0.0), (1.0, 0.0))
    out_of_order = values.contour("(60%,+1st) (20%,+3st) (-5%,+9st) (150%,+9st)")
    assert out_of_order == Style(pitch_st=((0.0, 3.0), (0.2, 3.0), (0.6, 1.0), (1.0, 1.0)))
    assert values.contour("(50%,medium)") == Style()


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("", 0),
        ("(0%,+2st) 5%", 10),
        ("(0%,+2st) (50,+1st)", 11),
        ("(0%,+2st) (50%,loud)", 15),
        ("(0%,120Hz)", 4),
        ("(120%,+2st)", 0),
        ("(0%,+2st", 0),
    ],
)
def test_what_is_no_contour_comes_with_the_place(value: str, at: int) -> None:
    with pytest.raises(Invalid) as caught:
        values.contour(value)
    assert caught.value.at == at
