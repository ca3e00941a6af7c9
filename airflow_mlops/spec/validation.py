"""What the rows must be like."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.fields import choice, duration, number, text, texts

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem
from airflow_mlops.spec.suggest import did_you_mean

Severity = Literal["error", "warning"]

SHORT_NAMES: dict[str, frozenset[str]] = {
    "row_count": frozenset({"min", "max"}),
    "not_null": frozenset({"column", "columns", "mostly"}),
    "unique": frozenset({"column", "columns"}),
    "between": frozenset({"column", "columns", "min", "max", "mostly"}),
    "in_set": frozenset({"column", "columns", "values", "mostly"}),
    "type": frozenset({"column", "columns", "type"}),
    "finite": frozenset({"column", "columns"}),
    "freshness": frozenset({"max_age"}),
    "compare": frozenset({"left", "op", "right", "mostly"}),
    "columns": frozenset({"extra"}),
    "not_all_null": frozenset({"column", "columns"}),
    "not_future": frozenset({"column", "columns"}),
}
"""Our short expectation names and the arguments that each takes. Names that begin with `expect_` are GX's own."""

_NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "row_count": (("min", "max"),),
    "not_null": (("column", "columns"),),
    "unique": (("column", "columns"),),
    "between": (("column", "columns"), ("min", "max")),
    "in_set": (("column", "columns"), ("values",)),
    "type": (("column", "columns"), ("type",)),
    "freshness": (("max_age",),),
    "compare": (("left",), ("op",), ("right",)),
    "columns": (("extra",),),
}
"""Of each group of arguments, at least one must be given."""


class Expectation(SpecModel):
    """One expectation: a short name with its arguments, or any Great Expectations name with its own.

    Examples
    --------
    >>> Expectation(expect="between", column="distance", min=1).arguments
    {'min': 1}
    """

    model_config: ClassVar[dict[str, Any]] = {"extra": "allow"}

    expect: str = text(doc="A short name (below), or a Great Expectations name: `expect_...`.")
    severity: Severity = choice(
        "error", "warning", default="error", doc="error: failing stops the loop run; warning: it is reported."
    )
    column: str | None = text(default=None, words="column", doc="Column that it is about.")
    columns: tuple[str, ...] = texts(default=(), words="list of columns", doc="Columns that it is about, each in turn.")
    mostly: float = number(default=1.0, gt=0, le=1, doc="Share of rows that must pass.")
    max_age: timedelta | None = duration(
        default=None, doc="For `freshness`: longest time between the newest row and as-of."
    )

    def problems_within(self) -> Iterator[Problem]:
        """A known name, with arguments that it takes, and those that it needs."""
        if self.expect.startswith("expect_"):
            if self.model_extra:
                from airflow_mlops.spec.expectation_arguments import argument_problems

                yield from argument_problems(self.model_extra)
            return
        takes = SHORT_NAMES.get(self.expect)
        if takes is None:
            names = sorted(SHORT_NAMES)
            yield wrong(
                code="expectation_unknown",
                field="expect",
                found=repr(self.expect),
                allowed=f"one of {', '.join(names)}, or a Great Expectations name (expect_...)",
                fix=did_you_mean(self.expect, names) or "use one of these",
            )
            return
        given = {*self.changed_fields(), *self.arguments} - {"expect", "severity"}
        for name in sorted(given - takes):
            yield wrong(
                code="spec_unknown_field",
                field=name,
                found=f"no argument {name!r} of {self.expect!r}",
                allowed=", ".join(sorted(takes)),
                fix=did_you_mean(name, takes) or "remove it",
            )
        for group in _NEEDS.get(self.expect, ()):
            if not given & set(group):
                yield wrong(
                    code="spec_missing_field",
                    field=group[0] if len(group) == 1 else "",
                    found=f"{self.expect!r} without {' or '.join(map(repr, group))}",
                    allowed=f"{self.expect!r} with {' or '.join(map(repr, group))}",
                    fix=f"add {' or '.join(map(repr, group))}",
                )

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that are not fields of this class, as they were written."""
        return dict(self.model_extra or {})

    @property
    def targets(self) -> tuple[str, ...]:
        """Columns that the expectation is about: `column` and `columns` together."""
        return ((self.column,) if self.column else ()) + self.columns

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that the expectation names, also as one side of a comparison or in a list.

        Examples
        --------
        >>> Expectation(expect="compare", left="departed", op="<=", right="arrived").named
        ('departed', 'arrived')
        """
        given = self.arguments
        lists = (name for key in _LISTS_OF_COLUMNS for name in given.get(key) or ())
        singles = (given[key] for key in _COLUMNS if given.get(key))
        return tuple(dict.fromkeys(str(name) for name in (*self.targets, *singles, *lists)))


_COLUMNS = ("left", "right", "column_A", "column_B")
_LISTS_OF_COLUMNS = ("column_list", "column_set")
"""Arguments that name columns, of our short names and of Great Expectations."""


def required_arguments(name: str) -> tuple[tuple[str, ...], ...]:
    """Return groups of arguments; of each, at least one must be given.

    Examples
    --------
    >>> required_arguments("between")
    (('column', 'columns'), ('min', 'max'))
    """
    return _NEEDS.get(name, ())
