"""The attempts of a loop run: one for each of its inputs, and none beside one that has served."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.attempt import LoopVersion
from airflow_mlops.spec.problems import Problem, ReasonCode


def require_new_attempt(
    versions: Sequence[LoopVersion], *, model: str, loop_run: str, inputs: str, served: Callable[[LoopVersion], bool]
) -> None:
    """Refuse to judge a loop run anew from other inputs, once a version of it has served.

    Parameters
    ----------
    versions
        What the loop run and its refit have registered.
    inputs
        What it is to be judged from now. The attempt of the same inputs is taken up again, whatever became of it.
    served
        Whether a version serves or has served.

    Raises
    ------
    RecordError
        VERSION_SERVED: what has served keeps its record.
    """
    kept = next((one for one in versions if one.inputs != inputs and served(one)), None)
    if kept is not None:
        raise RecordError(
            Problem(
                code=ReasonCode.VERSION_SERVED,
                field=loop_run,
                found=f"it already registered {model} version {kept.number}, which serves or has served, from "
                f"{changed(kept.inputs, inputs)} ({kept.inputs}, now {inputs})",
                allowed="other rows or another specification for a run that was rejected or never promoted",
                fix="nothing is to be done where it may stay as it is; else trigger a new run of the DAG instead of "
                "clearing this one",
            )
        )


def require_one_run(versions: Iterable[LoopVersion], *, model: str, loop_run: str, inputs: str, run_id: str) -> None:
    """Refuse a second version of the same loop run from the same inputs, which only another MLflow run could make.

    Raises
    ------
    RecordError
        RECORD_CONFLICT.
    """
    other = next(
        (one for one in versions if one.loop_run == loop_run and one.inputs == inputs and one.run_id != run_id), None
    )
    if other is not None:
        raise registered_by(other, model, loop_run, f"MLflow run {other.run_id}, and not by {run_id}")


def registered_by(version: LoopVersion, model: str, loop_run: str, whom: str) -> RecordError:
    """Return the refusal of a loop run whose version stands, and whose MLflow run is not the one at hand."""
    return RecordError(
        Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field=loop_run,
            found=f"it already registered {model} version {version.number} from the same rows and specification, by "
            f"{whom}",
            allowed="one version of a loop run from the same inputs",
            fix=f"restore that MLflow run if it was deleted (mlflow runs restore --run-id {version.run_id}), or "
            "trigger a new run of the DAG",
        )
    )


def changed(before: str, now: str) -> str:
    """Say what differs between the inputs of two attempts.

    >>> changed("8c1f/04ba", "8c1f/77aa"), changed("8c1f/04ba", "9d2e/77aa")
    ('another specification', 'other rows and another specification')
    """
    words = ("other rows", "another specification")
    differ = [word for word, old, new in zip(words, before.split("/"), now.split("/"), strict=True) if old != new]
    return " and ".join(differ)
