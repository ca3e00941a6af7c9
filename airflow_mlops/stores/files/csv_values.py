"""From the texts of a CSV file to values: marks of missing values, numbers as a country writes them, guessed types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA", "NULL", "NaN",
    "n/a", "nan", "null", "<NA>",
)  # fmt: skip
"""Texts that are missing values where the specification names none; where they are quoted, only beside numbers, times
and truth values, because a country may be `NA`."""
_DIGITS = r"\d[\d.,' \x{a0}\x{202f}]*"
_DRESSED = rf"^([-+]? ?[\p{{Sc}}]? ?[-+]?{_DIGITS}[%\x{{2030}}\p{{Sc}}]?[-+]?|\([\p{{Sc}}]? ?{_DIGITS}\))$"
"""A number with what people write around it; RE2's syntax."""
_SIGNS = r"[%(\x{2030}\p{Sc}]|[-+]$"
_EXACT = 2.0**63
_SPACES = " \u00a0\u202f\u2009"
"""Spaces that group digits: the plain one, and those that do not break a line."""
_MARKS = (",", ".")
_GROUPS = (None, *_MARKS, " ", "'")


@dataclass(frozen=True, kw_only=True)
class NumberMarks:
    """How a file writes numbers."""

    decimal: str = "."
    thousands: str | None = None

    @property
    def plain(self) -> bool:
        """Whether Python would read such numbers."""
        return self.decimal == "." and self.thousands is None

    @cached_property
    def pattern(self) -> str:
        """What a number looks like: digits in groups of three, or without groups."""
        decimal = re.escape(self.decimal)
        grouped = rf"\d{{1,3}}({self._group}\d{{3}})+|" if self.thousands else ""
        return rf"^[+-]?(({grouped}\d+)({decimal}\d*)?|{decimal}\d+)([eE][+-]?\d+)?$"

    @property
    def _group(self) -> str:
        return f"[{_SPACES}]" if self.thousands == " " else re.escape(self.thousands or "")

    def normalised(self, texts: pa.Array) -> pa.Array:
        """Return numbers as Python writes them.

        Raises
        ------
        pyarrow.ArrowInvalid
            If a text is no number of this kind.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.plain:
            return texts
        if pc.all(pc.match_substring_regex(texts, self.pattern)).as_py() is False:
            raise pa.ArrowInvalid("a text that is no number")
        if self.thousands:
            texts = pc.replace_substring_regex(texts, self._group, "")
        return pc.replace_substring(texts, self.decimal, ".")

    def __str__(self) -> str:
        parts = [f"decimal: '{self.decimal}'"] * (self.decimal != ".")
        return ", ".join([*parts, *([f'thousands: "{self.thousands}"'] if self.thousands else [])]) or "decimal: '.'"


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """How the texts of one file become values."""

    marks: NumberMarks = field(default_factory=NumberMarks)
    stated_missing: bool = False
    """Whether the specification names the texts that are missing: the reader has made nulls of them already."""

    def cast(self, texts: pa.Array, type_: pa.DataType) -> pa.Array:
        """Return texts as values of a type.

        Raises
        ------
        pyarrow.ArrowInvalid
            If one is not of the type.
        """
        import pyarrow as pa
        import pyarrow.types as t

        if type_ == pa.string():
            return texts
        if type_ == pa.null():
            return pa.nulls(len(texts))
        try:
            return self._cast(texts, type_)
        except pa.ArrowInvalid:
            if self.stated_missing or not (t.is_primitive(type_) or t.is_boolean(type_)):
                raise
        return self._cast(without_marks(texts), type_)

    def _cast(self, texts: pa.Array, type_: pa.DataType) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.types as t

        trimmed = pc.utf8_trim_whitespace(texts)
        if not (t.is_integer(type_) or t.is_floating(type_)):
            return trimmed.cast(type_)
        values = self.marks.normalised(trimmed).cast(type_)
        # Identifiers of more digits than a fraction holds would become equal: they stay text.
        if t.is_floating(type_) and pc.any(pc.greater_equal(pc.abs(values), _EXACT)).as_py():
            digits = pc.match_substring_regex(trimmed, r"^[+-]?[0-9]{19,}$")
            if pc.any(pc.and_(pc.greater_equal(pc.abs(values), _EXACT), digits)).as_py():
                raise pa.ArrowInvalid("whole numbers that a fraction does not hold")
        return values


def without_marks(texts: pa.Array) -> pa.Array:
    """Return texts with nulls for what stands for a missing value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.is_in(texts, value_set=pa.array(MISSING)), None, texts)


class Guess:
    """The types that all texts of a column so far can be read as, the narrowest first.

    Looking only at the first block, as CSV readers do, would make the type depend on the order of rows.
    """

    def __init__(self, rules: TextRules, *, text: bool = False) -> None:
        import pyarrow as pa

        self.nulls = self.rows = 0
        self.padded = 0
        """Whole numbers with a leading zero."""
        self.is_running = not text
        """Whether the values are 0, 1, 2, ... so far."""
        self._rules = rules
        self._seen = self._seen_mark = False
        instants = [pa.timestamp("us"), pa.timestamp("us", tz="UTC")]
        self._left: list[pa.DataType] = [] if text else [pa.int64(), pa.float64(), pa.bool_(), *instants]
        self._text = text
        looks = [NumberMarks(decimal=d, thousands=g) for d, g in product(_MARKS, _GROUPS) if d != g]
        self._looks: list[NumberMarks] = [] if text else [look for look in looks if look != rules.marks]
        self._dressed, self._signs = not text, False
        """Whether all texts so far may be numbers with a sign of money or of a share, or written as accountants do, and
        whether one has such a sign: dates and addresses have none."""

    @property
    def type(self) -> pa.DataType:
        """The narrowest type of all texts; text where nothing but a quoted mark stands."""
        import pyarrow as pa

        if self._text or self._seen:
            return self._left[0] if self._left else pa.string()
        return pa.string() if self._seen_mark else pa.null()

    def add(self, texts: pa.Array) -> None:
        """Look at more texts of the column."""
        import pyarrow as pa

        self.is_running = self.is_running and not texts.null_count and _counts_on(texts, self.rows)
        self.nulls += texts.null_count
        self.rows += len(texts)
        if texts.null_count == len(texts) or self._text:
            return
        if not self._seen and not self._rules.stated_missing and without_marks(texts).null_count == len(texts):
            self._seen_mark = True
            return
        self._seen = True
        # A type that earlier rows did not have never comes back, so every type left is tried on every block.
        self._left = [type_ for type_ in self._left if self._castable(texts, type_)]
        if pa.int64() in self._left:
            self.padded += _padded(texts)
        self._look(texts)

    def _castable(self, texts: pa.Array, type_: pa.DataType) -> bool:
        import pyarrow as pa

        try:
            self._rules.cast(texts, type_)
        except pa.ArrowInvalid:
            return False
        return True

    def _look(self, texts: pa.Array) -> None:
        """Keep in mind as what other numbers all texts so far can be read."""
        import pyarrow.compute as pc

        if not (self._looks or self._dressed):
            return
        trimmed = pc.utf8_trim_whitespace(texts if self._rules.stated_missing else without_marks(texts))

        def all_match(values: pa.Array, pattern: str) -> bool:
            return pc.all(pc.match_substring_regex(values, pattern)).as_py() is not False

        self._looks = [look for look in self._looks if all_match(trimmed, look.pattern)]
        # Most columns of words are told by their first texts, without a look at the others.
        self._dressed = self._dressed and all_match(trimmed[:100], _DRESSED) and all_match(trimmed, _DRESSED)
        if self._dressed and not self._signs:
            self._signs = bool(pc.any(pc.match_substring_regex(trimmed, _SIGNS)).as_py())

    def doubts(self, name: str, path: str) -> Iterator[Problem]:
        """Say what the column might be instead."""
        import pyarrow as pa

        if self.type == pa.string() and self._looks and self._seen:
            ways = [str(look) for look in self._looks[:2]]
            yield Problem(
                code=ReasonCode.COLUMN_RETYPED,
                field=f"column {name}",
                found=f"{self.rows - self.nulls} texts that all look like numbers of another country, in {path}",
                allowed="numbers as the specification says that they are written",
                fix=f"they are read as text; state data.source {{{'}} or {{'.join(ways)}}}, or types: {{{name}: text}}",
            )
        elif self.type == pa.string() and self._dressed and self._signs:
            yield Problem(
                code=ReasonCode.COLUMN_RETYPED,
                field=f"column {name}",
                found=f"{self.rows - self.nulls} texts that all look like numbers with a sign of money or of a share "
                f"(such as % or €), a minus behind them, or in parentheses, in {path}",
                allowed="numbers as the specification says that they are written",
                fix="they are read as text, so each is a category; write the numbers alone at the source, or state "
                f"data.source.types: {{{name}: text}}",
            )
        if self.type == pa.int64() and self.padded:
            yield Problem(
                code=ReasonCode.LEADING_ZEROS,
                field=f"column {name}",
                found=f"{self.padded} whole numbers with leading zeros, in {path}",
                allowed="numbers, or codes as text",
                fix=f"they are read as numbers; if they are codes, state data.source.types: {{{name}: text}}",
            )


def _counts_on(texts: pa.Array, start: int) -> bool:
    """Whether texts are the whole numbers from `start` on."""
    first = texts[0].as_py() if len(texts) else None
    if first != str(start):
        return False
    return bool(texts.to_pylist() == [str(number) for number in range(start, start + len(texts))])


def _padded(texts: pa.Array) -> int:
    import pyarrow.compute as pc

    found = pc.and_(pc.starts_with(texts, "0"), pc.greater(pc.binary_length(texts), 1))
    return int(pc.sum(found).as_py() or 0)
