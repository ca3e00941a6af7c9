"""What the gate saw, as sections of the model card; what was not looked at is said."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import Evaluation, GateDecision
from airflow_mlops.core.records.evidence import Disparity, Evidence, Group, SliceResult
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.wording import format_interval, format_window, metric_direction
from airflow_mlops.core.text import format_number, format_percent, spell_out
from airflow_mlops.reports.decision.evidence import convergence_facts, serving_facts
from airflow_mlops.reports.decision.plots import tone_of
from airflow_mlops.spec.model import ModelSpec

NOT_JUDGED = "The gate has not judged this candidate."


def evidence_sections(spec: ModelSpec, candidate: Candidate, decision: GateDecision | None) -> Iterator[Section]:
    """Metrics, slices, fairness, calibration, robustness, leakage, convergence and serving."""
    if decision is None:
        yield _metrics_of_training(candidate)
        yield Section(title="Evaluation", sentences=(NOT_JUDGED,))
        return
    found, metric = decision.evaluation.evidence, decision.evaluation.primary
    yield _metrics(decision.evaluation)
    yield _slices(spec, found, decision)
    yield _segments(found, metric)
    yield from _fairness(spec, found)
    yield _calibration(spec, candidate, found)
    yield _robustness(spec, found, metric)
    yield _leakage(spec, found)
    yield _convergence(candidate, found)
    yield _serving(spec, found)


def absent(spec: ModelSpec, part: str, *, asked: bool = True, how: str = "") -> str:
    """Why there is no evidence of a rule: not asked for, switched off, or not evaluated."""
    if spec.gate.mode == "off" or getattr(spec.gate, part).mode == "off":
        return f"The {part} rule is switched off."
    if not asked:
        return f"No {part} rule was asked for{f': {how}' if how else ''}."
    return f"The {part} rule was asked for, and there is no evidence of it in the decision."


def _metrics_of_training(candidate: Candidate) -> Section:
    rows = tuple(
        (name, format_number(value), metric_direction(name)) for name, value in sorted(candidate.metrics.items())
    )
    said = () if rows else ("No metric was recorded when it was trained.",)
    return Section(title="Metrics", sentences=said, headings=("metric", "candidate", "direction"), rows=rows)


def _metrics(found: Evaluation) -> Section:
    champion = found.champion_metrics or {}
    every = set(found.candidate_metrics) | set(champion) | set(found.baseline_metrics)
    names = sorted(every, key=lambda name: (name != found.primary, name))
    rows = tuple(
        (
            name,
            format_number(found.candidate_metrics.get(name)),
            format_number(champion.get(name)),
            format_number(found.baseline_metrics.get(name)),
            metric_direction(name),
        )
        for name in names
    )
    said = [
        f"On {found.rows:,} rows that it was not trained on ({format_window(found.window)}). Primary: {found.primary}."
    ]
    if not rows:
        said.append("No metric could be computed.")
    if found.champion_metrics is None:
        said.append("It was not compared with a champion on these rows.")
    serves = f"champion v{found.champion_version}" if found.champion_version is not None else "champion"
    headings = ("metric", "candidate", serves, "trivial baseline", "direction")
    return Section(title="Metrics", sentences=tuple(said), headings=headings, rows=rows)


def _slices(spec: ModelSpec, found: Evidence, decision: GateDecision) -> Section:
    if not found.slices:
        why = absent(spec, "slices", asked=bool(spec.gate.slices.columns), how="gate.slices.columns names no column")
        return Section(title="Slices", sentences=(why,))
    rules = decision.evaluation.rules
    ordered = sorted(found.slices, key=lambda item: (not item.judged, tone_of(item, rules) != "bad"))
    headings = ("slice", "rows", "candidate", "champion", "drop (interval)", "corrected p", "stands")
    said = f"By {decision.evaluation.primary}; a drop is how much worse than the champion."
    return Section(
        title="Slices",
        sentences=(said,),
        headings=headings,
        rows=tuple(_slice(item, tone_of(item, rules)) for item in ordered),
    )


def _slice(item: SliceResult, tone: str) -> tuple[str, ...]:
    stands = {"bad": "worse", "good": "not worse", "plain": "no drop shown" if item.drop else ""}[tone]
    return (
        f"{item.column} = {item.value}",
        f"{item.rows:,}",
        format_number(item.candidate),
        format_number(item.champion),
        format_interval(item.drop),
        format_number(item.drop_p),
        stands if item.judged else "too few rows",
    )


def _segments(found: Evidence, metric: str) -> Section:
    rows = tuple(
        (
            item.words,
            f"{item.rows:,}",
            format_percent(item.share),
            format_number(item.metric),
            format_number(item.whole),
        )
        for item in found.segments
    )
    missing = () if rows else ("No weak segment was found, or none was searched for.",)
    headings = ("segment", "rows", "share", metric, "on all rows")
    return Section(title="Weakest segments", sentences=missing, headings=headings, rows=rows)


def _fairness(spec: ModelSpec, found: Evidence) -> Iterator[Section]:
    if not (found.groups or found.disparities):
        asked = bool(spec.gate.fairness.columns)
        why = absent(spec, "fairness", asked=asked, how="gate.fairness.columns names no protected attribute")
        yield Section(title="Fairness", sentences=(why,))
        return
    headings = ("attribute", "difference in", "value (interval)", "bound", "rows")
    yield Section(title="Fairness", headings=headings, rows=tuple(map(_disparity, found.disparities)))
    names = tuple(dict.fromkeys(name for group in found.groups for name in group.metrics))[:8]
    yield Section(
        title="Groups",
        headings=("group", "rows", *map(spell_out, names), "stands"),
        rows=tuple(_group(group, names) for group in found.groups),
    )


def _disparity(item: Disparity) -> tuple[str, ...]:
    bound = "reported only" if item.bound is None else f"<= {item.bound:g}"
    return item.column, spell_out(item.measure), format_interval(item.difference), bound, f"{item.rows:,}"


def _group(group: Group, names: tuple[str, ...]) -> tuple[str, ...]:
    values = (format_number(group.metrics.get(name)) for name in names)
    return f"{group.column} = {group.value}", f"{group.rows:,}", *values, "" if group.judged else "too few rows"


def _calibration(spec: ModelSpec, candidate: Candidate, found: Evidence) -> Section:
    if candidate.task == "regression":
        return Section(title="Calibration", sentences=("A regression gives no probabilities.",))
    if not found.reliability:
        return Section(title="Calibration", sentences=(absent(spec, "calibration"),))
    rows = tuple((item.who, item.event, format_interval(item.error)) for item in found.reliability)
    return Section(
        title="Calibration", headings=("model", "probability of", "expected calibration error (interval)"), rows=rows
    )


def _robustness(spec: ModelSpec, found: Evidence, metric: str) -> Section:
    if not found.perturbations:
        return Section(title="Robustness", sentences=(absent(spec, "robustness"),))
    kinds = {"missing": "made missing", "noise": "noise", "shuffled": "shuffled column"}
    rows = tuple(
        (kinds[item.kind], item.what, format_number(item.metric), format_number(item.drop), f"{item.rows:,}")
        for item in found.perturbations
    )
    return Section(title="Robustness", headings=("broken by", "what", metric, "drop", "rows"), rows=rows)


def _leakage(spec: ModelSpec, found: Evidence) -> Section:
    if not found.leaks:
        return Section(title="Leakage", sentences=(absent(spec, "leakage"),))
    rows = tuple(
        (
            spell_out(item.kind),
            item.what,
            item.words,
            format_number(item.value),
            format_number(item.bound),
            "yes" if item.leaking else "no",
        )
        for item in found.leaks
    )
    headings = ("kind", "what", "in words", "value", "bound", "leak")
    return Section(title="Leakage", headings=headings, rows=rows)


def _convergence(candidate: Candidate, found: Evidence) -> Section:
    told = found.convergence or candidate.convergence
    if not told:
        return Section(title="Convergence", sentences=("The estimator said nothing of its own training.",))
    return Section(title="Convergence", facts=convergence_facts(told))


def _serving(spec: ModelSpec, found: Evidence) -> Section:
    if found.serving is None:
        return Section(title="Serving", sentences=(absent(spec, "serving"),))
    return Section(title="Serving", facts=serving_facts(found.serving))
