"""The gate's decision as a page for a person: the answer first, what to do next, then everything behind it."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import Evaluation, GateDecision, RuleResult
from airflow_mlops.core.records.evidence import RELIANCE
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.wording import bound_of, format_window, refit_words
from airflow_mlops.core.text import clip_text
from airflow_mlops.reports.decision import plots
from airflow_mlops.reports.decision.judgement import (
    changes_sections,
    gains_section,
    metrics_section,
    remedies_section,
    rules_section,
)
from airflow_mlops.reports.decision.wording import deciding, next_steps, sentence, superseded, tone, waived
from airflow_mlops.reports.html import Banner, render_page

MOST_REASONS = 6
"""Reasons in the banner; the table of rules has them all."""
MOST_ROWS = 40
"""Rows of one table."""


def render(
    decision: GateDecision,
    candidate: Candidate,
    advice: Sequence[str],
    *,
    evidence: Sequence[Section],
    superseded_by: int | None = None,
) -> str:
    """Return one self-contained HTML page, below 200 kB, that needs no network and no script.

    What is too long for a page (rules, slices, groups, features) is cut to the
    worst, and the page says so: the decision's JSON beside it has everything.

    Parameters
    ----------
    decision, candidate
        What was decided, and about what.
    advice
        What the rules say should be done.
    evidence
        What the rules saw, in sections; those without rows and facts are left out.
    superseded_by
        The version of a later attempt of the same run, which was judged from other rows or another specification.
    """
    evaluation = decision.evaluation
    drawn = _plots(evaluation)
    return render_page(
        f"Gate decision: {clip_text(decision.model)}, as of {decision.as_of:%Y-%m-%d %H:%M} UTC",
        (
            Section(key="steps", title="What to do next", points=next_steps(decision, advice), ranked=True),
            *([remedies_section(evaluation)] if evaluation.remedies else []),
            *changes_sections(decision),
            rules_section(evaluation.rules),
            gains_section(evaluation.rules),
            metrics_section(evaluation, decision.refit_of),
            *([Section(key="curves", title="Curves")] if drawn["curves"] else []),
            *(part for part in evidence if part.rows or part.facts),
            _origin(decision, candidate),
        ),
        alarm=waived(decision) if superseded_by is None else superseded(superseded_by, waived(decision)),
        banner=Banner(tone=tone(decision), verdict=sentence(decision), reasons=_told(decision)),
        plots=drawn,
        most=MOST_ROWS,
    )


def _told(decision: GateDecision) -> list[str]:
    changed = [clip_text(told) for told in (decision.overridden, decision.other_rules) if told]
    return [*changed, *_reasons(deciding(decision))]


def _reasons(reasons: Sequence[str]) -> list[str]:
    shown = [clip_text(reason) for reason in reasons[:MOST_REASONS]]
    left = len(reasons) - len(shown)
    return [*shown, f"and {left} more, in the table of rules"] if left > 0 else shown


def _plots(evaluation: Evaluation) -> dict[str, str]:
    """SVG by the key of its section."""
    found, metric, rules = evaluation.evidence, evaluation.primary, evaluation.rules
    return {
        "gains": plots.intervals(rules),
        "curves": plots.curves(found.curves),
        "slices": plots.plots_beside([plots.slice_drops(found.slices, metric, rules)]),
        "disparities": plots.plots_beside([plots.differences(found.disparities)]),
        "reliability": plots.reliability(found.reliability),
        "perturbations": plots.drops(found.perturbations, metric, _bounds(rules)),
    }


def _bounds(rules: Sequence[RuleResult]) -> dict[str, float | None]:
    """The bound of each kind of perturbation, where a rule has one."""
    found: dict[str, float | None] = {}
    for rule in rules:
        if rule.rule == "robustness":
            kinds = ["shuffled"] if rule.metric == RELIANCE else ["missing", "noise"]
            found |= dict.fromkeys(kinds, bound_of(rule.bound))
    return found


def _origin(decision: GateDecision, candidate: Candidate) -> Section:
    judged = decision.refit_of
    return Section(
        key="origin",
        title="Origin",
        facts={
            "judged on": f"{decision.evaluation.rows:,} rows, {format_window(decision.evaluation.window)}",
            "trained on": f"{candidate.train_rows:,} rows, {format_window(candidate.train)}",
            **({} if judged is None else {"refitted": refit_words(candidate.train_rows, judged.version)}),
            "task": candidate.task,
            "candidate": candidate.model_uri,
            "MLflow run": candidate.run_id,
            "Airflow run": candidate.loop_run,
            "snapshot": candidate.snapshot_uri,
            "its fingerprint": candidate.snapshot_fingerprint,
            "specification": candidate.spec_fingerprint,
            "seed": str(candidate.seed),
            **({"changed for this run": decision.overridden} if decision.overridden else {}),
            **({"triggered by": decision.overridden_by} if decision.overridden_by else {}),
            "gate.mode": decision.mode,
            "decided at": f"{decision.decided_at:%Y-%m-%d %H:%M:%S} UTC",
            "decision's digest": decision.digest,
        },
    )
