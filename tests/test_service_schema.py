"""The service against its own OpenAPI: whatever is sent, it neither fails nor tells of itself."""

import re
from collections.abc import Iterator

import pytest
import schemathesis
from conftest import Service, tones_served
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode

# They answer until the caller leaves; what starts a decoder each time has tests of its own.
LONG = ("/v1/events", "/v1/actors/events", "/v1/verify")
FOR_OPERATORS = "/metrics"  # has the names of loggers
LEAKS = re.compile(r"Traceback|site-packages|File \"|\w\.py\b|sqlalchemy|sqlite3|SELECT ")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with tones_served(tmp_path_factory.mktemp("schema")) as running:
        yield running


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda m: m.name)
def test_nothing_that_the_schema_describes_or_forbids_makes_it_fail(
    service: Service, mode: GenerationMode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    folder, tried = str(tmp_path_factory.getbasetemp()), set()

    def send(case: schemathesis.Case) -> None:
        answer = case.call(base_url=service.url)
        tried.add(case.operation.label)
        assert answer.status_code < 500, f"{case.as_curl_command()}\n{answer.content!r}"
        kind = answer.headers.get("content-type", [""])[0]
        if kind.startswith(("application/json", "application/problem", "text/")):
            assert case.path == FOR_OPERATORS or not LEAKS.search(answer.text)
            assert folder not in answer.text

    for found in schema.get_all_operations():
        operation = found.ok()
        forbids = any(True for _ in (*operation.query, *operation.body))  # a path takes any text
        if operation.path in LONG or (mode is GenerationMode.NEGATIVE and not forbids):
            continue
        bounded = settings(
            max_examples=2,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        case = operation.as_strategy(generation_mode=mode)
        seed(7)(bounded(given(case=case)(send)))()
    assert len(tried) > 20
