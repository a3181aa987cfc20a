"""The embedded voice: imported once, verified always, and sounding as its source does."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from voice_files import JOE, LINE, coqui_of, ids_of, speak

from voicesvc import packs
from voicesvc.engines import tensors
from voicesvc.engines.convert import ensure, source_path
from voicesvc.errors import PackRefused
from voicesvc.packs import Pack


@pytest.fixture(scope="session")
def joe(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """The embedded voice, imported into a cache of this run."""
    torch.set_num_threads(1)
    return ensure(packs.read(JOE), tmp_path_factory.mktemp("cache"))


def test_the_embedded_voice_speaks_as_onnxruntime_does(joe: Pack) -> None:
    ids = ids_of(joe.text, LINE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(source_path(packs.read(JOE)), options)
    theirs = session.run(
        None,
        {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array([0.0, 1.0, 0.0], np.float32),
        },
    )[0].squeeze()
    ours = speak(coqui_of(joe), ids)
    assert ours.shape == theirs.shape
    assert len(ours) > joe.sample_rate_hz
    assert np.abs(theirs).max() > 0.1
    assert np.abs(ours - theirs).max() <= 1e-3


def test_the_network_is_what_coqui_builds(joe: Pack) -> None:
    own = {name: tuple(v.shape) for name, v in coqui_of(joe).state_dict().items()}
    assert tensors.expected(joe.vits) == own


def recipe(**changed: Any) -> Pack:
    """The embedded voice's recipe with a changed [source]."""
    pack = packs.read(JOE)
    assert pack.source is not None
    return pack.model_copy(update={"source": pack.source.model_copy(update=changed)})


def test_a_recipe_is_imported_once(joe: Pack) -> None:
    heard: list[str] = []
    again = ensure(packs.read(JOE), joe.folder.parent, heard.append)
    assert again == joe
    assert heard == []
    assert ensure(joe, Path("/nowhere"), heard.append) == joe


def test_a_damaged_cache_is_imported_again(joe: Pack, tmp_path: Path) -> None:
    folder = tmp_path / joe.folder.name
    folder.mkdir()
    content = bytearray(joe.weights_path.read_bytes())
    content[-1] ^= 1
    (folder / packs.WEIGHTS).write_bytes(content)
    heard: list[str] = []
    again = ensure(packs.read(JOE), tmp_path, heard.append)
    assert again.folder == folder
    assert packs.sha256(again.weights_path) == joe.model_sha256
    assert "damaged" in heard[0]


def test_a_pack_with_damaged_weights_is_refused_not_replaced(joe: Pack, tmp_path: Path) -> None:
    (tmp_path / packs.WEIGHTS).write_bytes(b"other")
    with pytest.raises(PackRefused, match=joe.model_sha256):
        ensure(joe.model_copy(update={"folder": tmp_path}), tmp_path / "cache")
    assert (tmp_path / packs.WEIGHTS).read_bytes() == b"other"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"package": "no_such_voice"}, "no_such_voice is not installed"),
        ({"file": "data/none.onnx"}, "No such file"),
        ({"sha256": "0" * 64}, "the manifest says 0000"),
        ({"weights_sha256": "1" * 64}, "the manifest says 1111"),
    ],
)
def test_a_recipe_with_another_source_is_refused(
    tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    with pytest.raises(PackRefused, match=says):
        ensure(recipe(**changed), tmp_path, lambda _: None)
    assert list(tmp_path.glob("joe-*")) == []


def test_a_recipe_that_describes_another_network_is_refused(tmp_path: Path) -> None:
    pack = packs.read(JOE)
    other = pack.model_copy(update={"vits": pack.vits.model_copy(update={"noise_scale": 0.1})})
    with pytest.raises(PackRefused, match="vits is not what its source says"):
        ensure(other, tmp_path, lambda _: None)


def test_finding_a_source_does_not_import_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "loud_voice"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "v.onnx").write_bytes(b"v")
    monkeypatch.syspath_prepend(tmp_path)
    pack = recipe(package="loud_voice", file="v.onnx", sha256=packs.sha256(package / "v.onnx"))
    assert source_path(pack) == package / "v.onnx"
    assert "loud_voice" not in sys.modules


OTHER_PROCESS = """
import sys
from pathlib import Path
from voicesvc import packs
from voicesvc.engines import tensors
from voicesvc.engines.convert import ensure
recipe = packs.read(Path(sys.argv[1]))
tensors.expected(recipe.vits)
print("ready", flush=True)
sys.stdin.readline()
print(ensure(recipe, Path(sys.argv[2])).weights_path)
"""


def test_two_processes_at_once_import_once(joe: Pack, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(JOE), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("go\n")
        other.stdin.flush()
        heard: list[str] = []
        ours = ensure(packs.read(JOE), tmp_path, heard.append)
        *progress, theirs = other.communicate()[0].splitlines()
    assert other.returncode == 0
    assert Path(theirs) == ours.weights_path
    assert sum("importing weights" in line for line in [*heard, *progress]) == 1
    assert packs.sha256(ours.weights_path) == joe.model_sha256
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == [joe.folder.name]
