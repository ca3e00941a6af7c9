"""The operators composed by hand: a loop of your own shape, with the specification written in Python.

The same stages as `<model>.train`, and a task between them that only this team has.
"""

from datetime import UTC, datetime

from airflow.sdk import DAG, Param, task

from airflow_mlops.operators import (
    DataValidationOperator,
    EvaluateGateOperator,
    PromoteOperator,
    SnapshotOperator,
    TrainOperator,
)
from airflow_mlops.spec import ModelSpec

spec = ModelSpec(
    name="flight_delay_linear",
    owner="ops-analytics",
    description="A linear model of the same flights: the runner-up that the team keeps an eye on.",
    data={
        "source": {"path": "data/flights/"},
        "time": "scheduled_departure",
        "key": "flight_id",
        "label": "late",
        "label_delay": "1d",
        "window": "60d",
    },
    features={
        "numeric": ["distance", "hour", "temp", "wind_speed", "precip", "visib"],
        "categorical": ["carrier", "origin", "weekday"],
    },
    training={"estimator": "sklearn.linear_model.LogisticRegression", "parameters": {"max_iter": 500}},
)

with DAG(
    dag_id="composed_by_hand",
    schedule=None,
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    max_active_runs=1,
    params={"as_of": Param("2013-07-01T00:00:00Z", type=["null", "string"], format="date-time")},
    default_args={"owner": spec.owner, "retries": 1},
    tags=["mlops", "example"],
    doc_md=__doc__,
):
    snapshot = SnapshotOperator(task_id="snapshot", spec=spec)
    validate = DataValidationOperator(task_id="validate", spec=spec, snapshot=snapshot.output)
    train = TrainOperator(task_id="train", spec=spec, snapshot=snapshot.output)
    gate = EvaluateGateOperator(task_id="gate", spec=spec, snapshot=snapshot.output, candidate=train.output)
    promote = PromoteOperator(task_id="promote", spec=spec, candidate=train.output, decision=gate.output)

    @task
    def tell_the_owner(decision: dict) -> str:
        """Say in one line what the gate said: a report is plain JSON, so any task can read it."""
        line = f"{decision['model']}: {decision['verdict']}, because {'; '.join(decision['reasons'])}"
        print(line)
        return line

    snapshot >> validate >> train
    tell_the_owner(gate.output)
    gate >> promote
