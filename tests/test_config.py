"""Settings: from the environment, frozen, and nothing unknown or out of range gets through."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from voicesvc.config import PREFIX, Settings
from voicesvc.errors import BadSetting


def test_settings_are_read_from_the_environment_and_what_is_given_wins() -> None:
    environ = {"VOICESVC_PORT": "9000", "VOICESVC_HOST": "0.0.0.0", "PORT": "1", "HOME": "/x"}
    read = Settings.read(environ, port=7, host=None)
    assert (read.host, read.port) == ("0.0.0.0", 7)
    assert Settings.read({}).port == 8080


def test_actors_are_separated_by_commas() -> None:
    assert Settings.read({"VOICESVC_ACTORS": "joe, ann,"}).actors == ("joe", "ann")
    assert Settings.read({"VOICESVC_ACTORS": ""}).actors == ()


def test_the_data_folder_holds_everything() -> None:
    read = Settings.read({"VOICESVC_DATA_DIR": "/data"})
    assert (read.data_path, read.cache_path) == (Path("/data"), Path("/data/cache"))
    assert Settings.read({}).cache_path.name == "voicesvc"


def test_an_unknown_setting_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadSetting, match="unknown setting VOICESVC_PROT") as caught:
        Settings.read({"VOICESVC_PROT": "8080"})
    assert caught.value.where == "VOICESVC_PROT"
    assert caught.value.valid == [PREFIX + name.upper() for name in Settings.model_fields]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PORT", ""),
        ("DEVICE", "gpu"),
        ("DEVICE", "cuda:x"),
        ("PRECISION", "int4"),
        ("WORKERS", "-1"),
        ("WORKERS", "nan"),
        ("DEVICE_BUDGET_MB", "1.5"),
        ("MAX_TEXT_CHARS", "0"),
        ("MAX_BODY_BYTES", "999"),
        ("TAKES_KEPT", "0"),
        ("GRACE_S", "inf"),
        ("GRACE_S", "-1"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_is_not_valid_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"VOICESVC_{name}: ") as caught:
        Settings.read({f"VOICESVC_{name}": value})
    assert caught.value.where == f"VOICESVC_{name}"
    assert caught.value.valid == Settings.model_fields[name.lower()].description


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1"])
def test_devices(device: str) -> None:
    assert Settings.read({"VOICESVC_DEVICE": device}).device == device


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.read({}).port = 1  # type: ignore[misc]


def test_every_setting_is_explained() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
