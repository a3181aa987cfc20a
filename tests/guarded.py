"""What tests of who asks share: a service that asks for keys."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from conftest import Service, served, tone_studio, write_pack

from voicesvc.access import keys
from voicesvc.engines.tone import Tone


@dataclass
class Guarded:
    """A service that asks for keys, and the one that may do everything."""

    service: Service
    admin: httpx.Client

    def make(self, *scopes: str, **asked: Any) -> tuple[str, str]:
        """A key, and its id."""
        body = {"name": "Dana", "scopes": scopes} | asked
        made = self.admin.post("/v1/keys", json=body)
        assert made.status_code == 201, made.text
        return made.json()["key"], made.json()["id"]

    def client(self, *scopes: str, **asked: Any) -> httpx.Client:
        """A client with a new key."""
        return self.with_key(self.make(*scopes, **asked)[0])

    def with_key(self, key: str) -> httpx.Client:
        """A client with this key."""
        return httpx.Client(base_url=self.service.url, timeout=30, headers=bearer(key))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@contextmanager
def guarded(
    folder: Path,
    actors: tuple[str, ...] = ("ann",),
    listener: socket.socket | None = None,
    **settings: Any,
) -> Iterator[Guarded]:
    """A service with tones for voices, that asks for keys."""
    _, first = keys.new(lambda n: bytes(range(n)))
    (folder / "admin-key").write_text(first + "\n", "ascii")
    for actor in actors:
        write_pack(folder / "models", actor)
    tones: dict[str, Tone] = {}
    given = {"access": "keys", "admin_key": folder / "admin-key", **settings}
    studio = tone_studio(folder / "models", tones, {}, **given)
    with (
        served(studio, 2, tones, listener=listener) as service,
        httpx.Client(base_url=service.url, timeout=30, headers=bearer(first)) as admin,
    ):
        yield Guarded(service, admin)
