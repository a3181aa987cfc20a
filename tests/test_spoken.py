import pytest

from voicesvc.spoken import is_short_form, spoken


@pytest.mark.parametrize(
    ("before", "word", "after", "said"),
    [
        ("", "harbour", "", "harbour"),
        ("", "Dr.", "Smith", "doctor"),
        ("", "Ms", "Hart", "miz"),
        ("", "U.S.", "Army", "US"),
        ("", "J.", "R.", "J"),
        ("the", "Ph.D.", "student", "P H D"),
        ("Baker", "St.", "near", "street"),
        ("", "St.", "Mary's", "saint"),
        ("", "INT.", "KITCHEN", "interior"),
        ("", "No.", "5", "number"),
        ("say", "No.", "", "No."),
        ("", "$3.50", "", "3 dollars 50"),
        ("", "$1,250.05", "", "1,250 dollars oh 5"),
        ("", "$1", "", "1 dollar"),
        ("", "$0.99", "", "99 cents"),
        ("", "£0.01", "", "1 penny"),
        ("", "£0.20", "", "20 pence"),
        ("a", "$20", "bill", "20 dollar"),
        ("", "$1.5", "million", "1.5"),
        ("$1.5", "million", "now", "million dollars"),
        ("five", "million", "", "million"),
        ("", "1999", "", "19 99"),
        ("", "1905", "", "19 oh 5"),
        ("", "1900", "", "19 hundred"),
        ("", "2024", "", "20 24"),
        ("", "2005", "", "2005"),
        ("", "1066", "", "1066"),
        ("", "1980s", "", "19 eighties"),
        ("", "'60s", "", "sixties"),
        ("", "12/05/1971", "", "december 5th 19 71"),
        ("", "12/21/2010", "", "december 21st 20 10"),
        ("", "3/4", "", "three quarters"),
        ("", "and/or", "", "and or"),
        ("", "10-15", "", "10 to 15"),
        ("", "555-1234", "", "5 5 5 1 2 3 4"),
        ("at", "5:00", "sharp", "5 o'clock"),
        ("at", "5:00", "p.m.", "5"),
        ("at", "5:05", "", "5 oh 5"),
        ("at", "5:45", "", "5:45"),
        ("", "#1", "", "number 1"),
        ("the", "100th", "", "1 hundredth"),
        ("Chapter", "IV", "", "4"),
        ("War", "II", "", "2"),
        ("Henry", "VIII", "", "the 8th"),
        ("Scene", "I", "", "1"),
        ("John", "I", "never", "I"),
        ("vitamin", "IV", "", "IV"),
    ],
)
def test_spoken(before: str, word: str, after: str, said: str) -> None:
    assert spoken(word, before, after) == said


def test_short_forms() -> None:
    assert all(map(is_short_form, ("Dr.", "etc.", "U.S.", "J.", "e.g.")))
    assert not any(map(is_short_form, ("end.", "Dr", "3.", "No.")))
    assert is_short_form("No.", "5")
