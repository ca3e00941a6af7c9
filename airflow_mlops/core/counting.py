"""Counting one column's values in frozen bins: the part of a profile that touches rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.monitor import ColumnProfile
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Role = Literal["numeric", "categorical"]
Kind = Literal["", "number", "text", "boolean", "time"]


def kind_of(array: pa.Array | pa.ChunkedArray) -> Kind | None:
    """Tell what the values of an Arrow array are; empty when all are missing, None when nothing we can count."""
    import pyarrow.compute as pc
    import pyarrow.types as t

    if pc.is_null(array, nan_is_null=True).true_count == len(array):
        return ""
    kind = array.type.value_type if t.is_dictionary(array.type) else array.type
    if t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind):
        return "number"
    if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        return "text"
    if t.is_boolean(kind):
        return "boolean"
    return "time" if t.is_temporal(kind) else None


def column_problem(reference: ColumnProfile, array: pa.Array | pa.ChunkedArray) -> Problem | None:
    """Say what is wrong with a column's type, if anything.

    Parameters
    ----------
    reference
        Its name, role, kind and categories are read. A numeric column takes numbers and booleans; a categorical
        one takes the reference's kind, or any that can be counted when that is not known.
    """
    kind = kind_of(array)
    if reference.role == "numeric":
        wrong, allowed = kind not in {"", "number", "boolean"}, "a number or a boolean"
    elif kind and reference.kind:
        wrong, allowed = not _same_kind(reference, kind), f"{reference.kind} values, as in the reference"
    else:
        wrong, allowed = kind is None, "text, numbers, booleans or times"
    if not wrong:
        return None
    return Problem(
        code=ReasonCode.COLUMN_RETYPED,
        field=reference.name,
        found=f"a {reference.role} feature of type {array.type}",
        allowed=allowed,
        fix="mend the source, or change the column's role in 'features' and train again",
    )


def _same_kind(reference: ColumnProfile, kind: Kind) -> bool:
    """Whether values of `kind` can be the reference's categories.

    Categories may have been numbers or booleans that feature preparation wrote as text; "01234" and "AA" were not.
    """
    if kind == reference.kind:
        return True
    return reference.kind == "text" and all(_reads_as(kind, category) for category in reference.categories)


def _reads_as(kind: Kind, category: str) -> bool:
    if kind == "boolean":
        return category in {"True", "False"}
    if kind != "number":
        return kind == "time"
    try:
        return category in {str(int(float(category))), str(float(category))}
    except (ValueError, OverflowError):
        return False


def numbers(array: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    """Return the values as float64, shape (rows,): missing as NaN, booleans as 0 and 1."""
    import pyarrow as pa
    import pyarrow.types as t

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if t.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kind_of(array) == "":  # also a text column in which nothing stands
        array = pa.nulls(len(array), pa.float64())
    values: NDArray[np.float64] = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def texts(array: pa.Array | pa.ChunkedArray) -> tuple[Counter[str], int]:
    """Count the values as text; return the counts and how many values are missing (null or NaN)."""
    import pyarrow.compute as pc
    import pyarrow.types as t

    if t.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    found: Counter[str] = Counter()
    missing = 0
    for pair in pc.value_counts(array).to_pylist():
        value, count = pair["values"], pair["counts"]
        if value is None or value != value:  # noqa: PLR0124  (NaN)
            missing += count
        else:
            found[_text(value)] += count
    return found, missing


def _text(value: Any) -> str:
    """Write 5, 5.0 and Decimal("5.00") alike: a missing value elsewhere in a chunk makes its integers floats."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return str(int(value))
    return str(value)


@dataclass
class ColumnCounter:
    """Adds up one column, batch by batch, in the bins of a reference column."""

    reference: ColumnProfile
    """Only name, role, edges, categories and kind are read."""

    def __post_init__(self) -> None:
        self._counts = [0] * _bins(self.reference)
        self._missing = self._non_finite = 0
        self._kind = self.reference.kind
        self._place = {category: i for i, category in enumerate(self.reference.categories)}

    def add(self, array: pa.Array | pa.ChunkedArray) -> None:
        """Count one batch; the caller has asked :func:`column_problem` before."""
        self._kind = self._kind or _kind_for(self.reference.role, array)
        if self.reference.role == "numeric":
            self._add_numbers(numbers(array))
        else:
            found, missing = texts(array)
            self._missing += missing
            for value, count in found.items():
                self._counts[self._place.get(value, -1)] += count

    def _add_numbers(self, values: NDArray[np.float64]) -> None:
        import numpy as np

        finite = values[np.isfinite(values)]
        missing = int(np.count_nonzero(np.isnan(values)))
        places = np.searchsorted(np.asarray(self.reference.edges, dtype=np.float64), finite, side="right")
        for i, count in enumerate(np.bincount(places, minlength=len(self._counts)).tolist()):
            self._counts[i] += count
        self._missing += missing
        self._non_finite += len(values) - len(finite) - missing

    def result(self) -> ColumnProfile:
        """Return the counts so far."""
        r = self.reference
        return ColumnProfile(
            name=r.name, role=r.role, edges=r.edges, categories=r.categories, counts=tuple(self._counts),
            missing=self._missing, non_finite=self._non_finite, kind=self._kind,
        )  # fmt: skip


def _kind_for(role: Role, array: pa.Array | pa.ChunkedArray) -> Kind:
    kind = kind_of(array) or ""
    return "number" if role == "numeric" and kind else kind


def _bins(column: ColumnProfile) -> int:
    return len(column.edges if column.role == "numeric" else column.categories) + 1
