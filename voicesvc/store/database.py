"""One database, from any thread: reads side by side, writes one after another.

The functions that are given to `read` and `write` are plain, over a `Connection`. Writes are done
on a thread of their own; those that wait together are committed together, each in a savepoint of
its own, so that one that fails takes no other with it. SQLite is asked directly: a driver of
asyncio's has a thread of its own, too, and goes there and back four times for a statement. Knows
nothing of what is kept.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool

from voicesvc.errors import BadSetting, InvalidRequest, StoreFailed
from voicesvc.store import search

DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+asyncpg"}
_TOGETHER = 64  # writes that share one commit
_READERS = 4
_BUSY_S = 10  # how long another process's write is waited for
_MIGRATION_LOCK = 7_305_331  # any number, the same in every process

T = TypeVar("T")
Work = Callable[[Connection], T]


class _Connections(Protocol):
    """How a kind of database is reached."""

    def read(self, work: Work[T]) -> T:
        """What `work` finds in one state of the database; from any thread."""
        ...

    def write(self, work: Work[T]) -> T:
        """What `work` gives, committed; from one thread at a time."""
        ...

    def close(self) -> None:
        """Let go of all of them."""
        ...


class _Sqlite:
    """A file, on the thread that asks."""

    def __init__(self, url: Any) -> None:
        self._writer, self._reader = self._engine(url, 1, "IMMEDIATE"), self._engine(url, _READERS)

    @staticmethod
    def _engine(url: Any, connections: int, begin: str = "") -> Engine:
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            connect_args={
                "timeout": _BUSY_S,
                "isolation_level": None,
                "check_same_thread": False,  # a connection is lent to one thread at a time
            },
        )
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", lambda c: c.exec_driver_sql(f"BEGIN {begin}") and None)
        return engine

    def read(self, work: Work[T]) -> T:
        """See `_Connections`."""
        with self._reader.connect() as connection:
            return work(connection)

    def write(self, work: Work[T]) -> T:
        """See `_Connections`."""
        with self._writer.begin() as connection:
            return work(connection)

    def close(self) -> None:
        """See `_Connections`."""
        self._writer.dispose()
        self._reader.dispose()


class _Postgres:
    """A server, by asyncpg on an event loop's thread."""

    def __init__(self, url: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="asyncpg", daemon=True)
        self._thread.start()
        self._writer, self._reader = (
            create_async_engine(url, pool_size=n, pool_pre_ping=True) for n in (1, _READERS)
        )

    def _wait(self, task: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(task, self._loop).result()

    def read(self, work: Work[T]) -> T:
        """See `_Connections`."""

        async def found() -> T:
            async with self._reader.connect() as connection:
                return await connection.run_sync(work)

        result: T = self._wait(found())
        return result

    def write(self, work: Work[T]) -> T:
        """See `_Connections`."""

        async def done() -> T:
            async with self._writer.begin() as connection:
                return await connection.run_sync(work)

        result: T = self._wait(done())
        return result

    def close(self) -> None:
        """See `_Connections`."""
        self._wait(self._writer.dispose())
        self._wait(self._reader.dispose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass(frozen=True, slots=True)
class _Write(Generic[T]):
    """What is to be done, and who waits for it."""

    work: Work[T]
    done: "Future[T]"


class Database:
    """A SQLite file or a PostgreSQL, brought to the newest schema.

    Args:
        url: `sqlite:///path` or `postgresql://user:password@host/name`.

    Raises:
        BadSetting: the URL names no database that can be used.
        StoreFailed: it cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self._url = _checked(url)
        self._committed: Callable[[], None] = lambda: None
        self._writes: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        self._connections: _Connections = (_Sqlite if self.is_sqlite else _Postgres)(self._url)
        try:
            self._connections.write(_migrate)
        except (DBAPIError, OSError) as e:
            self._connections.close()
            raise StoreFailed(f"{self._url.render_as_string()}: {e}", where="database") from e
        self._thread = threading.Thread(target=self._write_all, name="store", daemon=True)
        self._thread.start()

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file that only processes of this machine share."""
        return bool(self._url.get_backend_name() == "sqlite")

    def on_commit(self, call: Callable[[], None]) -> None:
        """Have `call` called after each commit, on the database's thread."""
        self._committed = call

    def read(self, work: Work[T]) -> T:
        """What `work` finds; it sees one state of the database.

        Raises:
            StoreFailed: the database does not answer.
        """
        try:
            return self._connections.read(work)
        except DBAPIError as e:
            raise StoreFailed(str(e.orig), where="database") from e

    def submit(self, work: Work[T]) -> "Future[T]":
        """Have `work` done in a transaction; the future is done once it is committed."""
        done: Future[T] = Future()
        self._writes.put(_Write(work, done))
        return done

    def write(self, work: Work[T]) -> T:
        """What `work` gives, committed.

        Raises:
            StoreFailed: the database does not take it.
        """
        return self.submit(work).result()

    def close(self) -> None:
        """Write what waits, and let go of the file or the connections."""
        if self._thread.is_alive():
            self._writes.put(None)
            self._thread.join()
            self._connections.close()

    def _write_all(self) -> None:
        while (first := self._writes.get()) is not None:
            batch = [first]
            while len(batch) < _TOGETHER and not self._writes.empty():
                if (another := self._writes.get_nowait()) is None:
                    self._writes.put(None)
                    break
                batch.append(another)
            self._write_batch(batch)

    def _write_batch(self, batch: Sequence[_Write[Any]]) -> None:
        try:
            results = self._connections.write(lambda c: [_one(c, write.work) for write in batch])
        except (DBAPIError, OSError) as e:
            failure = StoreFailed(str(getattr(e, "orig", None) or e), where="database")
            for write in batch:
                write.done.set_exception(failure)
            return
        for write, (failed, result) in zip(batch, results, strict=True):
            if failed is not None:
                write.done.set_exception(failed)
            else:
                write.done.set_result(result)
        self._committed()


def _one(connection: Connection, work: Work[Any]) -> tuple[Exception | None, Any]:
    """What was raised goes to who asked for the work, as it does from an Executor."""
    savepoint = connection.begin_nested()
    try:
        result = work(connection)
        savepoint.commit()
    except UnicodeEncodeError:
        savepoint.rollback()
        return _not_taken(), None
    except DBAPIError as e:
        savepoint.rollback()
        refused = isinstance(getattr(e.orig, "__cause__", None), asyncpg.DataError)
        return _not_taken() if refused else StoreFailed(str(e.orig), where="database"), None
    except Exception as e:
        savepoint.rollback()
        return e, None
    return None, result


def _not_taken() -> InvalidRequest:
    return InvalidRequest(
        "a text holds half a character or NUL", where="body", valid="text in UTF-8"
    )


def _checked(url: str) -> Any:
    try:
        parsed = make_url(url)
    except ArgumentError as e:
        raise BadSetting("not a database URL", where="VOICESVC_DATABASE_URL", valid=_VALID) from e
    backend = parsed.get_backend_name()
    if backend not in DRIVERS:
        raise BadSetting(f"no database {backend!r}", where="VOICESVC_DATABASE_URL", valid=_VALID)
    return parsed.set(drivername=DRIVERS[backend])


_VALID = ["sqlite:////folder/file.db", "postgresql://user:password@host:5432/name"]


def _set_up_sqlite(connection: Any, _: object) -> None:
    # WAL: readers see the last commit while one writes. FULL: a commit outlives a loss of power.
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(connection: Connection) -> None:
    """To the newest schema; another process that starts at the same time waits."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    search.prepare(connection)
