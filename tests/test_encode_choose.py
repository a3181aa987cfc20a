"""What may be asked of each format, what is filled in, and what is refused."""

import pytest

from voicesvc.encode import FORMATS, choose
from voicesvc.errors import InvalidRequest


def test_defaults_are_the_voices_rate_and_the_first_depth() -> None:
    chosen = choose("wav", native_rate_hz=22050)
    assert (chosen.sample_rate_hz, chosen.bit_depth) == (22050, 16)


@pytest.mark.parametrize(
    ("name", "native_hz", "expected_hz"),
    [
        ("opus", 22050, 24000),
        ("opus", 24000, 24000),
        ("opus", 44100, 48000),
        ("opus", 96000, 48000),
        ("mp3", 20000, 22050),
        ("flac", 22049, 22050),
        ("wav", 22049, 22049),
    ],
)
def test_without_a_rate_the_nearest_above_the_voices(
    name: str, native_hz: int, expected_hz: int
) -> None:
    assert choose(name, native_rate_hz=native_hz).sample_rate_hz == expected_hz


@pytest.mark.parametrize("depth", [24, "24"])
def test_a_depth_may_be_text(depth: int | str) -> None:
    assert choose("flac", 48000, depth, native_rate_hz=22050).bit_depth == 24


@pytest.mark.parametrize(
    ("asked", "where", "valid"),
    [
        (("aac", None, None), "format", list(FORMATS)),
        (("wav", 7, None), "sample_rate_hz", "8000 to 96000"),
        (("wav", 96001, None), "sample_rate_hz", "8000 to 96000"),
        (("opus", 22050, None), "sample_rate_hz", "8000, 12000, 16000, 24000, 48000"),
        (("wav", None, 8), "bit_depth", [16, 24, "32f"]),
        (("flac", None, "32f"), "bit_depth", [16, 24]),
        (("pcm_f32le", None, 16), "bit_depth", ["32f"]),
        (("mp3", None, 16), "bit_depth", "none: this format is lossy, leave bit_depth out"),
    ],
)
def test_what_is_not_offered_is_refused(
    asked: tuple[str, int | None, int | str | None], where: str, valid: list[object] | str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        choose(*asked, native_rate_hz=22050)
    assert (refused.value.where, refused.value.valid) == (where, valid)


def test_formats_are_told_apart_by_suffix() -> None:
    assert len({form.suffix for form in FORMATS.values()}) == len(FORMATS)
    assert all(name == form.name for name, form in FORMATS.items())
