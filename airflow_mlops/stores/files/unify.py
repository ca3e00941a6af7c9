"""One type for each column of several files: joined as the formats' own libraries join them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.rows.types import kind_of_type, plain_type
from airflow_mlops.spec.data import ColumnType
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa


class TypedFile(Protocol):
    """What is asked of a file."""

    @property
    def path(self) -> str:
        """Where it is."""

    @property
    def names(self) -> Sequence[str]:
        """Its columns."""

    def types(self, names: Sequence[str]) -> Mapping[str, pa.DataType]:
        """Types of some of them."""

    def is_all_missing(self, name: str) -> bool:
        """Whether a column is known to hold no value."""


@dataclass(frozen=True, kw_only=True)
class Unified:
    """The one type that each column is read as, and the columns that have none."""

    types: Mapping[str, pa.DataType]
    conflicts: Mapping[str, Problem]
    """Columns whose types do not go together, with what is said when they are read."""


def unify(files: Sequence[TypedFile], names: Sequence[str], declared: Mapping[str, ColumnType] = {}) -> Unified:
    """Join the types of columns over files.

    Parameters
    ----------
    names
        Columns that some of the files have.
    declared
        Types that the specification states: whatever the files say, values are read as these.
    """
    types: dict[str, pa.DataType] = {}
    origin: dict[str, str] = {}
    conflicts: dict[str, Problem] = {}
    wanted = set(names)
    for file in files:
        for name, found in file.types([name for name in file.names if name in wanted]).items():
            ours = plain_type(found)
            if name in declared or name in conflicts:
                types.setdefault(name, ours)
                continue
            known = types.get(name)
            joined = ours if known is None else _joined(known, ours, file, name)
            if joined is None:
                conflicts[name] = _retyped(name, file.path, ours, origin[name], known)
                continue
            if known != joined:
                origin[name] = file.path
            types[name] = joined
    ordered = {name: types[name] for name in names if name in types}
    return Unified(
        types=ordered | {name: stated(kind) for name, kind in declared.items() if name in types}, conflicts=conflicts
    )


def stated(kind: ColumnType) -> pa.DataType:
    """Return the type that a column is read as by `data.source.types`."""
    import pyarrow as pa

    return {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }[kind]


def _joined(known: pa.DataType, ours: pa.DataType, file: TypedFile, name: str) -> pa.DataType | None:
    import pyarrow.types as t

    # pandas makes fractions of a column in which nothing stands: it says nothing of its type.
    if t.is_floating(ours) and t.is_integer(known) and file.is_all_missing(name):
        return known
    return join(known, ours)


def join(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """Return the type that the values of both are read as; None if there is none.

    Numbers of different widths and kinds, decimals, lists and structs of them are joined as
    :func:`pyarrow.unify_schemas` does with ``permissive`` (whole numbers with fractions: the values are checked when
    they are read). A date becomes a timestamp, and of two timestamps the finer unit is kept; text, bytes, truth values
    and numbers are not joined with one another, and neither are times with and without a zone.

    Examples
    --------
    >>> import pyarrow as pa
    >>> [str(join(pa.int64(), other)) for other in (pa.int8(), pa.float64(), pa.null(), pa.string())]
    ['int64', 'double', 'int64', 'None']
    >>> str(join(pa.date32(), pa.timestamp("us")))
    'timestamp[us]'
    """
    import pyarrow as pa
    import pyarrow.types as t

    if a == b:
        return a
    times = [type_ for type_ in (a, b) if t.is_timestamp(type_)]
    if times and all(kind_of_type(type_) == "time" for type_ in (a, b)):
        return _joined_times(times)
    kinds = {kind_of_type(type_) for type_ in (a, b)} - {"empty"}
    if len(kinds) > 1 or (kinds <= {"text", "boolean", "time"} and not (t.is_null(a) or t.is_null(b))):
        return None
    if (t.is_decimal(a) and t.is_floating(b)) or (t.is_floating(a) and t.is_decimal(b)):
        return pa.float64()
    try:
        both = pa.unify_schemas([pa.schema([("x", a)]), pa.schema([("x", b)])], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    return plain_type(both.field("x").type)


def _joined_times(times: Sequence[Any]) -> pa.DataType | None:
    import pyarrow as pa

    if len({type_.tz is None for type_ in times}) > 1:
        return None
    unit = "ns" if any(type_.unit == "ns" for type_ in times) else "us"
    return pa.timestamp(unit, tz=None if times[0].tz is None else "UTC")


def _retyped(name: str, path: str, found: pa.DataType, origin: str, known: Any) -> Problem:
    return Problem(
        code=ReasonCode.COLUMN_RETYPED,
        field=f"column {name}",
        found=f"type {found} in {path}, but {known} in {origin}",
        allowed="types in all files of the window that can be joined, such as whole numbers and fractions",
        fix=f"write one of the two files again with the other's type{_statement(name, found, known)}",
    )


def _statement(name: str, a: pa.DataType, b: pa.DataType) -> str:
    """What can be stated so that both files are read, and mean the same by it; nothing where there is no such type."""
    import pyarrow.types as t

    kinds = {kind_of_type(type_) for type_ in (a, b)}
    if kinds == {"boolean", "number"}:  # as texts, true and 1 would be two values
        whole = any(t.is_integer(type_) for type_ in (a, b))
        return f", or state data.source.types: {{{name}: {'integer' if whole else 'number'}}}, which reads true as 1"
    if kinds == {"time"}:
        return f", or state data.source.types: {{{name}: time}}, which reads times without a zone as UTC"
    if kinds in ({"text", "number"}, {"text", "boolean"}):
        return f", or state data.source.types: {{{name}: text}}"
    return ""


def cast(array: pa.Array, type_: pa.DataType, name: str, path: str) -> pa.Array:
    """Return values as the type of their column.

    Raises
    ------
    DataError
        If a value would not be the same: a whole number that a fraction does not hold to the last digit, a text that is
        no number. The value is not shown.
    """
    import pyarrow as pa
    import pyarrow.types as t

    if array.type == type_:
        return array
    try:
        if t.is_dictionary(array.type):
            array = array.dictionary_decode()
        if t.is_string(type_) and (t.is_floating(array.type) or t.is_decimal(array.type)):
            return _as_text(array)
        return array.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            Problem(
                code=ReasonCode.COLUMN_RETYPED,
                field=f"column {name}",
                found=f"values of type {array.type} in {path} that are no {type_} to the last digit",
                allowed=f"values that can be read as {type_} without a change",
                fix=f"write the column with one type in all files, or state data.source.types: {{{name}: text}}",
            )
        ) from error


def _as_text(array: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    from airflow_mlops.core.rows.categories import written

    gone = pc.is_null(array, nan_is_null=True).to_pylist()
    texts = [None if missing else written(value) for missing, value in zip(gone, array.to_pylist(), strict=True)]
    return pa.array(texts, pa.string())
