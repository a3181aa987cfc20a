"""Audio by its sha256: the same tests on a folder and on a real S3 server."""

import gc
import hashlib
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from s3_server import READER

from voicesvc.blobs import PLACES, Blobs, Folder, of
from voicesvc.errors import (
    BadSetting,
    BlobDamaged,
    BlobsFailed,
    InvalidRequest,
    NoSpace,
    UnknownBlob,
    VoiceError,
)

AUDIO = bytes(range(256)) * 40
NOWHERE = "0" * 64


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def keep(blobs: Blobs, data: bytes = AUDIO, piece_bytes: int = 1000) -> str:
    """Written piece by piece."""
    with blobs.create() as writer:
        for at in range(0, len(data), piece_bytes):
            writer.feed(data[at : at + piece_bytes])
        return writer.commit()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where audio is kept, with nothing in it."""
    if request.param == "folder":
        return str(tmp_path / "a" / "blobs")
    request.getfixturevalue("s3")
    return f"s3://audio/{tmp_path.name}"


@pytest.fixture
def blobs(place: str) -> Iterator[Blobs]:
    kept = of(place)
    yield kept
    kept.close()


# -- what is written is read ----------------------------------------------------------------------


def test_what_was_fed_is_kept_under_its_sha256(blobs: Blobs) -> None:
    before_s = time.time()
    name = keep(blobs)
    assert name == sha256_of(AUDIO)
    assert blobs.has(name)
    assert blobs.read(name) == AUDIO
    assert blobs.size(name) == len(AUDIO)
    assert before_s - 2 < blobs.written_s(name) < time.time() + 2
    assert list(blobs.names()) == [name]


@pytest.mark.parametrize("length", [0, 1, 999, 1000, 1001])
def test_pieces_have_the_asked_size(blobs: Blobs, length: int) -> None:
    data = AUDIO[:length]
    pieces = list(blobs.open(keep(blobs, data), chunk_bytes=250))
    assert b"".join(pieces) == data
    assert all(len(piece) == 250 for piece in pieces[:-1])
    assert all(0 < len(piece) <= 250 for piece in pieces)


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 10), (1, None), (700, 1301), (5, 5), (10_239, None)]
)
def test_a_range_is_that_part(blobs: Blobs, start: int, stop: int | None) -> None:
    name = keep(blobs)
    pieces = list(blobs.open(name, chunk_bytes=300, start=start, stop=stop))
    assert b"".join(pieces) == AUDIO[start:stop]


@pytest.mark.parametrize(("start", "stop"), [(-1, 10), (11, 10), (0, 10_241), (10_241, None)])
def test_a_range_beyond_the_blob_is_refused_at_once(
    blobs: Blobs, start: int, stop: int | None
) -> None:
    name = keep(blobs)
    with pytest.raises(InvalidRequest, match="valid: 0 to 10240"):
        blobs.open(name, start=start, stop=stop)


def test_larger_than_one_request(blobs: Blobs) -> None:
    data = os.urandom(2**20) * 19 + b"end"
    name = keep(blobs, data, 2**20)
    assert name == sha256_of(data)
    assert blobs.read(name) == data
    assert b"".join(blobs.open(name)) == data


def test_the_same_audio_from_many_threads_is_kept_once(blobs: Blobs) -> None:
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(keep(blobs))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == [sha256_of(AUDIO)] * 8
    assert list(blobs.names()) == [sha256_of(AUDIO)]
    assert blobs.read(names[0]) == AUDIO


def test_writers_do_not_mix(blobs: Blobs) -> None:
    with blobs.create() as one, blobs.create() as other:
        one.feed(b"one")
        other.feed(b"other")
        one.feed(b" more")
        assert blobs.read(one.commit()) == b"one more"
        assert blobs.read(other.commit()) == b"other"


def test_names_are_sorted_and_all_there(blobs: Blobs) -> None:
    kept = [keep(blobs, str(n).encode()) for n in range(30)]
    assert list(blobs.names()) == sorted(kept)


def test_nothing_is_there_before_the_first_write(blobs: Blobs) -> None:
    assert list(blobs.names()) == []
    assert blobs.sweep(0, time.time()) == 0
    assert not blobs.has(NOWHERE)


# -- what is not there ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [NOWHERE, "", "../../etc/passwd", "0" * 63 + "A", "0" * 64 + "\n"])
def test_an_unknown_blob_is_said_at_once(blobs: Blobs, name: str) -> None:
    keep(blobs)
    for ask in (blobs.open, blobs.read, blobs.size, blobs.written_s):
        with pytest.raises(UnknownBlob):
            ask(name)
    assert not blobs.has(name)


def test_deleted_is_gone_and_may_be_deleted_again(blobs: Blobs) -> None:
    name, other = keep(blobs), keep(blobs, b"other")
    blobs.delete(name)
    blobs.delete(name)
    assert not blobs.has(name)
    assert list(blobs.names()) == [other]
    assert keep(blobs) == name
    assert blobs.read(name) == AUDIO


def test_a_writer_that_is_not_committed_leaves_nothing(blobs: Blobs) -> None:
    with blobs.create() as writer:
        writer.feed(AUDIO)
    aborted = blobs.create()
    aborted.feed(AUDIO)
    aborted.abort()
    aborted.abort()
    blobs.create().feed(AUDIO)
    gc.collect()
    assert list(blobs.names()) == []
    assert blobs.sweep(0, time.time() + 1) == 0


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_a_writer_that_ended_takes_no_more(blobs: Blobs, end: str) -> None:
    writer = blobs.create()
    getattr(writer, end)()
    with pytest.raises(ValueError, match="committed or aborted"):
        writer.feed(AUDIO)
    with pytest.raises(ValueError, match="committed or aborted"):
        writer.commit()


# -- damage ---------------------------------------------------------------------------------------


def put_instead(place: str, name: str, data: bytes) -> None:
    """Other bytes under the blob's name, as a failing disk or another program leaves them."""
    key = f"{name[:2]}/{name[2:4]}/{name}"
    if place.startswith("s3:"):
        from obstore.store import S3Store

        S3Store.from_url(place).put(key, data)
    else:
        (Path(place) / key).write_bytes(data)


@pytest.mark.parametrize(
    "data",
    [AUDIO[:5000] + b"!" + AUDIO[5001:], AUDIO[:-1], AUDIO + b"!", b""],
    ids=["changed", "shorter", "longer", "empty"],
)
def test_damage_is_found_before_the_end(blobs: Blobs, place: str, data: bytes) -> None:
    name = keep(blobs)
    put_instead(place, name, data)
    with pytest.raises(BlobDamaged, match=name):
        blobs.read(name)
    got: list[bytes] = []
    with pytest.raises(BlobDamaged):
        got.extend(blobs.open(name, chunk_bytes=1000))
    assert keep(blobs) == name
    assert blobs.read(name) == AUDIO


def test_the_last_piece_of_damaged_audio_is_not_handed_out(blobs: Blobs, place: str) -> None:
    name = keep(blobs)
    put_instead(place, name, b"!" + AUDIO[1:])
    pieces = blobs.open(name, chunk_bytes=1024)
    got = [next(pieces) for _ in range(9)]
    assert b"".join(got) == b"!" + AUDIO[1 : 9 * 1024]
    with pytest.raises(BlobDamaged):
        next(pieces)


# -- a folder -------------------------------------------------------------------------------------


def test_a_folder_is_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        name = keep(Folder(tmp_path / "blobs"))
        writer = Folder(tmp_path / "blobs").create()
    finally:
        os.umask(before)
    paths = [tmp_path / "blobs", *(tmp_path / "blobs").rglob("*")]
    assert {(p.is_dir(), oct(p.stat().st_mode & 0o777)) for p in paths} == {
        (True, "0o700"),
        (False, "0o600"),
    }
    assert (tmp_path / "blobs" / name[:2] / name[2:4] / name).read_bytes() == AUDIO
    writer.abort()


def test_a_folders_other_files_are_no_blobs(tmp_path: Path) -> None:
    blobs = Folder(tmp_path)
    name = keep(blobs)
    for path in ("ab/cd/notes.txt", f"ab/cd/{name}", f"{name}", "readme", f"ab/{name}"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    assert list(blobs.names()) == [name]


def test_deleted_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    blobs = Folder(tmp_path)
    name = keep(blobs)
    pieces = blobs.open(name, chunk_bytes=1000)
    first = next(pieces)
    blobs.delete(name)
    assert first + b"".join(pieces) == AUDIO


def test_pieces_that_are_not_read_leave_no_file_open(tmp_path: Path) -> None:
    blobs = Folder(tmp_path)
    name = keep(blobs)
    before = len(os.listdir("/proc/self/fd"))
    unread, begun = blobs.open(name), blobs.open(name, chunk_bytes=10)
    next(begun)
    assert len(os.listdir("/proc/self/fd")) == before + 2
    unread.close()
    del begun
    assert len(os.listdir("/proc/self/fd")) == before


def test_sweep_takes_what_is_old_enough(tmp_path: Path) -> None:
    blobs = Folder(tmp_path)
    name = keep(blobs)
    now_s = time.time()
    old = tmp_path / "tmp" / "left by a crash"
    old.write_bytes(AUDIO)
    os.utime(old, (now_s - 100, now_s - 100))
    with blobs.create() as writer:
        writer.feed(AUDIO)
        assert blobs.sweep(101, now_s) == 0
        assert blobs.sweep(50, now_s) == 1
        assert writer.commit() == name
    assert [path.name for path in files(tmp_path)] == [name]


@contextmanager
def files_no_longer_than(limit_bytes: int) -> Iterator[None]:
    """The kernel refuses to write more into a file, as it does on a full disk or over a quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    blobs = Folder(tmp_path)
    writer = blobs.create()
    with files_no_longer_than(4096):
        writer.feed(AUDIO[:4000])
        with pytest.raises(NoSpace, match="cannot write audio"):
            writer.feed(AUDIO[4000:5000])
        assert files(tmp_path) == []
    with pytest.raises(ValueError, match="aborted"):
        writer.commit()
    assert keep(blobs) == sha256_of(AUDIO)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BlobsFailed, match="cannot write into"):
        Folder(tmp_path / "file" / "blobs").create()
    name = keep(Folder(tmp_path))
    path = tmp_path / name[:2] / name[2:4] / name
    path.unlink()
    path.mkdir()
    with pytest.raises(BlobsFailed, match="cannot read"):
        Folder(tmp_path).read(name)
    with pytest.raises(BlobsFailed, match="cannot write into"):
        keep(Folder(tmp_path))
    assert files(tmp_path) == [tmp_path / "file"]


# -- killed ---------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from voicesvc.blobs import Folder, folder, kept

root, first = Path(sys.argv[1]), int(sys.argv[2])
OURS = {folder.__file__, kept.__file__}

def write(path):
    blobs = Folder(path)
    with blobs.create() as writer:
        for _ in range(3):
            writer.feed(b"audio" * 40_000)
        writer.commit()

def killed_at_line(n, path):
    seen = 0
    def trace(frame, event, arg):
        nonlocal seen
        if frame.f_code.co_filename not in OURS:
            return None
        if event == "line":
            seen += 1
            if seen == n:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    write(path)
    sys.settrace(None)
    os._exit(0)

n = first
while True:
    child = os.fork()
    if not child:
        killed_at_line(n, root / str(n))
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    n += 1
"""


def test_killed_at_any_line_leaves_a_whole_blob_or_none(tmp_path: Path) -> None:
    """A process is killed at the first, second, … line that writing a blob goes through."""
    subprocess.run([sys.executable, "-c", KILLED, tmp_path, "1"], check=True, timeout=120)
    audio = b"audio" * 120_000
    runs = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    left: list[tuple[int, int]] = []
    for run in runs:
        blobs = Folder(run)
        names = list(blobs.names())
        for name in names:
            assert blobs.read(name) == audio
        swept = blobs.sweep(0, time.time() + 1)
        assert [path.name for path in files(run)] == names
        left.append((swept, len(names)))
    assert len(runs) >= 50
    assert set(left) == {(0, 0), (1, 0), (0, 1)}
    assert left == sorted(left, key=[(0, 0), (1, 0), (0, 1)].index)


# -- S3 -------------------------------------------------------------------------------------------


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(BlobsFailed) as caught:
        ask()
    return str(caught.value)


@pytest.mark.usefixtures("s3")
def test_credentials_that_may_not_write_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = f"s3://audio/{tmp_path.name}"
    name = keep(of(place))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER)
    reader = of(place)
    assert reader.read(name) == AUDIO
    assert "may not write at s3://audio" in refusal(lambda: keep(reader))
    assert "may not delete at s3://audio" in refusal(lambda: reader.delete(name))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    stranger = of(place)
    assert "may not read" in refusal(lambda: stranger.read(name))
    assert "may not read" in refusal(lambda: stranger.has(name))
    assert "may not list" in refusal(lambda: list(stranger.names()))


@pytest.mark.usefixtures("s3")
def test_a_bucket_that_is_not_there_is_no_missing_audio() -> None:
    blobs = of("s3://never-made")
    assert refusal(lambda: blobs.read(NOWHERE)) == "no bucket at s3://never-made"
    assert refusal(lambda: list(blobs.names())) == "no bucket at s3://never-made"
    assert refusal(lambda: blobs.has(NOWHERE)) == "no bucket at s3://never-made"


@pytest.mark.usefixtures("s3")
def test_the_servers_own_word_is_said() -> None:
    assert refusal(lambda: keep(of("s3://b"))).endswith("400 Bad Request: InvalidBucketName")


@pytest.mark.usefixtures("s3")
def test_a_server_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    blobs = of("s3://audio")
    assert "cannot write at s3://audio" in refusal(lambda: keep(blobs))
    assert "cannot read at s3://audio" in refusal(lambda: blobs.size(NOWHERE))


# -- where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    ["", "gs://bucket", "file:///srv", "https://host/bucket", "s3://", "s3:///x", "s3://a?b=c"],
)
def test_other_places_are_refused_with_those_there_are(where: str) -> None:
    with pytest.raises(BadSetting) as caught:
        of(where)
    assert caught.value.valid == list(PLACES)


def test_errors_of_blobs_have_a_status() -> None:
    errors: list[type[VoiceError]] = [UnknownBlob, BlobDamaged, NoSpace, BlobsFailed]
    assert [error.status for error in errors] == [404, 500, 507, 503]
