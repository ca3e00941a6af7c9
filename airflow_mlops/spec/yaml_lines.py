"""Safe YAML with line numbers: events in, plain data out; nothing is constructed, imported or expanded.

PyYAML's loaders follow YAML 1.1, where ``no`` is false, ``12:30`` is 750 and ``1e-3`` is text. This reader takes
scalars as YAML 1.2's core schema does: only true and false are truth values, dates stay text, ``1e-3`` is a number.
Events are read one by one, so that depth, size and aliases are bounded before anything grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from airflow_mlops.spec.errors import wrong

if TYPE_CHECKING:
    from airflow_mlops.spec.errors import Code
    from airflow_mlops.spec.problems import Problem

LARGEST = 256 * 1024
"""Bytes of the largest file that is read."""
DEEPEST = 20
"""Deepest nesting."""
_ENOUGH = 20
"""Problems of the text after which reading stops: a hostile file has no use of a thousand more."""
_LONGEST_NUMBER = 100
MOST = 60_000
"""Values of a file, keys among them; a table of 10,000 columns, each named in three places, is half of that."""

Path = tuple[str | int, ...]
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER_STARTS = frozenset("+-.0123456789")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


def plain_scalar(text: str) -> Any:
    """Return what an unquoted scalar means in YAML 1.2's core schema.

    Examples
    --------
    >>> [plain_scalar(text) for text in ("12", "1e-3", "no", "true", "2013-01-01", "~", "0x1F")]
    [12, 0.001, 'no', True, '2013-01-01', None, 31]
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS or len(text) > _LONGEST_NUMBER or not text.isascii():
        return text
    convert = _conversion(text)
    if convert is not None:
        try:
            return convert(text)
        except ValueError:  # such as 2013-01-01, 1.2.3 or 12e: it only begins like a number
            return text
    return text


def _conversion(text: str) -> Callable[[str], Any] | None:
    # Without regular expressions: compiling three of them costs more than reading a short file.
    if text[1:].isdecimal() or text.isdecimal():
        return int if text[0] != "." else float
    if text[:2] in ("0x", "0o") and text[2:].isalnum():
        return partial(int, base=0)
    return float if not text.strip("0123456789.eE+-") else None


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line


def _control_line(text: str) -> int:
    """Return the line (from 0) of the first character that YAML does not allow."""
    for number, line in enumerate(text.split("\n")):
        if not line.replace("\t", "").replace("\r", "").isprintable():
            return number
    return 0


def unstorable(text: str) -> str | None:
    r"""Name the first character that is no text for a database: a control character, or half a surrogate pair.

    YAML writes them as escapes (``"\0"``). Airflow keeps the specification's words in its database, and PostgreSQL
    refuses them there: one description would keep all DAGs of the file from being stored.

    >>> unstorable("café"), unstorable("a\x00"), unstorable("two\nlines")
    (None, "'\\x00'", None)
    """
    if text.isprintable():
        return None
    bad = (c for c in text if (c < " " and c not in "\n\r\t") or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff")
    first = next(bad, None)
    return None if first is None else ascii(first)


def _field(path: Path) -> str:
    return ".".join(map(str, path)) or "(file)"


class Unreadable(Exception):
    """The text was given up on."""


class Reader:
    """Reads one document, remembering the line of every value and every problem on the way."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.lines: dict[Path, int] = {}
        self._text = text
        self._values = 0
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)

    def where(self, path: Path) -> str:
        """Return ``file.yaml:12`` for a value, or for the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self._place(self.lines.get(path, 1))

    def _place(self, line: int) -> str:
        return f"{self.name}:{line}" if self.name else f"line {line}"

    def read(self) -> Any:
        """Return the document as plain data; None when it had to be given up, with problems saying why."""
        try:
            return self._document()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            said = ", ".join(filter(None, (error.problem, error.context)))
            line = mark.line if mark else 0
            self._wrong(line, "(file)", f"no YAML: {said}", "YAML", "correct the syntax at this line, or above it")
        except yaml.YAMLError as error:
            said = str(error).splitlines()[0]
            self._wrong(
                _control_line(self._text),
                "(file)",
                said,
                "YAML text without control characters",
                "remove the character",
            )
        except Unreadable:
            pass
        return None

    def _document(self) -> Any:
        next(self._events), next(self._events)  # the stream's start, and the document's or the stream's end
        value: Any = None
        for event in self._events:
            value = self._value(event, (), 0)
            break
        rest = [event for event in self._events if isinstance(event, yaml.DocumentStartEvent)]
        if rest:
            line = _line(rest[0])
            self._wrong(line, "(file)", "a second document", "one document, one model", "write one file per model")
        return value

    def _value(self, event: Any, path: Path, depth: int) -> Any:
        if len(self.problems) >= _ENOUGH:
            raise Unreadable
        line = _line(event)
        self.lines.setdefault(path, line + 1)
        self._count(line)
        if isinstance(event, yaml.AliasEvent):
            self._unsafe(line, path, f"alias *{event.anchor}", "values written out", "write the value where it is used")
            return None
        if event.anchor is not None:
            self._unsafe(line, path, f"anchor &{event.anchor}", "values written out", "remove the anchor")
        if event.tag is not None:
            self._unsafe(line, path, f"tag {event.tag}", "values without tags", "remove the tag")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path, line)
        if depth >= DEEPEST:
            self._unsafe(line, path, f"more than {DEEPEST} levels", f"{DEEPEST} levels at most", "flatten it")
            raise Unreadable
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _count(self, line: int) -> None:
        self._values += 1
        if self._values > MOST:
            self._unsafe(line, (), f"more than {MOST} values", f"{MOST} values at most", "write only the specification")
            raise Unreadable

    def _scalar(self, event: Any, path: Path, line: int) -> Any:
        text: str = event.value
        bad = unstorable(text)
        if bad is not None:
            self._unsafe(line, path, f"the character {bad}", "text without control characters", "remove the character")
            return ""
        return plain_scalar(text) if event.implicit[0] else text

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, path, depth)
            inner = (*path, key)
            line = _line(event)
            if key in found:
                self._wrong(
                    line,
                    _field(inner),
                    f"{key!r} again, first at line {self.lines[inner]}",
                    "each field once",
                    "remove one of them",
                    code="spec_duplicate",
                )
                self._value(next(self._events), (*path, f"{key} (again)"), depth + 1)
                continue
            self.lines[inner] = line + 1
            found[key] = self._value(next(self._events), inner, depth + 1)
        return found

    def _key(self, event: Any, path: Path, depth: int) -> str:
        self._count(_line(event))
        if not isinstance(event, yaml.ScalarEvent):
            self._value(event, (*path, "(key)"), depth + 1)
            self._unsafe(_line(event), path, "a key that is no text", "text keys", "write a plain key")
            return "(key)"
        if event.tag is not None or event.anchor is not None:
            self._unsafe(_line(event), path, "a key with a tag or anchor", "text keys", "write a plain key")
        elif event.value == "<<" and event.implicit[0]:
            self._unsafe(_line(event), path, "merge key <<", "fields written out", "write the fields out")
        value: str = event.value
        bad = unstorable(value)
        if bad is not None:
            self._unsafe(_line(event), path, f"a key with the character {bad}", "plain text keys", "remove it")
        return value

    def _unsafe(self, line: int, path: Path, found: str, allowed: str, fix: str) -> None:
        self._wrong(line, _field(path), found, allowed, fix, code="spec_unsafe")

    def _wrong(
        self,
        line: int,
        field: str,
        found: str,
        allowed: str,
        fix: str,
        *,
        code: Code = "spec_unreadable",
    ) -> None:
        self.problems.append(wrong(field, found, allowed, fix, code=code, where=self._place(line + 1)))
