"""The ledger's tree and its proofs, kept in both databases, and what checks them from outside."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Service, tones_served
from hypothesis import given, settings
from hypothesis import strategies as st
from scripts_of import script
from typer.testing import CliRunner

from voicesvc.cli import app as cli
from voicesvc.errors import LedgerBroken, StoreFailed, UnknownEntry
from voicesvc.rights import keys, merkle
from voicesvc.rights.ledger import Entry, Row, row, secret_sha256, signed_head, verify
from voicesvc.store import By, Database
from voicesvc.store import ledger as rows

BY = By("Ann", 1_764_000_000_000)
KEY = keys.new()
outside = script("verify_ledger")
# RFC 6962's reference implementation (github.com/google/certificate-transparency): leaves and root.
CT_LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")
CT_LAST, CT_ROOT = (
    "606162636465666768696a6b6c6d6e6f",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


class Tree:
    """A log in memory."""

    def __init__(self, contents: Any) -> None:
        self.leaves = [merkle.leaf(c) for c in contents]
        self.nodes: list[tuple[bytes, ...]] = []
        self.roots: list[bytes] = []
        peaks: tuple[bytes, ...] = ()
        for i, leaf in enumerate(self.leaves):
            completed, peaks = merkle.grown(i, peaks, leaf)
            self.nodes.append(completed)
            self.roots.append(merkle.root_of(peaks))

    def node(self, level: int, i: int) -> bytes:
        return self.nodes[((i + 1) << level) - 1][level]


def test_root_is_that_of_certificate_transparency() -> None:
    tree = Tree(bytes.fromhex(x) for x in (*CT_LEAVES, CT_LAST))
    assert tree.roots[-1].hex() == CT_ROOT
    assert merkle.root_of(()).hex().startswith("e3b0c44298fc1c14")


def test_every_proof_of_small_trees_holds_and_no_other() -> None:
    tree = Tree(bytes([i]) for i in range(40))
    for size in range(1, 41):
        root = tree.roots[size - 1]
        for at in range(size):
            path = merkle.inclusion(at, size, tree.node)
            assert merkle.verify_inclusion(tree.leaves[at], at, size, path, root)
            other = (at + 1) % size
            assert size == 1 or not merkle.verify_inclusion(
                tree.leaves[other], at, size, path, root
            )
            assert not merkle.verify_inclusion(tree.leaves[at], at, size, [*path, root], root)
            old = tree.roots[at]
            path = merkle.consistency(at + 1, size, tree.node)
            assert merkle.verify_consistency(at + 1, size, old, root, path)
            assert not merkle.verify_consistency(at + 1, size, root[::-1], root, path)


def entries(n: int) -> list[Row]:
    made: list[Row] = []
    for i in range(n):
        entry = Entry("made", f"tk_{i}", {"samples": i}, {"text": "Hold."}, "g-1")
        made.append(row(entry, BY.now_ms + i, b"s" * 16, made[-1] if made else None))
    return made


@settings(max_examples=60)
@given(st.integers(0, 11), st.sampled_from(["body", "kind", "grant", "cut", "drop", "nodes"]))
def test_no_entry_is_changed_without_being_noticed(at: int, what: str) -> None:
    made = entries(12)
    head = verify(made, [])
    changed = list(made)
    if what == "body":
        body = made[at].body.replace(b'"samples":', b'"samples":1')
        changed[at] = replace(made[at], body=body)
    elif what in ("kind", "grant"):
        changed[at] = replace(made[at], **{what: "heard"})
    elif what == "nodes":
        changed[at] = replace(made[at], nodes=made[at].nodes[::-1])
    elif what == "cut":
        changed = made[:at]
    else:
        del changed[at]
    with pytest.raises(LedgerBroken):
        verify(changed, [head])


def test_log_that_was_made_anew_is_not_what_was_signed() -> None:
    made = entries(12)
    head = signed_head(9, merkle.root_of(tuple(made[8].peaks[i : i + 32] for i in (0, 32))), 1, KEY)
    assert verify(made, [head]).size == 12
    forged: list[Row] = []
    for i, kept in enumerate(made):
        entry = Entry("made", kept.subject, {"samples": i + (i == 4)}, {"text": "Hold."}, "g-1")
        forged.append(row(entry, kept.at_ms, b"s" * 16, forged[-1] if forged else None))
    assert verify(forged, []).size == 12
    with pytest.raises(LedgerBroken, match="first 9 entries"):
        verify(forged, [head])


# -- in a database -------------------------------------------------------------------------------


@pytest.fixture
def database(databases: str) -> Iterator[Database]:
    opened = Database(databases)
    yield opened
    opened.close()


def filled(database: Database, n: int) -> None:
    def add(c: Any) -> None:
        for i in range(n):
            rows.add(c, Entry("made", f"tk_{i}", {"samples": i}, {"text": f"Line {i}."}), BY)

    database.write(add)


def test_entries_are_kept_and_proved(database: Database) -> None:
    filled(database, 13)
    first = database.write(lambda c: rows.head(c, KEY, 1))
    filled(database, 9)
    head = database.write(lambda c: rows.head(c, KEY, 2))
    assert (first.size, head.size) == (13, 22)
    assert database.write(lambda c: rows.head(c, KEY, 3)) == head
    assert database.read(lambda c: verify(rows.all_rows(c), rows.heads(c))).root == head.root
    for seq in range(22):
        kept = database.read(lambda c, seq=seq: rows.get(c, seq))
        path = database.read(lambda c, seq=seq: rows.inclusion(c, seq, 22))
        assert merkle.verify_inclusion(merkle.leaf(kept.body), seq, 22, path, head.root)
    path = database.read(lambda c: rows.consistency(c, 13, 22))
    assert merkle.verify_consistency(13, 22, first.root, head.root, path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET kind = 'heard' WHERE seq = 1",
        "DELETE FROM ledger WHERE seq = 2",
        'INSERT INTO ledger SELECT 7, at_ms, kind, subject, "grant", body, nodes, peaks'
        " FROM ledger WHERE seq = 1",
        "UPDATE tree_heads SET size = 9",
        "DELETE FROM tree_heads",
    ],
)
def test_database_refuses_to_change_what_is_there(database: Database, statement: str) -> None:
    filled(database, 3)
    database.write(lambda c: rows.head(c, KEY, 1))
    with pytest.raises(StoreFailed, match=r"only added to|comes after the last"):
        database.write(lambda c: c.exec_driver_sql(statement))
    assert database.read(lambda c: verify(rows.all_rows(c), rows.heads(c))).size == 3


def test_sqlite_does_not_replace_what_is_there(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/takes.db")
    filled(database, 3)
    again = "INSERT OR REPLACE INTO ledger SELECT * FROM ledger WHERE seq = 1"
    with pytest.raises(StoreFailed, match="comes after the last"):
        database.write(lambda c: c.exec_driver_sql(again))
    database.close()


def test_what_was_said_can_be_erased_and_the_tree_stays(database: Database) -> None:
    filled(database, 4)
    before = database.read(lambda c: verify(rows.all_rows(c), []))
    salt = database.read(lambda c: rows.salt(c, 2))
    said = json.loads(database.read(lambda c: rows.get(c, 2)).body)
    assert salt is not None
    assert said["text_sha256"] == secret_sha256(salt, "text", "Line 2.")
    assert "Line" not in json.dumps(said)
    database.write(lambda c: rows.erase(c, 2, BY))
    assert database.read(lambda c: rows.salt(c, 2)) is None
    assert database.read(lambda c: verify(rows.all_rows(c), [before])).size == 5
    with pytest.raises(UnknownEntry):
        database.write(lambda c: rows.erase(c, 2, BY))


# -- through the service, and outside of it ------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with tones_served(tmp_path_factory.mktemp("ledger")) as running:
        yield running


def answered(service: Service, path: str, folder: Path, name: str) -> Path:
    answer = service.http.get(path)
    assert answer.status_code == 200, answer.text
    (folder / name).write_bytes(answer.content)
    return folder / name


def test_take_is_in_the_ledger_and_the_script_proves_it(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take = service.speak("We hold the harbour.").headers["Voicesvc-Take"]
    old = service.http.get("/v1/ledger/head").json()
    service.speak("Until morning.")
    (made,) = service.ledger(subject=take, kind="made")
    told = service.http.get(f"/v1/takes/{take}").json()
    assert {n: made[n] for n in ("pcm_sha256", "plan_sha256", "samples")} == {
        "pcm_sha256": told["pcm_sha256"],
        "plan_sha256": told["plan_sha256"],
        "samples": told["samples"],
    }
    key = answered(service, "/v1/ledger/head", tmp_path, "head")
    proof = answered(service, f"/v1/ledger/{made['seq']}", tmp_path, "proof")
    same = answered(service, f"/v1/ledger/consistency?old={old['size']}", tmp_path, "same")
    every = answered(service, "/v1/ledger/entries", tmp_path, "entries")
    assert outside._main([str(key), str(proof), str(same)]) == 0
    assert take in capsys.readouterr().out
    assert outside._main([str(key), str(key), str(every)]) == 0
    assert f"{json.loads(key.read_text())['size']} entries" in capsys.readouterr().out
    longer = '"path":["' + "00" * 32 + '","'
    for path, found, forged in (
        (proof, take, "tk_another"),
        (proof, '"path":["', longer),
        (same, '"path":["', longer),
        (every, take, "tk_another"),
    ):
        (tmp_path / "changed").write_text(path.read_text("utf-8").replace(found, forged, 1))
        whole = [str(key)] if path == every else []
        assert outside._main([str(key), *whole, str(tmp_path / "changed")]) == 1, found
    (tmp_path / "other").write_text(json.dumps(keys.public(keys.new())))
    assert outside._main([str(tmp_path / "other"), str(proof)]) == 1


def test_script_is_short_and_needs_nothing() -> None:
    text = (Path(outside.__file__ or "")).read_text("utf-8")
    assert len(text.splitlines()) < 150
    imported = {
        line.split()[1] for line in text.splitlines() if line.startswith(("import", "from"))
    }
    assert imported == {"base64", "hashlib", "json", "sys", "pathlib", "typing"}


def test_unknown_entries_and_heads_say_what_is_there(service: Service) -> None:
    assert service.http.get("/v1/ledger/999999").json()["type"] == "/problems/unknown-entry"
    assert service.http.get("/v1/ledger/consistency?old=999999").status_code == 404
    first = service.http.get("/v1/ledger", params={"limit": 1}).json()
    assert first["next"] == "0"
    second = service.http.get("/v1/ledger", params={"limit": 1, "cursor": "0"}).json()
    assert [x["seq"] for x in first["items"] + second["items"]] == [0, 1]


def test_command_notices_what_was_changed_in_the_file(tmp_path: Path) -> None:
    environment = {"VOICESVC_DATA_DIR": str(tmp_path)}
    handed_out = CliRunner().invoke(cli, ["ledger", "head"], env=environment)
    database = Database(f"sqlite:///{tmp_path}/takes.db")
    filled(database, 5)
    database.close()
    head = CliRunner().invoke(cli, ["ledger", "head"], env=environment)
    (tmp_path / "head").write_text(head.stdout)
    asked = ["ledger", "verify", "--head", str(tmp_path / "head")]
    assert handed_out.exit_code == head.exit_code == 0
    found = CliRunner().invoke(cli, asked, env=environment)
    assert found.exit_code == 0, found.output
    assert "5 entries, unchanged" in found.stdout
    with sqlite3.connect(tmp_path / "takes.db") as file:
        file.execute("DROP TRIGGER ledger_is_only_added_to_UPDATE")
        file.execute(
            "UPDATE ledger SET body = CAST(replace(body, 'tk_3', 'tk_4') AS BLOB) WHERE seq = 3"
        )
    file.close()
    found = CliRunner().invoke(cli, asked, env=environment)
    assert found.exit_code == 1
    assert "entry 3" in found.output
