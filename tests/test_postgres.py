"""The PostgreSQL that tests stand on is a real one of their own."""

import asyncio
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import eventually
from scripts_of import ROOT, script
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from voicesvc.store import Database

ours = script("postgresql")


def ask(url: str, *statements: str) -> Any:
    """What the last statement answers."""

    async def run() -> Any:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            for statement in statements:
                answer = await connection.execute(text(statement))
        await engine.dispose()
        return answer.scalar() if answer.returns_rows else None

    return asyncio.run(run())


def test_databases_take_tables_and_begin_empty(databases: str) -> None:
    with closing(Database(databases)) as database:
        for statement in ("CREATE TABLE t (n int)", "INSERT INTO t VALUES (7)"):
            database.write(lambda c, asked=statement: c.execute(text(asked)).rowcount)
        assert database.read(lambda c: c.scalar(text("SELECT n FROM t"))) == 7


def test_the_database_of_a_module_is_real_and_only_on_loopback(postgres_url: str) -> None:
    assert "PostgreSQL" in ask(postgres_url, "SELECT version()")
    assert ask(postgres_url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(postgres_url, "SHOW server_encoding") == "UTF8"


def test_a_stranger_is_not_let_in(postgres_url: str) -> None:
    with pytest.raises(DBAPIError, match="password authentication failed"):
        ask(postgres_url.replace("voicesvc:", "voicesvc:x"), "SELECT 1")


def test_one_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSTGRES_LIB", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ours.NoPostgres, match="apt-get install -y postgresql"):
        ours.programs()


def test_the_newest_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for version in ("9", "15", "16"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "initdb").touch()
    monkeypatch.setenv("POSTGRES_LIB", str(tmp_path))
    assert ours.programs() == tmp_path / "16" / "bin"


def test_it_ends_with_the_process_that_started_it() -> None:
    words = [sys.executable, ROOT / "scripts" / "postgresql.py"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().replace("postgresql:", "postgresql+asyncpg:")
        folder = Path(ask(url, "SHOW data_directory")).parent
        process.kill()

    assert eventually(lambda: not (folder / "data" / "postmaster.pid").exists(), 10)
    with pytest.raises(OSError, match="Connect call failed"):
        ask(url, "SELECT 1")
    shutil.rmtree(folder)
