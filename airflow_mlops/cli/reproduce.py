"""`airflow mlops reproduce MODEL VERSION`: train a version again from its record and compare. Registers nothing."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.cli._common import opened
from airflow_mlops.cli.printed import say
from airflow_mlops.spec.problems import Refusal

if TYPE_CHECKING:
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.records.reproduction import Circumstances, Comparison, Difference, Reproduction
    from airflow_mlops.core.records.snapshot import Snapshot
    from airflow_mlops.core.training import Fitted
    from airflow_mlops.spec.model import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore

EXIT = {"identical": 0, "different": 1, "impossible": 2}


def reproduce(args: Namespace) -> None:
    """Print the verdict; with ``--json`` the whole record.

    Parameters
    ----------
    args
        `model`, the registered model; `version`; `conn_id`, the connection to MLflow; `json`.

    Raises
    ------
    SystemExit
        With status 1 when the predictions differ, 2 when the version could not be trained again.
    """
    from airflow_mlops.config import open_configured_storage
    from airflow_mlops.core.training import reproduction_text

    with opened(args.conn_id, EXIT["impossible"]) as records:
        found = reproduce_version(records, open_configured_storage(), args.model, int(args.version))
    say(json.dumps(found.to_json(), indent=2, ensure_ascii=False) if args.json else reproduction_text(found))
    if EXIT[found.verdict]:
        raise SystemExit(EXIT[found.verdict])


def reproduce_version(records: MLflowStore, storage: Storage, model: str, version: int) -> Reproduction:
    """Train a version again, in this process, and compare it with the stored model.

    A refitted version is trained as it was: what was judged first, and compared too, then its recipe on all rows.

    Raises
    ------
    RecordError
        If the version, or what was recorded of it, is not there or was changed.
    StoreUnavailableError
        If a store is away.
    """
    from airflow_mlops.core.training import (
        circumstance_differences,
        conclude_reproduction,
        fit,
        impossible_reproduction,
        refit,
        training_differences,
    )
    from airflow_mlops.stores.model_files.format import environment

    candidate = records.candidates.candidate_of(model, version)
    spec, snapshot = records.lineage.spec_of(candidate.run_id), records.lineage.snapshot_of(candidate.run_id)
    changed = [*_record_differences(candidate, spec)]
    changed += circumstance_differences(records.lineage.circumstances_of(candidate.run_id), _now(environment()))
    try:
        frame = _rows(candidate, snapshot, storage)
        fitted = fit(spec, snapshot, frame, changed=candidate.changed)
        before: list[Comparison] = []
        if candidate.refit_of is not None:
            judged = records.candidates.candidate(candidate.refit_of.run_id)
            changed += training_differences(judged, fitted, seed=spec.training.seed)
            before = _comparisons(records, judged, spec, fitted, about="judged version: ")
            fitted = refit(spec, snapshot, frame, judged, fitted.pipeline)
    except ConnectionError:
        raise
    except Refusal as refusal:
        return impossible_reproduction(candidate, version, [str(problem) for problem in refusal.problems], changed)
    changed += [one for one in training_differences(candidate, fitted, seed=spec.training.seed) if one not in changed]
    return conclude_reproduction(
        candidate,
        version,
        comparisons=[*_comparisons(records, candidate, spec, fitted), *before],
        differences=changed,
        metrics=fitted.metrics,
    )


def _comparisons(
    records: MLflowStore, candidate: Candidate, spec: ModelSpec, fitted: Fitted, *, about: str = ""
) -> list[Comparison]:
    from airflow_mlops.core.errors import RecordError
    from airflow_mlops.core.pipeline.predict import predict
    from airflow_mlops.core.training import compare_predictions

    stored = records.load_pipeline(candidate, spec=spec)
    rows = fitted.holdout_frame
    made = [
        compare_predictions(
            f"{about}whole holdout, stored model and new one",
            predict(stored, rows, candidate),
            predict(fitted.pipeline, rows, fitted),
            candidate.classes,
        )
    ]
    try:
        golden = records.lineage.golden(candidate.run_id)
    except RecordError as refusal:
        say(f"{about}without its golden batch: {refusal}", file=sys.stderr)
        return made
    recorded = golden.record.output, golden.record.predictions
    now = predict(fitted.pipeline, golden.rows, fitted)
    what = f"{about}golden batch, recorded predictions and new model"
    return [compare_predictions(what, recorded, now, golden.record.classes), *made]


def _rows(candidate: Candidate, snapshot: Snapshot, storage: Storage) -> Any:
    """Read the recorded rows, every one of them verified."""
    from airflow_mlops.core.errors import RecordError
    from airflow_mlops.core.snapshot import read_snapshot
    from airflow_mlops.spec.problems import Problem, ReasonCode

    if snapshot.fingerprint != candidate.snapshot_fingerprint:
        raise RecordError(
            Problem(
                code=ReasonCode.NOT_REPRODUCIBLE,
                field="snapshot.json",
                found=f"the manifest of snapshot {snapshot.fingerprint[:12]}",
                allowed=f"snapshot {candidate.snapshot_fingerprint[:12]}, which the candidate was trained on",
                fix="restore the run's artifact",
            )
        )
    return read_snapshot(snapshot, storage)


def _record_differences(candidate: Candidate, spec: ModelSpec) -> list[Difference]:
    from airflow_mlops.core.records.reproduction import Difference

    if spec.fingerprint == candidate.spec_fingerprint:
        return []
    # The recorded text is sealed, so it is this version of the package that reads it differently.
    now = f"{spec.fingerprint[:12]} as read now"
    return [Difference(what="specification", recorded=candidate.spec_fingerprint[:12], now=now)]


def _now(text: str) -> Circumstances:
    """Return Python, packages and code of this process, and the commit of the DAG folder."""
    from airflow.sdk.configuration import conf

    from airflow_mlops.core.training import read_environment
    from airflow_mlops.provenance import git_commit

    return read_environment(text, commit=git_commit(Path(conf.get("core", "dags_folder"))))
