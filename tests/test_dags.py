"""From a specification to the three DAGs: ids, schedules, what every task carries, and a broken file that says so."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG, AssetOrTimeSchedule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_mlops.dags import continuous_training, load_models, model_asset, retrain_asset
from airflow_mlops.spec import ModelSpec, SpecError

YAML = """\
name: churn
owner: growth
schedule: "@weekly"
data:
  source: {path: customers/}
  time: seen_at
  key: customer_id
  label: churned
training:
  estimator: sklearn.linear_model.LogisticRegression
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "churn.yaml").write_text(YAML)
    return tmp_path


@pytest.fixture
def spec(folder: Path) -> ModelSpec:
    from airflow_mlops.spec import load_spec

    return load_spec(folder / "churn.yaml")


def test_one_file_gives_three_dags(folder: Path) -> None:
    assert set(load_models(folder)) == {"churn.train", "churn.score", "churn.monitor"}


def test_the_stages_follow_each_other(spec: ModelSpec) -> None:
    train, score, monitor = continuous_training(spec)
    order = [task.task_id for task in train.topological_sort()]
    assert order == ["snapshot", "validate", "train", "gate", "promote"]
    assert train.get_task("train").upstream_task_ids == {"snapshot", "validate"}
    assert [task.task_id for task in score.tasks] == ["score"]
    assert [task.task_id for task in monitor.topological_sort()] == ["drift", "performance", "retrain"]
    assert monitor.get_task("retrain").upstream_task_ids == {"drift", "performance"}


def high_risk(spec: ModelSpec) -> ModelSpec:
    return spec.model_copy(
        update={
            "risk_tier": "high",
            "promotion": {"approval": {"tiers": ["high"], "approvers": ["ada"], "timeout": "2d"}},
        }
    )


def test_a_risk_tier_that_needs_approval_has_a_task_that_asks_between_gate_and_promote(spec: ModelSpec) -> None:
    train = continuous_training(high_risk(spec))[0]
    order = [task.task_id for task in train.topological_sort()]
    assert order == ["snapshot", "validate", "train", "gate", "approve", "promote"]
    approve, promote = train.get_task("approve"), train.get_task("promote")
    assert approve.upstream_task_ids == {"train", "gate"}
    assert promote.upstream_task_ids == {"snapshot", "train", "gate", "approve"}
    assert approve.owner == "growth"
    assert approve.doc_md
    assert {link.name for link in approve.operator_extra_links} == {"MLflow run", "Report", "Model version"}
    # the time that it waits is not the time that it may work
    assert approve.execution_timeout == timedelta(hours=1)


def test_a_risk_tier_below_those_that_need_approval_does_not_ask(spec: ModelSpec) -> None:
    train = continuous_training(high_risk(spec).model_copy(update={"risk_tier": "medium"}))[0]
    assert "approve" not in train.task_ids


def test_models_without_approval_do_not_pay_for_the_provider_that_asks() -> None:
    script = (
        "import sys\n"
        "from airflow_mlops.dags import load_models\n"
        f"load_models({str(Path(__file__).parents[1] / 'dags' / 'models')!r})\n"
        "assert 'airflow.providers.standard.operators.hitl' not in sys.modules\n"
        "assert not [m for m in sys.modules if m.startswith('airflow_mlops.notifications')]\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_retired_model_is_not_scheduled_and_says_why(spec: ModelSpec) -> None:
    train, score, monitor = continuous_training(spec.model_copy(update={"retired": "replaced by churn_v2"}))
    assert train.schedule is None
    assert "retired" in train.tags
    assert train.description == "Retired, and not trained any more: replaced by churn_v2"
    assert "replaced by churn_v2" in (train.doc_md or "")
    assert score.schedule is not None
    assert monitor.schedule is not None
    for task_id in ("snapshot", "train", "gate", "promote"):
        with pytest.raises(AirflowSkipException, match="the model is retired, .*: replaced by churn_v2"):
            train.get_task(task_id).execute({"params": {}})


def test_training_runs_on_its_schedule_and_on_the_retrain_event(spec: ModelSpec) -> None:
    train, _, monitor = continuous_training(spec)
    assert isinstance(train.schedule, AssetOrTimeSchedule)
    assert [asset.name for asset in monitor.get_task("retrain").outlets] == [retrain_asset(spec).name]
    assert [asset.name for asset in train.get_task("promote").outlets] == [model_asset(spec).name]


def test_who_is_watched_does_not_depend_on_the_order_in_which_airflow_meets_the_asset(spec: ModelSpec) -> None:
    """Airflow keeps one asset of a name, whichever it meets last in a set: every one of them must have the watchers."""
    watched = spec.model_copy(update={"retraining": {"on_new_data": "7d"}})
    train, _, monitor = continuous_training(watched)
    (outlet,) = monitor.get_task("retrain").outlets
    scheduled = train.timetable.asset_condition
    assert scheduled.name == outlet.name == f"{spec.name}.retrain"
    assert [len(asset.watchers) for asset in (scheduled, outlet)] == [1, 1]


def test_without_a_schedule_training_still_listens_to_the_event(spec: ModelSpec) -> None:
    train, _, _ = continuous_training(spec.model_copy(update={"schedule": {"cron": None}}))
    assert train.timetable.asset_condition == retrain_asset(spec) or retrain_asset(spec).name in str(train.schedule)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_every_task_has_owner_retries_with_backoff_timeout_and_words(spec: ModelSpec, index: int) -> None:
    dag = continuous_training(spec)[index]
    assert dag.max_active_runs == 1
    assert dag.catchup is False
    assert set(dag.params) == {"as_of", "overrides", *(["retrain"] if dag.dag_id.endswith(".monitor") else [])}
    for task in dag.tasks:
        assert task.owner == "growth"
        assert task.retries == 2
        assert task.retry_exponential_backoff > 1
        assert task.execution_timeout == timedelta(hours=1)
        assert task.doc_md


LINKS = {
    "snapshot": set(),
    "validate": {"MLflow run", "Report"},
    "train": {"MLflow run"},
    "gate": {"MLflow run", "Report"},
    "promote": {"MLflow run", "Report", "Model version", "Model card"},
    "score": {"MLflow run", "Model version"},
    "drift": {"MLflow run", "Report", "Model version"},
    "performance": {"MLflow run", "Model version"},
    "retrain": {"MLflow run"},
}


def test_tasks_link_to_what_they_made(spec: ModelSpec) -> None:
    tasks = [task for dag in continuous_training(spec) for task in dag.tasks]
    assert {task.task_id: {link.name for link in task.operator_extra_links} for task in tasks} == LINKS


def test_the_schedule_begins_and_ends_where_the_specification_says(spec: ModelSpec) -> None:
    dated = spec.model_copy(
        update={"schedule": {"cron": "@monthly", "start": "2013-01-01T00:00:00Z", "end": "2013-12-31T00:00:00Z"}}
    )
    train = continuous_training(dated)[0]
    assert train.start_date == datetime(2013, 1, 1, tzinfo=UTC)
    # Airflow's end date would hold the tasks of every later run, also of one that is asked for as of 2013.
    assert train.end_date is None


def test_a_broken_file_becomes_a_dag_that_says_so_and_the_others_go_on(folder: Path) -> None:
    (folder / "broken.yaml").write_text(YAML.replace("owner: growth", "ownr: growth").replace("churn\n", "broken\n", 1))
    dags = load_models(folder)
    assert {"churn.train", "broken.invalid_spec"} <= set(dags)
    broken = dags["broken.invalid_spec"]
    assert "ownr" in (broken.doc_md or "")
    assert "broken.yaml:2" in (broken.doc_md or "")
    with pytest.raises(AirflowFailException, match="did you mean 'owner'"):
        broken.get_task("problems").execute({})


def test_two_files_with_one_name_do_not_overwrite_each_other(folder: Path) -> None:
    (folder / "churn_again.yaml").write_text(YAML)
    assert set(load_models(folder)) == {"churn.invalid_spec", "churn_again.invalid_spec"}


def test_a_file_with_an_odd_name_does_not_take_the_others_with_it(folder: Path) -> None:
    (folder / "my model (1).yaml").write_text("name: [")
    dags = load_models(folder)
    (broken,) = [name for name in dags if name.endswith(".invalid_spec")]
    assert "churn.train" in dags
    assert broken.startswith("my_model__1_.")


def test_a_folder_that_is_not_there_is_an_error_and_not_no_models(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_models(tmp_path / "nowhere")


def test_a_broken_file_alone_is_refused(folder: Path) -> None:
    (folder / "churn.yaml").write_text(YAML + "nonsense: 1\n")
    with pytest.raises(SpecError, match="nonsense"):
        continuous_training(folder / "churn.yaml")


def test_the_dags_of_this_repository_load() -> None:
    dags = load_models(Path(__file__).parents[1] / "dags" / "models")
    assert {"flight_delay.train", "flight_delay.score", "flight_delay.monitor"} == set(dags)
    assert all(isinstance(dag, DAG) for dag in dags.values())
