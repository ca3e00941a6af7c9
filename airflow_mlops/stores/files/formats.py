"""Which format a file is of, and the part that reads it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.rows.columns import one_of
from airflow_mlops.core.rows.types import plain_type
from airflow_mlops.spec.data import FileSource
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.event_times import TimeRules
from airflow_mlops.stores.files.compression import COMPRESS_AGAIN, OTHER_ENDINGS
from airflow_mlops.stores.files.csv import CsvPart
from airflow_mlops.stores.files.csv_values import Guess, TextRules
from airflow_mlops.stores.files.delta import read_log
from airflow_mlops.stores.files.folder_names import dates_in, partition_of
from airflow_mlops.stores.files.json_lines import JsonPart
from airflow_mlops.stores.files.location import Listing, Location
from airflow_mlops.stores.files.orc import OrcPart
from airflow_mlops.stores.files.parquet import ParquetPart
from airflow_mlops.stores.files.part import FilePart
from airflow_mlops.stores.files.source_file import SourceFile
from airflow_mlops.stores.files.unify import stated

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs

Format = Literal["parquet", "csv", "json", "orc"]
_COMPRESSED = ("", ".gz", ".bz2", ".zst")
ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".orc": "orc",
    **{f".csv{ending}": "csv" for ending in _COMPRESSED},
    **{f"{name}{ending}": "json" for name in (".jsonl", ".ndjson", ".json") for ending in _COMPRESSED},
}
_NAMES = {"parquet": "Parquet", "csv": "CSV", "json": "JSON", "orc": "ORC"}


def format_of(path: str) -> Format | None:
    """Return the format that a file's ending says; None for another ending.

    >>> format_of("orders.CSV.gz"), format_of("notes.md")
    ('csv', None)
    """
    return next((kind for ending, kind in ENDINGS.items() if path.lower().endswith(ending)), None)


class FileOpener:
    """Makes the parts of a source.

    Parameters
    ----------
    how
        What the specification says of the files.
    text
        Columns that stay the texts that they are: the key.
    """

    def __init__(self, how: FileSource, text: Collection[str]) -> None:
        self.how, self.text, self.rules = how, frozenset(text), TimeRules.of(how)

    def files(self, location: Location, listing: Listing) -> tuple[list[SourceFile], int | None]:
        """Return the files of a location, and the version of the table that they are, if they are one.

        Raises
        ------
        DataError
            If there is none of a known format, there are several formats, or the folder is a table of a format whose
            log is not read.
        """
        table = listing.tables.get(location.path)
        if table == "Delta":
            return self._delta(location)
        if listing.tables or self.how.format == "delta":
            raise self._a_table(location, listing.tables)
        return self._plain(location, self._of_format(location, listing.files)), None

    def _of_format(self, location: Location, paths: Sequence[str]) -> dict[str, Format]:
        if not paths:
            raise self.refuse("no file", "check the path; a folder must hold files", ReasonCode.SOURCE_MISSING)
        wanted = self.how.format
        formats: dict[str, Format | None] = {path: format_of(path) for path in paths}
        if wanted and wanted != "delta" and list(paths) == [location.path]:
            formats = {paths[0]: wanted}
        chosen = {path: kind for path, kind in formats.items() if kind and wanted in (None, kind)}
        if not chosen:
            packed = sorted({path[path.rindex(".") :] for path in paths if path.lower().endswith(OTHER_ENDINGS)})
            fix = COMPRESS_AGAIN if packed else "rename the files, or state data.source.format"
            also = f", and some that are compressed as {', '.join(packed)}" if packed else ""
            raise self.refuse(f"{len(paths)} files, none with a known ending{also}", fix)
        several = sorted({_NAMES[kind] for kind in chosen.values()}, reverse=True)
        if len(several) > 1:
            raise self.refuse(f"{' and '.join(several)} files together", "state data.source.format")
        return chosen

    def _plain(self, location: Location, chosen: Mapping[str, Format]) -> list[SourceFile]:
        relative = {path: path[len(location.path) :].lstrip("/") for path in chosen}
        partitions = {path: partition_of(relative[path]) for path in chosen}
        types = self._partition_types(list(partitions.values()))
        arrow = location.arrow
        return [
            SourceFile(self._part(arrow, path, kind), partitions[path], types, named=dates_in(relative[path]))
            for path, kind in chosen.items()
        ]

    def _partition_types(self, partitions: Sequence[Mapping[str, str | None]]) -> dict[str, pa.DataType]:
        """Guess one type for each column of folders, from all folders, as for the texts of a CSV file."""
        import pyarrow as pa

        names = dict.fromkeys(name for partition in partitions for name in partition)
        found: dict[str, pa.DataType] = {}
        for name in names:
            kind = self.how.types.get(name)
            guess = Guess(TextRules(), text=name in self.text)
            guess.add(pa.array(list(dict.fromkeys(partition.get(name) for partition in partitions)), pa.string()))
            found[name] = guess.type if kind in (None, "time") else stated(kind)
        return found

    def _part(self, arrow: pafs.FileSystem, path: str, kind: Format) -> FilePart:
        if kind == "csv":
            return CsvPart(arrow, path, self.how, self.text)
        if kind == "json":
            texts = {name for name, stated_as in self.how.types.items() if stated_as == "text"}
            return JsonPart(arrow, path, self.text | texts)
        return OrcPart(arrow, path) if kind == "orc" else ParquetPart(arrow, path, self.rules)

    def _delta(self, location: Location) -> tuple[list[SourceFile], int]:
        table = read_log(location)
        types = {name: plain_type(type_) for name, type_ in table.types.items()}
        files = [
            SourceFile(
                ParquetPart(table.filesystem, file.path, self.rules), file.partition, types, known_ends=file.ends
            )
            for file in table.files
        ]
        return files, table.version

    def _a_table(self, location: Location, tables: Mapping[str, str]) -> DataError:
        if not tables:
            return self.refuse("no Delta table: there is no folder _delta_log", "correct data.source.format, or path")
        folder, name = min(tables.items())
        if folder == location.path or name != "Delta":
            fix = "export the table as plain files, or name a database that reads it with conn_id and query"
            return self.refuse(f"{_an(name)} {name} table, whose files are not all rows of it, in {folder},", fix)
        return self.refuse(f"a part or the parent of the Delta table {folder}", f"name the table itself: {folder}")

    def refuse(self, found: str, fix: str, code: ReasonCode = ReasonCode.SOURCE_UNREADABLE) -> DataError:
        """Return the error for a place that holds nothing that can be read."""
        return DataError(
            Problem(
                code=code,
                field="data.source.path",
                found=f"{found} at {self.how.path}",
                allowed=f"a file, or a folder of files, with an ending that is {one_of(ENDINGS)}; or a Delta table",
                fix=fix,
            )
        )


def _an(name: str) -> str:
    return "an" if name[0] in "AEIOU" else "a"


def options_of(source: FileSource) -> dict[str, Any]:
    """Return what a source says beside its path, as the arguments of a store of files."""
    return {name: getattr(source, name) for name in FileSource.part_fields if name != "path"}
