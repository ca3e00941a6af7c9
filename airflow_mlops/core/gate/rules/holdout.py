"""The rule on the rows that are judged on: enough of them, of more than one label, and new to the champion."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_mlops.core.gate.rule import Asked, Rule
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.wording import STOP
from airflow_mlops.spec.gate import GateSpec
from airflow_mlops.spec.problems import ReasonCode


def holdout_size(rows: int, gate: GateSpec) -> RuleResult:
    """There are enough labelled rows to judge on."""
    fine = rows >= gate.min_rows
    return RuleResult(
        rule="holdout",
        metric="rows",
        verdict=Verdict.ACCEPT if fine else Verdict.REJECT,
        value=float(rows),
        bound=f">= {gate.min_rows}",
        rows=rows,
        code=None if fine else ReasonCode.HOLDOUT_TOO_SMALL,
        reason=f"{rows:,} labelled rows to judge on, where gate.min_rows asks for {gate.min_rows:,}",
    )


def one_label(rows: int, label: str) -> RuleResult:
    """Rejects: all judged rows have the same label, so that whoever says it always would look best."""
    return RuleResult(
        rule="holdout",
        metric="labels",
        verdict=Verdict.REJECT,
        value=1.0,
        bound=">= 2",
        rows=rows,
        code=ReasonCode.LABEL_SINGLE_CLASS,
        reason=f"all {rows:,} rows to judge on have the same label in {label!r}: lengthen gate.holdout, or check how it"
        " is made",
    )


def champion_unseen(rows: int, gate: GateSpec, champion: Champion) -> RuleResult:
    """Enough of the holdout lies after what the champion was trained on."""
    fine = rows >= gate.min_rows
    end = f"{champion.candidate.train.end:%Y-%m-%d %H:%M}"
    return RuleResult(
        rule="holdout",
        metric="rows_unseen_by_champion",
        verdict=Verdict.ACCEPT if fine else Verdict.INCONCLUSIVE,
        value=float(rows),
        bound=f">= {gate.min_rows}",
        rows=rows,
        code=None if fine else ReasonCode.CHAMPION_TRAINED_ON_HOLDOUT,
        reason=f"{rows:,} rows are new to both models (champion v{champion.version} was trained on rows before {end})"
        + ("" if fine else f"; fewer than gate.min_rows = {gate.min_rows:,}, so the two are not compared"),
    )


def _owed(_: Asked) -> Iterator[str | None]:
    yield "rows"


HOLDOUT = Rule(
    name="holdout",
    owed=_owed,  # made where the rows are chosen
    rank=0,
    advice={
        ReasonCode.HOLDOUT_TOO_SMALL: f"{STOP} the numbers cannot be trusted. "
        "Find out why so few labelled rows arrived, then run again.",
        ReasonCode.CHAMPION_TRAINED_ON_HOLDOUT: "Wait until enough rows are newer than the champion's training, "
        "or judge with a later as-of.",
    },
)
