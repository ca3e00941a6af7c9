"""A registered model belongs to one specification: who the owner is, what is refused to others, how it is handed over.

The trail decides, as with the champion: the first specification that one of its events names is the owner, until an
event `handed_over` names another. Events are written once, at the next number, so of two specifications that come
first at the same time one is. The registered model's tag `mlops.owner` says the same for MLflow's pages; it is set in
the request that makes the model, and decides while the trail has no event yet.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import AuditTrail, Registry
from airflow_mlops.core.promotion.alias_log import CHAMPION, LEASE, AliasLog
from airflow_mlops.core.promotion.audit_state import AuditState, advance, fold, no_trail
from airflow_mlops.core.promotion.manual_move import move_refused, require_reason
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.ownership import OWNER_TAG, Claim, SpecIdentity, handover_fix, owned_by_another
from airflow_mlops.core.records.people import Person
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import Problem, ReasonCode

FIELD = "promotion.registered_model"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LOOKED_AT = 20
"""So many versions are asked who trained them, of a model that nobody was written down for."""


def require_owner(
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    specification: SpecIdentity | None,
    serves: Champion | None = None,
) -> None:
    """Refuse a specification, or a person who names one, what belongs to another; writes nothing.

    Parameters
    ----------
    specification
        Who asks. None: a person who names none, who is the platform's.
    serves
        A version that is about to be used: it must have been trained by the owner, of now or of before.

    Raises
    ------
    RecordError
        OWNED_BY_ANOTHER, AUDIT_BROKEN.
    """
    state = fold(trail.events(registered_model))
    if specification is not None:
        require_owner_in(registry, registered_model, state, specification)
    if serves is not None:
        require_trained_by_owner(registry, registered_model, state, serves, specification)


def open_own_log(
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    by: str,
    reason: str,
    now: datetime,
    specification: SpecIdentity | None,
    people: tuple[Person, ...],
    lease: timedelta = LEASE,
    pause: Callable[[float], None] = time.sleep,
) -> AliasLog:
    """Open the log of a model for what a person decides about it: with a reason, and for nobody but its owner.

    Raises
    ------
    RecordError
        REASON_MISSING, OWNED_BY_ANOTHER, AUDIT_BROKEN.
    """
    require_reason(reason, registered_model)
    require_owner(registry, trail, registered_model=registered_model, specification=specification)
    return AliasLog(
        registry=registry, trail=trail, model=registered_model, by=by, now=now, people=people, lease=lease, pause=pause
    )


def require_owner_in(registry: Registry, model: str, state: AuditState, specification: SpecIdentity) -> None:
    """Refuse who is not the owner, in a state of the trail; as :func:`require_owner`."""
    holder = _holder(registry, model, state)
    if holder is not None and not holder.is_same(specification):
        raise _anothers(model, holder, specification)


def require_trained_by_owner(
    registry: Registry, model: str, state: AuditState, target: Champion, specification: SpecIdentity | None = None
) -> None:
    """Refuse a version that another specification trained, however it came under this name.

    What a promotion has made champion before is the model's own: specifications were renamed before models had owners.

    Raises
    ------
    RecordError
        OWNED_BY_ANOTHER.
    """
    if target.version in state.promoted:
        return
    known = [*state.owners, *([] if specification is None else [specification])]
    if not state.owners and (holder := _holder(registry, model, state)) is not None:
        known.append(holder)
    names = sorted({one.name for one in known})
    if names and target.candidate.model not in names:
        raise RecordError(
            Problem(
                code=ReasonCode.OWNED_BY_ANOTHER,
                field=f"{model} version {target.version}",
                found=f"a version that specification '{target.candidate.model}' trained",
                allowed=f"one that its owner trained: {' or '.join(map(repr, names))}",
                fix="somebody registered it by hand: name another version, and register that one under its own model",
            )
        )


def require_own_candidate(candidate: Candidate, specification: SpecIdentity) -> None:
    """Refuse to register for one specification what another one has trained.

    Raises
    ------
    RecordError
        OWNED_BY_ANOTHER.
    """
    if candidate.model != specification.name:
        holder = SpecIdentity(name=candidate.model)
        fix = f"promote it by the specification that trained it, or train it by '{specification.name}'"
        raise owned_by_another(f"candidate of MLflow run {candidate.run_id}", holder, specification, fix=fix)


def refuse_stranger(alias_log: AliasLog, state: AuditState, specification: SpecIdentity) -> None:
    """Refuse who is not the owner by the trail, before anything else is asked.

    Where two came first at the same time, both may have written the tag: who the trail refuses puts it right.

    Raises
    ------
    RecordError
        OWNED_BY_ANOTHER.
    """
    if state.owner is None or state.owner.is_same(specification):
        return
    registry, model = alias_log.registry, alias_log.model
    if registry.model_tags(model).get(OWNER_TAG) == specification.to_text():
        registry.tag_model(model, {OWNER_TAG: state.owner.to_text()})
    raise _anothers(model, state.owner, specification)


def adopt(
    alias_log: AliasLog, events: Sequence[AuditEvent], state: AuditState, specification: SpecIdentity
) -> AuditState | None:
    """Let a specification be the owner from its first event on, and refuse it if another one is.

    A model that nobody was written down for is adopted, which its trail says. Its tag is put right.

    Returns
    -------
    AuditState or None
        The state to write the next event in; None when somebody else wrote there first.

    Raises
    ------
    RecordError
        OWNED_BY_ANOTHER.
    """
    registry, model = alias_log.registry, alias_log.model
    require_owner_in(registry, model, state, specification)
    tags, ours = registry.model_tags(model), specification.to_text()
    if state.owner is None and events and OWNER_TAG not in tags:
        reason = f"was registered before models had owners; {specification.words} is the first to use it since"
        written = alias_log.append(state, kind="adopted", reason=reason, specification=specification)
        if written is None:
            return None
        state = advance(state, written)
    if not specification.owner and state.owner is not None:
        ours = state.owner.to_text()
    if tags.get(OWNER_TAG) != ours:
        registry.tag_model(model, {OWNER_TAG: ours})
    return state


def hand_over(
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    to: SpecIdentity,
    by: str,
    reason: str,
    now: datetime,
    people: tuple[Person, ...] = (),
) -> AuditEvent:
    """Give a registered model to another specification, or to the same one under another owner, on the record.

    What serves stays. Experiment and storage folder of the specification that had it follow when the new owner's first
    run asks for them. Done again, it finds what was done.

    Returns
    -------
    AuditEvent
        Of kind `handed_over`.

    Raises
    ------
    RecordError
        REASON_MISSING, AUDIT_BROKEN, RECORD_CONFLICT if `to` can be no specification, or NO_CHAMPION if the loop never
        registered such a model.
    """
    require_reason(reason, registered_model)
    if not (_NAME.fullmatch(to.name) and to.owner.strip()):
        raise move_refused(
            ReasonCode.RECORD_CONFLICT,
            f"{registered_model}, its new owner",
            to.words,
            "the name of a specification and its owner, both as its file has them",
            "copy them from the file",
        )
    alias_log = AliasLog(registry=registry, trail=trail, model=registered_model, by=by, now=now, people=people)
    for _ in alias_log.tries():
        events = alias_log.events()
        if not events:
            raise no_trail(registered_model)
        state = fold(events)
        if state.owner == to:
            done = next(event for event in reversed(events) if event.specification == to)
            _follow(alias_log)
            return done
        before = _holder(registry, registered_model, state)
        if state.owner is None and before is not None:
            why = "was registered before models had owners, and trained by this specification"
            alias_log.append(state, kind="adopted", reason=why, specification=before)
            continue
        written = alias_log.append(state, kind="handed_over", reason=reason, specification=to)
        if written is not None:
            _follow(alias_log)
            return written
    raise alias_log.unfinished()


def owner_of(registry: Registry, trail: AuditTrail, model: str) -> SpecIdentity | None:
    """Return whom a registered model belongs to; None when nobody was written down."""
    state = fold(trail.events(model))
    return state.owner or _tagged(registry, model)


def settle_claim(
    registry: Registry, trail: AuditTrail, claim: Claim | None, asker: Claim, *, what: str, field: str
) -> Claim:
    """Return whose an experiment or a folder is from now on: the asker's, or it is refused.

    It goes over with the model that it was claimed for, when that was handed over. While that model was never
    registered there is nothing to hand over: then who only answers otherwise for the same specification takes it along,
    and a specification that names another model by now is taken at its word.

    Parameters
    ----------
    claim
        What is written at the place; None: nobody's.
    what
        The place in words.
    field
        What a specification calls it otherwise by.

    Returns
    -------
    Claim
        What is to stand there.

    Raises
    ------
    RecordError
        OWNED_BY_ANOTHER.
    """
    if claim is None:
        return asker
    same = claim.holder.is_same(asker.holder)
    if same and claim.registered_model == asker.registered_model:
        return asker if asker.holder.owner else claim
    state = fold(trail.events(claim.registered_model))
    registered = state.owner is not None or OWNER_TAG in registry.model_tags(claim.registered_model)
    if same:
        return claim if registered else asker
    follows = state.owner is not None and state.owner.is_same(asker.holder)
    if follows and any(one.is_same(claim.holder) for one in state.owners):
        return Claim(holder=asker.holder, registered_model=claim.registered_model)
    if not registered and claim.holder.name == asker.holder.name:
        return asker
    fix = handover_fix(claim.registered_model, asker.holder, field)
    raise owned_by_another(what, claim.holder, asker.holder, fix=fix)


# ---------------------------------------------------------------------------------------------------------------------


def _holder(registry: Registry, model: str, state: AuditState) -> SpecIdentity | None:
    """The owner: by the trail, by the tag, and of a model from before either by who trained what is in it."""
    return state.owner or _tagged(registry, model) or _trainer(registry, model, state)


def _tagged(registry: Registry, model: str) -> SpecIdentity | None:
    text = registry.model_tags(model).get(OWNER_TAG)
    return SpecIdentity.from_text(text, where=f"{model}, tag {OWNER_TAG}") if text else None


def _trainer(registry: Registry, model: str, state: AuditState) -> SpecIdentity | None:
    """Who trained what was promoted last, else the champion or the newest version that can be read; None: none can."""
    promoted, others = (sorted(versions, reverse=True) for versions in (state.promoted, state.statuses))
    numbers = [*promoted, registry.alias(model, CHAMPION), *others]
    for number in dict.fromkeys(numbers[:_LOOKED_AT]):
        trained = None if number is None else _trained_by(registry, model, number)
        if trained is not None:
            return SpecIdentity(name=trained)
    return None


def _trained_by(registry: Registry, model: str, number: int) -> str | None:
    try:
        return registry.version(model, number).candidate.model
    except RecordError as refusal:
        if not _unreadable(refusal.problems):
            raise
        return None  # deleted, or not made by the loop: the next one may tell


def _unreadable(problems: Iterable[Problem]) -> bool:
    codes = {ReasonCode.VERSION_MISSING, ReasonCode.CHAMPION_UNREADABLE}
    return all(problem.code in codes for problem in problems)


def _follow(alias_log: AliasLog) -> None:
    """Tag the model with its owner; whoever writes last has also read what stands."""
    for _ in alias_log.tries():
        owner = fold(alias_log.events()).owner
        if owner is None:
            return
        alias_log.registry.tag_model(alias_log.model, {OWNER_TAG: owner.to_text()})
        if fold(alias_log.events()).owner == owner:
            return
    raise alias_log.unfinished()


def _anothers(model: str, holder: SpecIdentity, specification: SpecIdentity) -> RecordError:
    fix = handover_fix(model, specification, FIELD)
    return owned_by_another(f"registered model {model}", holder, specification, fix=fix)
