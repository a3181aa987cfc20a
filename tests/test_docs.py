"""The documentation against the code, both ways: nothing missing, nothing that is not there."""

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click
import httpx
import pytest
import soundfile
import typer
from conftest import MODELS, Service, served, tone_studio
from playwright.sync_api import sync_playwright
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel

from voicesvc import metrics, qc
from voicesvc.access import denied
from voicesvc.api import create_app, live_messages
from voicesvc.api.openai import OpenAiSpeech
from voicesvc.cli import app as cli
from voicesvc.config import PREFIX, Settings
from voicesvc.delivery import Delivery
from voicesvc.encode import FORMATS
from voicesvc.errors import PROBLEMS, BadSetting
from voicesvc.line import Line
from voicesvc.measure import Measured
from voicesvc.packs import Description, Source, Weights
from voicesvc.rights import ledger

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text("utf-8")
Table = list[dict[str, str]]
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The packs of the checkout, spoken by a tone."""
    tones: dict[str, Any] = {}
    studio = tone_studio(MODELS, tones, {}, data_dir=tmp_path_factory.mktemp("data"))
    with served(studio, tones=tones) as running:
        yield running


def sections(page: str) -> dict[str, str]:
    """The text under each heading of docs/<page>.md; what is above the first is under ''."""
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    parts = re.split(r"^#{1,6} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(["", *parts[1::2]], parts[::2], strict=True))


def tables(text: str) -> list[Table]:
    """Every table, a row as column name -> cell; code marks are taken off."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        lines = [[c.strip() for c in row[1:-1].split("|")] for row in block.splitlines()]
        names, rows = [n.strip("` ") for n in lines[0]], lines[2:]
        found.append([dict(zip(names, row, strict=True)) for row in rows])
    return found


def codes(cell: str) -> list[str]:
    """What is marked as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def column(table: Table, name: str) -> list[str]:
    """Every code in a column, row by row."""
    return [code for row in table for code in codes(row[name])]


def blocks(text: str) -> list[str]:
    """Indented code, one string for each block."""
    found = re.findall(r"(?:^ {4}.*\n)+", text, flags=re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in found]


# -- settings ------------------------------------------------------------------------------------


def test_settings_page_lists_every_setting() -> None:
    (table,) = tables(sections("settings")["Settings"])
    assert column(table, "variable") == [PREFIX + n.upper() for n in Settings.model_fields]


def test_settings_page_gives_the_defaults() -> None:
    (table,) = tables(sections("settings")["Settings"])
    for row in table:
        (variable,) = codes(row["variable"])
        default = Settings.model_fields[variable.removeprefix(PREFIX).lower()].default
        if isinstance(default, Path):
            assert codes(row["default"]) == [default.name]
        else:
            said = "unset" if default in (None, ()) else f"`{default}`"
            assert row["default"] == said, variable


def test_variables_named_anywhere_exist() -> None:
    known = {PREFIX + n.upper() for n in Settings.model_fields}
    for path in [*PAGES, ROOT / "Dockerfile"]:
        named = set(re.findall(r"VOICESVC_[A-Z0-9_]*[A-Z0-9]", path.read_text("utf-8")))
        assert named <= known, path.name


# -- HTTP ----------------------------------------------------------------------------------------


UNDESCRIBED = (
    "GET /docs",
    "GET /",
    "GET /live",
    "GET /verify",
    "GET /asyncapi.json",
    f"WS {live_messages.PATH}",
)


def routes(service: Service) -> list[str]:
    """Every route as `GET /livez`, but for those that are routed and not described: `/docs`."""
    app = create_app(service.studio, workers=1)
    found = [
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]
    for route in app.routes:
        path, methods = getattr(route, "path", None), getattr(route, "methods", None)
        if path and methods:
            found.append(f"GET {path}")
    return found


def test_http_page_lists_every_route(service: Service) -> None:
    named = column(tables(sections("http")["HTTP"])[0], "route")
    assert len(set(named)) == len(named)
    assert set(named) == {*routes(service), *UNDESCRIBED}
    assert httpx.get(f"{service.url}/docs").headers["content-type"].startswith("text/html")


def test_every_post_that_makes_something_takes_a_key(service: Service) -> None:
    """What is sent again with the same `Idempotency-Key` makes nothing, and says so."""
    makes_nothing = {"/v1/actors/{actor_id}/load", "/v1/actors/{actor_id}/unload", "/v1/plans"}
    makes_nothing |= {"/v1/takes/{take}/restore", "/v1/verify", "/v1/keys/{key}/revoke"}
    shown_once = {"/v1/keys", "/v1/keys/{key}/rotate", "/v1/session"}  # an answer is not kept
    posts = {
        path: methods["post"]["description"]
        for path, methods in create_app(service.studio, workers=1).openapi()["paths"].items()
        if "post" in methods
    }
    without = {path for path, said in posts.items() if "`Idempotency-Key`" not in said}
    assert without - makes_nothing - shown_once == set()


@pytest.mark.parametrize(
    ("heading", "model"),
    [("POST /v1/speech", Line), ("POST /v1/audio/speech", OpenAiSpeech)],
)
def test_http_page_lists_every_field(heading: str, model: type[BaseModel]) -> None:
    table = tables(sections("http")[heading])[0]
    assert column(table, "field") == list(model.model_fields)
    for row in table:
        default = model.model_fields[codes(row["field"])[0]]
        if default.is_required():
            assert row["default"] == "required"
        elif default.default is not None:
            assert row["default"].strip("`") == str(default.default)


def test_http_page_lists_the_values_that_openai_fields_take() -> None:
    table = {
        row["field"].strip("`"): row for row in tables(sections("http")["POST /v1/audio/speech"])[0]
    }
    limited = {
        n: f for n, f in OpenAiSpeech.model_fields.items() if get_origin(f.annotation) is Literal
    }
    assert set(limited) == {"response_format", "stream_format"}
    for name, field in limited.items():
        taken, _, _ = table[name]["what it is"].partition(";")
        assert codes(taken) == list(get_args(field.annotation))


def test_http_page_lists_every_format() -> None:
    (table,) = tables(sections("http")["Formats"])
    assert [
        (*codes(row["format"]), *codes(row["media type"]), row["bit depths"]) for row in table
    ] == [
        (f.name, f.media_type, ", ".join(map(str, f.bit_depths)) or "lossy")
        for f in FORMATS.values()
    ]
    assert [row["sample rates in Hz"] for row in table] == [
        f.rates_text if isinstance(f.rates_hz, range) else ", ".join(map(str, sorted(f.rates_hz)))
        for f in FORMATS.values()
    ]


def test_http_page_lists_every_header(service: Service) -> None:
    named = column(tables(sections("http")["POST /v1/speech"])[1], "header of the answer")
    fit = {"seconds": 1.5, "limits": [0.1, 10]}
    text = "Hold \N{SMILING FACE WITH SUNGLASSES} fast [bang]."
    asked = {"fit": fit, "energy_db": 1.0, "lenient": True}
    sent = service.speak(text, actor="joe", **asked).headers
    ours = {n for n in sent if n.startswith("voicesvc-")} | {"server-timing"}
    assert {n.lower() for n in named} == ours
    assert ours <= set(sent)


def test_http_page_lists_what_timings_and_actors_have(service: Service) -> None:
    take = service.speak("Hold fast.", actor="joe").headers["Voicesvc-Take"]
    timings = httpx.get(f"{service.url}/v1/takes/{take}/timings").json()
    (table,) = tables(sections("http")["GET /v1/takes/{take}/timings"])
    assert set(column(table, "member")) == set(timings)
    (words,) = (row for row in table if codes(row["member"]) == ["words"])
    word = timings["words"][0]
    within = set(word) | {key for phoneme in word["phonemes"] for key in phoneme}
    assert set(codes(words["what it is"])) == within
    actor = httpx.get(f"{service.url}/v1/actors").json()["actors"][0]
    said = sections("http")["GET /v1/actors"]
    states = {"idle", "loading", "ready", "failed", '{"actors": [...]}'}
    assert set(codes(said)) - states == set(actor) | set(actor["licence"])
    assert set(actor["batch"]) == {"cells", "reason"}


def test_reference_lists_the_same_and_asks_only_this_service(service: Service) -> None:
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("the page is tested in Chromium; install it with: apt-get install -y chromium")
    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{service.url}/docs")
        page.locator(".opblock").first.wait_for()
        shown = [
            f"{method} {path}".replace("\u200b", "")
            for method, path in zip(
                page.locator(".opblock-summary-method").all_inner_texts(),
                page.locator(".opblock-summary-path").all_inner_texts(),
                strict=True,
            )
        ]
        browser.close()
    unlisted = {"GET /", "GET /docs", "GET /openapi.json"}
    assert set(shown) == set(routes(service)) - unlisted
    assert said == []
    assert [url for url in asked if not url.startswith((service.url, "data:"))] == []


# -- errors and metrics --------------------------------------------------------------------------


def test_errors_page_has_a_section_for_every_problem() -> None:
    page = sections("errors")
    assert list(page)[2:] == [error.slug for error in PROBLEMS]
    for error in PROBLEMS:
        said = " ".join(page[error.slug].split())
        assert f'"{error.title}"' in said
        if error is not BadSetting:
            assert said.startswith(f"{error.status}, ")


def test_errors_page_lists_every_member(service: Service) -> None:
    (table,) = tables(sections("errors")["Errors"])
    assert column(table, "member") == list(service.speak(actor="nobody").json())


@pytest.mark.parametrize("slug", [error.slug for error in PROBLEMS])
def test_service_explains_every_problem(service: Service, slug: str) -> None:
    said = httpx.get(f"{service.url}/problems/{slug}").json()
    assert said["type"] == f"/problems/{slug}"
    assert len(said["meaning"]) > 20


def test_type_of_a_problem_leads_to_its_explanation(service: Service) -> None:
    refused = service.speak(actor="nobody").json()
    told = httpx.get(service.url + refused["type"])
    assert told.status_code == 200
    assert told.json()["title"] == refused["title"]
    unknown = httpx.get(f"{service.url}/problems/none")
    assert unknown.status_code == 404
    assert "unknown-actor" in unknown.json()["detail"]


def test_metrics_page_lists_every_metric() -> None:
    (table,) = tables(sections("metrics")["Metrics"])
    there = set()
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = family.name + "_total" * (family.type == "counter")
            there.add((name, family.type, tuple(metric._labelnames)))
    said = [(*codes(r["metric"]), r["type"], tuple(codes(r["labels"]))) for r in table]
    assert set(said) == there
    assert len(said) == len(there)


# -- commands and packs --------------------------------------------------------------------------


def commands(group: click.Group, above: str = "voicesvc") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above} {name}")
        else:
            yield f"{above} {name}", command


def test_commands_page_lists_every_command_and_option() -> None:
    page = sections("commands")
    there = dict(commands(typer.main.get_command(cli)))  # type: ignore[arg-type]
    assert column(tables(page["Commands"])[0], "command") == list(there)
    for name, command in there.items():
        (table,) = tables(page[name.removeprefix("voicesvc ")])
        options = [p.opts[0] for p in command.params if p.param_type_name == "option"]
        assert column(table, "option") == options, name


def keys(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        hint = field.annotation
        named = get_origin(hint) is dict  # a table of tables, by name
        options = get_args(hint) if named or get_origin(hint) in (Union, UnionType) else (hint,)
        inner = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if inner:
            yield from keys(inner[0], f"{above}{name}.{'NAME.' if named else ''}")
        else:
            yield above + name


def test_packs_page_lists_every_key() -> None:
    found = [t for section in sections("packs").values() for t in tables(section)]
    named = [key for t in found for key in column(t, "key")]
    there = {*keys(Description), *keys(Weights, "weights."), *keys(Source, "source.")}
    assert len(named) == len(set(named))
    assert set(named) == there


def test_architecture_page_lists_every_module() -> None:
    (table,) = tables(sections("architecture")["How the code is laid out"])
    there = {
        path.stem
        for path in (ROOT / "voicesvc").iterdir()
        if (path.suffix == ".py" and not path.stem.startswith("__"))
        or (path / "__init__.py").exists()
    }
    assert set(column(table, "module")) == there


# -- who asks ------------------------------------------------------------------------------------


def test_access_page_lists_every_reason_for_which_somebody_is_denied() -> None:
    (table,) = tables(sections("access")["Who is not let in"])
    assert {codes(r["reason"])[0]: r["what came"] for r in table} == denied.REASONS


def test_access_page_lists_every_setting_of_a_provider() -> None:
    (table,) = tables(sections("access")["An OpenID provider"])
    given = [PREFIX + n.upper() for n in Settings.model_fields if n.startswith("oidc_")]
    assert column(table, "setting") == given


def test_rights_page_lists_every_kind_of_entry() -> None:
    said = sections("rights")["The ledger"].partition("An entry is canonical JSON")[0]
    assert set(ledger.KINDS) <= set(codes(said))


# -- threats -------------------------------------------------------------------------------------


def test_every_threat_has_a_test_that_exists() -> None:
    (table,) = tables((ROOT / "docs" / "threats.md").read_text("utf-8"))
    for row in table:
        assert set(row["STRIDE"].split()) <= set("STRIDE"), row["threat"]
        named = codes(row["test"])
        assert named, row["threat"]
        for file, _, test in (name.partition("::") for name in named):
            assert f"def {test}(" in (ROOT / "tests" / file).read_text("utf-8"), f"{file}::{test}"


# -- measurements --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "record"),
    [
        ("Of every take", Measured),
        ("With the extra `[qc]`: did it say the words, and how does it sound", qc.Verdict),
    ],
)
def test_measurements_page_lists_every_figure(heading: str, record: type) -> None:
    (table,) = tables(sections("measurements")[heading])
    named = column(table, "member")
    assert set(named) | {"not_measured"} == {f.name for f in dataclasses.fields(record)}
    assert len(named) == len(set(named))


def test_measurements_page_lists_every_flag_with_its_limits() -> None:
    table = tables(sections("measurements")["Flags"])[0]
    assert column(table, "flag") == list(qc.FLAGS)
    said = {codes(row["flag"])[0]: re.findall(r"[\d.]+", row["limit"]) for row in table}
    limits = qc.Limits()
    assert [float(x) for x in said["words"]] == [limits.max_wer]
    assert [float(x) for x in said["quality"]] == [limits.min_distillmos]
    assert [float(x) for x in said["clipping"]] == [limits.max_true_peak_dbtp]
    assert limits.max_clipped_run == 1  # "two or more samples in a row"
    assert [float(x) for x in said["silence"]] == [limits.max_head_ms, limits.max_tail_ms]


# -- links and snippets --------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#{1,6} (.+)$", path.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file) if file else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


def test_readme_curl_line_speaks(service: Service, tmp_path: Path) -> None:
    speak, direct, _ = (b for b in blocks(README) if b.startswith("curl"))
    for block, shortest_s in ((speak, 1.0), (direct, 4.2)):
        line = block.replace("http://127.0.0.1:8080", service.url)
        words = shlex.split(line.replace("\\\n", " "))
        subprocess.run(words, cwd=tmp_path, check=True, timeout=60, capture_output=True)
        assert soundfile.info(tmp_path / "line.wav").duration >= shortest_s


def test_readme_takes_are_heard_again(service: Service, tmp_path: Path) -> None:
    _, _, again = (b for b in blocks(README) if b.startswith("curl"))
    take = service.speak("We hold the harbour until morning.", actor="joe").headers["Voicesvc-Take"]
    script = again.replace("http://127.0.0.1:8080", service.url).replace(
        "curl ", "curl -sS --fail "
    )
    environment = {**os.environ, "TAKE": take}
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, check=True, timeout=60, env=environment)
    assert soundfile.info(tmp_path / "again.wav").samplerate == 96_000
    (retake,) = service.http.get("/v1/takes", params={"parent": take}).json()["items"]
    assert retake["made_by"] == "retake"


def test_http_page_curl_line_speaks(service: Service, tmp_path: Path) -> None:
    (block,) = (b for b in blocks(sections("http")["POST /v1/speech"]) if b.startswith("curl"))
    line = block.replace("localhost:8080", service.url.removeprefix("http://"))
    words = shlex.split(line.replace("\\\n", " "))
    subprocess.run(words, cwd=tmp_path, check=True, timeout=60, capture_output=True)
    assert soundfile.info(tmp_path / "line.wav").duration > 0.5


def test_readme_python_speaks(service: Service, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    code = code.replace("http://127.0.0.1:8080", service.url)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    assert soundfile.info(tmp_path / "line.flac").format == "FLAC"


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "commands.md"])
def test_commands_that_are_shown_exist(page: Path) -> None:
    group = typer.main.get_command(cli)
    text = page.read_text("utf-8")
    inline = [c for c in re.findall(r"`([^`\n]+)`", text) if c.startswith("uv run voicesvc ")]
    lines = [line for block in blocks(text) for line in block.splitlines()] + inline
    shown = [line.partition("|")[0] for line in lines if re.match(r"(uv run )?voicesvc ", line)]
    assert shown
    for line in shown:
        words = shlex.split(line.removeprefix("uv run "))[1:]
        if words[-1] == "--help":
            words.pop()
        context: click.Context | None = None
        command: click.Command = group
        while hasattr(command, "commands") and words:
            context = click.Context(command, parent=context)
            command, words = command.commands[words[0]], words[1:]
        if not hasattr(command, "commands"):
            command.make_context(command.name, words, parent=context)


def test_make_targets_that_are_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    texts = {path.name: path.read_text("utf-8") for path in [*PAGES, ROOT / ".ci" / "run"]}
    shown = {
        (name, target)
        for name, text in texts.items()
        for target in re.findall(r"(?:^ *|`)make ([a-z-]+)", text, re.MULTILINE)
    }
    assert {"serve", "test"} <= {t for name, t in shown if name == "README.md"}
    assert {target for _, target in shown} <= targets


# -- live ----------------------------------------------------------------------------------------


def test_live_page_lists_every_message_and_field() -> None:
    parts = sections("live")
    for model in (*live_messages.SENT, *live_messages.ANSWERED):
        (table,) = tables(parts[model.__name__])
        own = [n for n in model.model_fields if n not in Delivery.model_fields]
        assert column(table, "field") == own, model.__name__
