"""Who made it: the DAG, run, task and try, and the commit of the code."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.redaction import redact
from airflow_mlops.spec import apply_overrides
from airflow_mlops.spec.dotted import changed_values, shown_value

if TYPE_CHECKING:
    from airflow_mlops.core.records.people import Person
    from airflow_mlops.spec import ModelSpec

MAX_TAG = 5000
"""Characters of a tag's value that MLflow keeps."""


def provenance(context: Mapping[str, Any]) -> dict[str, str]:
    """Return tags that name the task try behind an effect, and the version of its code."""
    ti = context["ti"]
    tags = {
        "mlops.dag_id": ti.dag_id,
        "mlops.dag_run_id": ti.run_id,
        "mlops.task_id": ti.task_id,
        "mlops.try_number": str(ti.try_number),
        "mlops.run_type": str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type)),
    }
    overrides = (context.get("params") or {}).get("overrides")
    if overrides:
        tags["mlops.overrides"] = redact(json.dumps(overrides, sort_keys=True, default=str))[:MAX_TAG]
    person = triggered_by(context)
    if person:
        tags["mlops.triggered_by"] = person
    commit = code_version(ti)
    if commit:
        tags["mlflow.source.git.commit"] = commit
    return tags


def triggered_by(context: Mapping[str, Any]) -> str:
    """Return who triggered the run; empty where nobody did, or Airflow does not know."""
    return str(getattr(context.get("dag_run"), "triggering_user_name", None) or "")


def people_behind(context: Mapping[str, Any]) -> tuple[Person, ...]:
    """Return who stands behind a run, as far as Airflow tells: who triggered it, or asked for its retraining.

    Airflow keeps no name of who sends an asset event through its API, and such an event may say anything: it is told
    that one came that way, and nobody is believed who is named in it.
    """
    from airflow_mlops.asof import events_of
    from airflow_mlops.core.records.people import Person

    found = [Person(name=triggered_by(context), did="triggered")] if triggered_by(context) else []
    for event in events_of(context):
        if event.get("from_rest_api"):
            found.append(Person(name="somebody", did="sent_event"))
        elif event.get("asked_by"):
            found.append(Person(name=str(event["asked_by"]), did="asked"))
    return tuple(dict.fromkeys(found))


def overridden_fields(context: Mapping[str, Any], own: ModelSpec | None = None) -> tuple[str, ...]:
    """Return what the run changes of its specification, a line for each field: `training.seed = 7 instead of 42`.

    Parameters
    ----------
    own
        The specification as its file has it; without it, what was written is told as it was written.

    Examples
    --------
    >>> overridden_fields({"params": {"overrides": {"training.seed": 7, "data.window": "30d"}}})
    ('data.window = "30d"', 'training.seed = 7')
    """
    overrides = (context.get("params") or {}).get("overrides") or {}
    if not isinstance(overrides, Mapping):  # it is refused where it is applied
        return ()
    if own is None:
        return tuple(f"{path} = {shown_value(value)}" for path, value in sorted(overrides.items(), key=str))
    before, now = (spec.model_dump(mode="json") for spec in (own, apply_overrides(own, overrides)))
    return tuple(
        f"{path} = {shown_value(new)} instead of {shown_value(old)}" for path, old, new in changed_values(before, now)
    )


def code_version(ti: Any) -> str | None:
    """Return the DAG bundle's version (a git bundle's commit), else the commit of the folder the DAG file is in."""
    bundle = getattr(ti, "bundle_instance", None)
    version = getattr(bundle, "version", None)
    if version:
        return str(version)
    folder = getattr(bundle, "path", None)
    return git_commit(Path(folder)) if folder else None


def git_commit(folder: Path) -> str | None:
    """Return the commit of a working tree, with ``-dirty`` when tracked files differ from it; None outside git."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):  # no git here, or one that hangs: then there is no commit to name
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
