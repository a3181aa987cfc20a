"""How fast are takes kept, and how fast are they found again when there are 100,000 of them?

What is measured, on SQLite and on a PostgreSQL of the benchmark's own, both waiting for the disk at
each commit as in production:

- **inserts**: takes opened and closed per second, each with the plan and the timings that a real
  line of 6 s has, as the service does it: two transactions, the second after the first. One writer
  after another, and 16 at once, whose commits are shared. On the full table.
- **lists**: what `GET /v1/takes` and `GET /v1/lines` do in the database, to the JSON that goes out:
  the first page, a page deep down, and every filter; 100 items a page. Searches are for what no
  take has, one in 1,000, and every take, by words and by two letters, which no trigram finds.

The table is filled with copies of one take that the demonstration voice spoke, under other ids, so
that rows and documents are as wide as real ones: productions of 100 lines of 50 takes, one circled
in each line, one of 20 flagged, ten actors.

PostgreSQL counts its rows once it is filled (ANALYZE), as its autovacuum does within minutes. A
first run of each list is not counted; figures are medians. Ends in one JSON line on stdout.
"""

import argparse
import importlib.util
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import sqlalchemy
from common import LINES, ROOT, arguments, interleaved, median, report, say
from ledger_rows import permits
from sqlalchemy import Connection, insert, select, text, update

from voicesvc.archive import Archive, Origin
from voicesvc.blobs import Folder
from voicesvc.config import Settings
from voicesvc.line import Line
from voicesvc.rights import Permit, Standing, Trust, Use, check, keys, sign, verify
from voicesvc.rights.demonstration import demonstration
from voicesvc.store import By, Cut, Database, lines, productions, search, takes
from voicesvc.store.lines import LineFilter
from voicesvc.store.tables import documents as document_rows
from voicesvc.store.tables import events as event_rows
from voicesvc.store.tables import lines as line_rows
from voicesvc.store.tables import take_search
from voicesvc.store.tables import takes as take_rows
from voicesvc.store.takes import Ending, NewTake, TakeFilter
from voicesvc.studio import Studio

NOW_MS = 1_795_000_000_000
BY = By("Ann", NOW_MS)
LINES_EACH, TAKES_EACH, ACTORS = 100, 50, 10
AT_ONCE = 16
PAGE = 100
FOUND, NOWHERE, COMMON = "zanzibar", "nowhere at all", "river"
SLOW_MS = 20.0


@dataclass(frozen=True)
class Spoken:
    """A take as the service keeps it, to be copied."""

    row: dict[str, Any]
    documents: dict[str, bytes]  # as they are stored
    plain: dict[str, bytes]


def spoken(folder: Path) -> Spoken:
    """One line of the demonstration voice, kept."""
    database = Database(f"sqlite:///{folder / 'one.db'}")
    archive = Archive(database, Folder(folder / "audio"), lambda: NOW_MS, "benchmark", keys.new())
    settings = Settings.read({}, actors=("joe",), device="cpu", data_dir=folder)
    with closing(Studio(settings, archive=archive)) as studio, closing(archive):
        line = Line(actor="joe", text=LINES["medium"], seed=1)
        rendering = studio.open(line, origin=Origin(who="Ann"))
        for _ in rendering.chunks():
            pass

        def read(c: Connection) -> tuple[dict[str, Any], dict[str, bytes]]:
            row = c.execute(select(take_rows)).one()
            kept = c.execute(select(document_rows.c.name, document_rows.c.content)).all()
            return dict(row._mapping), {r.name: r.content for r in kept}

        row, kept = database.read(read)
        plain = {name: archive.document(row["id"], name) for name in kept}
    measured = {
        "integrated_lufs": -23.14,
        "true_peak_dbtp": -3.02,
        "f0_median_hz": 118.2,
        "f0_range_st": 9.81,
        "clipped_samples": 0,
        "silence_head_s": 0.11,
        "silence_tail_s": 0.24,
        "distillmos": 4.12,
        "wer": 0.0,
        "heard": LINES["medium"],
        "wrong_words": [],
    }
    return Spoken(row | {"measured": measured}, kept, plain)


def fill(database: Database, model: Spoken, n: int) -> str:
    """Productions with lines with `n` takes altogether; the id of the last production."""
    last = ""
    for first in range(0, n, LINES_EACH * TAKES_EACH):
        last = database.write(lambda c, at=first: _production(c, model, at, n))  # type: ignore[misc]
        say(f"  {min(n, first + LINES_EACH * TAKES_EACH):7} takes")
    return last


def _production(c: Connection, model: Spoken, first: int, n: int) -> str:
    number = first // (LINES_EACH * TAKES_EACH)
    made = productions.add(
        c,
        f"pr_{number:020x}",
        {"title": f"Film {number}", "slug": f"film-{number}", "fps": "24", "notes": ""},
        BY,
    )
    given = [(f"ln_{first + i:020x}", _line(i)) for i in range(LINES_EACH)]
    rows, kept, told = [], [], []
    for line in lines.add(c, made.id, given, BY):
        for k in range(TAKES_EACH):
            at = first + (line.number - 1) * TAKES_EACH + k
            if at >= n:
                break
            rows.append(_take(model, at, made.id, line.id, k + 1))
            kept += [
                {"take": rows[-1]["id"], "name": name, "content": content}
                for name, content in model.documents.items()
            ]
            told += [_event(rows[-1], action) for action in ("created", "closed", "measured")]
    for taken, seq in zip(rows, permits(c, BY, [str(r["id"]) for r in rows]), strict=True):
        taken["permit"] = seq
    seqs = c.scalars(
        insert(take_rows).returning(take_rows.c.seq, sort_by_parameter_order=True), rows
    )
    found_by = [(str(row["text"]), str(row.get("note", ""))) for row in rows]
    search.add(c, take_search, dict(zip(seqs.all(), found_by, strict=True)))
    c.execute(update(line_rows).values(takes_made=TAKES_EACH))
    c.execute(insert(document_rows), kept)
    c.execute(insert(event_rows), told)
    return made.id


def _permit(row: dict[str, Any], line: str) -> Permit:
    """That the demonstration voice may speak a line."""
    key = keys.new()
    trust = Trust({keys.kid(key): key}, keys.kid(key))
    grant = demonstration(row["actor"], row["model_sha256"], ("en-us",), (key, NOW_MS))
    found = verify(sign(grant.canonical(), "grant", (key,)), trust)
    use = Use(row["actor"], row["model_sha256"], "demo", "en-us", row["text"], line=line)
    permit = check(use, [found], Standing(NOW_MS), NOW_MS)
    assert isinstance(permit, Permit), permit
    return permit


def _line(i: int) -> dict[str, Any]:
    return {
        "scene": str(i // 10 + 1),
        "cue": f"{i:03}",
        "character": f"ROLE {i % ACTORS}",
        "actor": f"actor-{i % ACTORS}",
        "text": LINES["medium"],
        "markup": "marks",
        "delivery": {},
        "lexicons": [],
        "notes": "",
    }


def _take(model: Spoken, at: int, production: str, line: str, number: int) -> dict[str, Any]:
    changed = {
        "id": f"tk_{at:020x}",
        "production": production,
        "line": line,
        "number": number,
        "made_by": "line",
        "actor": f"actor-{at // TAKES_EACH % ACTORS}",
        "text": f"{model.row['text']} {FOUND}" if at % 1000 == 7 else model.row["text"],
        "circled": number == 3,
        "flagged": at % 20 == 0,
        "flags": ["words"] if at % 20 == 0 else [],
        "rating": at % 6,
        "tags": ["pick up"] if at % 50 == 0 else [],
        "pcm_sha256": f"{at:064x}",
    }
    return {k: v for k, v in model.row.items() if k != "seq"} | changed


def _event(take: Mapping[str, Any], action: str) -> dict[str, Any]:
    return {
        "at_ms": NOW_MS,
        "kind": "take",
        "subject": take["id"],
        "line": take["line"],
        "production": take["production"],
        "action": action,
        "version": 1,
        "who": "Ann",
        "facts": {"state": "complete"},
    }


def insert_one(database: Database, model: Spoken, line: str) -> float:
    """A take opened and closed, as the service does; when its row said `complete`."""
    row = model.row
    new = NewTake(
        f"tk_{secrets.token_hex(10)}",
        made_by="line",
        state="open",
        actor=row["actor"],
        text=row["text"],
        seed=row["seed"],
        model_sha256=row["model_sha256"],
        facts=row["facts"],
        permit=_permit(row, line),
        line=line,
    )
    ending = Ending(
        "complete",
        row["facts"],
        pcm_sha256=secrets.token_hex(32),
        plan_sha256=row["plan_sha256"],
        sample_rate_hz=row["sample_rate_hz"],
        samples=row["samples"],
        compute_s=row["compute_s"],
        documents=model.plain,
    )
    database.write(lambda c: takes.add(c, [new], BY))
    database.write(lambda c: takes.close(c, new.id, ending, BY))
    return time.perf_counter()


def inserts_per_s(database: Database, model: Spoken, n: int, writers: int) -> float:
    """Takes per second, by so many writers at once, each on a line of its own."""
    with ThreadPoolExecutor(writers) as pool:
        begin_s = time.perf_counter()
        done = [
            pool.submit(insert_one, database, model, f"ln_{i % writers:020x}") for i in range(n)
        ]
        end_s = max(future.result() for future in done)
    return n / (end_s - begin_s)


def lists(production: str, n: int) -> dict[str, Callable[[Connection], Any]]:
    """Every list that is measured, by what it is called in the table."""
    first, deep = Cut(limit=PAGE), Cut(cursor=n // 2, limit=PAGE)
    one = takes.TakeFilter

    def of(which: TakeFilter, cut: Cut = first) -> Callable[[Connection], Any]:
        return lambda c: takes.find(c, which, cut)

    def script(which: LineFilter, cut: Cut = first) -> Callable[[Connection], Any]:
        return lambda c: lines.find(c, which, cut)

    return {
        "takes, first page": of(one()),
        "takes, deep page": of(one(), deep),
        "takes of a production": of(one(production=production)),
        "takes of a line": of(one(line=f"ln_{0:020x}")),
        "takes of an actor": of(one(actor="actor-3")),
        "takes of an actor, deep": of(one(actor="actor-3"), deep),
        "circled": of(one(circled=True)),
        "circled of a production": of(one(circled=True, production=production)),
        "circled of an actor": of(one(circled=True, actor="actor-3")),
        "flagged": of(one(flagged=True)),
        "failed, of which there are none": of(one(states=("failed",))),
        "rated 5": of(one(rating_min=5)),
        "with a tag": of(one(tag="pick up")),
        "deleted, of which there are none": of(one(deleted=True)),
        "text, 1 in 1,000": of(one(q=FOUND)),
        "text that is nowhere": of(one(q=NOWHERE)),
        "text that is nowhere in a production": of(one(q=NOWHERE, production=production)),
        "text that every take has": of(one(q=COMMON)),
        "text that every take has, in a production": of(one(q=COMMON, production=production)),
        "two letters, 1 in 1,000": of(one(q=FOUND[:2])),
        "two letters that are nowhere": of(one(q="qx")),
        "two letters that every take has": of(one(q=COMMON[:2])),
        "lines with a text that is nowhere": script(LineFilter(q=NOWHERE)),
        "lines of a production with a text": script(LineFilter(q=COMMON, production=production)),
        "lines of a production, with counts": script(LineFilter(production=production)),
        "lines that are circled": script(LineFilter(production=production, status="circled")),
        "lines that are empty": script(LineFilter(status="empty")),
        "productions, with counts": lambda c: productions.find(c, first),
    }


def list_ms(database: Database, which: Mapping[str, Any], rounds: int) -> dict[str, float]:
    """Milliseconds to the JSON of each, medians."""
    taken: dict[str, list[float]] = {name: [] for name in which}

    def timed(name: str) -> Callable[[int], None]:
        def run(_: int) -> None:
            begin_s = time.perf_counter()
            page = database.read(which[name])
            json.dumps([item.json() for item in page.items])
            taken[name].append(1000 * (time.perf_counter() - begin_s))

        return run

    interleaved({name: timed(name) for name in which}, rounds + 1)
    return {name: median(ms[1:], 2) for name, ms in taken.items()}


def measure(url: str, model: Spoken, options: argparse.Namespace) -> dict[str, Any]:
    """Everything, on one database."""
    with closing(Database(url)) as database:
        production = fill(database, model, options.takes)
        if not database.is_sqlite:
            database.write(lambda c: c.execute(text("ANALYZE")))
        alone = inserts_per_s(database, model, options.inserts // 4, 1)
        together = inserts_per_s(database, model, options.inserts, AT_ONCE)
        found = list_ms(database, lists(production, options.takes), options.rounds)
    return {
        "inserts_per_s": round(alone, 1),
        f"inserts_per_s_{AT_ONCE}_at_once": round(together, 1),
        "list_ms": found,
        "slow": [name for name, ms in found.items() if ms > SLOW_MS],
    }


def urls(folder: Path, stack: ExitStack, postgres: str | None) -> Iterator[tuple[str, str]]:
    """Each database's name and URL; a PostgreSQL is started where none is given."""
    yield "sqlite", f"sqlite:///{folder / 'takes.db'}"
    if postgres is None:
        spec = importlib.util.spec_from_file_location(
            "postgresql", ROOT / "scripts" / "postgresql.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules["postgresql"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        postgres = stack.enter_context(module.postgres(durable=True)).create()
    yield "postgresql", postgres


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=15)
    parser.add_argument("--takes", type=int, default=100_000, help="takes that are there")
    parser.add_argument("--inserts", type=int, default=2_000, help="takes that are put in")
    parser.add_argument("--postgres", help="URL of an empty database; without, one is started")
    options = parser.parse_args()
    figures: dict[str, Any] = {"takes": options.takes}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        model = spoken(Path(name))
        sizes = {name: len(content) for name, content in model.documents.items()}
        figures["document_bytes"] = sizes
        for kind, url in urls(Path(name), stack, options.postgres):
            say(kind)
            figures[kind] = measure(url, model, options)
            say(json.dumps(figures[kind], indent=1))
    versions = {"voicesvc": metadata.version("voicesvc"), "sqlalchemy": sqlalchemy.__version__}
    report("store", figures, versions)


if __name__ == "__main__":
    main()
