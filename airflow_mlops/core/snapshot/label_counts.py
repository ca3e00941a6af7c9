"""The labels of a training window, counted while its rows pass by: which classes there are, and how they are spelt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_mlops.core.records.candidate import Label
from airflow_mlops.core.rows.labels import MAX_CLASSES, folded, positive_class, positive_problem
from airflow_mlops.core.rows.types import kind_of_type
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

_MOST = 100 * MAX_CLASSES
"""Distinct texts that are counted: more of them are no classes, however they are spelt."""
RARE = 10
"""Rows of a class below which it is said to be rare, as `gate.classes.min_rows`."""


@dataclass
class LabelCounts:
    """Labels of one window that are text or truth values; numbers may be those of a regression, and are not counted."""

    spec: ModelSpec
    counts: Counter[Label] = field(default_factory=Counter)
    blank: int = 0
    """Rows whose label is white space: they have none."""
    too_many: bool = False

    def known(self, labels: pa.Array) -> pa.Array:
        """Count the labels of a batch, and say which rows have one; shape (rows,)."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = labels.dictionary_decode() if pa.types.is_dictionary(labels.type) else labels
        known = pc.is_valid(values)
        if pa.types.is_floating(values.type):
            return pc.and_(known, pc.invert(pc.fill_null(pc.is_nan(values), False)))
        kind = kind_of_type(values.type)
        if kind == "text":
            empty = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(values), ""), False)
            self.blank += empty.true_count
            known = pc.and_(known, pc.invert(empty))
        if kind in {"text", "boolean"} and not self.too_many:
            for item in values.filter(known).value_counts().to_pylist():
                self.counts[item["values"]] += item["counts"]
            self.too_many = len(self.counts) > _MOST
        return known

    @property
    def spelling(self) -> Mapping[str, str]:
        """Labels that :func:`folded` makes the same as another, and how most rows spell it."""
        if self.too_many:
            return {}
        best: dict[str, str] = {}
        texts = [label for label in self.counts if isinstance(label, str)]
        for label in sorted(texts, key=lambda label: (-self.counts[label], label)):
            best.setdefault(folded(label), label.strip())
        return {label: best[folded(label)] for label in texts if best[folded(label)] != label}

    @property
    def classes(self) -> Mapping[Label, int]:
        """Rows of each class, as it is spelt in the snapshot."""
        found: Counter[Label] = Counter()
        spelling = self.spelling
        for label, rows in self.counts.items():
            found[spelling.get(label, label) if isinstance(label, str) else label] += rows
        return found

    def problem(self) -> Problem | None:
        """Why these labels cannot be told apart as the specification says; None when they can."""
        classes = self.classes
        return None if self.too_many or len(classes) > MAX_CLASSES else positive_problem(self.spec, classes)

    def issues(self) -> Iterator[Problem]:
        """What is odd about the labels, with counts: known issues for the manifest."""
        name, spelling, classes = self.spec.data.label, self.spelling, self.classes
        if self.blank:
            yield self._dirty(f"{self.blank:,} rows whose label {name!r} is blank", "they are left out, as without one")
        if spelling:
            listed = [f"{label!r} ({self.counts[label]:,} rows) for {right!r}" for label, right in spelling.items()]
            rows = sum(self.counts[label] for label in spelling)
            shown = ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")  # noqa: PLR2004
            yield self._dirty(
                f"{rows:,} rows whose label {name!r} differs by case, surrounding space or the composition of letters "
                f"only: {shown}",
                "they are taken for what most rows say; mend them in the source",
            )
        if self.too_many or not 1 < len(classes) <= MAX_CLASSES:
            return
        for label, rows in classes.items():
            if rows < RARE:
                yield Problem(
                    code=ReasonCode.CLASS_RARE,
                    field="data.label",
                    found=f"the class {str(label)!r} in {rows:,} of {sum(classes.values()):,} rows",
                    allowed=f"at least {RARE} rows of each class to learn from",
                    fix="lengthen data.window, or put it together with another class; gate.classes judges it",
                )

    @staticmethod
    def _dirty(found: str, fix: str) -> Problem:
        return Problem(
            code=ReasonCode.LABELS_DIRTY, field="data.label", found=found, allowed="each class spelt one way", fix=fix
        )

    def positive(self) -> Label | None:
        """The positive class, where there are two."""
        return positive_class(sorted(self.classes, key=str), self.spec.data.positive)

    def respelt(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows again, each label as most rows spell it."""
        import pyarrow as pa

        spelling = self.spelling
        for batch in batches:
            place = batch.schema.get_field_index(self.spec.data.label)
            labels = batch.column(place)
            coded = labels if pa.types.is_dictionary(labels.type) else labels.dictionary_encode()
            words = pa.array([spelling.get(word, word) for word in coded.dictionary.to_pylist()], labels.type)
            right = words.take(coded.indices)
            yield batch.set_column(place, batch.schema.field(place), right)
