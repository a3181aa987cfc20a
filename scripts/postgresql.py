"""A PostgreSQL of one's own, in a temporary folder, on loopback; gone when we are, however we end.

    uv run python scripts/postgresql.py

makes one with an empty database, prints its URL and serves until it is interrupted. Tests and
benchmarks use it as a module. As root, the server runs as the user `postgres`, or `nobody`:
PostgreSQL refuses to be root.
"""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

MISSING = "takes are tested on PostgreSQL, too; install it with: apt-get install -y postgresql"
OWNER = "voicesvc"
START_WITHIN_S = 60.0
# Gives up root's rights and asks to be stopped at once when the process that started it ends.
_AS_USER_WITH_US = """
import ctypes, os, signal, sys
uid, gid = int(sys.argv[1]), int(sys.argv[2])
if os.getuid() != uid:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG
os.execv(sys.argv[3], sys.argv[3:])
"""


class NoPostgres(Exception):
    """PostgreSQL is not installed here, or does not start."""


def programs() -> Path:
    """The folder of initdb and postgres: the newest Debian has, or else that on PATH.

    Raises NoPostgres.
    """
    folders = Path(os.environ.get("POSTGRES_LIB", "/usr/lib/postgresql")).glob("*/bin/initdb")
    found = sorted(folders, key=lambda path: path.parts[-3].zfill(4))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise NoPostgres(MISSING)
    return (found[-1] if found else Path(str(on_path)).resolve()).parent


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    port: int
    password: str
    version: str

    def url(self, name: str) -> str:
        """Where a database is, for SQLAlchemy with asyncpg."""
        return f"postgresql+asyncpg://{OWNER}:{self.password}@127.0.0.1:{self.port}/{name}"

    def create(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{secrets.token_hex(6)}"
        self.run(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.run(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Do this in a database, as its owner."""

        async def run() -> None:
            connection: Any = await asyncpg.connect(
                host="127.0.0.1",
                port=self.port,
                user=OWNER,
                password=self.password,
                database=database,
            )
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """A server until the block ends; `durable` waits for the disk at each commit, as in production.

    Raises NoPostgres: it is not installed, or does not start.
    """
    bin_ = programs()
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="voicesvc-postgres-"))
    try:
        os.chown(folder, user.pw_uid, user.pw_gid)
        server = Postgres(_free_port(), secrets.token_hex(16), bin_.parent.name)
        _initialise(bin_, user, folder, server.password)
        # fmt: off
        words = [
            str(bin_ / "postgres"), "-D", str(folder / "data"), "-k", str(folder),
            "-h", "127.0.0.1", "-p", str(server.port), "-c", "timezone=UTC",
            *([] if durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]),
        ]
        # fmt: on
        log = folder / "log"
        with (
            log.open("wb") as out,
            subprocess.Popen(_as(user, words), stdout=out, stderr=out, cwd=folder) as process,
        ):
            try:
                _await(server, process, log)
                yield server
            finally:
                process.send_signal(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> pwd.struct_passwd:
    """Whom the server runs as: us, or someone without rights when we are root."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgres("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _as(user: pwd.struct_passwd, words: list[str]) -> list[str]:
    drop = [sys.executable, "-c", _AS_USER_WITH_US, str(user.pw_uid), str(user.pw_gid)]
    return drop + words


def _initialise(bin_: Path, user: pwd.struct_passwd, folder: Path, password: str) -> None:
    secret = folder / "password"
    secret.write_text(password, "utf-8")
    os.chown(secret, user.pw_uid, user.pw_gid)
    # fmt: off
    words = [
        str(bin_ / "initdb"), "-D", str(folder / "data"), "-U", OWNER, f"--pwfile={secret}",
        "--auth=password", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
    ]
    # fmt: on
    done = subprocess.run(_as(user, words), cwd=folder, text=True, capture_output=True)
    if done.returncode:
        raise NoPostgres(f"initdb failed: {done.stderr[-2000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _await(server: Postgres, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until_s = time.monotonic() + START_WITHIN_S
    while True:
        try:
            server.run("SELECT 1")
        except (OSError, asyncpg.CannotConnectNowError) as error:
            if process.poll() is not None or time.monotonic() > until_s:
                said = log.read_text("utf-8", "replace")[-2000:]
                raise NoPostgres(f"PostgreSQL does not start: {said}") from error
            time.sleep(0.05)
        else:
            return


def main() -> None:
    """Serve an empty database until interrupted."""
    with postgres(durable=True) as server:
        print(server.create().replace("+asyncpg", ""), flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("stopping", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except NoPostgres as error:
        sys.exit(str(error))
