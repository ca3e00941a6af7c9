"""`airflow mlops monitoring`: what was seen of a model's newest windows, what was decided, and why."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops.cli._common import columns, opened, to_the_minute, version_label
from airflow_mlops.cli.printed import say
from airflow_mlops.core.text import visible

if TYPE_CHECKING:
    from airflow_mlops.core.records.drift import DriftReport
    from airflow_mlops.core.records.performance import PerformanceReport
    from airflow_mlops.core.records.retraining import RetrainDecision
    from airflow_mlops.stores.mlflow.store import MLflowStore

_EVER = datetime.max.replace(tzinfo=UTC)


def monitoring(args: Namespace) -> None:
    """Print a line for each of the newest windows, and of the newest one every reason.

    Raises
    ------
    SystemExit
        With status 1 when the model is unknown, or MLflow does not answer.
    """
    if args.last < 1:
        say(f"--last: found {args.last}; allowed: a number from 1; leave it out to mean 10", file=sys.stderr)
        raise SystemExit(1)
    with opened(args.conn_id) as records:
        seen = _windows(records, args.model, args.last)
    if args.json:
        say(json.dumps(seen, indent=2, ensure_ascii=False))
    elif not seen:
        say("nothing was watched yet: the first run of a <model>.monitor does")
    else:
        heads = ("as of", "champion", "drift", "performance", "decided", "by rule")
        say(columns(heads, [_row(one) for one in seen]))
        for line in _reasons(seen[0]):
            say(line)


def _windows(records: MLflowStore, model: str, last: int) -> list[dict[str, Any]]:
    """Return what is kept of the newest windows, newest first: a window is named by its instant."""
    from airflow_mlops.core.promotion import no_trail

    champion = records.registry.champion(model)
    if champion is None:
        raise no_trail(model)
    spec, kept = records.lineage.spec_of(champion.run_id), records.windows
    asked = (spec.experiment, spec.name)
    drift = {one.as_of: one for one in kept.drift_history(*asked, before=_EVER, limit=last)}
    performance = {one.as_of: one for one in kept.performance_history(*asked, before=_EVER, limit=last)}
    decided = {one.as_of: one for one in kept.retraining_history(*asked, before=_EVER, limit=last)}
    moments = sorted({*drift, *performance, *decided}, reverse=True)[:last]
    return [_as_json(moment, drift.get(moment), performance.get(moment), decided.get(moment)) for moment in moments]


def _as_json(
    moment: datetime,
    drift: DriftReport | None,
    performance: PerformanceReport | None,
    decision: RetrainDecision | None,
) -> dict[str, Any]:
    report = drift or performance
    return {
        "as_of": moment.isoformat(),
        "champion": None if report is None else report.champion_version,
        "drift": None if drift is None else {"verdict": drift.verdict, "reasons": list(drift.reasons)},
        "performance": None
        if performance is None
        else {"verdict": performance.verdict, "reasons": list(performance.reasons)},
        "decision": None
        if decision is None
        else {
            "action": decision.action,
            "rule": decision.rule,
            "reasons": list(decision.reasons),
            "plan": decision.plan,
        },
    }


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    decision = one["decision"] or {"action": "", "rule": ""}
    return (
        to_the_minute(one["as_of"]),
        version_label(one["champion"]),
        *((one[kind] or {"verdict": "not watched"})["verdict"] for kind in ("drift", "performance")),
        decision["action"] or "nothing yet",
        decision["rule"],
    )


def _reasons(one: dict[str, Any]) -> Iterator[str]:
    """Yield every reason of a window, a line each, whatever a category's name says."""
    yield f"\nas of {to_the_minute(one['as_of'])}:"
    for kind in ("drift", "performance", "decision"):
        said = one[kind]
        if said is not None:
            yield f"  {kind}: {said.get('verdict') or said['action']}"
            yield from (f"    {visible(reason, keep='')}" for reason in said["reasons"])
    if one["decision"] and one["decision"]["plan"]:
        yield f"  what to do: {visible(one['decision']['plan'], keep='')}"
