"""The `voicesvc` command, as a person runs it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from conftest import write_pack
from voice_files import JOE, edit_config, tiny

from voicesvc import credentials, packs
from voicesvc.cli import _sink
from voicesvc.config import Settings
from voicesvc.engines.convert import source_path
from voicesvc.errors import EngineFailed

LINE = "Hold the line."
HEAVY = {
    *("torch", "TTS", "transformers", "onnx", "numpy", "scipy", "librosa", "soundfile", "soxr"),
    *("fastapi", "uvicorn", "sqlalchemy", "cryptography", "c2pa"),
}
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("VOICESVC_")}


def run(*args: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "voicesvc", *args],
        env=ENVIRONMENT | variables,
        capture_output=True,
        timeout=120,
    )


@pytest.mark.parametrize("args", ["", "serve", "say", "pack import-piper"])
def test_help_imports_nothing_heavy(args: str) -> None:
    """Neither models nor what computes, serves or keeps: that is what makes a command slow."""
    probe = (
        f"import sys, atexit; sys.argv = ['voicesvc', *{args.split()!r}, '--help'];"
        f"atexit.register(lambda: print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr));"
        "from voicesvc.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.splitlines() == ["[]"]
    assert "Usage: voicesvc" in done.stdout


def test_help_tells_what_there_is() -> None:
    told = run("--help").stdout.decode()
    assert all(command in told for command in ("serve", "say", "pack"))
    options = ("--actor", "--out", "--name", "--licence-weights", "--licence-data")
    told = run("pack", "import-piper", "--help").stdout.decode()
    assert all(word in told for word in (".onnx.json", *options))
    told = run("pack", "import", "--help").stdout.decode()
    assert all(word in told for word in ("model.pth", "--language", *options))


def test_say_makes_a_file_in_the_format_of_its_suffix(tmp_path: Path) -> None:
    target = tmp_path / "line.flac"
    args = ("--sample-rate-hz", "48000", "--bit-depth", "24", "--seed", "7", "--rate", "1.25")
    done = run("say", LINE, "-o", str(target), *args)
    assert done.returncode == 0, done.stderr
    assert b"seed 7" in done.stderr
    assert done.stdout == b""
    info = soundfile.info(target)
    assert (info.format, info.subtype, info.samplerate) == ("FLAC", "PCM_24", 48000)
    assert 0.4 < info.duration < 3
    assert list(tmp_path.iterdir()) == [target]


def test_say_writes_to_standard_output_and_tells_what_it_skipped(tmp_path: Path) -> None:
    done = run("say", f"{LINE} 🙂", "-", "--seed", "7")
    assert done.returncode == 0, done.stderr
    assert done.stdout[:4] == b"RIFF"
    assert b"skipped: 15-16 emoji" in done.stderr
    (tmp_path / "out").write_bytes(done.stdout)
    assert soundfile.info(tmp_path / "out").samplerate == 22050


def test_a_plan_goes_out_and_is_spoken_as_it_is(tmp_path: Path) -> None:
    plan, spoken = tmp_path / "line.json", tmp_path / "line.wav"
    made = run("plan", LINE, "--seed", "7", "--emotion", "sad", "--seconds", "1.5", "-o", str(plan))
    assert made.returncode == 0, made.stderr
    assert json.loads(plan.read_text("utf-8"))["seed"] == 7
    done = run("say", "--plan", str(plan), str(spoken))
    assert done.returncode == 0, done.stderr
    straight = run("say", LINE, "-", "--seed", "7", "--emotion", "sad", "--seconds", "1.5")
    plain, signed = straight.stdout, spoken.read_bytes()
    assert signed[8 : len(plain)] == plain[8:]
    assert signed[len(plain) :][:4] == b"C2PA"
    assert soundfile.info(spoken).frames == round(1.5 * 22050)
    assert b"emotion by prosody" in straight.stderr
    assert b"stretch=" in straight.stderr
    plan.write_text("{}", "utf-8")
    broken = run("say", "--plan", str(plan), str(tmp_path / "no.wav"))
    assert broken.returncode == 1
    assert b"plan.actor" in broken.stderr


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--actor", "bob"), "no actor 'bob' (at actor); valid: joe"),
        (("--rate", "9"), "0.5 to 2.0"),
        (("--bit-depth", "12"), "16, 24 or '32f'"),
        (("--bit-depth", "24", "--format", "mp3"), "leave bit_depth out"),
        (("--sample-rate-hz", "7"), "8000 to 96000"),
        (("--seed", "-1"), "0 to 2^53 - 1"),
        (("--format", "aac"), "wav, flac, opus, mp3, pcm_s16le, pcm_f32le"),
        (("--emotion", "furious"), "'whispered' or 'shouted'"),
        (("--emotion", '{"name":"sad","intensity":3}'), "emotion.intensity"),
        (("--ask", "pitch_st"), "NAME=VALUE"),
        (("--ask", "tempo=3"), "pitch_st"),
        (("--seconds", "-1"), "fit.seconds"),
        (("--plan", "/nowhere.json"), "cannot read /nowhere.json"),
    ],
)
def test_what_say_cannot_do_it_says_in_one_line(
    tmp_path: Path, args: tuple[str, ...], told: str
) -> None:
    done = run("say", LINE, "-o", str(tmp_path / "out.wav"), *args)
    assert done.returncode == 1
    assert told in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_say_refuses_a_suffix_it_does_not_know(tmp_path: Path) -> None:
    done = run("say", LINE, "-o", str(tmp_path / "out.aiff"))
    assert done.returncode == 1
    assert b"no format has the suffix .aiff" in done.stderr
    assert b".wav, .flac, .opus, .mp3" in done.stderr


def test_say_wants_to_know_where_to_and_can_write_there(tmp_path: Path) -> None:
    assert run("say", LINE).returncode == 2
    done = run("say", LINE, str(tmp_path / "nowhere" / "out.wav"))
    assert done.returncode == 1
    assert b"No such file or directory" in done.stderr
    done = run("say", LINE, str(tmp_path))
    assert done.returncode == 1
    assert b"Is a directory" in done.stderr


def fail_half_way(target: Path) -> None:
    with _sink(str(target)) as sink:
        sink.write(b"half")
        raise EngineFailed("mid-stream")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "line.wav"
    target.write_bytes(b"an earlier take")
    with pytest.raises(EngineFailed):
        fail_half_way(target)
    assert target.read_bytes() == b"an earlier take"
    with _sink(str(target)) as sink:
        sink.write(b"a take")
        assert target.read_bytes() == b"an earlier take"
    assert target.read_bytes() == b"a take"
    assert list(tmp_path.iterdir()) == [target]


def test_a_pipe_or_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        with _sink(str(pipe)) as sink:
            sink.write(b"a take")
        assert reader.communicate(timeout=20)[0] == b"a take"
    assert pipe.is_fifo()


def test_an_unknown_variable_is_refused_with_the_known_ones() -> None:
    for command in (("serve", "--port", "0"), ("say", LINE, "-")):
        done = run(*command, VOICESVC_MODEL_DIR="/x")
        assert done.returncode == 1
        told = done.stderr.decode()
        assert "unknown setting VOICESVC_MODEL_DIR" in told
        assert all(f"VOICESVC_{name.upper()}" in told for name in Settings.model_fields)
        assert "Traceback" not in told


def test_serve_refuses_actors_that_are_not_there(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    done = run(
        "serve", "--port", "0", VOICESVC_MODELS_DIR=f"{tmp_path}/models", VOICESVC_ACTORS="bob"
    )
    assert done.returncode == 1
    assert b"no actor 'bob' (at VOICESVC_ACTORS); valid: ann" in done.stderr
    assert b"Traceback" not in done.stderr


LICENCE = ("--licence-weights", "granted by Ann", "--licence-data", "recorded under contract 7")


def test_import_piper_says_whose_voice_it_is(tmp_path: Path) -> None:
    onnx, out = str(source_path(packs.read(JOE))), tmp_path / "ann"
    args = ("--actor", "ann", "--out", str(out), "--name", "Ann Smith", *LICENCE)
    done = run("pack", "import-piper", onnx, *args)
    assert done.returncode == 0, done.stderr
    pack = packs.read(out)
    assert (pack.actor_id, pack.name, pack.demonstration) == ("ann", "Ann Smith", False)
    assert (pack.licence.weights, pack.licence.data) == (LICENCE[1], LICENCE[3])
    assert pack.model_sha256.encode() in done.stderr


def test_import_says_whose_voice_it_is_and_its_language(tmp_path: Path) -> None:
    tiny(tmp_path / "run")
    edit_config(tmp_path / "run", lambda c: c.update(phoneme_language=None))
    args = ("pack", "import", str(tmp_path / "run"), "--actor", "ann")
    done = run(*args, "--out", str(tmp_path / "ann"))
    assert done.returncode == 1
    assert b"names no language" in done.stderr
    args = (*args, "--language", "en-gb")
    assert run(*args, "--out", str(tmp_path / "ann"), "--name", "Ann", *LICENCE).returncode == 0
    pack = packs.read(tmp_path / "ann")
    assert (pack.name, pack.language, pack.demonstration) == ("Ann", "en-gb", False)
    assert (pack.licence.weights, pack.licence.data) == (LICENCE[1], LICENCE[3])
    assert run(*args, "--out", str(tmp_path / "plain")).returncode == 0
    pack = packs.read(tmp_path / "plain")
    assert (pack.name, pack.demonstration, pack.licence.weights) == ("ann", True, "not stated")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("command", ["import", "import-piper"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (LICENCE[:2], "--licence-weights and --licence-data go together"),
        (LICENCE[2:], "--licence-weights and --licence-data go together"),
        ((*LICENCE[:3], ""), "(at licence_data)"),
    ],
)
def test_a_licence_is_said_whole(
    tmp_path: Path, command: str, options: tuple[str, ...], told: str
) -> None:
    out = tmp_path / "ann"
    done = run("pack", command, "nothing", "--actor", "ann", "--out", str(out), *options)
    assert done.returncode == 1
    assert told in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_finished_file_says_its_length(tmp_path: Path, suffix: str) -> None:
    """Several sentences leave as a stream of unknown length; a file need not stay one."""
    path = tmp_path / f"two.{suffix}"
    done = run("say", "We hold. They come at night.", str(path), "--bit-depth", "24", "--seed", "3")
    assert done.returncode == 0, done.stderr
    samples, _ = soundfile.read(path)
    assert soundfile.info(path).frames == len(samples) > 20_000
    assert credentials.read(path).state == "valid"
    if suffix == "wav":
        assert int.from_bytes(path.read_bytes()[4:8], "little") + 8 == path.stat().st_size


def test_a_file_that_holds_no_credentials_has_them_beside_it(tmp_path: Path) -> None:
    path, data = tmp_path / "line.opus", str(tmp_path / "data")
    done = run("say", LINE, str(path), VOICESVC_DATA_DIR=data)
    assert done.returncode == 0, done.stderr
    assert credentials.read(path).state == "valid"
    unsigned = tmp_path / "other.opus"
    off = run("say", LINE, str(unsigned), VOICESVC_DATA_DIR=data, VOICESVC_C2PA="off")
    assert off.returncode == 0, off.stderr
    assert credentials.read(unsigned).state == "none"


def test_a_port_in_use_is_said_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "cannot listen on 127.0.0.1:" in done.stderr.decode()
    assert "loading" not in done.stderr.decode()
