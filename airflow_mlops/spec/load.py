"""Read a specification from YAML, a mapping or another specification, and say everything that is wrong at once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import ValidationError

from airflow_mlops.spec.cross_checks import is_sql_file
from airflow_mlops.spec.errors import refusal, wrong
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.plain_data import first_unsafe
from airflow_mlops.spec.platform_checks import problems_of_platform
from airflow_mlops.spec.yaml_lines import LARGEST, Reader

if TYPE_CHECKING:
    from airflow_mlops.spec.errors import Code
    from airflow_mlops.spec.problems import Problem, SpecError


def load_spec(path: str | Path) -> ModelSpec:
    """Read one model's YAML file; nothing that it names is imported, opened or connected to.

    A query that is the path of a .sql file is read relative to the specification's folder: the result holds its
    absolute path. Relative data paths stay as they are, for `[mlops] data_root`.

    Parameters
    ----------
    path
        The file, UTF-8, at most 256 kB.

    Raises
    ------
    SpecError
        With every problem that was found, each with file and line; also for what nobody thought of: whatever is raised
        while a file is read is that file's fault, and no other's.
    """
    file = Path(path)
    try:
        return _loaded(file)
    except Exception as error:  # who loads many files must be able to go on with the next one
        from airflow_mlops.spec.problems import Refusal

        if isinstance(error, Refusal):
            raise
        # Without its words, which may quote anything, and without its traceback, which may be a thousand levels deep.
        found = f"a file at which reading it raised {type(error).__name__}"
        fix = "write it anew; if it should be right, report the file as a fault of airflow_mlops"
        raise _file_error(file, found, "a specification", fix, code="spec_unsafe") from None


def _loaded(file: Path) -> ModelSpec:
    text = _text(file)
    reader = Reader(text, file.name)
    data = reader.read()
    rows = data.get("data") if isinstance(data, dict) else None
    if isinstance(rows, dict):
        _resolve_query(rows, ("data",), file, reader)
        if isinstance(rows.get("labels"), dict):
            _resolve_query(rows["labels"], ("data", "labels"), file, reader)
    return _checked(data, reader, subject=str(file))


def parse_spec(source: str | Mapping[str, Any] | ModelSpec, *, where: str = "") -> ModelSpec:
    """Read a specification from YAML text or from a mapping.

    Parameters
    ----------
    source
        YAML text, or what YAML would give.
    where
        What to call the text in problems: a file's name.

    Raises
    ------
    SpecError
        With every problem that was found.

    Examples
    --------
    >>> spec = parse_spec('''
    ... name: flight_delay
    ... owner: ops-analytics
    ... data: {source: {path: flights/}, time: departure, key: flight_id, label: late}
    ... training: {estimator: sklearn.linear_model.LogisticRegression}
    ... ''')
    >>> spec.data.key, spec.data.window.days
    (('flight_id',), 90)
    """
    if isinstance(source, str):
        reader = Reader(source, where)
        return _checked(reader.read(), reader, subject=where)
    if isinstance(source, Mapping):
        problem = first_unsafe(source, where)
        if problem is not None:
            raise refusal(problem, subject=where)
    try:
        made = ModelSpec.validate_raw(source)
    except ValidationError as error:
        from airflow_mlops.spec.error_text import problems_of

        raise refusal(problems_of(error, ModelSpec, source, where=lambda _path: where), subject=where) from None
    problems = problems_of_platform(made)
    if problems:
        raise refusal(problems, subject=where)
    return made


def _placed(problem: Problem, reader: Reader) -> Problem:
    from dataclasses import replace

    path = tuple(int(name) if name.isascii() and name.isdigit() else name for name in problem.field.split("."))
    return replace(problem, where=reader.where(path))


def apply_overrides(spec: ModelSpec, overrides: Mapping[str, Any]) -> ModelSpec:
    """Return the specification with other values at dotted paths; see :mod:`airflow_mlops.spec.overrides`.

    Raises
    ------
    SpecError
        With every problem that was found, also when a field may not be overridden.

    Examples
    --------
    >>> spec = parse_spec({"name": "m", "owner": "o", "training": {"estimator": "sklearn.svm.SVC"},
    ...                    "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y"}})
    >>> apply_overrides(spec, {"training.parameters.max_iter": 50, "scoring.window": "7d"}).training.parameters
    {'max_iter': 50}
    """
    from airflow_mlops.spec.overrides import overridden

    return overridden(spec, overrides)


def _text(file: Path) -> str:
    try:
        raw = _bytes(file)
    except FileNotFoundError:
        raise _file_error(file, "no such file", "an existing YAML file", "check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        found = f"a file that cannot be read ({getattr(error, 'strerror', None) or error})"
        raise _file_error(file, found, "a readable YAML file", "check the path and its permissions") from None
    if len(raw) > LARGEST:
        found = f"more than {LARGEST // 1024} kB"
        raise _file_error(
            file, found, f"{LARGEST // 1024} kB at most", "write only the specification", code="spec_unsafe"
        )
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")  # as utf-8-sig does, whose codec is a module to import
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        found, fix = f"byte 0x{raw[error.start]:02x}, which is no UTF-8", "save the file as UTF-8"
        raise _file_error(file, found, "UTF-8 text", fix, line=line) from None


def _bytes(file: Path) -> bytes:
    """Read a plain file of the folder that it seems to be in.

    A link to elsewhere would show somebody else's file in the problems of this one, so it is not opened, and where it
    leads is not said. Links within the folder are how Kubernetes mounts a ConfigMap. A pipe would keep its reader
    waiting for ever, and a device has no end: it is opened without waiting, and asked what it is.
    """
    if leads_out(file):
        raise _file_error(
            file,
            "a link to a file outside of its folder",
            "a file, or a link within the folder",
            "copy the file to its place",
            code="spec_unsafe",
        )
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "no plain file")
        return stream.read(LARGEST + 1)


def leads_out(file: Path) -> bool:
    """Whether a file is a link, at once or through others, to one that is not below its folder.

    Raises
    ------
    OSError
        If links lead in a circle.
    """
    try:
        return not file.resolve().is_relative_to(file.parent.resolve())
    except RuntimeError as error:  # how Python 3.11 and 3.12 say it
        raise OSError(errno.ELOOP, "links that lead in a circle") from error


def _file_error(
    file: Path, found: str, allowed: str, fix: str, *, code: Code = "spec_unreadable", line: int = 1
) -> SpecError:
    where = f"{file.name}:{line}"
    return refusal(wrong("(file)", found, allowed, fix, code=code, where=where), subject=str(file))


def _resolve_query(part: dict[str, Any], place: tuple[str, ...], file: Path, reader: Reader) -> None:
    source = part.get("source")
    query = source.get("query") if isinstance(source, dict) else None
    if not isinstance(query, str) or not is_sql_file(query.strip()):
        return
    named = file.parent / query.strip()
    try:
        target, led_out = named.resolve(), leads_out(named)
        is_there = target.is_file()
    except (OSError, RuntimeError):  # a name that no file can have, or links in a circle
        target, led_out, is_there = named, False, False
    source["query"] = str(target)  # type: ignore[index]  # query came out of it
    if target.suffix != ".sql" or led_out:
        reader.problems.append(
            wrong(
                code="spec_unsafe",
                field=".".join((*place, "source", "query")),
                found=f"{query!r}, a link to a file outside of its folder",
                allowed="a .sql file, or a link to one within its folder",
                fix="copy the file to its place",
                where=reader.where((*place, "source", "query")),
            )
        )
    elif not is_there:
        reader.problems.append(
            wrong(
                field=".".join((*place, "source", "query")),
                found=f"{query!r}, and no such file",
                allowed="SQL text, or a .sql file relative to the specification",
                fix=f"create {query!r} beside {file.name}, or correct the path",
                where=reader.where((*place, "source", "query")),
            )
        )


def _checked(data: Any, reader: Reader, *, subject: str) -> ModelSpec:
    problems = list(reader.problems)
    given_up = data is None and problems
    if not given_up and not any(problem.code == "spec_unsafe" for problem in problems):
        if not isinstance(data, dict):
            from airflow_mlops.spec.suggest import shown

            found = "an empty file" if data is None else shown(data)
            raise refusal(
                wrong(
                    code="spec_unreadable",
                    field="(file)",
                    found=found,
                    allowed="a mapping of fields",
                    fix="begin with 'name:'; `airflow mlops new NAME` writes an example",
                    where=reader.where(()),
                ),
                subject=subject,
            )
        try:
            made = ModelSpec.validate_raw(data)
        except ValidationError as error:
            from airflow_mlops.spec.error_text import problems_of

            problems += problems_of(error, ModelSpec, data, where=reader.where)
        else:
            problems += [_placed(problem, reader) for problem in problems_of_platform(made)]
            if not problems:
                return made
    raise refusal(sorted(problems, key=_line), subject=subject)


def _line(problem: Problem) -> int:
    number = problem.where.replace(" ", ":").rpartition(":")[2]
    return int(number) if number.isdecimal() else 0
