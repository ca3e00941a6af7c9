"""One CSV file as a part of a source, read as text in blocks; a column's type is decided on all of its rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.files.part import duplicated, raise_if_away, unreadable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.fs as pafs

_SHAPE = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")
_BLOCK = 1 << 20
_EXACT = 2.0**63


class CsvPart:
    """A CSV file with a header line.

    Empty fields and the usual marks (NA, NaN, NULL, ...) are nulls. A column is of the first of these types that all
    its values have: whole number, fraction, true/false, time without zone, time with zone, text. Looking only at the
    first block, as CSV readers do, would make the type depend on the order of rows.
    """

    widens_numbers = True

    def __init__(self, filesystem: pafs.FileSystem, path: str, *, encoding: str, delimiter: str) -> None:
        self._filesystem = filesystem
        self.path = path
        self._encoding = encoding
        self._delimiter = delimiter

    @cached_property
    def names(self) -> list[str]:
        """The header."""
        encoding = "utf-8-sig" if self._encoding.lower().replace("_", "-") in ("utf-8", "utf8") else self._encoding
        with self._clear_errors(), self._open() as stream:
            text = io.TextIOWrapper(stream, encoding=encoding, newline="")
            header = next(csv.reader(text, delimiter=self._delimiter), None)
        if not header:
            raise unreadable(self.path, "an empty CSV file, without a header line", "write the file again")
        if len(set(header)) < len(header):
            raise duplicated(self.path, header)
        return header

    @cached_property
    def _types(self) -> tuple[dict[str, pa.DataType], dict[str, int]]:
        """Type and number of nulls of each column, from one pass over all rows."""
        guesses = {name: _Guess() for name in self.names}
        for batch in self._texts(self.names):
            for name, texts in zip(batch.schema.names, batch.columns, strict=True):
                guesses[name].add(texts)
        return {n: g.type for n, g in guesses.items()}, {n: g.nulls for n, g in guesses.items()}

    @property
    def schema(self) -> pa.Schema:
        """Columns and types."""
        import pyarrow as pa

        return pa.schema(list(self._types[0].items()))

    def batches(
        self,
        window: Window | None,  # noqa: ARG002 -- as every Part
        time: str,
        columns: Sequence[str],
        chunk_rows: int,
        *,
        encode: Sequence[str] = (),  # noqa: ARG002
    ) -> Iterator[pa.RecordBatch]:
        """Read all rows (a CSV file has no index), the event time as text: how it is written says its zone."""
        import pyarrow as pa

        wanted = list(dict.fromkeys(columns))
        types = {name: pa.string() if name == time else self._types[0][name] for name in wanted}
        for block in self._texts(wanted):
            for start in range(0, block.num_rows, chunk_rows):
                texts = block.slice(start, chunk_rows)
                values = [_cast(texts.column(name), types[name]) for name in wanted]
                yield pa.RecordBatch.from_arrays(values, schema=pa.schema(list(types.items())))

    def undated(self, time: str) -> int | None:
        """Count rows without an event time."""
        return self._types[1][time]

    def _texts(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.csv as pacsv

        with self._clear_errors(), self._open() as stream:
            reader: pacsv.CSVStreamingReader = pacsv.open_csv(
                stream,
                # One thread, because only then do messages carry the row, and read-ahead is one block.
                read_options=pacsv.ReadOptions(encoding=self._encoding, use_threads=False, block_size=_BLOCK),
                parse_options=pacsv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=list(columns),
                    strings_can_be_null=True,
                ),
            )
            for batch in reader:
                if batch.num_rows:
                    yield batch

    def _open(self) -> pa.NativeFile:
        return self._filesystem.open_input_stream(self.path, compression="detect")

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Say what is wrong without the text of the row, which pyarrow's messages quote."""
        import pyarrow as pa

        try:
            yield
        except DataError:
            raise
        except LookupError as error:
            known = f"CSV with data.source.encoding '{self._encoding}', which Python does not know"
            raise unreadable(self.path, known, "write an encoding such as utf-8 or latin-1") from error
        except UnicodeError as error:
            raise self._not_encoded() from error
        except (pa.ArrowException, OSError, csv.Error) as error:
            raise_if_away(error, self.path)
            shape = _SHAPE.search(str(error))
            if "UTF8" in str(error):
                raise self._not_encoded() from error
            if shape is None:
                raise unreadable(self.path, "no readable CSV", "check data.source.delimiter, and the file") from error
            row = f"row {shape[1]}" if shape[1] else "a row"
            found = f"a ragged CSV file ({row} has {shape[3]} fields, the header {shape[2]})"
            raise unreadable(self.path, found, "mend the row, or check data.source.delimiter and quotes") from error

    def _not_encoded(self) -> DataError:
        found = f"CSV that is not encoded as {self._encoding}"
        return unreadable(self.path, found, "state its encoding as data.source.encoding, such as latin-1")


class _Guess:
    """The types that all texts of a column so far can be read as, the narrowest first."""

    def __init__(self) -> None:
        import pyarrow as pa

        self.nulls = 0
        self._seen = False
        instants = [pa.timestamp("us"), pa.timestamp("us", tz="UTC")]
        self._left: list[pa.DataType] = [pa.int64(), pa.float64(), pa.bool_(), *instants]

    @property
    def type(self) -> pa.DataType:
        import pyarrow as pa

        if not self._seen:
            return pa.null()
        return self._left[0] if self._left else pa.string()

    def add(self, texts: pa.Array) -> None:
        self.nulls += texts.null_count
        if texts.null_count == len(texts):
            return
        self._seen = True
        # A type that earlier rows did not have never comes back, so every type left is tried on every block.
        self._left = [type_ for type_ in self._left if _castable(texts, type_)]


def _castable(texts: pa.Array, type_: pa.DataType) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    try:
        values = _cast(texts, type_)
    except pa.ArrowInvalid:
        return False
    # Identifiers of more digits than a fraction holds would become equal: they stay text.
    return (
        not t.is_floating(type_)
        or not pc.any(
            pc.and_(
                pc.greater_equal(pc.abs(values), _EXACT),
                pc.match_substring_regex(pc.utf8_trim_whitespace(texts), r"^[+-]?[0-9]{19,}$"),
            )
        ).as_py()
    )


def _cast(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if type_ == pa.null():
        return pa.nulls(len(texts))
    return texts if type_ == pa.string() else pc.utf8_trim_whitespace(texts).cast(type_)
