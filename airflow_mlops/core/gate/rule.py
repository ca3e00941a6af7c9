"""What a rule of the gate is: one object that runs, says what it owes, and what to do when it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome, StoredModel
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import Evaluation, RuleResult
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import metric_label
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode

UNRANKED = 99


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a decision: from it each rule tells which results it owes."""

    spec: ModelSpec
    primary: str
    """Name of the primary metric."""
    champion_version: int | None
    """The version that the candidate was compared with; None: nothing serves yet."""
    found: tuple[RuleResult, ...]
    """The results that are there."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a rule words its evidence from."""

    spec: ModelSpec
    candidate: Candidate
    evaluation: Evaluation

    @property
    def metric(self) -> str:
        """The primary metric in words."""
        return metric_label(self.evaluation.primary)


def no_section(_: Seen) -> Iterator[Section]:
    """Say nothing: the rule's one number stands in its result."""
    yield from ()


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of the gate, registered once in :data:`airflow_mlops.core.gate.rules.RULES`.

    What runs is what is owed: the gate evaluates the registered rules, and rejects where one of them did not give a
    result that it owes. A rule that returns nothing does not pass.
    """

    name: str
    """Of its results, and of its part of the specification where it has one."""
    owed: Callable[[Asked], Iterator[str | None]]
    """Yields what the results must be about (`RuleResult.metric`); None: any one result of the rule."""
    judge: Callable[[RuleInput], RuleOutcome] | None = None
    """None: its results are made where the rows are chosen, or beside another rule's; they are owed all the same."""
    judge_model: Callable[[StoredModel], RuleOutcome] | None = None
    """The same, of a rule that needs no rows to judge on: it is asked of a refitted model, too."""
    part: bool = False
    """Whether `gate.<name>` is a part of the specification with a `mode` of its own."""
    always: bool = False
    """Whether it counts whatever `gate.mode` says: nothing may be waived that it refuses."""
    recordable: frozenset[ReasonCode] = frozenset()
    """Codes of results that the rule itself may mark as recorded only; all others count where the rule does."""
    interval: bool = False
    """Whether it accepts on both bounds of an interval, which must then be finite numbers."""
    evidence: frozenset[str] = frozenset()
    """Fields of :class:`~airflow_mlops.core.records.evidence.Evidence` that it fills."""
    sections: Callable[[Seen], Iterator[Section]] = no_section
    """Words what it saw, once for page, card and form; each key is a field of the evidence. The worst rows stand first.

    A section without rows and facts may say in its sentences why; it is filled in where it does not.
    """
    rank: int = UNRANKED
    """Place of its reason among those of a decision, the most telling first."""
    advice: Mapping[ReasonCode, str] = field(default_factory=dict)
    """What a person should do, by why it refused."""

    def runs(self, spec: ModelSpec) -> bool:
        """Whether the specification has it evaluated."""
        if self.always:
            return True
        return spec.gate.mode != "off" and not (self.part and getattr(spec.gate, self.name).mode == "off")

    def counts(self, spec: ModelSpec) -> bool:
        """Whether what it says decides, and is not recorded only."""
        enforced = not self.part or getattr(spec.gate, self.name).mode == "enforce"
        return self.always or (spec.gate.mode == "enforce" and enforced)


def one_result(_: Asked) -> Iterator[str | None]:
    """Owe a result, whatever it is about."""
    yield None
