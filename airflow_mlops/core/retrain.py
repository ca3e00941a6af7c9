"""Whether to retrain now: a signal (drift) is not yet a decision, and nothing retrains without limits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from airflow_mlops.core.data import DataStore, Window
from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.model import Champion
from airflow_mlops.core.monitor import DriftReport, RetrainDecision
from airflow_mlops.core.windows import label_window
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.types import format_duration


def decide_retraining(
    spec: ModelSpec, report: DriftReport, champion: Champion, new_rows: int, as_of: datetime
) -> RetrainDecision:
    """Decide whether a drift report causes a retraining.

    Parameters
    ----------
    report
        Only the verdict `drift` can; `invalid` and `unknown` never do.
    champion
        The version that serves now; a report about another one is out of date.
    new_rows
        Rows since the champion's as-of whose label is mature now.
    as_of
        The instant of the decision.

    Returns
    -------
    RetrainDecision
        `wait` carries every reason that speaks against retraining, not only the first. The evidence names the
        champion, the window and the report's digest: the same evidence is the same event.

    Raises
    ------
    RecordError
        If specification, report and champion are not of one model.
    """
    if not spec.name == report.model == champion.model:
        raise RecordError(
            Problem(
                code=ReasonCode.RECORD_CONFLICT,
                field="model",
                found=f"a specification of {spec.name}, a report on {report.model}, a champion of {champion.model}",
                allowed="all three of one model",
                fix="pass the records that this model's own loop wrote",
            )
        )
    against = tuple(_against(spec, report, champion, new_rows, as_of))
    return RetrainDecision(
        model=spec.name,
        action="wait" if against else "retrain",
        as_of=as_of,
        reasons=against or report.reasons,
        evidence={
            "champion_version": str(champion.version),
            "champion_run_id": champion.run_id,
            "drift_verdict": report.verdict,
            "report_digest": report.digest,
            "window_start": report.window.start.isoformat(),
            "window_end": report.window.end.isoformat(),
        },
    )


def count_new_rows(spec: ModelSpec, champion: Champion, store: DataStore, as_of: datetime) -> int:
    """Count the rows that a training as of `as_of` would know, and the champion's could not.

    These are the rows with a label whose event is mature at `as_of` and was not at the champion's as-of time. Only
    time and label are read, in batches.

    Raises
    ------
    DataError
        If the source is missing or unreadable.
    """
    import pyarrow.compute as pc

    known, now = (label_window(spec, instant).end for instant in (champion.candidate.as_of, as_of))
    if now <= known:
        return 0
    time, label = spec.data.time, spec.data.label
    batches = store.read(Window(start=known, end=now), time, list(dict.fromkeys((time, label))))
    return sum(b.num_rows - pc.is_null(b.column(label), nan_is_null=True).true_count for b in batches)


def _against(spec: ModelSpec, report: DriftReport, champion: Champion, new_rows: int, as_of: datetime) -> Iterator[str]:
    rules = spec.retraining
    if report.verdict != "drift":
        yield f"The drift verdict is {report.verdict!r}: {' '.join(report.reasons)}"
    if not rules.on_drift:
        yield "The specification says that drift causes no retraining (retraining.on_drift: false)."
    if report.champion_version != champion.version:
        yield f"The report is about version {report.champion_version}; version {champion.version} serves now."
    trained = champion.candidate.as_of
    if as_of < trained + rules.cooldown:
        yield (
            f"The champion is of {trained.isoformat()}; the cooldown of {format_duration(rules.cooldown)} ends at "
            f"{(trained + rules.cooldown).isoformat()}, after {as_of.isoformat()}."
        )
    if new_rows < rules.min_new_rows:
        yield f"There are {new_rows} new labelled rows since then; retraining needs {rules.min_new_rows}."
