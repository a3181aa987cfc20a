"""What a user gets: the two commands and the container. Nothing here needs a network."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pytest
import typer
from scripts_of import script

from voicesvc.cli import app as cli
from voicesvc.config import Settings

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
get_uv = script("get_uv")


@contextmanager
def site(pages: dict[str, bytes | int]) -> Iterator[str]:
    """A server with these pages; a number is answered as a status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path, 404)
            self.send_response(page if isinstance(page, int) else 200)
            self.end_headers()
            if isinstance(page, bytes):
                self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


# -- the two commands ----------------------------------------------------------------------------


def program(folder: Path, name: str, body: str) -> None:
    """An executable shell script."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n", "utf-8")
    path.chmod(0o755)


def tools(tmp_path: Path, *names: str) -> Path:
    """A folder for PATH that has the shell's usual programs and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "bash", "env", "echo", "rm", "dirname", "id", "make", *names):
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    return folder


def checkout(tmp_path: Path) -> Path:
    """A copy of what the commands are made of."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__py*"))
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    shutil.copy(ROOT / "Makefile", folder)
    return folder


def make(folder: Path, path: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words], cwd=folder, env={"PATH": str(path), **env}, text=True, capture_output=True
    )


def log_of(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text("utf-8").splitlines()


def test_make_serve_syncs_from_the_lock_and_serves(tmp_path: Path) -> None:
    path = tools(tmp_path)
    program(path, "uv", f'echo "$*" >> {tmp_path}/log')
    done = make(checkout(tmp_path), path, "serve")
    assert done.returncode == 0, done.stderr
    assert log_of(tmp_path) == [
        "--version",
        "sync --frozen --no-dev --inexact",
        "run --no-sync voicesvc serve",
    ]


def test_make_test_syncs_for_development_and_tests(tmp_path: Path) -> None:
    path = tools(tmp_path)
    program(path, "uv", f'echo "$*" >> {tmp_path}/log')
    program(path, "chromium", "")
    program(path, "initdb", "")
    assert make(checkout(tmp_path), path, "test").returncode == 0
    assert log_of(tmp_path) == [
        "--version",
        "sync --frozen --group dev",
        "run --no-sync pytest -n 2 --dist loadfile",
    ]


def test_make_test_says_how_to_get_chromium(tmp_path: Path) -> None:
    path = tools(tmp_path)
    program(path, "uv", f'echo "$*" >> {tmp_path}/log')
    done = make(checkout(tmp_path), path, "test")
    assert done.returncode != 0
    assert "apt-get install -y chromium" in done.stderr
    assert "run --no-sync pytest" not in log_of(tmp_path)


def test_make_test_says_how_to_get_postgresql(tmp_path: Path) -> None:
    path = tools(tmp_path, "ls")
    program(path, "uv", f'echo "$*" >> {tmp_path}/log')
    program(path, "chromium", "")
    folder = checkout(tmp_path)
    done = make(folder, path, "test", POSTGRES_LIB=str(tmp_path))
    assert done.returncode != 0
    assert "apt-get install -y postgresql" in done.stderr
    assert "run --no-sync pytest" not in log_of(tmp_path)
    program(tmp_path / "15", "none", "")
    program(tmp_path / "15" / "bin", "initdb", "")
    assert make(folder, path, "test", POSTGRES_LIB=str(tmp_path)).returncode == 0


def test_make_stops_where_python_is_too_old(tmp_path: Path) -> None:
    path = tools(tmp_path)
    program(path, "python3", "exit 1")
    done = make(checkout(tmp_path), path, "serve")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr


PLATFORM = get_uv.tag("Linux", "x86_64", "glibc")
WHEEL = f"uv-{get_uv.VERSION}-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


def index_with(content: bytes, sha256: str) -> dict[str, bytes | int]:
    """An index with one wheel, and one for another platform before it."""
    other = WHEEL.replace("x86_64", "ppc64")
    files = [
        {"filename": other, "url": "/none", "hashes": {"sha256": "0"}},
        {"filename": WHEEL, "url": f"../../files/{WHEEL}", "hashes": {"sha256": sha256}},
    ]
    page = json.dumps({"files": files}).encode()
    return {"/simple/uv/": page, f"/files/{WHEEL}": content}


def wheel_with(program: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"uv-{get_uv.VERSION}.data/scripts/uv", program)
    return buffer.getvalue()


@pytest.mark.skipif(
    get_uv.tag("Linux", os.uname().machine, "glibc") != PLATFORM, reason="the wheel is for x86-64"
)
@pytest.mark.skipif(sys.platform != "linux", reason="the wheel is for Linux")
def test_make_serve_gets_uv_where_python_has_neither_pip_nor_venv(tmp_path: Path) -> None:
    path = tools(tmp_path)
    program(path, "python3", f'[ "$1" = -m ] && exit 1\nexec {sys.executable} "$@"')
    content = wheel_with(f'#!/bin/sh\necho "$*" >> {tmp_path}/log\n'.encode())
    with site(index_with(content, hashlib.sha256(content).hexdigest())) as url:
        folder = checkout(tmp_path)
        done = make(folder, path, "serve", UV_DEFAULT_INDEX=f"{url}/simple")
    assert done.returncode == 0, done.stderr
    assert log_of(tmp_path) == ["sync --frozen --no-dev --inexact", "run --no-sync voicesvc serve"]


def test_get_uv_refuses_a_wheel_that_is_not_the_one_named() -> None:
    content = wheel_with(b"")
    with site(index_with(content, "0" * 64)) as url, pytest.raises(SystemExit, match="is not what"):
        get_uv.wheel(f"{url}/simple", *PLATFORM)


def test_get_uv_says_when_there_is_none_for_this_machine() -> None:
    with site(index_with(b"", "")) as url, pytest.raises(SystemExit, match=r"has no uv .*riscv"):
        get_uv.wheel(f"{url}/simple", "manylinux", "_riscv64")
    with pytest.raises(SystemExit, match="no uv is known for Plan9"):
        get_uv.tag("Plan9", "x86_64", "")


@pytest.mark.parametrize(
    ("system", "machine", "libc", "platform"),
    [
        ("Linux", "aarch64", "glibc", "manylinux_2_17_aarch64"),
        ("Linux", "x86_64", "", "musllinux_1_1_x86_64"),
        ("Darwin", "arm64", "", "macosx_11_0_arm64"),
        ("Darwin", "x86_64", "", "macosx_10_12_x86_64"),
    ],
)
def test_get_uv_knows_platforms(system: str, machine: str, libc: str, platform: str) -> None:
    begin, end = get_uv.tag(system, machine, libc)
    assert platform.startswith(begin)
    assert platform.endswith(end)


def test_one_version_of_uv_everywhere() -> None:
    assert f"UV_VERSION := {get_uv.VERSION}\n" in MAKEFILE
    assert f"ghcr.io/astral-sh/uv:{get_uv.VERSION} " in DOCKERFILE


def ci(tmp_path: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """CI where PostgreSQL, if it is there, is on PATH."""
    (path / "make").unlink()
    program(path, "make", f'echo "make $*" >> {tmp_path}/log')
    run = checkout(tmp_path) / ".ci" / "run"
    env = {"PATH": str(path), "POSTGRES_LIB": str(tmp_path)}
    return subprocess.run([run], env=env, text=True, capture_output=True)


@pytest.mark.parametrize(
    ("there", "installed"),
    [
        ((), "chromium postgresql prometheus"),
        (("initdb", "promtool"), "chromium"),
        (("chromium", "promtool"), "postgresql"),
        (("chromium", "initdb"), "prometheus"),
        (("chromium", "initdb", "promtool"), None),
    ],
)
def test_ci_installs_what_is_missing(
    tmp_path: Path, there: tuple[str, ...], installed: str | None
) -> None:
    path = tools(tmp_path)
    for name in there:
        program(path, name, "")
    program(path, "apt-get", f'echo "apt-get $*" >> {tmp_path}/log')
    program(path, "sudo", '"$@"')
    done = ci(tmp_path, path)
    assert done.returncode == 0, done.stderr
    installs = [
        "apt-get update -q",
        f"apt-get install -q -y --no-install-recommends {installed}",
    ]
    assert log_of(tmp_path) == [
        *(installs if installed else []),
        "make lint",
        "make test",
        "make audit",
        "make bench-short",
    ]


def test_ci_does_not_fail_where_benchmarks_do(tmp_path: Path) -> None:
    path = tools(tmp_path)
    for name in ("chromium", "initdb", "promtool"):
        program(path, name, "")
    (path / "make").unlink()
    program(path, "make", '[ "$1" != bench-short ]')
    run = checkout(tmp_path) / ".ci" / "run"
    env = {"PATH": str(path), "POSTGRES_LIB": str(tmp_path)}
    done = subprocess.run([run], env=env, text=True, capture_output=True)
    assert done.returncode == 0
    assert "the short benchmarks failed" in done.stderr


def test_ci_fails_without_a_way_to_what_is_missing(tmp_path: Path) -> None:
    path = tools(tmp_path)
    program(path, "initdb", "")
    program(path, "promtool", "")
    done = ci(tmp_path, path)
    assert done.returncode != 0
    assert "need chromium, and there is no apt-get" in done.stderr
    assert not (tmp_path / "log").exists()


# -- the container -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Instruction:
    """One of the Dockerfile's, its continued lines joined."""

    name: str
    words: str
    stage: int

    def array(self) -> list[str]:
        """Its words where they are a JSON array."""
        found: list[str] = json.loads(self.words[self.words.index("[") :])
        return found


def instructions() -> list[Instruction]:
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    found: list[Instruction] = []
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        name, _, words = line.partition(" ")
        stage = sum(i.name == "FROM" for i in found) - (name != "FROM")
        found.append(Instruction(name, words, stage))
    return found


def final(name: str) -> list[Instruction]:
    """The instructions of this name in the last stage."""
    last = instructions()[-1].stage
    return [i for i in instructions() if i.name == name and i.stage == last]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for i in final("ENV") for pair in i.words.split())


def test_dockerfile_passes_hadolint() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True)
    assert done.stdout.decode() == ""
    assert done.returncode == 0


def test_images_are_pinned() -> None:
    stages = {i.words.split(" AS ")[1] for i in instructions() if " AS " in i.words}
    images = [i.words.split()[0] for i in instructions() if i.name == "FROM"]
    images += re.findall(r"--from=(\S+)", DOCKERFILE)
    for image in set(images) - stages:
        assert re.search(r":\d+\.\d+\.\d+", image), image


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert ignore[0] == "*"
    kept = [line[1:] for line in ignore if line.startswith("!")]
    dropped = [line for line in ignore[1:] if not line.startswith("!")]
    for copy in (i for i in instructions() if i.name == "COPY" and "--from" not in i.words):
        for source in copy.words.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in kept, source
            assert not any(fnmatch(source, d.removeprefix("**/")) for d in dropped), source
    assert {k for k in kept if not (ROOT / k).exists()} == set()


def test_container_runs_as_nobody_in_particular() -> None:
    (user,) = final("USER")
    uid, gid = map(int, user.words.split(":"))
    assert uid > 0
    assert gid > 0
    assert instructions().index(user) < instructions().index(final("CMD")[0])


def test_container_writes_only_to_its_volume() -> None:
    (volume,) = final("VOLUME")
    env = environment()
    assert volume.array() == ["/data"]
    written = {n: v for n, v in env.items() if n == "HOME" or n.endswith(("_DIR", "CONFIGDIR"))}
    written.pop("VOICESVC_MODELS_DIR")
    assert {"HOME", "NUMBA_CACHE_DIR", "VOICESVC_DATA_DIR"} <= set(written)
    assert all(v == "/data" or v.startswith("/data/") for v in written.values())
    assert env["PYTHONDONTWRITEBYTECODE"] == "1"
    settings = Settings.read(env)
    assert settings.cache_path.is_relative_to("/data")
    assert settings.data_path == Path("/data")


def test_container_settings_are_valid_and_reach_outside() -> None:
    settings = Settings.read(environment())
    assert settings.host == "0.0.0.0"
    assert [i.words for i in final("EXPOSE")] == [str(settings.port)]
    assert any(i.words == f"models {settings.models_dir}" for i in final("COPY"))


def test_container_starts_a_command_that_exists() -> None:
    (entry,), (command,) = final("ENTRYPOINT"), final("CMD")
    words = [*entry.array(), *command.array()]
    assert f'{words[0]} = "voicesvc.cli:main"' in (ROOT / "pyproject.toml").read_text("utf-8")
    group = typer.main.get_command(cli)
    serve = group.commands[words[1]]  # type: ignore[attr-defined]
    serve.make_context(words[1], words[2:], parent=click.Context(group))


@pytest.mark.parametrize(("answer", "healthy"), [(b"{}", True), (503, False)])
def test_health_follows_readiness(answer: bytes | int, healthy: bool) -> None:
    (check,) = final("HEALTHCHECK")
    interpreter, *words = check.array()
    assert interpreter == "python3"
    with site({"/readyz": answer}) as url:
        env = {**environment(), "VOICESVC_PORT": url.rpartition(":")[2], "PATH": os.environ["PATH"]}
        done = subprocess.run([sys.executable, *words], env=env, capture_output=True)
    assert (done.returncode == 0) is healthy
