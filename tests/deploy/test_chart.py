"""What can be said of the chart without helm: values and schema, names of metrics, dashboard, Airflow's values."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import promql_parser
import pytest
import yaml
from airflow._shared.observability.metrics import metrics_registry
from airflow.configuration import retrieve_configuration_description

from tests.support.charts import CHART, SETS, Object, merged, values_file

SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES: Object = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
MAPPINGS: list[Object] = yaml.safe_load((CHART / "files" / "statsd-mappings.yaml").read_text(encoding="utf-8"))[
    "mappings"
]
DASHBOARD: Object = json.loads((CHART / "files" / "dashboards" / "fleet.json").read_text(encoding="utf-8"))
AIRFLOW = ("celery", "common", "git-sync", "kubernetes", "metrics", "specifications")
STAGES = {"snapshot", "validate", "train", "gate", "promote", "score", "drift", "performance", "retrain", "backtest"}
METRIC = re.compile(r"\b((?:airflow|kube)_\w+)")


def problems(values: Object) -> list[str]:
    return [error.json_path for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(values)]


def changed(path: str, value: Any) -> Object:
    """Return the chart's values with one of them changed; `path` is of words with dots between them."""
    values = copy.deepcopy(VALUES)
    *above, last = path.split(".")
    place = values
    for word in above:
        place = place[word]
    place[last] = value
    return values


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_no_set_of_values_is_left_out() -> None:
    assert sorted(path.name for path in (CHART / "ci").iterdir()) == sorted(values_file(name).name for name in SETS)
    assert sorted(path.stem for path in (CHART / "values-airflow").iterdir()) == sorted(AIRFLOW)


@pytest.mark.parametrize("name", SETS)
def test_a_set_of_values_fits_the_schema(name: str) -> None:
    assert problems(merged(VALUES, name)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("mlflow.replics", 2),
        ("mlflow.replicas", "2"),
        ("mlflow.replicas", -1),
        ("mlflow.backend.existingSecret", ""),
        ("mlflow.image.digest", "latest"),
        ("mlflow.artifactsDestination", "/srv/mlflow"),
        ("mlflow.artifactsDestination", "s3://key:word@bucket/mlflow"),
        ("mlflow.allowedHosts", ["*"]),
        ("mlflow.podDisruptionBudget.maxUnavailable", 0),
        ("mlflow.service.port", 70000),
        ("mlflow.extraEnv", [{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]),
        ("tasks.podTemplates.env", [{"name": "AIRFLOW__MLOPS__SEAL_SECRET", "value": "x"}]),
        ("tasks.podTemplates.stages", {"train": {}}),
        ("tasks.podTemplates.stages", {"default": {}, "trian": {}}),
        ("specifications.models", {"../churn.yaml": "name: churn"}),
        ("networkPolicies.httpsEgress", ["everywhere"]),
        ("prometheusRules.runbooks", "docs/runbooks"),
    ],
)
def test_values_that_would_fail_later_or_leak_are_refused_at_once(path: str, value: Any) -> None:
    assert problems(VALUES) == []
    found = problems(changed(path, value))
    assert found
    assert found[0].startswith(f"$.{path.partition('.')[0]}")


def test_a_secret_may_come_from_a_secret() -> None:
    reference = {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "secret"}}}
    assert problems(changed("mlflow.extraEnv", [reference])) == []


def test_every_stage_may_have_a_template() -> None:
    assert {*SCHEMA["properties"]["tasks"]["properties"]["podTemplates"]["properties"]["stages"]["properties"]} == {
        "default",
        *STAGES,
    }


# -- metrics ----------------------------------------------------------------------------------------------------------


def sent_names() -> list[str]:
    """Return the names that Airflow sends by StatsD for a train DAG, by its own registry: the legacy ones too."""
    text = Path(metrics_registry.__file__).with_name("metrics_template.yaml").read_text(encoding="utf-8")
    filled = {"dag_id": "flight_delay__train", "task_id": "gate", "state": "success"}
    names = []
    for metric in yaml.safe_load(text)["metrics"]:
        legacy = metric["legacy_name"]
        name = metric["name"] if legacy == "-" else legacy
        if set(metric["name_variables"]) <= set(filled):
            names.append("airflow." + name.format(**filled))
        names.append("airflow." + metric["name"])
    return names


@pytest.mark.parametrize("mapping", MAPPINGS, ids=lambda mapping: str(mapping["name"]))
def test_a_mapping_is_of_a_name_that_airflow_sends(mapping: Object) -> None:
    found = [match for name in sent_names() if (match := re.fullmatch(mapping["match"], name))]
    assert found
    groups = re.compile(mapping["match"]).groups
    assert groups == len(mapping.get("labels", {}))


def test_labels_are_taken_out_of_a_dags_id() -> None:
    (mapping,) = (each for each in MAPPINGS if each["name"] == "airflow_stage_finished")
    found = re.fullmatch(mapping["match"], "airflow.ti.finish.flight_delay__train.gate.success")
    assert found is not None
    assert found.groups() == ("flight_delay", "train", "gate", "success")


def test_airflows_own_chart_gets_the_same_mappings() -> None:
    metrics = yaml.safe_load((CHART / "values-airflow" / "metrics.yaml").read_text(encoding="utf-8"))
    assert metrics["statsd"]["overrideMappings"] == MAPPINGS


def known(name: str) -> bool:
    return name.startswith("kube_") or any(re.fullmatch(f"{each['name']}(_count|_sum)?", name) for each in MAPPINGS)


def test_the_dashboard_asks_for_what_is_sent_and_in_promql() -> None:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert len(expressions) >= 9
    for expression in expressions:
        promql_parser.parse(expression.replace("$model", ".*"))
        assert [name for name in METRIC.findall(expression) if not known(name)] == []


def test_alerts_ask_for_what_is_sent() -> None:
    template = (CHART / "templates" / "monitoring" / "rules.yaml").read_text(encoding="utf-8")
    expressions = re.findall(r"expr: (.+)", template)
    assert len(expressions) == 8
    assert [name for line in expressions for name in METRIC.findall(line) if not known(name)] == []


# -- values of the official chart, and specifications -----------------------------------------------------------------


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflows_options_exist(name: str) -> None:
    values = yaml.safe_load((CHART / "values-airflow" / f"{name}.yaml").read_text(encoding="utf-8"))
    options = retrieve_configuration_description(include_providers=True)
    sections = values.get("config", {})
    assert [section for section in sections if section not in options] == []
    unknown = [
        f"{section}.{option}"
        for section, said in sections.items()
        for option in said
        if option not in options[section]["options"]
    ]
    assert unknown == []


def test_no_secret_stands_in_the_values_of_airflow() -> None:
    texts = [(CHART / "values-airflow" / f"{name}.yaml").read_text(encoding="utf-8") for name in AIRFLOW]
    assert [text for text in texts if re.search(r"(?i)(password|secret_key|fernet_key|token):", text)] == []


def test_specifications_load_as_kubernetes_mounts_a_config_map(tmp_path: Path) -> None:
    """The files are links into a hidden folder, which a ConfigMap's update exchanges as a whole."""
    from airflow.dag_processing.dagbag import DagBag

    carried = yaml.safe_load(values_file("external-mlflow").read_text())["specifications"]["models"]
    hidden = tmp_path / "..2026_12_01"
    hidden.mkdir()
    (tmp_path / "..data").symlink_to(hidden.name)
    files = {"continuous_training.py": (CHART / "files" / "continuous_training.py").read_text(), **carried}
    for file, text in files.items():
        (hidden / file).write_text(text)
        (tmp_path / file).symlink_to(Path("..data") / file)
    bag = DagBag(dag_folder=tmp_path / "continuous_training.py", bundle_path=tmp_path, bundle_name="examples")
    assert not bag.import_errors
    assert set(bag.dags) == {"churn.train", "churn.score", "churn.monitor"}


def test_versions_are_those_of_the_package_and_of_the_constraints() -> None:
    import airflow_mlops

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    common = yaml.safe_load((CHART / "values-airflow" / "common.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == airflow_mlops.__version__
    assert common["defaultAirflowTag"] == common["images"]["airflow"]["tag"] == airflow_mlops.__version__
    constraints = (CHART.parents[1] / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"apache-airflow=={common['airflowVersion']}" in constraints
