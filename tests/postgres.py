"""A real PostgreSQL for tests; conftest.py has these fixtures for all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts_of import script

ours = script("postgresql")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """One server for all tests, on loopback, in a temporary folder."""
    try:
        started = ours.postgres()
        server = started.__enter__()
    except ours.NoPostgres as error:
        pytest.fail(str(error))
    yield server
    started.__exit__(None, None, None)


@pytest.fixture(scope="module")
def postgres_url(postgres_server: Any) -> Iterator[str]:
    """`postgresql+asyncpg://…` of a database that the tests of a module share."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of each kind, for one test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'voicesvc.sqlite'}"
        return
    server = request.getfixturevalue("postgres_server")
    url = server.create()
    yield url
    server.drop(url)
