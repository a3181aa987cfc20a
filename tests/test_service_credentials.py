"""Finished files over HTTP say what they are, sound as ever, and tell nobody whose grant it was."""

import hashlib
import io
import json
import shlex
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from certificates import NOW, issued
from conftest import Service, archived, eventually, tone_studio, tones_served, write_pack
from cryptography.x509.oid import ExtendedKeyUsageOID
from wavinfo import WavInfoReader

from voicesvc import credentials, seal
from voicesvc.archive import DUE
from voicesvc.config import Settings
from voicesvc.credentials import Facts, opaque
from voicesvc.credentials.local import LOCAL_NAME
from voicesvc.errors import BadSetting, SigningFailed
from voicesvc.store import documents

FACTS = Facts(take="tk_1", grant=None, model_sha256="0" * 64, version="1", watermark=False)
TEXT = "The lighthouse keeper counts the waves."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with tones_served(tmp_path_factory.mktemp("signed"), settings={"c2pa": "on"}) as running:
        yield running


@pytest.fixture(scope="module")
def spoken(service: Service) -> httpx.Response:
    return service.speak(TEXT, seed=7)


@pytest.fixture(scope="module")
def take(service: Service, spoken: httpx.Response) -> Any:
    path = f"/v1/takes/{spoken.headers['Voicesvc-Take']}"
    assert eventually(lambda: service.http.get(path).json()["state"] == "complete")
    return service.http.get(path).json()


def read(content: bytes, folder: Path, sidecar: bytes | None = None) -> credentials.Credentials:
    path = folder / "file"
    path.write_bytes(content)
    if sidecar is not None:
        (folder / "file.c2pa").write_bytes(sidecar)
    return credentials.read(path)


def root_of(service: Service, size: int) -> str:
    assert service.studio.archive is not None
    rows = service.studio.archive.database.read(lambda c: seal.ledger.find(c, limit=size))
    return seal.merkle.root_of(seal.peaks(rows[-1].peaks)).hex()


@pytest.mark.parametrize("form", ["wav", "flac", "mp3"])
def test_a_finished_file_is_signed(
    service: Service, spoken: httpx.Response, take: Any, tmp_path: Path, form: str
) -> None:
    query = {"format": form, "sample_rate_hz": 24_000}
    answer = service.http.get(f"/v1/takes/{take['id']}/audio", params=query)
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    told = read(answer.content, tmp_path)
    assert (told.state, told.signer, told.synthetic) == ("valid", LOCAL_NAME, True)
    assert (told.take, told.model_sha256) == (take["id"], take["model_sha256"])
    assert told.ledger_entry is not None
    assert told.ledger_root == root_of(service, told.ledger_entry + 1)
    rendered = service.http.post(f"/v1/takes/{take['id']}/render", json=query | {"source": "model"})
    assert read(rendered.content, tmp_path).state == "valid"
    streamed = service.speak(TEXT, seed=7, **query).content
    assert read(streamed, tmp_path).state == "none"
    heard = [soundfile.read(io.BytesIO(f))[0] for f in (answer.content, rendered.content, streamed)]
    assert np.array_equal(heard[0], heard[1])
    assert np.array_equal(heard[0], heard[2][: len(heard[0])])


def test_whose_grant_it_was_only_the_service_can_tell(
    service: Service, take: Any, tmp_path: Path
) -> None:
    content = service.http.get(f"/v1/takes/{take['id']}/audio").content
    archive = service.studio.archive
    assert archive is not None
    grant = archive.take(take["id"]).facts["grant"]
    told = read(content, tmp_path)
    assert told.grant == opaque(seal.secret(archive.key), grant, take["id"])
    assert grant.encode() not in content
    assert b"lighthouse" not in content


def test_a_signed_file_is_not_sent_twice(service: Service, take: Any) -> None:
    path = f"/v1/takes/{take['id']}/audio"
    tag = service.http.get(path).headers["ETag"]
    assert tag.startswith("W/")
    assert service.http.get(path, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("form", ["opus", "pcm_s16le", "pcm_f32le"])
def test_what_holds_none_links_to_them(
    service: Service, take: Any, tmp_path: Path, form: str
) -> None:
    answer = service.http.get(f"/v1/takes/{take['id']}/audio", params={"format": form})
    link = answer.links["c2pa-manifest"]["url"]
    sidecar = service.http.get(link)
    assert sidecar.headers["Content-Type"] == "application/c2pa"
    told = read(answer.content, tmp_path, sidecar.content)
    assert (told.state, told.take) == ("valid", take["id"])
    streamed = service.speak(TEXT, seed=7, format=form).content
    assert read(streamed, tmp_path, sidecar.content).state == "valid"
    changed = bytes([answer.content[0] ^ 1]) + answer.content[1:]
    assert read(changed, tmp_path, sidecar.content).state == "invalid"


def test_a_manifest_is_for_what_holds_none(service: Service, take: Any) -> None:
    refused = service.http.get(f"/v1/takes/{take['id']}/manifest")
    assert (refused.status_code, refused.json()["where"]) == (422, "format")
    assert refused.json()["valid"] == ["opus", "pcm_s16le", "pcm_f32le"]


def test_an_export_is_signed_and_says_the_same(service: Service, tmp_path: Path) -> None:
    production = service.http.post("/v1/productions", json={"title": "Ferry", "fps": "25"}).json()
    body = {"production": production["id"], "actor": "ann", "text": TEXT, "scene": "3"}
    line = service.http.post("/v1/lines", json=body).json()
    service.http.post(f"/v1/lines/{line['id']}/takes", json={"count": 2})

    def waiting() -> int:
        return int(service.http.get(f"/v1/lines/{line['id']}").json()["takes"]["waiting"])

    assert eventually(lambda: not waiting(), 30)
    answer = service.http.get("/v1/productions/ferry/export", params={"takes": "all"})
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    assert packed.testzip() is None
    listed = json.loads(packed.read("manifest.json"))["files"]
    assert len(listed) == 2
    for one in listed:
        content = packed.read(one["file"])
        assert one["bytes"] == len(content)
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
        told = read(content, tmp_path)
        assert (told.state, told.take) == ("valid", one["take_id"])
        assert WavInfoReader(io.BytesIO(content)).ixml.scene == "3"


def test_a_certificate_of_ones_own_signs_or_stops_the_start(tmp_path: Path) -> None:
    one, other = issued(), issued()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(one.chain)
    key.write_bytes(one.key)
    write_pack(tmp_path / "models", "ann")
    archive = archived(tmp_path / "archive")
    try:
        studio = tone_studio(tmp_path / "models", {}, {}, c2pa="on", c2pa_chain=chain, c2pa_key=key)
        studio.archive = archive
        assert studio.seal is not None
        assert studio.seal.signing.identity.name == "Harbour Sound"
        assert studio.seal.signing.identity.ends > NOW
        key.write_bytes(other.key)
        settings = Settings.read({}, c2pa_chain=chain, c2pa_key=key)
        with pytest.raises(BadSetting, match="not the key of the leaf"):
            seal.of(settings, archive)
        with pytest.raises(BadSetting, match="goes with its key"):
            seal.of(Settings.read({}, c2pa_chain=chain), archive)
        with pytest.raises(BadSetting, match="cannot read"):
            seal.of(Settings.read({}, c2pa_chain=tmp_path / "x", c2pa_key=key), archive)
    finally:
        archive.close()


PROGRAM = """
import sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
assert sys.argv[2] == "es256", sys.argv
key = load_pem_private_key(open(sys.argv[1], "rb").read(), None)
sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read(), ec.ECDSA(hashes.SHA256())))
"""


def test_a_program_signs_with_a_key_that_is_not_here(tmp_path: Path) -> None:
    one = issued()
    files = {"chain": one.chain, "key": one.key, "other": issued().key, "sign": PROGRAM.encode()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    archive = archived(tmp_path / "archive")

    def sealed(command: str, **more: Any) -> seal.Seal | None:
        given = {"c2pa_chain": tmp_path / "chain", "c2pa_program": command, **more}
        return seal.of(Settings.read({}, **given), archive)

    python = shlex.join([sys.executable, str(tmp_path / "sign")])
    try:
        made = sealed(f"{python} {tmp_path / 'key'}")
        assert made is not None
        signed = made.signing.beside(io.BytesIO(b"samples"), FACTS)
        assert read(b"samples", tmp_path, signed).state == "valid"
        with pytest.raises(BadSetting, match="does not match"):
            sealed(f"{python} {tmp_path / 'other'}")
        with pytest.raises(BadSetting, match="did not sign, status 1"):
            sealed(f"{python} {tmp_path / 'none'}")
        with pytest.raises(BadSetting, match="cannot be started"):
            sealed(str(tmp_path / "nothing"))
        with pytest.raises(BadSetting, match="goes with its key"):
            sealed(python, c2pa_key=tmp_path / "key")
        (tmp_path / "sign").unlink()
        with pytest.raises(SigningFailed, match="did not sign"):
            made.signing.beside(io.BytesIO(b"samples"), FACTS)
    finally:
        archive.close()


def test_a_stamp_is_asked_for_until_it_is_there(tmp_path: Path) -> None:
    with authority(tmp_path) as one:
        asked = {"c2pa": "on", "c2pa_tsa_url": one.url}
        with tones_served(tmp_path / "served", settings=asked) as service:
            take = service.speak(TEXT, seed=7).headers["Voicesvc-Take"]
            query = {"format": "pcm_f32le"}

            signer = service.server.config.app.state.signer

            def told() -> credentials.Credentials:
                signer.wake()
                content = service.http.get(f"/v1/takes/{take}/audio", params=query).content
                manifest = service.http.get(f"/v1/takes/{take}/manifest", params=query).content
                return read(content, tmp_path, manifest)

            assert eventually(lambda: signer.wake() or one.asked.is_set(), 20)
            assert (told().state, told().stamped_at) == ("valid", None)
            one.answers.set()
            assert eventually(lambda: told().stamped_at is not None, 20)
            found = told()
            assert (found.state, found.take) == ("valid", take)
            archive = service.studio.archive
            assert archive is not None
            assert eventually(
                lambda: not archive.database.read(lambda c: documents.having(c, DUE, 1))
            )


@dataclass
class Authority:
    """Stamps with openssl, once it answers at all."""

    url: str = ""
    asked: threading.Event = field(default_factory=threading.Event)
    answers: threading.Event = field(default_factory=threading.Event)


TSA = """[tsa]
default_tsa=t
[t]
serial={0}/serial
default_policy=1.2.3.4.1
signer_digest=sha256
digests=sha256,sha384,sha512
ess_cert_id_alg=sha256
"""


@contextmanager
def authority(folder: Path) -> Iterator[Authority]:
    one, made = Authority(), issued("ps256", ExtendedKeyUsageOID.TIME_STAMPING)
    end = b"-----END CERTIFICATE-----"
    leaf, rest = made.chain.split(end, 1)
    files = {"leaf": leaf + end, "rest": rest, "key": made.key, "serial": b"01"}
    for name, content in (files | {"config": TSA.format(folder).encode()}).items():
        (folder / name).write_bytes(content)
    command = ["openssl", "ts", "-reply", "-queryfile", "query", "-signer", "leaf"]
    command += ["-inkey", "key", "-chain", "rest", "-config", "config"]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            one.asked.set()
            if not one.answers.is_set():
                self.send_error(503)
                return
            (folder / "query").write_bytes(query)
            reply = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    one.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield one
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
