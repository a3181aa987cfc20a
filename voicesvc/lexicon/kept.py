"""Lexicons as files of a folder, one a name, and those that lie in packs."""

import os
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from voicesvc.errors import BadLexicon, InvalidRequest, PackRefused, UnknownLexicon
from voicesvc.lexicon.entries import Entry, Lexicon, read_json, to_json
from voicesvc.lexicon.pls import read_pls

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
PACK_FILE = "lexicon.pls"
MOST_KEPT = 1_000
_SUFFIX = ".json"


class Lexicons:
    """The lexicons in `folder`, which is made when the first is put. For any thread or process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[tuple[int, int, int], Lexicon]] = {}

    def names(self) -> tuple[str, ...]:
        """The names there are, sorted."""
        files = self._folder.iterdir() if self._folder.is_dir() else ()
        return tuple(
            sorted(f.stem for f in files if f.suffix == _SUFFIX and NAME.fullmatch(f.stem))
        )

    def get(self, name: str) -> Lexicon:
        """The lexicon of this name.

        Raises:
            UnknownLexicon: there is none.
            BadLexicon: its file was changed into what is none.
        """
        found = self._find(self._path(name), name, read_json)
        if found is None:
            raise UnknownLexicon(f"no lexicon {name!r}", where="name", valid=self.names())
        return found

    def put(self, name: str, entries: Sequence[Entry]) -> tuple[Lexicon, bool]:
        """Keep these entries under the name, in place of others; whether it is new, with it.

        Raises:
            InvalidRequest: the name is not one, or there are too many lexicons.
        """
        path = self._path(name)
        lexicon = Lexicon(name, tuple(entries))
        with self._lock:
            new = not path.exists()
            if new and len(self.names()) >= MOST_KEPT:
                raise InvalidRequest(
                    "there are too many lexicons", where="name", valid=f"up to {MOST_KEPT}"
                )
            _write(path, to_json(entries))
        return lexicon, new

    def delete(self, name: str) -> None:
        """Forget it. Raises UnknownLexicon: there is none."""
        path = self._path(name)
        with self._lock:
            self._read.pop(path, None)
            try:
                path.unlink()
            except FileNotFoundError as error:
                raise UnknownLexicon(
                    f"no lexicon {name!r}", where="name", valid=self.names()
                ) from error

    def of(self, names: Sequence[str], pack: Path) -> tuple[Lexicon, ...]:
        """What a line uses: those of these names, then the actor's own, then the pack's.

        The actor's own is called `actor-<id>`; the pack's is the file lexicon.pls in its folder,
        which carries the actor's id as its name.

        Raises:
            UnknownLexicon: a name has none.
            PackRefused: the pack's is not valid.
        """
        used = [self.get(name) for name in names]
        own = f"actor-{pack.name}"
        found = self._find(self._path(own), own, read_json)
        if found and own not in names:
            used.append(found)
        try:
            packed = self._find(pack / PACK_FILE, f"{PACK_FILE} of {pack.name}", read_pls)
        except BadLexicon as error:
            raise PackRefused(
                f"{PACK_FILE}: {error.detail}", where=error.where, valid=error.valid
            ) from error
        return (*used, packed) if packed else tuple(used)

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name[:80]!r} is no name for a lexicon",
                where="name",
                valid="a-z, 0-9, - and _, at most 80, the first a letter or figure",
            )
        return self._folder / f"{name}{_SUFFIX}"

    def _find(
        self, path: Path, name: str, read: Callable[[bytes], tuple[Entry, ...]]
    ) -> Lexicon | None:
        """The lexicon of a file, read again only if the file has changed."""
        try:
            stat = path.stat()
            key = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            with self._lock:
                kept = self._read.get(path)
            if kept and kept[0] == key:
                return kept[1]
            written = path.read_bytes()
        except FileNotFoundError:
            return None
        lexicon = Lexicon(name, read(written))
        with self._lock:
            self._read[path] = (key, lexicon)
        return lexicon


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, and on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
