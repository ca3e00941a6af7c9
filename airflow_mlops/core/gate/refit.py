"""Decide about a refitted model: by the evidence of what was judged, and by what can be seen of the model itself.

It has learned from the rows that its recipe was judged on, so no rule that needs unseen rows can be asked of it: those
results are taken over from the decision that accepted the recipe. The rules that look at the stored model alone (did
its optimiser converge, does it serve what was recorded, fast and small enough) are asked again, of this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.gate.decide import decide
from airflow_mlops.core.gate.rules import RULES
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, JudgedVersion, RuleResult, Verdict
from airflow_mlops.core.records.evidence import ServingReport
from airflow_mlops.core.records.wording import refit_words
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

_OF_THE_RUN = ("overrides", "overridden_by", "judged_by", "rules_changed", "earlier_changes")
"""What a decision says of its run and its specification, which are those of what was judged."""


@dataclass(frozen=True, kw_only=True)
class RefittedModel:
    """What is asked of a refitted model itself; a :class:`~airflow_mlops.core.gate.rule_input.StoredModel`."""

    spec: ModelSpec
    candidate: Candidate
    serving: ServingReport | Callable[[], ServingReport] | None


def decide_refit(
    spec: ModelSpec,
    refitted: Candidate,
    judged: GateDecision,
    version: int,
    *,
    served: ServingReport | Callable[[], ServingReport] | None,
    now: datetime,
) -> GateDecision:
    """Decide whether a refitted model may serve in the place of the version that was judged.

    Parameters
    ----------
    refitted
        Its record.
    judged, version
        The decision that accepted its recipe, and the version that it was about.
    served
        What a fresh interpreter saw of the refitted model, or what waits for it; None is a rejection where the rule is
        on.

    Returns
    -------
    GateDecision
        About the refitted model, against the same champion. Its evaluation is that of what was judged.

    Raises
    ------
    RecordError
        If the decision did not accept, or is about another model than the one that was refitted.
    """
    origin = refitted.refit_of
    if origin is None or judged.verdict is not Verdict.ACCEPT or judged.run_id != origin.run_id:
        raise RecordError(_mismatch(refitted, judged))
    asked, found, evidence = set[str](), list[RuleResult](), dict[str, Any]()
    model = RefittedModel(spec=spec, candidate=refitted, serving=served)
    for rule in RULES:
        if rule.judge_model is not None and rule.runs(spec):
            outcome = rule.judge_model(model)
            asked.add(rule.name)
            found += outcome.rules
            evidence |= outcome.evidence
    kept = [rule for rule in judged.evaluation.rules if rule.rule not in asked]
    evaluation = replace(
        judged.evaluation,
        run_id=refitted.run_id,
        rules=(*kept, *found),
        evidence=replace(judged.evaluation.evidence, **evidence),
    )
    made = decide(spec, refitted, evaluation, now=now)
    about = JudgedVersion(version=version, run_id=judged.run_id, decision=judged.digest)
    first = f"{refit_words(refitted.train_rows, version)}: {made.reasons[0]}" if made.reasons else ""
    reasons = (first, *made.reasons[1:]) if made.verdict is Verdict.ACCEPT else made.reasons
    told = {name: getattr(judged, name) for name in _OF_THE_RUN}
    return replace(made, refit_of=about, reasons=reasons, **told)


def _mismatch(refitted: Candidate, judged: GateDecision) -> Problem:
    origin = "nothing" if refitted.refit_of is None else f"run {refitted.refit_of.run_id}"
    return Problem(
        code=ReasonCode.DECISION_MISMATCH,
        field="decision",
        found=f"a decision ({judged.verdict}) about run {judged.run_id}, and a model that repeats {origin}",
        allowed="the accepting decision about what was refitted",
        fix="let the gate judge this run again",
    )
