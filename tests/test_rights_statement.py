"""What is owed: every basis, and that periods add up, caps hold and minimums are kept."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import grants
import pytest
from conftest import Service, served, tone_studio, write_pack
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from scripts import verify_ledger as outside
from voicesvc import archive as archives
from voicesvc.cli import app as cli
from voicesvc.errors import InvalidRequest
from voicesvc.rights import period, statement
from voicesvc.rights.statement import Item, Use, Version
from voicesvc.store import By, ledger

LINE = "We hold the harbour until morning."


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2029-01-01T00:00:00")


def version(number: int = 1, at: str = "2026-06-01T00:00:00", **changes: Any) -> Version:
    """A version of a grant that is in force from 2026-07-01 until 2027-06-30."""
    fee = {"basis": "line", "rate": "10", "currency": "USD", "payee": "Estate"}
    terms = fee | changes.pop("fee", {})
    if number > 1:
        changes["supersedes"] = "b" * 64
    said = grants.grant(version=number, compensation=terms, **changes)
    return Version(said, number, ms(at))


def use(seq: int, at: str, seconds: str = "2", **changes: Any) -> Use:
    said: dict[str, Any] = {
        "version": 1,
        "take": f"tk_{seq}",
        "line": None,
        "root": f"tk_{seq}",
        "production": "harbour",
        "made_by": "line",
        "complete": True,
    }
    return Use(seq, seq, ms(at), seconds=Decimal(seconds), **{**said, **changes})


def owed(fee: dict[str, str], *uses: Use, **changes: Any) -> list[str]:
    """The amount of each item, and why."""
    found = statement.items([version(fee=fee, **changes)], uses, None, NOW)
    return [f"{item.amount} {item.why}" for item in found]


def test_line_is_paid_once_whatever_is_made_of_it_again() -> None:
    assert owed(
        {"rate": "12.50"},
        use(1, "2026-08-01T10:00:00", line="ln_1"),
        use(2, "2026-08-01T10:01:00", line="ln_1", made_by="retake"),
        use(3, "2026-09-01T10:00:00", line="ln_1"),
        use(4, "2026-09-01T10:01:00", line="ln_2", complete=False),
        use(5, "2026-09-01T10:02:00", line="ln_2"),
        use(6, "2026-09-01T10:03:00"),
        use(7, "2026-09-01T10:04:00"),
        use(8, "2026-09-01T10:05:00", root="tk_7", made_by="retake"),
    ) == [
        "12.50 a line",
        "0.00 a line that entry 1 paid for",
        "0.00 a line that entry 1 paid for",
        "0.00 a line that did not come to its end",
        "12.50 a line",
        "12.50 a line",
        "12.50 a line",
        "0.00 a line that entry 7 paid for",
    ]


def test_seconds_are_paid_for_what_was_heard_of_a_part_too() -> None:
    found = owed(
        {"basis": "second", "rate": "0.5"},
        use(1, "2026-08-01T10:00:00", "2.5"),
        use(2, "2026-08-01T10:01:00", "1.01", complete=False),
    )
    # Half to even of the sum: 1.25, then 1.755 -> 1.76.
    assert found == ["1.25 seconds made", "0.51 seconds heard of a part"]
    assert statement.seconds_of(1, 3) == Decimal("0.333333")


def test_session_is_of_four_hours_and_a_day_of_utc() -> None:
    times = ("09:00:00", "12:59:59", "13:00:00", "23:30:00")
    uses = [use(i, f"2026-08-01T{at}") for i, at in enumerate(times)]
    uses.append(use(4, "2026-08-02T00:10:00"))
    found = statement.items([version(fee={"basis": "session"})], uses, None, NOW)
    assert [int(item.quantity) for item in found] == [1, 0, 1, 1, 0]
    found = statement.items([version(fee={"basis": "day"})], uses, None, NOW)
    assert [int(item.quantity) for item in found] == [1, 0, 0, 0, 1]
    nothing = [use(9, "2026-08-03T00:10:00", "0", complete=False)]
    assert owed({"basis": "day"}, *nothing) == ["0.00 nothing was heard of it"]


def test_flat_fee_is_owed_when_it_comes_into_force_and_what_it_is_raised_by() -> None:
    flat = {"basis": "flat", "rate": "900"}
    versions = [
        version(fee=flat),
        version(2, "2026-09-10T00:00:00", fee=flat | {"rate": "1000"}),
        version(3, "2026-09-20T00:00:00", fee=flat | {"rate": "800"}),
    ]
    found = statement.items(versions, [use(7, "2026-08-01T10:00:00")], None, NOW)
    assert [(str(x.amount), x.at_ms) for x in found] == [
        ("900.00", ms("2026-07-01T00:00:00")),
        ("0.00", ms("2026-08-01T10:00:00")),
        ("100.00", ms("2026-09-10T00:00:00")),
    ]
    assert statement.items(versions, [], None, ms("2026-06-30T00:00:00")) == []


def test_each_use_is_paid_under_the_version_that_its_permit_names() -> None:
    versions = [version(), version(2, "2026-08-15T00:00:00", fee={"rate": "20", "payee": "Union"})]
    uses = [
        use(5, "2026-08-16T10:00:00", line="ln_1"),  # its permit is older than the amendment
        use(6, "2026-08-16T10:01:00", line="ln_1", version=2),
        use(7, "2026-08-16T10:02:00", line="ln_2", version=2),
    ]
    found = statement.items(versions, uses, None, NOW)
    assert [(x.version, str(x.amount)) for x in found] == [(1, "10.00"), (2, "0.00"), (2, "20.00")]
    assert statement.totals(found) == {("Estate", "USD"): 10, ("Union", "USD"): 20}


def test_cap_is_of_each_reporting_period_and_takes_nothing_back() -> None:
    lines = [use(i, f"2026-08-0{i}T10:00:00") for i in range(1, 5)]
    lines.append(use(9, "2026-09-01T10:00:00"))
    monthly = {"reporting": {"every": "month"}}
    found = statement.items([version(fee={"cap": "25"}, **monthly)], lines, None, NOW)
    assert [str(x.amount) for x in found] == ["10.00", "10.00", "5.00", "0.00", "10.00"]
    assert found[3].why == "a line; the cap is reached"
    lower = version(2, "2026-08-03T00:00:00", fee={"cap": "15"}, **monthly)
    uses = [*lines[:2], use(3, "2026-08-04T10:00:00", version=2)]
    found = statement.items([version(**monthly), lower], uses, None, NOW)
    assert [str(x.amount) for x in found] == ["10.00", "10.00", "0.00"]


def test_minimum_is_kept_for_every_period_until_the_grant_is_revoked() -> None:
    fee = {"minimum": "30"}
    made = [use(1, "2026-08-05T10:00:00")]
    versions = [version(fee=fee, reporting={"every": "month"})]
    found = statement.items(versions, made, ms("2026-09-10T00:00:00"), NOW)
    july, line, august, september = [str(x.amount) for x in found]
    assert (july, line, august, september) == ("30.00", "10.00", "20.00", "30.00")
    assert found[-1].at_ms == ms("2026-10-01T00:00:00") - 1
    until_august = statement.items(versions, made, None, ms("2026-08-31T00:00:00"))
    assert [str(x.amount) for x in until_august] == ["30.00", "10.00"]
    whole = statement.items([version(fee=fee)], made, None, NOW)
    assert [str(x.amount) for x in whole] == ["10.00", "20.00"]
    assert whole[-1].at_ms == ms("2027-06-30T00:00:00") - 1


@pytest.mark.parametrize(
    ("currency", "expected"), [("USD", "0.12"), ("JPY", "0"), ("BHD", "0.125"), ("CLF", "0.1250")]
)
def test_amounts_are_in_the_currency_s_minor_unit(currency: str, expected: str) -> None:
    fee = {"basis": "second", "rate": "0.05", "currency": currency}
    assert owed(fee, use(1, "2026-08-01T10:00:00", "2.5")) == [f"{expected} seconds made"]


USES = st.lists(
    st.tuples(
        st.integers(0, 520),  # days after 2026-07-01
        st.integers(0, 86_399),
        st.sampled_from([None, "ln_1", "ln_2", "ln_3"]),
        st.integers(1, 9_000_000),  # microseconds
        st.booleans(),
        st.integers(1, 2),
    ),
    max_size=25,
)
MONEY = st.decimals("0.000001", "99999", places=6).map(lambda x: f"{x:f}")


@settings(max_examples=60)
@given(
    USES,
    st.sampled_from(["line", "second", "session", "day", "flat"]),
    MONEY,
    st.tuples(st.none() | MONEY, st.none() | MONEY),
    st.sampled_from(["month", "quarter", "year", "request"]),
    st.sampled_from(["USD", "JPY", "BHD"]),
)
def test_periods_add_up_and_cap_and_minimum_hold(
    given_uses: Any, basis: str, rate: str, bounds: Any, every: str, currency: str
) -> None:
    least, most = bounds
    if least and most and Decimal(least) > Decimal(most):
        least, most = most, least
    fee = {"basis": basis, "rate": rate, "currency": currency}
    fee |= {n: x for n, x in (("minimum", least), ("cap", most)) if x is not None}
    other = fee | {"rate": "3.33"}
    reporting = {"reporting": {"every": every}}
    versions = [
        version(fee=fee, **reporting),
        version(2, "2026-12-24T00:00:00", fee=other, **reporting),
    ]
    start, uses = ms("2026-07-01T00:00:00"), []
    given_uses = sorted(given_uses, key=lambda given: given[:2])
    for seq, (day, second, line, length, complete, number) in enumerate(given_uses):
        uses.append(
            Use(
                seq,
                seq,
                start + 1000 * (86_400 * day + second),
                number,
                f"tk_{seq}",
                line,
                f"tk_{seq}",
                "harbour",
                "line",
                Decimal(length).scaleb(-6),
                complete,
            )
        )
    found = statement.items(versions, uses, None, NOW)
    months = [f"{y}-{m:02}" for y in (2026, 2027, 2028) for m in range(1, 13)]
    unit = Decimal(1).scaleb(-statement.minor_digits(currency))

    def total(name: str) -> Decimal:
        sums = statement.totals(statement.within(found, period.read(name)))
        return sums.get(("Estate", currency), Decimal(0))

    assert sum(map(total, months)) == total("2026-01-01/2028-12-31")
    assert sum(map(total, months[:12])) == total("2026")
    assert sum(total(f"2026-Q{q}") for q in (1, 2, 3, 4)) == total("2026")
    assert all(item.amount >= 0 for item in found)
    names = {
        "month": months[6:18],
        "quarter": ["2026-Q3", "2026-Q4", "2027-Q1", "2027-Q2"],
        "year": ["2026", "2027"],
        "request": ["2026-01-01/2028-12-31"],
    }
    for name in names[every]:
        assert most is None or total(name) <= Decimal(most) + unit / 2
        assert least is None or total(name) >= Decimal(least) - unit / 2
    # An earlier statement is not changed by what happens later.
    march = ms("2027-03-01T00:00:00")
    then = statement.items(versions, [u for u in uses if u.at_ms < march], None, march)
    february: list[Item] = statement.within(found, period.read("2027-02"))
    assert statement.within(then, period.read("2027-02")) == february


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("2026-11", "2026-11-01", "2026-12-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2026-Q4", "2026-10-01", "2027-01-01"),
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-02-28/2026-02-28", "2026-02-28", "2026-03-01"),
    ],
)
def test_periods_have_names(name: str, begin: str, end: str) -> None:
    found = period.read(name)
    assert (found.begin_ms, found.end_ms) == (ms(f"{begin}T00:00:00"), ms(f"{end}T00:00:00"))


@pytest.mark.parametrize(
    "name", ["", "2026-13", "2026-Q5", "0000", "9999-12", "2026-03-02/2026-03-01", "٢٠٢٦", "2026-1"]
)
def test_other_periods_say_what_is_one(name: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        period.read(name)
    assert error.value.valid == period.FORMS


# -- through the service -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    models = tmp_path_factory.mktemp("statement") / "models"
    write_pack(models, "ann")
    tones: dict[str, Any] = {}
    studio = tone_studio(models, tones, {})
    studio.archive = archives.open_in(studio.settings, "in_test")
    with served(studio, tones=tones, granted=False) as running:
        yield running


def test_statement_is_proved_by_the_ledger(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fee = {"basis": "second", "rate": "0.75", "currency": "EUR", "payee": "=Estate <b>"}
    model = service.studio.cast.pack("ann").model_sha256
    grants.trust(service.studio, grants.ESTATE, "estate")
    given = grants.grant(
        signers=[{"kid": grants.keys.kid(grants.ESTATE), "role": "estate", "name": "Estate"}],
        threshold=1,
        voice={"actor": "ann", "model_sha256": [model]},
        production={"id": "demo", "title": "Demonstration"},
        use__characters=[],
        territory=[],
        term={
            "not_before": "2020-01-01T00:00:00Z",
            "expires": "2050-01-01T00:00:00Z",
            "retain_until": "2050-01-01T00:00:00Z",
        },
        limits={},
        compensation=fee,
    )
    service.studio.door.enter("grant", given.id, grants.signed(given, (grants.ESTATE,)), None)
    take = service.speak(LINE).headers["Voicesvc-Take"]
    told = service.http.get(f"/v1/takes/{take}").json()
    assert told["grant"] == given.id
    year = datetime.now(UTC).year
    asked = {"grant": given.id, "period": str(year)}
    answer = service.http.get("/v1/statements", params=asked)
    said = answer.json()
    (item,) = said["items"]
    seconds = statement.seconds_of(told["samples"], told["sample_rate_hz"])
    assert (item["take"], Decimal(item["quantity"])) == (take, seconds)
    amount = statement.rounded(seconds * Decimal("0.75"), "EUR")
    assert said["totals"] == [{"payee": "=Estate <b>", "currency": "EUR", "amount": str(amount)}]
    assert not item["text_erased"]
    (tmp_path / "said").write_bytes(answer.content)
    (tmp_path / "key").write_bytes(service.http.get("/v1/ledger/head").content)
    assert outside._main([str(tmp_path / "key"), str(tmp_path / "said")]) == 0
    proved = capsys.readouterr().out
    assert proved.count(take) == 2
    assert '"kind":"grant"' in proved
    forged = answer.text.replace(f'\\"samples\\":{told["samples"]}', '\\"samples\\":1')
    (tmp_path / "said").write_text(forged)
    assert outside._main([str(tmp_path / "key"), str(tmp_path / "said")]) == 1

    service.studio.archive.database.write(lambda c: ledger.erase(c, item["permit"], By(None, 0)))
    sheet = service.http.get("/v1/statements", params=asked | {"format": "csv"})
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(sheet.content.decode("utf-8-sig")))
    assert (row["take"], row["amount"], row["payee"]) == (take, str(amount), "'=Estate <b>")
    assert row["text_erased"] == "True"
    page = service.http.get("/v1/statements", params=asked | {"format": "page"})
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<b>" not in page.text
    assert f"{amount} EUR" in page.text
    assert "what was said is erased" in page.text
    empty = service.http.get("/v1/statements", params=asked | {"period": str(year + 1)}).json()
    assert (empty["items"], empty["totals"], empty["complete"]) == ([], [], False)


@pytest.mark.parametrize(
    ("asked", "status", "where"),
    [
        ({"grant": "none", "period": "2026"}, 404, "grant"),
        ({"grant": "demo-ann", "period": "soon"}, 422, "period"),
        ({"grant": "demo-ann", "period": "2026", "format": "pdf"}, 422, "format"),
        ({"period": "2026"}, 422, "grant"),
    ],
)
def test_what_is_no_statement_is_refused(
    service: Service, asked: dict[str, str], status: int, where: str
) -> None:
    answer = service.http.get("/v1/statements", params=asked)
    assert (answer.status_code, answer.json()["where"]) == (status, where)


def test_command_prints_the_same(service: Service) -> None:
    year = str(datetime.now(UTC).year)
    environment = {"VOICESVC_DATA_DIR": str(service.studio.settings.data_path)}
    done = CliRunner().invoke(cli, ["grant", "statement", "demo-ann", year], env=environment)
    assert done.exit_code == 0, done.output
    asked = {"grant": "demo-ann", "period": year}
    told = service.http.get("/v1/statements", params=asked).json()
    assert json.loads(done.stdout)["items"] == told["items"]
    done = CliRunner().invoke(cli, ["grant", "statement", "demo-ann", "soon"], env=environment)
    assert done.exit_code == 1
    assert "period" in done.output
