"""The manifests of k8s/: what a cluster would refuse, and what only this service would."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml
from conftest import archived, tone_studio
from prometheus_client.metrics import MetricWrapperBase

from voicesvc import metrics
from voicesvc.access import roles as roles_of
from voicesvc.api import create_app, gate
from voicesvc.config import PREFIX, Settings
from voicesvc.errors import BadSetting

ROOT = Path(__file__).parent.parent
K8S = ROOT / "k8s"
BASE, STAGING = K8S / "base", K8S / "overlays" / "staging"
KUBERNETES = ("1.31", "1.37")  # the oldest and the newest that the manifests are for
Document = dict[str, Any]
# Of the process (by prometheus_client) and of the scrape (by Prometheus).
THEIRS = {"process_resident_memory_bytes": set(), "process_cpu_seconds_total": set(), "up": set()}
OF_TARGETS = {"namespace", "pod", "job"}


def rendered(folder: Path) -> list[Document]:
    """What `kubectl apply --kustomize` would send."""
    kubectl = Path(sys.executable).parent / "kubectl"
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def base() -> list[Document]:
    return rendered(BASE)


@pytest.fixture(scope="module")
def staging() -> list[Document]:
    return rendered(STAGING)


@pytest.fixture(params=["base", "staging"])
def documents(request: pytest.FixtureRequest) -> list[Document]:
    found: list[Document] = request.getfixturevalue(request.param)
    return found


def one(documents: list[Document], kind: str, name: str = "voicesvc") -> Document:
    """The document of this kind; generated ConfigMaps have a hash behind their names."""
    (found,) = (
        d
        for d in documents
        if d["kind"] == kind and re.fullmatch(rf"{name}(-[a-z0-9]{{10}})?", d["metadata"]["name"])
    )
    return found


def pod(documents: list[Document]) -> Document:
    found: Document = one(documents, "Deployment")["spec"]["template"]
    return found


def container(documents: list[Document]) -> Document:
    (found,) = pod(documents)["spec"]["containers"]
    return dict(found)


def image_environment() -> dict[str, str]:
    """ENV of the image that is run."""
    last = (ROOT / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)", last, flags=re.MULTILINE)
    return dict(pair.split("=", 1) for pair in block.replace("\\\n", " ").split())


# -- what a cluster would refuse -----------------------------------------------------------------


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(documents: list[Document], version: str) -> None:
    for document in documents:
        if not document["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(document, version, strict=True)


def test_the_operator_knows_every_field(documents: list[Document]) -> None:
    from cloudcoil.models.prometheus_operator import v1

    kinds = {"PrometheusRule": v1.PrometheusRule, "ServiceMonitor": v1.ServiceMonitor}
    ours = [d for d in documents if d["apiVersion"] == "monitoring.coreos.com/v1"]
    assert {d["kind"] for d in ours} == set(kinds)
    for document in ours:
        read = kinds[document["kind"]].model_validate(document)
        kept = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert kept == document, "a field that the operator does not know"


def test_restricted_pod_security_admits_every_pod(documents: list[Document]) -> None:
    for workload in (d for d in documents if d["kind"] in ("Deployment", "Job")):
        spec = workload["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in (*spec["containers"], *spec.get("initContainers", ())):
            said = each["securityContext"]
            assert said["allowPrivilegeEscalation"] is False
            assert said["readOnlyRootFilesystem"] is True
            assert said["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in each["resources"]["limits"]
            assert {"cpu", "memory"} <= set(each["resources"]["requests"])


# -- what only this service would refuse ---------------------------------------------------------


def test_the_pod_starts_with_its_settings(documents: list[Document]) -> None:
    given = one(documents, "ConfigMap")["data"]
    secret = {PREFIX + "DATABASE_URL": "postgresql://u:p@db/v", PREFIX + "AUDIO_STORE": "s3://b/p"}
    environ = {**image_environment(), **given, **secret}
    settings = Settings.read(environ)
    assert settings.host == "0.0.0.0"
    gate.check_settings(settings)  # or it would not start
    assert settings.device == "cuda"
    assert container(documents)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    sources = [next(iter(s.values()))["name"] for s in container(documents)["envFrom"]]
    assert sources == [one(documents, "ConfigMap")["metadata"]["name"], "voicesvc-takes"]
    (keys,) = (m for m in container(documents)["volumeMounts"] if m["name"] == "keys")
    assert str(settings.admin_key).startswith(f"{keys['mountPath']}/")


def test_a_provider_of_tokens_is_a_component(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text(
        f"resources: [{os.path.relpath(BASE, tmp_path)}]\n"
        f"components: [{os.path.relpath(K8S / 'components' / 'oidc', tmp_path)}]\n"
    )
    documents = rendered(tmp_path)
    for document in documents:
        if not document["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(document, KUBERNETES[0], strict=True)
    settings = Settings.read({**image_environment(), **one(documents, "ConfigMap")["data"]})
    gate.check_settings(settings)
    (mount,) = (m for m in container(documents)["volumeMounts"] if m["name"] == "oidc")
    (volume,) = (v for v in pod(documents)["spec"]["volumes"] if v["name"] == "oidc")
    sources = [next(iter(s.values()))["name"] for s in volume["projected"]["sources"]]
    roles = one(documents, "ConfigMap", "voicesvc-roles")
    assert sources == [roles["metadata"]["name"], "voicesvc-oidc"]
    for file in (settings.oidc_roles, settings.oidc_client_secret):
        assert str(file).startswith(f"{mount['mountPath']}/")
    (name,) = roles["data"]
    assert settings.oidc_roles == Path(mount["mountPath"]) / name
    assert roles_of.read(roles["data"][name])


def test_variables_of_service_links_would_stop_the_start(documents: list[Document]) -> None:
    name = one(documents, "Service")["metadata"]["name"].upper()
    with pytest.raises(BadSetting, match="unknown setting VOICESVC_SERVICE_HOST"):
        Settings.read({f"{name}_SERVICE_HOST": "10.0.0.1"})
    assert pod(documents)["spec"]["enableServiceLinks"] is False


def test_variables_named_in_any_file_exist() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for path in K8S.rglob("*.*"):
        said = path.read_text("utf-8").replace("VOICESVC_SERVICE_HOST", "")  # of Kubernetes
        assert set(re.findall(r"VOICESVC_[A-Z_]*[A-Z]", said)) <= known, path


def test_probes_ask_routes_that_exist(documents: list[Document], tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    studio = tone_studio(tmp_path / "models", {}, {})
    with closing(archived(tmp_path)) as archive:
        studio.archive = archive
        routes = create_app(studio, workers=1).openapi()["paths"]
    probes = {n: p["httpGet"] for n, p in container(documents).items() if n.endswith("Probe")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/readyz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/livez",
    }
    assert {probe["path"] for probe in probes.values()} <= set(routes)
    assert {probe["port"] for probe in probes.values()} == {"http"}
    (endpoint,) = one(documents, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["path"] in routes


def test_a_voice_has_longer_to_warm_than_the_image_gives_it(documents: list[Document]) -> None:
    health = re.search(r"--start-period=(\d+)s", (ROOT / "Dockerfile").read_text("utf-8"))
    assert health is not None
    startup = container(documents)["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= int(health[1])
    longest_s = max(float(b) for b in metrics.VOICE_LOAD._kwargs["buckets"])
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 2 * longest_s


def test_streams_may_end_before_a_pod_is_killed(documents: list[Document]) -> None:
    spec = pod(documents)["spec"]
    _, wait_s = container(documents)["lifecycle"]["preStop"]["exec"]["command"]
    grace_s = float(one(documents, "ConfigMap")["data"]["VOICESVC_GRACE_S"])
    assert spec["terminationGracePeriodSeconds"] >= float(wait_s) + grace_s + 10


def test_ports_agree(documents: list[Document]) -> None:
    (port,) = container(documents)["ports"]
    assert str(port["containerPort"]) == image_environment()["VOICESVC_PORT"]
    (open_port,) = one(documents, "Service")["spec"]["ports"]
    assert open_port["targetPort"] == port["name"]
    (endpoint,) = one(documents, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["port"] == open_port["name"]
    (rule,) = one(documents, "NetworkPolicy")["spec"]["ingress"]
    assert rule["ports"] == [{"port": port["name"]}]


def test_what_selects_the_pod_finds_it(documents: list[Document]) -> None:
    labels = pod(documents)["metadata"]["labels"].items()
    spread = pod(documents)["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
    selectors = [
        one(documents, "Deployment")["spec"]["selector"]["matchLabels"],
        one(documents, "Service")["spec"]["selector"],
        one(documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        spread,
    ]
    assert all(selector and selector.items() <= labels for selector in selectors)
    monitor = one(documents, "ServiceMonitor")["spec"]
    service_labels = one(documents, "Service")["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= service_labels.items()
    assert service_labels[monitor["jobLabel"]] == "voicesvc"
    target = one(documents, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "voicesvc")


def test_what_is_written_lies_on_a_volume(documents: list[Document]) -> None:
    mounts = container(documents)["volumeMounts"]
    writable = {m["mountPath"] for m in mounts if not m.get("readOnly")}
    assert writable == {"/data", "/data/lexicons", "/tmp"}
    folders = {v for v in image_environment().values() if v.startswith("/data")}
    assert folders
    assert all(f"{folder}/".startswith("/data/") for folder in folders)
    models = one(documents, "ConfigMap")["data"]["VOICESVC_MODELS_DIR"]
    assert {"name": "packs", "mountPath": models, "readOnly": True} in mounts
    claims = {d["metadata"]["name"] for d in documents if d["kind"] == "PersistentVolumeClaim"}
    volumes = pod(documents)["spec"]["volumes"]
    claimed = {
        v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v
    }
    assert claimed == claims - {"voicesvc-load"}
    assert {m["name"] for m in mounts} == {v["name"] for v in volumes}


def test_the_user_is_the_one_of_the_image(documents: list[Document]) -> None:
    said = pod(documents)["spec"]["securityContext"]
    user = f"USER {said['runAsUser']}:{said['runAsGroup']}\n"
    assert user in (ROOT / "Dockerfile").read_text("utf-8")
    assert said["fsGroup"] == said["runAsGroup"]


def test_the_image_is_of_this_version(documents: list[Document]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert container(documents)["image"] == f"voicesvc:{version}"


def test_the_load_test_reaches_the_service(staging: list[Document]) -> None:
    load = one(staging, "Job", "voicesvc-load")["spec"]["template"]
    assert load["metadata"]["labels"]["voicesvc-client"] == "true"
    allowed = one(staging, "NetworkPolicy")["spec"]["ingress"][0]["from"][0]["podSelector"]
    assert allowed["matchLabels"].items() <= load["metadata"]["labels"].items()
    (locust,) = load["spec"]["containers"]
    options = dict(word.removeprefix("--").partition("=")[::2] for word in locust["args"])
    assert options["host"] == f"http://{one(staging, 'Service')['metadata']['name']}"
    files = one(staging, "ConfigMap", "voicesvc-load")["data"]
    for name, content in files.items():
        assert content == (ROOT / "benchmarks" / "load" / name).read_text("utf-8")
    assert options["locustfile"].rpartition("/")[2] in files
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    (tested,) = (p["version"] for p in lock if p["name"] == "locust")
    assert locust["image"] == f"locustio/locust:{tested}"
    locust_help = [sys.executable, "-W", "ignore", "-m", "locust", "--help"]
    known = subprocess.run(locust_help, capture_output=True, text=True).stdout
    known += files["locustfile.py"]
    assert {name for name in options if f"--{name}" not in known} == set()


# -- metrics -------------------------------------------------------------------------------------


def series() -> dict[str, set[str]]:
    """Every series there is -> its labels."""
    found = {name: set(labels) for name, labels in THEIRS.items()}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            labels = set(metric._labelnames)
            if family.type == "histogram":
                found |= {f"{family.name}_{end}": labels for end in ("count", "sum")}
                found[f"{family.name}_bucket"] = labels | {"le"}
            else:
                found[family.name + "_total" * (family.type == "counter")] = labels
    return {name: labels | OF_TARGETS for name, labels in found.items()}


def rules(documents: list[Document]) -> list[Document]:
    groups = one(documents, "PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def known(documents: list[Document]) -> dict[str, set[str]]:
    recorded = {r["record"]: OF_TARGETS for r in rules(documents) if "record" in r}
    return series() | recorded


def parts(expression: str) -> list[promql_parser.Expr]:
    """Every node of a query."""
    found: list[promql_parser.Expr] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return found


def selected(expression: str) -> set[str]:
    """The series of a query."""
    return {e.name for e in parts(expression) if isinstance(e, promql_parser.VectorSelector)}


def grouped(expression: str) -> set[str]:
    """The labels that a query groups by."""
    sums = [e for e in parts(expression) if isinstance(e, promql_parser.AggregateExpr)]
    return {label for each in sums if each.modifier for label in each.modifier.labels}


def check(expression: str, there: dict[str, set[str]]) -> None:
    names = selected(expression)
    assert names, expression
    assert names <= set(there), expression
    for each in parts(expression):
        if isinstance(each, promql_parser.VectorSelector):
            assert {m.name for m in each.matchers.matchers} <= there[each.name], expression
    assert grouped(expression) <= set[str]().union(*(there[name] for name in names)), expression


def test_a_query_of_a_metric_that_is_not_there_is_found(base: list[Document]) -> None:
    check("sum by (actor) (rate(voicesvc_takes_total[5m]))", known(base))
    for wrong in ("voicesvc_takes", 'voicesvc_takes_total{voice="a"}', "up / up_total"):
        with pytest.raises(AssertionError):
            check(wrong, known(base))
    with pytest.raises(AssertionError):
        check("sum by (voice) (voicesvc_takes_total)", known(base))


def test_rules_ask_for_metrics_that_exist(documents: list[Document]) -> None:
    for rule in rules(documents):
        check(rule["expr"], known(documents))


def test_objectives_lie_on_the_bounds_of_buckets() -> None:
    for metric in (metrics.FIRST_AUDIO, metrics.COMPUTE):
        assert 0.5 in metric._kwargs["buckets"]


def test_the_dashboard_asks_for_metrics_that_exist(base: list[Document]) -> None:
    board = json.loads(one(base, "ConfigMap", "voicesvc-dashboard")["data"]["dashboard.json"])
    panels = [p for p in board["panels"] if p["type"] != "row"]
    assert len({p["title"] for p in panels}) == len(panels)
    for target in (t for p in panels for t in p["targets"]):
        expression = target["expr"].replace("$__rate_interval", "1m")
        check(expression, known(base))
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= grouped(expression)
    for variable in (v for v in board["templating"]["list"] if v["type"] == "query"):
        check(re.findall(r"label_values\((\w+),", variable["query"]["query"])[0], known(base))


def test_the_autoscaler_reads_what_the_adapter_serves(documents: list[Document]) -> None:
    adapter = yaml.safe_load((K8S / "prometheus-adapter.yaml").read_text("utf-8"))
    served = {rule["name"]["as"]: rule for rule in adapter["rules"]["custom"]}
    asked = one(documents, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert {m["pods"]["metric"]["name"] for m in asked} == set(served)
    for rule in served.values():
        check(rule["seriesQuery"], known(documents))


def test_every_alert_has_a_page_of_what_to_do(base: list[Document]) -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    headings = set(re.findall(r"^### (\w+)$", page, flags=re.MULTILINE))
    alerts = [rule for rule in rules(base) if "alert" in rule]
    assert {rule["alert"] for rule in alerts} == headings
    for rule in alerts:
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_alerts_ring_when_they_should(base: list[Document], tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip(
            "promtool is not installed; on Debian it comes with: apt-get install prometheus"
        )
    written = tmp_path / "rules.yaml"
    written.write_text(yaml.safe_dump(one(base, "PrometheusRule")["spec"]), "utf-8")
    tests = shutil.copy(K8S / "tests" / "alerts.yaml", tmp_path)
    for words in (["check", "rules", written], ["test", "rules", tests]):
        done = subprocess.run([promtool, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = {
        t["alertname"]
        for test in yaml.safe_load(Path(tests).read_text("utf-8"))["tests"]
        for t in test.get("alert_rule_test", ())
    }
    assert tested == {rule["alert"] for rule in rules(base) if "alert" in rule}
