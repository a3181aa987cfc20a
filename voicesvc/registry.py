"""The register of fingerprints: every take that was made and is kept, looked up by a recording.

What is in memory is brought up to date with the database before each look-up. Any thread may ask.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from voicesvc.fingerprint import Index, Match, Query, Words
from voicesvc.store import Database, fingerprints


class Registry:
    """The fingerprints of one database; read with the first look-up."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._empty()

    def _empty(self) -> None:
        self._index, self._newest = Index(), 0

    def find(self, queries: Sequence[Query]) -> tuple[list[Match], int]:
        """What a recording is of, the surest first, and among how many takes it was looked for.

        Raises:
            StoreFailed: the database does not answer.
        """
        with self._lock:
            self._refresh()
            return self._index.find(queries), len(self._index)

    def _refresh(self) -> None:
        # Where others write, too, one may come with a lower number than the newest that was read;
        # and some are removed. Either way all of them are read again.
        if self._read() != len(self._index):
            self._empty()
            self._read()

    def _read(self) -> int:
        """Read what came; gives how many there are."""
        new: list[tuple[str, Words]] = []
        rows, n = self._database.read(self._page)
        while rows:
            new += [(take, np.frombuffer(words, "<u4")) for _, take, words in rows]
            self._newest = rows[-1][0]
            rows, n = self._database.read(self._page)
        self._index.add(new)
        return n

    def _page(self, connection: Any) -> tuple[Sequence[tuple[int, str, bytes]], int]:
        return fingerprints.after(connection, self._newest), fingerprints.count(connection)
