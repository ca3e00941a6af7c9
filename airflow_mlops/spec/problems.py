"""What can be wrong, said the same way everywhere: code, field, found, allowed, fix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from airflow_mlops.redaction import redact


class ReasonCode(StrEnum):
    """Why something was refused. One enum for the whole package, so that reports can be searched."""

    # the specification
    SPEC_UNREADABLE = "spec_unreadable"
    SPEC_UNSAFE = "spec_unsafe"
    SPEC_UNKNOWN_FIELD = "spec_unknown_field"
    SPEC_MISSING_FIELD = "spec_missing_field"
    SPEC_INVALID_VALUE = "spec_invalid_value"
    SPEC_DUPLICATE = "spec_duplicate"
    IMPORT_FAILED = "import_failed"
    IMPORT_NOT_ALLOWED = "import_not_allowed"
    SCHEMA_NOT_ALLOWED = "schema_not_allowed"
    # the data
    SOURCE_MISSING = "source_missing"
    SOURCE_UNREADABLE = "source_unreadable"
    QUERY_FAILED = "query_failed"
    WINDOW_EMPTY = "window_empty"
    COLUMN_MISSING = "column_missing"
    COLUMN_RENAMED = "column_renamed"
    COLUMN_RETYPED = "column_retyped"
    LEADING_ZEROS = "leading_zeros"
    COLUMN_EXTRA = "column_extra"
    COLUMN_DUPLICATED = "column_duplicated"
    COLUMN_ALL_NULL = "column_all_null"
    TIME_INVALID = "time_invalid"
    TIME_IN_FUTURE = "time_in_future"
    KEY_DUPLICATED = "key_duplicated"
    LABELS_MISSING = "labels_missing"
    LABEL_SINGLE_CLASS = "label_single_class"
    LABEL_AMBIGUOUS = "label_ambiguous"
    LABELS_DIRTY = "labels_dirty"
    CLASS_RARE = "class_rare"
    VALUE_NOT_FINITE = "value_not_finite"
    ROWS_QUARANTINED = "rows_quarantined"
    EXPECTATION_FAILED = "expectation_failed"
    EXPECTATION_UNKNOWN = "expectation_unknown"
    # training and the gate
    ESTIMATOR_INVALID = "estimator_invalid"
    TRAINING_FAILED = "training_failed"
    TYPE_UNTRUSTED = "type_untrusted"
    HOLDOUT_TOO_SMALL = "holdout_too_small"
    METRIC_UNKNOWN = "metric_unknown"
    METRIC_NOT_FINITE = "metric_not_finite"
    METRIC_OUT_OF_BOUNDS = "metric_out_of_bounds"
    BASELINE_NOT_BEATEN = "baseline_not_beaten"
    CHAMPION_NOT_BEATEN = "champion_not_beaten"
    CHAMPION_INCONCLUSIVE = "champion_inconclusive"
    CHAMPION_TRAINED_ON_HOLDOUT = "champion_trained_on_holdout"
    CHAMPION_UNREADABLE = "champion_unreadable"
    CHAMPION_MISSING = "champion_missing"
    FIRST_MODEL_REFUSED = "first_model_refused"
    LABEL_LEAKAGE = "label_leakage"
    LEAKAGE_ASKED = "leakage_asked"
    ROWS_OVERLAP = "rows_overlap"
    SLICE_MISSING = "slice_missing"
    SLICE_WORSE = "slice_worse"
    SLICE_WEAK = "slice_weak"
    GROUP_MISSING = "group_missing"
    GROUPS_DIFFER = "groups_differ"
    GROUPS_UNDECIDED = "groups_undecided"
    NOT_CALIBRATED = "not_calibrated"
    NOT_CONVERGED = "not_converged"
    NOT_ROBUST = "not_robust"
    PREDICTIONS_CONSTANT = "predictions_constant"
    SERVING_FAILED = "serving_failed"
    SERVING_DIFFERS = "serving_differs"
    SERVING_TOO_SLOW = "serving_too_slow"
    SERVING_TOO_LARGE = "serving_too_large"
    NOT_EVALUATED = "not_evaluated"
    # promotion and records
    DECISION_STALE = "decision_stale"
    DECISION_MISMATCH = "decision_mismatch"
    DECISION_CONTRADICTORY = "decision_contradictory"
    AS_OF_BACKWARDS = "as_of_backwards"
    APPROVAL_MISSING = "approval_missing"
    APPROVAL_DECLINED = "approval_declined"
    VERSION_MISSING = "version_missing"
    VERSION_SERVED = "version_served"
    NOTHING_TO_ROLL_BACK_TO = "nothing_to_roll_back_to"
    PROMOTION_UNFINISHED = "promotion_unfinished"
    AUDIT_BROKEN = "audit_broken"
    MODEL_RETIRED = "model_retired"
    OWNED_BY_ANOTHER = "owned_by_another"
    REASON_MISSING = "reason_missing"
    NOT_REPRODUCIBLE = "not_reproducible"
    NO_CHAMPION = "no_champion"
    STORE_UNAVAILABLE = "store_unavailable"
    STORE_UNWRITABLE = "store_unwritable"
    RECORD_CONFLICT = "record_conflict"
    MODEL_ALTERED = "model_altered"
    SNAPSHOT_ALTERED = "snapshot_altered"
    SEAL_REFUSED = "seal_refused"
    FORMAT_TOO_NEW = "format_too_new"


LONGEST = 2000
"""Characters of each text of a problem: what is quoted in it may be as long as a file."""


def storable(text: str, longest: int = LONGEST) -> str:
    r"""Return a text that every database, page and log can hold: bounded, and without control characters.

    Lines and tabs stay. Half a surrogate pair, which is no Unicode text, and NUL, which PostgreSQL refuses, are written
    as Python writes them.

    >>> storable("a\x00b\ud800"), storable("x" * 10, longest=4)
    ('a\\x00b\\ud800', 'xxxx... (10 characters)')
    """
    cut = text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in cut)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, in the words a person needs to mend it.

    Examples
    --------
    >>> print(Problem(code=ReasonCode.COLUMN_MISSING, field="data.time", found="no column 'dep'",
    ...               allowed="one of: departure, origin", fix="did you mean 'departure'?"))
    data.time: found no column 'dep'; allowed: one of: departure, origin; did you mean 'departure'? [column_missing]
    """

    code: ReasonCode
    field: str
    found: str
    allowed: str
    fix: str
    where: str = ""
    """File and line, when there is one: ``flight_delay.yaml:12``."""

    def __post_init__(self) -> None:
        # What is wrong may be anything, of any length and with any character, and quote an address with its password: a
        # page, a log and a database take it, and nobody's secret is said.
        for name in ("field", "found", "allowed", "fix", "where"):
            given = redact(getattr(self, name))
            object.__setattr__(self, name, given if given.isprintable() and len(given) <= LONGEST else storable(given))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.field}: found {self.found}; allowed: {self.allowed}; {self.fix} [{self.code}]"


class Refusal(Exception):
    """Base of every refusal: it carries all problems found, not only the first."""

    def __init__(self, problems: Problem | Iterable[Problem], *, subject: str = "") -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.subject = redact(subject)
        super().__init__(self.problems, self.subject)

    def __reduce__(self) -> tuple[Any, ...]:
        # As an exception is by default, it would be made again with the subject as a second problem: it must come
        # whole from another process, with its notes.
        return partial(type(self), subject=self.subject), (self.problems,), self.__dict__

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems]
        if self.subject and len(lines) == 1:
            return f"{self.subject}: {lines[0]}"
        return "\n  ".join(([f"{self.subject}: {len(lines)} problems"] if self.subject else []) + lines)


class SpecError(Refusal, ValueError):
    """The specification is wrong; nothing of it was used."""
