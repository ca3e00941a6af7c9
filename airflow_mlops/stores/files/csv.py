"""One CSV file as a part of a source, read as text in blocks; a column's type is decided on all of its rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.data import FileSource
from airflow_mlops.spec.problems import Problem
from airflow_mlops.stores.files.compression import open_text
from airflow_mlops.stores.files.csv_values import MISSING, Guess, NumberMarks, TextRules, without_marks
from airflow_mlops.stores.files.leftovers import RUNNING, RUNNING_NUMBER, left_by_pandas
from airflow_mlops.stores.files.part import RowsOnlyPart, duplicated, raise_if_away, unreadable
from airflow_mlops.stores.files.unify import cast, stated

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.fs as pafs

_SHAPE = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")
_BLOCK = 1 << 20


class CsvPart(RowsOnlyPart):
    """A CSV file with a header line.

    Empty fields are nulls, and what `null_values` says. A column is of the first of these types that all its values
    have: whole number, fraction, true/false, time without zone, time with zone, text. Looking only at the first block,
    as CSV readers do, would make the type depend on the order of rows.

    Parameters
    ----------
    how
        Encoding, separators, quotes, marks, types.
    text
        Columns that stay the texts that they are.
    """

    def __init__(
        self, filesystem: pafs.FileSystem, path: str, how: FileSource, text: Collection[str] = frozenset()
    ) -> None:
        self._filesystem = filesystem
        self.path = path
        self._how = how
        kept = {name for name, kind in how.types.items() if kind in {"text", "time"}}
        self._text = frozenset(
            {*text, *kept} - {name for name, kind in how.types.items() if kind not in {"text", "time"}}
        )
        self._rules = TextRules(
            marks=NumberMarks(decimal=how.decimal, thousands=how.thousands),
            stated_missing=how.null_values is not None,
        )
        self._guesses: dict[str, Guess] = {}

    @cached_property
    def _header(self) -> list[str]:
        encoding = self._how.encoding
        encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
        with self._clear_errors(), self._open() as stream:
            text = io.TextIOWrapper(stream, encoding=encoding, newline="")
            reader = csv.reader(
                text, delimiter=self._how.delimiter, quotechar=self._how.quote, escapechar=self._how.escape,
                quoting=csv.QUOTE_MINIMAL if self._how.quote else csv.QUOTE_NONE,
            )  # fmt: skip
            header = next(reader, None)
        if not header:
            raise unreadable(self.path, "an empty CSV file, without a header line", "write the file again")
        named = [name for name in header if name]
        if len(set(named)) < len(named):
            raise duplicated(self.path, named)
        return header

    @property
    def names(self) -> Sequence[str]:
        """The header; a column without a name cannot be asked for."""
        return [name for name in self._header if name]

    def leftovers(self) -> Mapping[str, str]:
        """Columns without a name, which pandas writes of an index, and those that it reads of them."""
        nameless = {"": "a CSV column without a name, such as the index of a pandas frame"}
        maybe = [name for name in self.names if name in RUNNING and name not in self._text]
        self._guess(maybe)
        running = {
            name: RUNNING_NUMBER for name in maybe if self._guesses[name].rows and self._guesses[name].is_running
        }
        return (nameless if "" in self._header else {}) | left_by_pandas(self.names) | running

    def types(self, names: Sequence[str]) -> Mapping[str, pa.DataType]:
        """Types from one pass over all rows of the columns that no earlier pass has seen."""
        import pyarrow as pa

        fixed: dict[str, pa.DataType] = {name: pa.string() for name in names if name in self._text}
        others = [name for name in names if name in self._how.types and name not in fixed]
        fixed |= {name: stated(self._how.types[name]) for name in others}
        self._guess([name for name in names if name not in fixed])
        return {name: fixed[name] if name in fixed else self._guesses[name].type for name in names}

    def _guess(self, names: Sequence[str]) -> None:
        unseen = [name for name in dict.fromkeys(names) if name not in self._guesses]
        if not unseen:
            return
        guesses = {name: Guess(self._rules, text=name in self._text) for name in unseen}
        for batch in self._texts(unseen):
            for name, texts in zip(batch.schema.names, batch.columns, strict=True):
                guesses[name].add(texts)
        self._guesses |= guesses

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
        types = {name: pa.string() if name == time else type_ for name, type_ in self._read_as(wanted, time).items()}
        for block in self._texts(wanted):
            for start in range(0, block.num_rows, chunk_rows):
                texts = block.slice(start, chunk_rows)
                values = [
                    self._unmarked(texts.column(name))
                    if name == time
                    else self._cast(texts.column(name), types[name], name)
                    for name in wanted
                ]
                yield pa.RecordBatch.from_arrays(values, schema=pa.schema(list(types.items())))

    def _unmarked(self, times: pa.Array) -> pa.Array:
        """No time is written like a mark of a missing value, quoted or not."""
        return times if self._rules.stated_missing else without_marks(times)

    def _read_as(self, wanted: Sequence[str], time: str) -> dict[str, pa.DataType]:
        import pyarrow as pa

        others = self.types([name for name in wanted if name != time])
        return {name: pa.string() if name == time else others[name] for name in wanted}

    def _cast(self, texts: pa.Array, type_: pa.DataType, name: str) -> pa.Array:
        import pyarrow as pa

        try:
            return self._rules.cast(texts, type_)
        except pa.ArrowInvalid:
            return cast(texts, type_, name, self.path)  # which says that it cannot be done

    def undated(self, time: str) -> int | None:
        """Count rows without an event time."""
        self._guess([time])
        return self._guesses[time].nulls

    def doubts(self, names: Sequence[str]) -> Iterator[Problem]:
        """Numbers of another country, and codes that are read as numbers."""
        for name in names:
            if name in self._guesses and name not in self._text:
                yield from self._guesses[name].doubts(name, self.path)

    def _texts(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.csv as pacsv

        how = self._how
        null_values = [*MISSING, ""] if how.null_values is None else [*how.null_values, ""]
        with self._clear_errors(), self._open() as stream:
            reader: pacsv.CSVStreamingReader = pacsv.open_csv(
                stream,
                # One thread, because only then do messages carry the row, and read-ahead is one block.
                read_options=pacsv.ReadOptions(encoding=how.encoding, use_threads=False, block_size=_BLOCK),
                parse_options=pacsv.ParseOptions(
                    delimiter=how.delimiter,
                    quote_char=how.quote or False,
                    escape_char=how.escape or False,
                    newlines_in_values=True,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=list(columns),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=how.null_values is not None,
                    null_values=null_values,
                ),
            )
            for batch in reader:
                if batch.num_rows:
                    yield _without_empty(batch)

    def _open(self) -> pa.NativeFile:
        return open_text(self._filesystem, self.path)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Say what is wrong without the text of the row, which pyarrow's messages quote."""
        import pyarrow as pa

        try:
            yield
        except DataError:
            raise
        except LookupError as error:
            known = f"CSV with data.source.encoding '{self._how.encoding}', which Python does not know"
            raise unreadable(self.path, known, "write an encoding such as utf-8 or latin-1") from error
        except UnicodeError as error:
            raise self._not_encoded() from error
        except (pa.ArrowException, OSError, csv.Error) as error:
            raise_if_away(error, self.path)
            shape = _SHAPE.search(str(error))
            if "UTF8" in str(error):
                raise self._not_encoded() from error
            if isinstance(error, OSError):
                raise unreadable(self.path, "a CSV file that is cut off or damaged", "write the file again") from error
            if shape is None:
                raise unreadable(self.path, "no readable CSV", "check data.source.delimiter, and the file") from error
            row = f"row {shape[1]}" if shape[1] else "a row"
            found = f"a ragged CSV file ({row} has {shape[3]} fields, the header {shape[2]})"
            fix = "mend the row, or check data.source.delimiter and quotes"
            if shape[2] == "1":
                fix = "take away what stands above the header: the first line must be the header; or check "
                fix += "data.source.delimiter"
            raise unreadable(self.path, found, fix) from error

    def _not_encoded(self) -> DataError:
        found = f"CSV that is not encoded as {self._how.encoding}"
        marked = self._marked_encoding()
        if marked is not None:
            return unreadable(
                self.path, f"{found}, but begins as {marked} does", f"state data.source.encoding: {marked}"
            )
        return unreadable(self.path, found, "state its encoding as data.source.encoding, such as latin-1")

    def _marked_encoding(self) -> str | None:
        """Return the encoding whose byte order mark the file begins with."""
        import codecs

        with self._open() as stream:
            first = bytes(stream.read(4))
        if first.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # first: the other one's is its beginning
            return "utf-32"
        return "utf-16" if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else None


def _without_empty(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return texts with nulls for quoted fields in which nothing stands: only the other marks are told by quotes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    empty = [pc.equal(pc.binary_length(texts), 0) for texts in batch.columns]
    columns = [
        pc.if_else(none, None, texts) if pc.any(none).as_py() else texts
        for none, texts in zip(empty, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
