"""The SHA-256 of rows: every value of every row counts, however the rows are stored or cut into batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.rows.types import plain_type

if TYPE_CHECKING:
    import pyarrow as pa


class ContentHash:
    """A running hash over record batches of one schema.

    Each column has its own hashes: one of the validity of its rows, one of its values (zero where null), and for text,
    bytes and lists one of the lengths. So neither batch boundaries nor Parquet's encodings change the result, and a
    single changed value, null, name, type or order of rows does. MLflow's own data set digest reads only the first
    10,000 rows. Values are hashed as Arrow lays them out, which is little-endian on every platform that it supports.

    Examples
    --------
    >>> import pyarrow as pa
    >>> batch = pa.RecordBatch.from_pydict({"a": [1, None, 3]})
    >>> whole, parts = ContentHash(batch.schema), ContentHash(batch.schema)
    >>> whole.update(batch)
    >>> parts.update(batch.slice(0, 1)); parts.update(batch.slice(1))
    >>> whole.hexdigest() == parts.hexdigest(), whole.rows
    (True, 3)
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._names: list[str] = list(schema.names)
        self._columns = [_ValueHash(plain_type(field.type)) for field in schema]
        self.rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Add rows. The batch's columns are those of the schema, in its order."""
        for column, array in zip(self._columns, batch.columns, strict=True):
            column.update(array)
        self.rows += batch.num_rows

    def hexdigest(self) -> str:
        """Return the hash of everything so far, hexadecimal."""
        columns = [[name, *column.state()] for name, column in zip(self._names, self._columns, strict=True)]
        return hashlib.sha256(json.dumps(["airflow_mlops rows 1", self.rows, columns]).encode()).hexdigest()


def fingerprint(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> str:
    """Return the content hash of all batches together."""
    content = ContentHash(schema)
    for batch in batches:
        content.update(batch)
    return content.hexdigest()


class _ValueHash:
    """Hashes of the values of one type: validity, lengths, data; and of the types inside it."""

    def __init__(self, type_: pa.DataType) -> None:
        import pyarrow.types as t

        self.type = type_
        self.valid, self.lengths, self.data = (hashlib.sha256() for _ in range(3))
        inner: list[pa.DataType] = []
        if t.is_list(type_) or t.is_large_list(type_):
            inner = [type_.value_type]
        elif t.is_struct(type_):
            inner = [type_.field(i).type for i in range(type_.num_fields)]
        self.inner = [_ValueHash(plain_type(child)) for child in inner]

    def state(self) -> tuple[Any, ...]:
        digests = [part.hexdigest() for part in (self.valid, self.lengths, self.data)]
        return (_name(self.type), digests, [child.state() for child in self.inner])

    def update(self, array: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.types as t

        if len(array) == 0:
            return
        if array.type != self.type:
            array = array.cast(self.type)
        self.valid.update(_bytes(array.is_valid().cast(pa.uint8())))
        if t.is_string(self.type) or t.is_binary(self.type):
            self._update_text(array)
        elif self.inner:
            self._update_nested(array)
        elif t.is_boolean(self.type):
            self.data.update(_bytes(_zero_nulls(array.cast(pa.uint8()))))
        elif _width(self.type):
            self.data.update(_bytes(_zero_nulls(array)))
        elif not t.is_null(self.type):
            # Maps, unions and the like: rare in tables of features, so simple instead of fast.
            self.data.update("\x00".join(map(repr, array.to_pylist())).encode() + b"\x00")

    def _update_text(self, array: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        filled = pc.fill_null(array, pa.scalar("" if array.type == pa.string() else b"", array.type))
        self.lengths.update(_bytes(pc.binary_length(filled)))
        offsets = memoryview(filled.buffers()[1]).cast("i")
        data = filled.buffers()[2]
        first, last = offsets[filled.offset], offsets[filled.offset + len(filled)]
        if data is not None and last > first:
            self.data.update(memoryview(data)[first:last])

    def _update_nested(self, array: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.types as t

        if t.is_struct(self.type):
            # flatten() hides the children of a null struct, as they are no values.
            for child, values in zip(self.inner, array.flatten(), strict=True):
                child.update(values)
        else:
            self.lengths.update(_bytes(pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())))
            self.inner[0].update(array.flatten())


def _name(type_: pa.DataType) -> str:
    """Name of a type, without the names that Parquet changes inside lists and maps."""
    import pyarrow.types as t

    if t.is_map(type_):
        return f"map<{type_.key_type}, {type_.item_type}>"
    if t.is_struct(type_):
        return f"struct<{', '.join(type_.field(i).name for i in range(type_.num_fields))}>"
    return "list" if t.is_list(type_) else str(type_)


def _width(type_: pa.DataType) -> int:
    """Bytes of a value of a fixed-width type; 0 for any other type."""
    try:
        return int(type_.bit_width) // 8
    except ValueError:
        return 0


def _zero_nulls(array: pa.Array) -> pa.Array:
    """Replace nulls, whose bytes are arbitrary, by zero bytes."""
    import pyarrow as pa

    if array.null_count == 0:
        return array
    zero = pa.Array.from_buffers(array.type, 1, [None, pa.py_buffer(bytes(_width(array.type)))])
    return pa.compute.if_else(array.is_valid(), array, zero[0])


def _bytes(array: pa.Array) -> memoryview:
    """Return the values of a fixed-width array, without what lies before and after its slice."""
    width = _width(array.type)
    view = memoryview(array.buffers()[1])
    return view[array.offset * width : (array.offset + len(array)) * width]
