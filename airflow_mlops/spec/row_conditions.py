"""Which rows an expectation is about: a small language of our own, because a library would run what it is given.

``row_condition`` of Great Expectations goes to pandas' ``DataFrame.query``, in which ``@`` and a dot reach everything
that is imported. What is read here is columns, literals, comparisons, ``and``, ``or`` and ``not``; and nothing that is
read here is ever given to a library.

=================  =============================================================================
column             ``distance``, a name with spaces in back quotes, or ``col("wind speed")``
literal            ``12``, ``-1.5e3``, ``"EWR"``, ``'EWR'``, ``true``, ``false``; a time is a text
comparison         ``== != < <= > >=`` between a column and a literal, or two columns
set                ``origin in ["EWR", "JFK"]``, ``origin not in [...]``
missing            ``temp is null``, ``temp is not null``
together           ``and`` (``&``), ``or`` (``|``), ``not`` (``~``), parentheses
=================  =============================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal as OneOf

LONGEST = 2000
"""Characters of a condition."""
_DEEPEST = 20
_TOKENS = re.compile(
    r"""\s*(?:(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?)(?![\w.])
    |(?P<text>"[^"\\]*"|'[^'\\]*')|`(?P<quoted>[^`]+)`|(?P<word>[^\W\d]\w*)|(?P<sign>==|!=|<=|>=|[<>&|~()\[\],]))""",
    re.VERBOSE,
)
_SIGNS = {"&": "and", "|": "or", "~": "not"}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "true", "false", "none"})

Value = str | int | float | bool


@dataclass(frozen=True)
class ColumnName:
    """A column."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A literal, or several."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Comparison:
    """A column with a literal, a set or another column; of `null` and `not null` the right side is empty."""

    operator: OneOf["==", "!=", "<", "<=", ">", ">=", "in", "not in", "null", "not null"]
    left: ColumnName | Constant
    right: ColumnName | Constant


@dataclass(frozen=True)
class Combination:
    """Several conditions together, or the opposite of one."""

    operator: OneOf["and", "or", "not"]
    parts: tuple[RowCondition, ...]


RowCondition = Comparison | Combination


class ConditionError(ValueError):
    """A text that is no condition; it says what was found where."""


def parse_condition(text: str) -> RowCondition:
    """Read a condition.

    Raises
    ------
    ConditionError
        If it is something else: a call, an attribute, a variable, a sum, or not whole.

    Examples
    --------
    >>> parse_condition("planned > 0 and origin in ['EWR']").operator
    'and'
    >>> parse_condition("@pd.io.common.os.system('id') == 0")
    Traceback (most recent call last):
        ...
    airflow_mlops.spec.row_conditions.ConditionError: '@' at character 1
    """
    return _Parser(text).whole()


def columns_of(condition: RowCondition) -> tuple[str, ...]:
    """Return the columns that a condition names, each once.

    >>> columns_of(parse_condition("a > 0 or not (b == a)"))
    ('a', 'b')
    """
    return tuple(dict.fromkeys(_columns(condition)))


def _columns(condition: RowCondition) -> Iterator[str]:
    if isinstance(condition, Combination):
        for part in condition.parts:
            yield from _columns(part)
        return
    for side in (condition.left, condition.right):
        if isinstance(side, ColumnName):
            yield side.name


@dataclass(frozen=True)
class _Piece:
    kind: str
    text: str
    at: int


class _Parser:
    """Recursive descent over the pieces of a text."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ConditionError(f"a text of {len(text)} characters")
        self._pieces = list(_pieces(text))
        self._at = 0
        self._depth = 0

    def whole(self) -> RowCondition:
        found = self._either()
        if self._peek() is not None:
            raise self._unexpected("the end")
        return found

    def _peek(self) -> _Piece | None:
        return self._pieces[self._at] if self._at < len(self._pieces) else None

    def _is(self, *words: str) -> bool:
        piece = self._peek()
        return piece is not None and piece.kind == "sign" and piece.text in words

    def _take(self, *words: str) -> bool:
        there = self._is(*words)
        self._at += there
        return there

    def _next(self, wanted: str) -> _Piece:
        piece = self._peek()
        if piece is None:
            raise ConditionError(f"no {wanted} at the end")
        self._at += 1
        return piece

    def _unexpected(self, wanted: str) -> ConditionError:
        piece = self._peek()
        return ConditionError(
            f"{piece.text!r} at character {piece.at + 1}, and not {wanted}" if piece else f"no {wanted}"
        )

    def _either(self) -> RowCondition:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Combination("or", tuple(parts))

    def _both(self) -> RowCondition:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Combination("and", tuple(parts))

    def _one(self) -> RowCondition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ConditionError(f"more than {_DEEPEST} levels")
        try:
            if self._take("not"):
                return Combination("not", (self._one(),))
            if self._take("("):
                inner = self._either()
                if not self._take(")"):
                    raise self._unexpected("a closing parenthesis")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> RowCondition:
        left = self._operand()
        if self._take("is"):
            negated = self._take("not")
            if not self._take("null", "none"):
                raise self._unexpected("null")
            return self._about_column(Comparison("not null" if negated else "null", left, Constant(())))
        negated = self._take("not")
        if self._take("in"):
            return self._about_column(Comparison("not in" if negated else "in", left, self._set()))
        operator = self._next("comparison")
        if negated or operator.kind != "sign" or operator.text not in _COMPARISONS:
            raise ConditionError(f"{operator.text!r} at character {operator.at + 1}, and not a comparison")
        return self._about_column(Comparison(operator.text, left, self._operand()))  # type: ignore[arg-type]

    @staticmethod
    def _about_column(made: Comparison) -> Comparison:
        if not isinstance(made.left, ColumnName) and not isinstance(made.right, ColumnName):
            raise ConditionError("a comparison without a column")
        return made

    def _set(self) -> Constant:
        closing = {"[": "]", "(": ")"}.get(self._next("list").text, "")
        if not closing:
            raise ConditionError("no list behind 'in'")
        values: list[Value] = []
        while not self._take(closing):
            found = self._operand()
            if isinstance(found, ColumnName):
                raise ConditionError(f"the column {found.name!r} in a list of literals")
            values += found.values
            if not self._take(",") and not self._is(closing):
                raise self._unexpected("a comma")
        return Constant(tuple(values))

    def _operand(self) -> ColumnName | Constant:
        piece = self._next("column or literal")
        if piece.kind == "column":
            return self._column(piece)
        if piece.kind == "text":
            return Constant((piece.text,))
        if piece.kind == "number":
            number = float(piece.text)
            whole = piece.text.lstrip("+-").isdigit()
            return Constant((int(piece.text) if whole else number,))
        if piece.text in ("true", "false"):
            return Constant((piece.text == "true",))
        raise ConditionError(f"{piece.text!r} at character {piece.at + 1}, and not a column or a literal")

    def _column(self, piece: _Piece) -> ColumnName:
        """Take a column by its name, or as Great Expectations writes it: ``col("name")``."""
        if not self._is("("):
            return ColumnName(piece.text)
        inner = self._pieces[self._at + 1] if self._at + 1 < len(self._pieces) else None
        if piece.text != "col" or inner is None or inner.kind != "text":
            raise ConditionError(f"a call of {piece.text!r}")
        self._at += 2
        if not self._take(")"):
            raise self._unexpected("a closing parenthesis")
        return ColumnName(inner.text)


def _pieces(text: str) -> Iterator[_Piece]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKENS.match(text, at)
        if found is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            raise ConditionError(f"{text[place]!r} at character {place + 1}")
        kind, written = str(found.lastgroup), found[str(found.lastgroup)]
        start, at = found.start(kind), found.end()
        if kind == "text":
            yield _Piece("text", written[1:-1], start)
        elif kind == "quoted":
            yield _Piece("column", written, start)
        elif kind == "word" and written.lower() in _KEYWORDS:
            yield _Piece("sign", written.lower(), start)
        elif kind == "word":
            yield _Piece("column", written, start)
        else:
            yield _Piece(kind, _SIGNS.get(written, written), start)
