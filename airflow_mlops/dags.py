"""ModelSpec -> the three DAGs of a model's loop."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Container
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param
from airflow.sdk.definitions.asset import Model
from airflow.sdk.definitions.param import ParamsDict

from airflow_mlops import spec as specification
from airflow_mlops.operators.gate import EvaluateGateOperator
from airflow_mlops.operators.performance import PerformanceOperator
from airflow_mlops.operators.promotion import PromoteOperator
from airflow_mlops.operators.retraining import RetrainOperator
from airflow_mlops.operators.scoring import ScoreOperator
from airflow_mlops.operators.snapshot import SnapshotOperator
from airflow_mlops.operators.training import TrainOperator
from airflow_mlops.operators.validation import DataValidationOperator
from airflow_mlops.sensors.drift import DriftSensor
from airflow_mlops.spec import ModelSpec, load_spec
from airflow_mlops.spec.errors import refusal, wrong
from airflow_mlops.spec.shared_places import shared_places

if TYPE_CHECKING:
    from airflow_mlops.operators.approval import ApproveOperator
    from airflow_mlops.spec import SpecError

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Start of schedules that name none: early enough for any backfill."""


def continuous_training(spec: ModelSpec | str | Path) -> tuple[DAG, DAG, DAG]:
    """Build `<model>.train`, `<model>.score` and `<model>.monitor`.

    Parameters
    ----------
    spec
        A specification, or the path of its YAML file.

    Returns
    -------
    tuple of DAG
        In that order. Bind them to module-level names of a DAG file, or use :func:`load_models`.

    Raises
    ------
    SpecError
        With every problem of the file.
    """
    model = spec if isinstance(spec, ModelSpec) else load_spec(Path(spec))
    dags = _train(model), _score(model), _monitor(model)
    for dag in dags:
        # Only now: every task copies the form of the DAG that it is made in, once for each class it is made of.
        dag.params = _form()
    dags[-1].params["retrain"] = Param(
        None,
        type=["null", "string"],
        title="Retrain",
        description="Why you ask for a retraining whatever was seen; empty: you do not. Broken data is refused.",
    )
    return dags


def load_models(folder: str | Path) -> dict[str, DAG]:
    """Build the DAGs of every ``*.yaml`` in a folder, for ``globals().update(load_models(...))``.

    A broken specification must not take the other models' DAGs with it, and must not vanish either: it becomes a DAG
    `<file>.invalid_spec`, whose page says what is wrong and whose only task fails with it. So do all files of a name
    that several have, a file that names another one's registered model or experiment, and a file of which no DAG can be
    made, for whatever reason.

    Raises
    ------
    FileNotFoundError
        If there is no such folder: no DAGs at all must not look like success.
    """
    place = Path(folder)
    if not place.is_dir():
        raise FileNotFoundError(
            f"no folder {place.resolve()} of specifications; write Path(__file__).parent / 'models'"
        )
    # Not glob(): it would compile a regular expression, in every parse.
    read = {path: _read(path) for path in sorted(place.iterdir()) if path.name.endswith(".yaml")}
    names = Counter(spec.name for spec in read.values() if isinstance(spec, ModelSpec))
    single = {path.name: spec for path, spec in read.items() if isinstance(spec, ModelSpec) and names[spec.name] == 1}
    shared = shared_places(single)
    dags: dict[str, DAG] = {}
    for path, spec in read.items():
        if isinstance(spec, ModelSpec) and names[spec.name] > 1:
            spec = _name_taken(spec.name, path)  # noqa: PLW2901 - which of two is meant is not ours to guess
        elif path.name in shared:
            spec = refusal(shared[path.name], subject="")  # noqa: PLW2901
        built = _built(path, spec) if isinstance(spec, ModelSpec) else spec
        made = built if isinstance(built, tuple) else (_invalid(path, built, dags),)
        dags.update({dag.dag_id: dag for dag in made})
    return dags


def _built(path: Path, spec: ModelSpec) -> tuple[DAG, ...] | SpecError:
    """Make the DAGs of one file, all or none."""
    try:
        return continuous_training(spec)
    except Exception as error:  # noqa: BLE001 - whatever Airflow does not take is this file's, and no other's
        _forget(spec)
        return refusal(
            wrong(
                "(file)",
                found=f"a specification of which no DAG can be made: {type(error).__name__}: {error}",
                allowed="values that Airflow takes",
                fix="correct the value that it names; if it should be right, report it as a fault of airflow_mlops",
                where=path.name,
            ),
            subject="",
        )


def _forget(spec: ModelSpec) -> None:
    """Take back the DAGs of a loop that is not whole: Airflow has noted each of them when it was made."""
    from airflow.sdk.definitions._internal.contextmanager import DagContext

    ids = {f"{spec.name}.{loop}" for loop in ("train", "score", "monitor")}
    noted = [entry for entry in DagContext.autoregistered_dags if entry[0].dag_id in ids]
    DagContext.autoregistered_dags.difference_update(noted)


def _read(path: Path) -> ModelSpec | SpecError:
    try:
        return load_spec(path)
    except specification.SpecError as error:  # the class is looked up, and loaded, only when something is raised
        return error


def retrain_asset(spec: ModelSpec) -> Asset:
    """Return the asset whose event asks for a retraining of this model; its extra carries `as_of` and `key`.

    With `retraining.on_new_data` the triggerer watches the source, and makes such events itself.
    """
    if spec.retraining.on_new_data is None or spec.retired:
        return Asset(name=f"{spec.name}.retrain")
    from airflow_mlops.triggers.watchers import watchers_of

    return Asset(name=f"{spec.name}.retrain", watchers=watchers_of(spec))


def model_asset(spec: ModelSpec) -> Model:
    """Return the asset whose event says that another version serves now."""
    return Model(name=spec.name)


def _train(spec: ModelSpec) -> DAG:
    purpose = "Snapshot, validate, train, judge, promote."
    if spec.retired:
        purpose = f"Retired, and not trained any more: {spec.retired}"
    with _dag(spec, "train", _train_schedule(spec), purpose) as dag:
        snapshot = SnapshotOperator(
            task_id="snapshot", spec=spec, doc_md="Freezes the training window: only rows and labels known at as-of."
        )
        validate = DataValidationOperator(
            task_id="validate",
            spec=spec,
            snapshot=snapshot.output,
            doc_md="Checks the snapshot against the specification. Red means: mend the data; see the report.",
        )
        train = TrainOperator(
            task_id="train",
            spec=spec,
            snapshot=snapshot.output,
            doc_md="Trains a candidate on the older part of the window; everything is in its MLflow run.",
        )
        gate = EvaluateGateOperator(
            task_id="gate",
            spec=spec,
            snapshot=snapshot.output,
            candidate=train.output,
            # Serial over all runs of this DAG: a decision names the champion that it was made against.
            max_active_tis_per_dag=1,
            doc_md="Judges candidate and champion on the same rows, which neither was trained on.",
        )
        approve = _approve(spec, candidate=train.output, decision=gate.output)
        promote = PromoteOperator(
            task_id="promote",
            spec=spec,
            snapshot=snapshot.output,
            candidate=train.output,
            decision=gate.output,
            approval=None if approve is None else approve.output,
            outlets=[model_asset(spec)],
            max_active_tis_per_dag=1,
            doc_md="Moves the alias `champion` if the gate accepted. Skipped: the champion stays; see the report.",
        )
        snapshot >> validate >> train >> gate >> promote
        if approve is not None:
            gate >> approve >> promote
    return dag


def _approve(spec: ModelSpec, **stages: Any) -> ApproveOperator | None:
    """Make the task that asks a person, for the risk tiers that ask for one."""
    if spec.risk_tier not in spec.promotion.approval.tiers:
        return None
    from airflow_mlops.operators.approval import ApproveOperator  # its base costs what other models need not pay

    return ApproveOperator(
        task_id="approve",
        spec=spec,
        doc_md="Asks a person under Required Actions; waits without a worker. No answer in time: not promoted.",
        **stages,
    )


def _score(spec: ModelSpec) -> DAG:
    with _dag(spec, "score", _cron(spec.scoring.schedule, spec), "Score the newest window with the champion.") as dag:
        ScoreOperator(task_id="score", spec=spec, doc_md="Scores `scoring.window` before as-of, whole or not at all.")
    return dag


def _monitor(spec: ModelSpec) -> DAG:
    schedule = _cron(spec.monitoring.schedule, spec)
    with _dag(spec, "monitor", schedule, "Watch for drift and decay, and decide whether to retrain.") as dag:
        drift = DriftSensor(
            task_id="drift",
            spec=spec,
            wait_for="window",
            deferrable=True,
            timeout=spec.monitoring.window,
            doc_md="Waits for the window's rows, then compares them with what the champion was trained on.",
        )
        performance = PerformanceOperator(
            task_id="performance",
            spec=spec,
            drift=drift.output,
            doc_md="Joins the score log with the outcomes known by now, and compares with what the gate promised.",
        )
        retrain = RetrainOperator(
            task_id="retrain",
            spec=spec,
            drift=drift.output,
            performance=performance.output,
            # With its watchers, as where it schedules: of two assets of one name Airflow keeps whichever comes last.
            outlets=[retrain_asset(spec)],
            doc_md=f"Asks for a run of `{spec.name}.train`. Skipped means: it does not; its log says why.",
        )
        drift >> performance >> retrain
    return dag


def _dag(spec: ModelSpec, loop: str, schedule: Any, purpose: str) -> DAG:
    run = spec.execution
    return DAG(
        dag_id=f"{spec.name}.{loop}",
        description=purpose,
        schedule=schedule,
        start_date=spec.schedule.start or _BEGINNING,
        catchup=False,
        # Runs of one model follow each other: the champion's as-of time must not overtake itself.
        max_active_runs=1,
        default_args={
            "owner": spec.owner,
            "retries": run.retries,
            "retry_delay": run.retry_delay,
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": run.retry_delay * 16,
            "execution_timeout": run.timeout,
            **({"pool": run.pool} if run.pool else {}),
        },
        doc_md=f"# {spec.name}: {loop}\n\n{purpose}\n\n{spec.description}\n\nOwner: **{spec.owner}**, "
        f"risk tier: {spec.risk_tier}. Estimator: `{spec.training.estimator}`.",
        tags=["mlops", spec.name, f"risk:{spec.risk_tier}", *(["retired"] if spec.retired else [])],
    )


def _form() -> ParamsDict:
    form = {
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="As of",
            description="The instant the run pretends to live at. Empty: now (or what the schedule or event says).",
        ),
        "overrides": Param(
            {},
            type=["object", "null"],
            title="Overrides",
            description='Fields of the specification for this run only: {"training.parameters.max_iter": 50}',
        ),
    }
    return ParamsDict(form)


def _cron(cron: str | None, spec: ModelSpec) -> Any:
    zone, until = spec.schedule.timezone, spec.schedule.end
    if cron is not None and until is None:
        return CronTriggerTimetable(cron, timezone=zone)
    from airflow_mlops.timetables import BY_HAND, LoopTimetable  # of Airflow's core, which most files need not import

    return LoopTimetable(cron or BY_HAND, timezone=zone, until=until, automatic=cron is not None)


def _train_schedule(spec: ModelSpec) -> Any:
    if spec.retired:
        return None
    return AssetOrTimeSchedule(timetable=_cron(spec.schedule.cron, spec), assets=retrain_asset(spec))


def _name_taken(name: str, path: Path) -> SpecError:
    return refusal(
        wrong(
            "name",
            found=f"{name!r}, which another specification in this folder has too",
            allowed="one specification for each name",
            fix="rename or delete one of them: until then neither runs",
            code="spec_duplicate",
            where=path.name,
        ),
        subject="",
    )


_LONGEST_ID = 150
"""Characters of a file's name that a DAG's id keeps; Airflow takes 250."""


def _invalid(path: Path, error: SpecError, taken: Container[str]) -> DAG:
    from airflow_mlops.operators.invalid_spec import InvalidSpecOperator
    from airflow_mlops.spec.problems import storable

    problems = "\n".join(f"- {problem}" for problem in error.problems)
    name = storable(path.name, _LONGEST_ID)  # a file's name may hold bytes that are no text
    with DAG(
        dag_id=_invalid_id(path, taken),
        description=f"{name} cannot be loaded: {len(error.problems)} problem(s)",
        schedule=None,
        catchup=False,
        doc_md=f"# {name} cannot be loaded\n\n{problems}",
        tags=["mlops", "invalid"],
    ) as dag:
        InvalidSpecOperator(task_id="problems", message=storable(str(error), _LONGEST_MESSAGE), retries=0)
    return dag


_LONGEST_MESSAGE = 100_000


def _invalid_id(path: Path, taken: Container[str]) -> str:
    """Return the id of a broken file's DAG: the file's name, and where that is no id, or is taken, its digest too."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem)[:_LONGEST_ID]
    if plain == path.stem and f"{plain}.invalid_spec" not in taken:
        return f"{plain}.invalid_spec"
    import hashlib

    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
    length = 8
    while f"{plain}.{digest[:length]}.invalid_spec" in taken:
        length += 1
    return f"{plain}.{digest[:length]}.invalid_spec"
