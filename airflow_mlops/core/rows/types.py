"""What kind of values a column holds, by its Arrow type or its pandas dtype: one table, asked by every stage.

Decided here, where five tables once gave different answers:

- An encoding is no kind: a dictionary, or a pandas category, is what its values are. A dictionary of numbers is
  numbers. Run-end encoding is the exception: no store of ours decodes it, so it is ``other``.
- A ``time`` is an instant: timestamps and dates. Times of day and durations (with calendar intervals) are kinds of
  their own, because no row can be placed in a window by them. A profile counts all three alike as categories, and
  writes ``time`` for each (:func:`airflow_mlops.core.profiles.counting.counted_as`).
- Complex numbers are ``other``: they have no order, so neither bounds nor bins. So are bytes, nested values, and
  extension types, whose storage does not tell what they mean.
- A type tells what a column holds although nothing stands in it. Only where pandas has no type for it (objects, and
  the numbers that it makes of missing values) the column is ``empty``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ValueKind = Literal["number", "text", "boolean", "time", "time of day", "duration", "mixed times", "empty", "other"]

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_ARROW: Mapping[str, ValueKind] = {
    **dict.fromkeys(_INTEGERS, "number"),
    **dict.fromkeys(("halffloat", "float", "double"), "number"),
    **dict.fromkeys(("decimal32", "decimal64", "decimal128", "decimal256"), "number"),
    **dict.fromkeys(("string", "large_string", "string_view"), "text"),
    "bool": "boolean",
    **dict.fromkeys(("timestamp", "date32", "date64"), "time"),
    **dict.fromkeys(("time32", "time64"), "time of day"),
    **dict.fromkeys(("duration", "month_interval", "day_time_interval", "month_day_nano_interval"), "duration"),
    "null": "empty",
}
"""By the first word of the type as Arrow writes it; what is not here is ``other``."""
_INFERRED: Mapping[str, ValueKind] = {
    "string": "text",
    **dict.fromkeys(("integer", "floating", "mixed-integer-float", "integer-na", "decimal"), "number"),
    "boolean": "boolean",
    **dict.fromkeys(("datetime", "datetime64", "date"), "time"),
    "time": "time of day",
    **dict.fromkeys(("timedelta", "timedelta64"), "duration"),
    "empty": "empty",
}
"""By what `pandas.api.types.infer_dtype` says of objects."""


def kind_of_type(type_: pa.DataType | str) -> ValueKind:
    """Say what values of an Arrow type are, given as the type or as it is written in a record.

    Examples
    --------
    >>> kind_of_type("decimal128(9, 2)"), kind_of_type("timestamp[us, tz=UTC]"), kind_of_type("duration[us]")
    ('number', 'time', 'duration')
    >>> kind_of_type("dictionary<values=string, indices=int32, ordered=0>"), kind_of_type("list<item: int64>")
    ('text', 'other')
    """
    written = str(type_).removeprefix("dictionary<values=")
    word = re.match(r"\w+", written)
    return _ARROW.get(word.group(), "other") if word else "other"


def kind_of_series(series: pd.Series) -> ValueKind:
    """Say what a column of a frame holds, whatever pandas, NumPy or Arrow type carries it.

    Examples
    --------
    >>> import pandas as pd
    >>> kind_of_series(pd.Series([1, 2], dtype="category")), kind_of_series(pd.Series([None, None]))
    ('number', 'empty')
    """
    import pandas as pd
    from pandas.api import types

    dtype = series.dtype
    if isinstance(dtype, pd.ArrowDtype):
        return kind_of_type(dtype.pyarrow_dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        return kind_of_series(dtype.categories.to_series()) if series.notna().any() else "empty"
    if types.is_complex_dtype(dtype):
        return "other"
    if types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype):
        return "number" if series.notna().any() or not len(series) else "empty"
    kind = _INFERRED.get(types.infer_dtype(series, skipna=True), "other")  # of a type of its own, also without a value
    return "mixed times" if kind == "time" and types.is_object_dtype(dtype) and _zones(series) > 1 else kind


def _zones(series: pd.Series) -> int:
    return len({str(getattr(value, "tzinfo", None)) for value in series.dropna()})


def decoded(series: pd.Series) -> pd.Series:
    """Return the values of a categorical column themselves, as numbers in categories cannot be compared; else as is."""
    import numpy as np
    import pandas as pd

    if not isinstance(series.dtype, pd.CategoricalDtype):
        return series
    return pd.Series(np.asarray(series), index=series.index, name=series.name)


def plain_type(type_: pa.DataType) -> pa.DataType:
    """Return the type that values of `type_` are kept in, so that one value has one type wherever it was stored.

    The kind stays. Dictionaries are decoded, large and view variants of text and bytes become the plain ones, and the
    types that Parquet would change on its way (seconds, milliseconds, ``date64``, half floats) become the next larger
    one.
    """
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(type_):
        return plain_type(type_.value_type)
    if t.is_timestamp(type_) and type_.unit in ("s", "ms"):
        return pa.timestamp("us", tz=type_.tz)
    if t.is_map(type_):  # Parquet renames its parts
        return pa.map_(type_.key_type, type_.item_type)
    if t.is_time32(type_):
        return pa.time64("us")
    for is_kind, plain in (
        (t.is_large_string, pa.string()),
        (t.is_string_view, pa.string()),
        (t.is_large_binary, pa.binary()),
        (t.is_binary_view, pa.binary()),
        (t.is_date64, pa.date32()),
        (t.is_float16, pa.float32()),
    ):
        if is_kind(type_):
            return plain
    return type_
