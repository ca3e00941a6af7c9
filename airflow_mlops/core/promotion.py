"""From a decision to the champion: the one place where the alias moves forward.

Effects come in an order in which a kill between any two leaves the champion that served before, or the new one
whole, and in which doing it again ends the same:

1. the version is registered, with its decision and provenance as tags, in one request;
2. alias `previous` := the champion that will be displaced;
3. alias `champion` := the version, read back;
4. the tag `mlops.status` of the versions involved.

MLflow cannot compare and swap. Promotions of one model must not run at the same time (the DAGs have one active run);
reading back finds out when they did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_mlops.core.errors import StaleDecisionError
from airflow_mlops.core.model import Candidate, GateDecision, PromotionRecord, Registry, Verdict
from airflow_mlops.spec.problems import Problem, ReasonCode

CHAMPION, PREVIOUS = "champion", "previous"
STATUS = "mlops.status"
DIGEST = "mlops.decision_digest"
DISPLACES = "mlops.displaces"
_NOT_SERVING = {Verdict.REJECT: "rejected", Verdict.INCONCLUSIVE: "inconclusive"}
SERVED = frozenset({"champion", "previous", "archived", "rolled_back"})
"""Statuses of versions that have been champion: they come back by rollback, not by promoting them again."""


def promote(
    decision: GateDecision,
    candidate: Candidate,
    registry: Registry,
    *,
    registered_model: str,
    tags: Mapping[str, str] | None = None,
) -> PromotionRecord:
    """Register the candidate, and make it champion if the decision accepts it and still holds.

    Parameters
    ----------
    decision
        What the gate decided, as it stands in the system of record.
    candidate
        What was judged.
    registry
        The model registry.
    registered_model
        Name in the registry.
    tags
        Who promotes: DAG, run, task, try, commit.

    Returns
    -------
    PromotionRecord
        The same one when it is done again.

    Raises
    ------
    StaleDecisionError
        DECISION_MISMATCH: the decision is about another model. DECISION_STALE: another champion serves than the one
        judged against, or this version has served and was replaced. AS_OF_BACKWARDS: the champion knows later data.
        Nothing was written then, unless another promotion ran at the same time.
    RecordError
        If the champion's own record cannot be read.
    """
    _require_match(decision, candidate)
    standing = registry.version_of(registered_model, candidate.run_id)
    if standing is not None:
        _require_unserved_or_same(decision, registry, registered_model, standing)
    if decision.verdict is Verdict.ACCEPT and not _holds(registry, registered_model, standing):
        _require_fresh(decision, candidate, registry, registered_model)
    version = _register(decision, candidate, registry, registered_model, tags or {})
    if decision.verdict is Verdict.ACCEPT:
        _make_champion(decision, registry, registered_model, version)
    else:
        _tag(registry, registered_model, version, {STATUS: _NOT_SERVING[decision.verdict]})
    return PromotionRecord(
        model=registered_model,
        version=version,
        run_id=candidate.run_id,
        promoted=decision.verdict is Verdict.ACCEPT,
        champion_version=registry.alias(registered_model, CHAMPION),
        previous_version=registry.alias(registered_model, PREVIOUS),
        as_of=candidate.as_of,
        verdict=decision.verdict,
        reasons=decision.reasons,
    )


def has_served(registry: Registry, model: str, version: int) -> bool:
    """Whether a version serves or has served: its decision is history then, and is not made again."""
    if version in (registry.alias(model, CHAMPION), registry.alias(model, PREVIOUS)):
        return True  # also when a kill came between the alias and the status
    return (registry.version_tags(model, version) or {}).get(STATUS) in SERVED


def provenance_tags(decision: GateDecision, candidate: Candidate) -> dict[str, str]:
    """Return everything that made a version, as the tags it carries in the registry."""
    displaced = decision.champion_version
    return {
        "mlops.loop_run": candidate.loop_run,
        "mlops.as_of": candidate.as_of.isoformat(),
        "mlops.train": str(candidate.train),
        "mlops.holdout": str(candidate.holdout),
        "mlops.train_rows": str(candidate.train_rows),
        "mlops.holdout_rows": str(candidate.holdout_rows),
        "mlops.snapshot": candidate.snapshot_fingerprint,
        "mlops.snapshot_uri": candidate.snapshot_uri,
        "mlops.spec": candidate.spec_fingerprint,
        "mlops.seed": str(candidate.seed),
        "mlops.verdict": decision.verdict.value,
        DIGEST: decision.digest,
        DISPLACES: "" if displaced is None else str(displaced),
        **{f"mlops.metric.{name}": repr(value) for name, value in candidate.metrics.items()},
    }


def _require_match(decision: GateDecision, candidate: Candidate) -> None:
    pairs = {
        name: (getattr(decision, name), getattr(candidate, name))
        for name in ("model", "run_id", "loop_run", "model_uri", "as_of")
    }
    problems = [
        Problem(
            code=ReasonCode.DECISION_MISMATCH,
            field=f"decision.{name}",
            found=str(decided),
            allowed=f"{given}, as the candidate has it",
            fix="give the decision that was made about this candidate",
        )
        for name, (decided, given) in pairs.items()
        if decided != given
    ]
    if problems:
        raise StaleDecisionError(problems, subject=candidate.model)


def _require_unserved_or_same(decision: GateDecision, registry: Registry, model: str, standing: int) -> None:
    """A version that serves, or has served, keeps the decision that it was promoted by."""
    tags = registry.version_tags(model, standing) or {}
    if _holds(registry, model, standing):
        if tags.get(DIGEST) == decision.digest:
            return  # an earlier try was killed after the alias had moved
        raise _stale(
            f"version {standing} of this run serves already, by another decision than this one ({decision.verdict})",
            "the decision that it was promoted by",
            "trigger a new run, or roll the model back",
        )
    if tags.get(STATUS) in SERVED:
        raise _stale(
            f"version {standing} of this run has served before and was replaced (status {tags.get(STATUS)})",
            "a version that has not served yet",
            "trigger a new run, or roll the model back to it",
        )


def _require_fresh(decision: GateDecision, candidate: Candidate, registry: Registry, model: str) -> None:
    """The champion is the one that was judged against, and is not newer."""
    champion = registry.champion(model)
    holder = None if champion is None else champion.version
    if holder != decision.champion_version:
        raise _stale(
            f"the decision was made against {_named(decision.champion_version)}, but {_named(holder)} serves now",
            "a decision against the champion that still serves",
            "clear the gate task of this run: it judges against the champion of now",
        )
    if champion is not None and candidate.as_of < champion.candidate.as_of:
        raise StaleDecisionError(
            Problem(
                code=ReasonCode.AS_OF_BACKWARDS,
                field="as_of",
                found=f"a candidate as of {candidate.as_of.isoformat()}",
                allowed=f"not before the champion's, {champion.candidate.as_of.isoformat()} (version {holder})",
                fix="only a rollback goes back in time",
            )
        )


def _register(
    decision: GateDecision, candidate: Candidate, registry: Registry, model: str, tags: Mapping[str, str]
) -> int:
    wanted = {**tags, **provenance_tags(decision, candidate)}
    version = registry.register(model, candidate, {**wanted, STATUS: "candidate"})
    # The version of an earlier try may carry an earlier decision.
    _tag(registry, model, version, wanted)
    return version


def _make_champion(decision: GateDecision, registry: Registry, model: str, version: int) -> None:
    displaced = decision.champion_version
    holder = registry.alias(model, CHAMPION)
    if holder not in (displaced, version):
        # Registering takes a while; nothing may be displaced that this candidate was not judged against.
        raise _stale(
            f"the decision was made against {_named(displaced)}, but {_named(holder)} became champion meanwhile",
            "one promotion of a model at a time, and a decision against the champion that still serves",
            "clear the gate task of this run: it judges against the champion of now",
        )
    if displaced is not None and registry.alias(model, PREVIOUS) != displaced:
        registry.set_alias(model, PREVIOUS, displaced)
    if holder != version:
        registry.set_alias(model, CHAMPION, version)
    holder = registry.alias(model, CHAMPION)
    if holder != version:
        raise _stale(
            f"version {version} was made champion, but {_named(holder)} holds the alias now",
            "one promotion of a model at a time",
            "look who else moves the alias; then trigger a new run",
        )
    for number, status in _statuses(registry, model, version, displaced):
        _tag(registry, model, number, {STATUS: status})


def _statuses(registry: Registry, model: str, version: int, displaced: int | None) -> Iterator[tuple[int, str]]:
    """Statuses after promotion, derived from what the versions themselves record, so that a retry finds the same."""
    yield version, "champion"
    if displaced is None:
        return
    yield displaced, "previous"
    older = (registry.version_tags(model, displaced) or {}).get(DISPLACES, "")
    if older.isdigit() and int(older) not in (version, displaced):
        yield int(older), "archived"


def _tag(registry: Registry, model: str, version: int, tags: Mapping[str, str]) -> None:
    """Set the tags that differ; a version that somebody deleted needs none."""
    standing = registry.version_tags(model, version)
    if standing is not None:
        changed = {name: value for name, value in tags.items() if standing.get(name) != value}
        if changed:
            registry.tag_version(model, version, changed)


def _holds(registry: Registry, model: str, version: int | None) -> bool:
    return version is not None and registry.alias(model, CHAMPION) == version


def _named(version: int | None) -> str:
    return "no champion" if version is None else f"version {version}"


def _stale(found: str, allowed: str, fix: str) -> StaleDecisionError:
    return StaleDecisionError(
        Problem(code=ReasonCode.DECISION_STALE, field="decision", found=found, allowed=allowed, fix=fix)
    )
