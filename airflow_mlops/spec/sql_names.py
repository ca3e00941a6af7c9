"""Which tables a SQL source names, where the platform allows only some schemas.

This is no parser of SQL, and no wall: what a connection's user may read is the database's to say. It reads the words
of one SELECT, and whatever it does not understand it refuses, so that a query may be written that it lets through only
by naming tables of allowed schemas. It runs only where `[mlops] allowed_schemas` is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_mlops.platform_rules import platform_rules
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.sql_functions import BEFORE_PARENTHESIS, FUNCTIONS

if TYPE_CHECKING:
    from airflow_mlops.spec.model import ModelSpec
    from airflow_mlops.spec.problems import Problem

_OPTION = "[mlops] allowed_schemas"
_COMMANDS = frozenset(
    {
        *("alter", "analyze", "attach", "call", "copy", "create", "deallocate", "delete", "detach", "do", "drop"),
        *("exec", "execute", "explain", "grant", "insert", "into", "load", "lock", "merge", "pragma", "prepare"),
        *("refresh", "reset", "revoke", "set", "show", "table", "truncate", "update", "use", "vacuum"),
    }
)
"""Words that begin another statement, or read a table outside of FROM."""
_NO_CLAUSE = frozenset({"extract", "substring", "trim", "overlay", "position"})
"""Functions in whose arguments FROM begins no list of tables."""
_ROW_FUNCTIONS = frozenset({"generate_series", "unnest"})
_ENDS = frozenset(
    {
        *("where", "group", "having", "order", "limit", "offset", "fetch", "window"),
        *("union", "intersect", "except", "for"),
    }
)
_BEFORE_TABLE = frozenset({"lateral", "only"})
_SPACES = " \t\r\n"
"""What every database takes as a space. Of others some make a part of a name, or the end of a comment."""
_LINE_ENDS = frozenset("\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")


def problems_of_schemas(spec: ModelSpec) -> Iterator[Problem]:
    """Check the sources of a specification; a query in a .sql file is checked when it is read."""
    from airflow_mlops.spec.cross_checks import is_sql_file
    from airflow_mlops.spec.data import SqlSource

    labels = spec.data.labels
    for place, source in (("data", spec.data.source), ("data.labels", labels.source if labels else None)):
        if not isinstance(source, SqlSource):
            continue
        schemas = platform_rules().schemas
        if schemas and source.table is not None:
            yield from table_problems(source.table, schemas, f"{place}.source")
        elif schemas and source.query is not None and not is_sql_file(source.query.strip()):
            yield from query_problems(source.query, schemas, f"{place}.source")


def table_problems(table: str, schemas: tuple[str, ...], field: str = "data.source") -> Iterator[Problem]:
    """Say that a table lies in no allowed schema.

    >>> [problem.found for problem in table_problems("hr.people", ("sales",))]
    ["the table 'hr.people'"]
    """
    schema = table.rpartition(".")[0]
    # It is asked for as it is written: what has capitals comes between quotes, and is no other name.
    if not _is_among(_token(schema, quoted=schema != schema.lower()), schemas):
        yield _refused(f"{field}.table", f"the table {table!r}", schemas)


def query_problems(query: str, schemas: tuple[str, ...], field: str = "data.source") -> Iterator[Problem]:
    """Say which table of a query lies in no allowed schema, or what of it cannot be read.

    >>> [problem.found for problem in query_problems("SELECT a FROM sales.o JOIN hr.people p ON TRUE", ("sales",))]
    ["the table 'hr.people'"]
    """
    try:
        _Query(_tokens(query), schemas).check()
    except _NotAllowedError as error:
        yield _refused(f"{field}.query", str(error), schemas)


def _refused(field: str, found: str, schemas: tuple[str, ...]) -> Problem:
    return wrong(
        field,
        found,
        f"tables of the schemas {', '.join(schemas)}, each named with its schema, as {_OPTION} says",
        "name the table with an allowed schema, put what it computes into a view there, or ask who runs this Airflow",
        code="schema_not_allowed",
    )


class _NotAllowedError(ValueError):
    """What of a query is not allowed, or not understood."""


class _Token(str):
    """A piece of SQL: a word in lower case, a name as it stands between its quotes, or a sign."""

    __slots__ = ("quoted",)
    quoted: bool

    @property
    def key(self) -> tuple[str, bool]:
        """What makes it the same name for every database: whether `A` is `"a"` or `"A"` depends on which one it is."""
        return str(self), self.quoted


def _token(text: str, *, quoted: bool = False) -> _Token:
    made = _Token(text)
    made.quoted = quoted
    return made


def _is_among(schema: _Token, schemas: tuple[str, ...]) -> bool:
    """Whether a schema is allowed: between quotes as the configuration writes it, and else in any case."""
    return schema in schemas if schema.quoted else schema in {name.lower() for name in schemas}


_STRING = "'"
_QUOTES = {'"': '"', "`": "`", "[": "]"}


def _tokens(query: str) -> list[_Token]:
    """Cut a query into words, names and signs; comments are left out, and texts are empty names of nothing.

    Raises
    ------
    _NotAllowedError
        If something has no end, or is a text or comment whose end databases see in different places.
    """
    found: list[_Token] = []
    at = 0
    while at < len(query):
        if query[at] in _SPACES:
            at += 1
            continue
        if query[at].isspace():
            raise _NotAllowedError("a space that is part of a name for some databases")
        comment = _after_comment(query, at)
        if comment is None:
            piece, at = _next_piece(query, at, found)
            found.append(piece)
        else:
            at = comment
    return found


def _after_comment(query: str, at: int) -> int | None:
    if query.startswith("--", at):
        return _after_line(query, at)
    if not query.startswith("/*", at):
        return None
    end = _after(query, "*/", at + 2)
    if "/*" in query[at + 2 : end]:  # some databases end it here, others behind the outer one
        raise _NotAllowedError("a comment inside of a comment")
    if query[at + 2 : at + 3] in ("!", "+"):  # which one of them runs
        raise _NotAllowedError("a comment that some databases run")
    return end


def _after_line(query: str, at: int) -> int:
    end = _after(query, "\n", at, or_end=True)
    if query[at + 2 : at + 3].strip("- \t\r\n"):  # minus minus a number, for some
        raise _NotAllowedError("a comment without a space behind its dashes")
    if _LINE_ENDS & set(query[at:end].removesuffix("\n").removesuffix("\r")):
        raise _NotAllowedError("a comment whose end depends on the database")
    return end


def _next_piece(query: str, at: int, before: list[_Token]) -> tuple[_Token, int]:
    char = query[at]
    if char in (_STRING, "$"):
        return _token(""), _after_text(query, at)
    if char == "#":  # a comment for one database, an operator for another
        raise _NotAllowedError("the sign #")
    if query[at : at + 3].lower() in ('u&"', "u&'"):
        raise _NotAllowedError("a name or text in Unicode escapes")
    if char in _QUOTES and not (char == "[" and before and _is_name(before[-1])):
        end = _after(query, _QUOTES[char], at + 1)
        if "\\" in query[at:end]:  # for some it is a text, in which the next quote is none
            raise _NotAllowedError("a backslash between quotes")
        return _token(query[at + 1 : end - 1], quoted=True), end
    end = at + 1
    while (char.isalnum() or char == "_") and end < len(query) and (query[end].isalnum() or query[end] in "_$"):
        end += 1
    word = query[at:end]
    return _token(word.lower() if word.isascii() else word), end  # of other letters some become a to z in lower case


def _is_name(piece: _Token) -> bool:
    return piece.quoted or piece[:1].isalnum() or piece[:1] in ("_", ")", "]")


def _after(query: str, end: str, start: int, *, or_end: bool = False) -> int:
    found = query.find(end, start)
    if found < 0 and not or_end:
        raise _NotAllowedError(f"something that begins and never ends with {end!r}")
    return len(query) if found < 0 else found + len(end)


def _after_text(query: str, at: int) -> int:
    if query[at] == "$":
        raise _NotAllowedError("a text between dollar signs")
    end = _after(query, _STRING, at + 1)
    if "\\" in query[at:end]:
        raise _NotAllowedError("a text with a backslash, whose end depends on the database")
    return end


class _Query:
    """Walks over the tokens of one SELECT, knowing at each depth of parentheses whether a table is to come."""

    def __init__(self, tokens: list[_Token], schemas: tuple[str, ...]) -> None:
        self._tokens = tokens
        self._schemas = schemas
        self._known: set[tuple[str, bool]] = set()
        self._at = 0

    def check(self) -> None:
        """Raise for the first thing that is not allowed."""
        if self._tokens and self._tokens[-1] == ";":
            self._tokens = self._tokens[:-1]
        if ";" in self._tokens:
            raise _NotAllowedError("more than one statement")
        if self._peek() == "with":
            self._with()
        if self._peek() not in ("select", "("):
            raise _NotAllowedError("no SELECT")
        self._walk(len(self._tokens))

    def _peek(self, ahead: int = 0) -> _Token:
        place = self._at + ahead
        return self._tokens[place] if 0 <= place < len(self._tokens) else _token("")

    def _with(self) -> None:
        """Read the queries that are given a name; each may use those before it, and itself when it is recursive."""
        self._at += 1
        recursive = self._peek() == "recursive"
        self._at += recursive
        while True:
            name = self._peek()
            self._at += 1
            if self._peek() == "(":
                self._at = self._closing() + 1
            while self._peek() in ("as", "not", "materialized"):
                self._at += 1
            if self._peek() != "(" or not _is_name(name) or not name:
                raise _NotAllowedError("a WITH that cannot be read")
            end = self._closing()
            if recursive:
                self._known.add(name.key)
            self._walk(end + 1)
            self._known.add(name.key)
            if self._peek() != ",":
                return
            self._at += 1

    def _closing(self) -> int:
        depth = 0
        for place in range(self._at, len(self._tokens)):
            depth += {"(": 1, ")": -1}.get(self._tokens[place], 0) if not self._tokens[place].quoted else 0
            if depth == 0:
                return place
        raise _NotAllowedError("a parenthesis that is not closed")

    def _walk(self, end: int) -> None:
        """Go on to `end`. At each depth: '' outside of FROM, 'table' where one must come, 'after' behind one."""
        states = [""]
        clause = [True]
        while self._at < end:
            piece = self._peek()
            if piece.quoted or piece not in ("(", ")"):
                states[-1] = self._word(piece, states[-1], clause[-1])
            elif piece == "(":
                inner = self._peek(1)
                before = self._peek(-1)
                joins = states[-1] == "table" and inner not in ("select", "values", "with")
                clause.append(before.quoted or before not in _NO_CLAUSE)
                if states[-1] == "table":
                    states[-1] = "after"
                states.append("table" if joins else "")
            else:
                if len(states) == 1:
                    raise _NotAllowedError("a parenthesis that was not opened")
                states.pop()
                clause.pop()
            self._at += 1
        if len(states) > 1:
            raise _NotAllowedError("a parenthesis that is not closed")

    def _word(self, piece: _Token, state: str, clause: bool) -> str:
        """Take one piece; return the state behind it."""
        if state != "table":
            self._require_known_function(piece, state)
            return state if piece.quoted else self._outside(piece, state, clause)
        if not piece.quoted and piece in _BEFORE_TABLE:
            return state
        if not _is_name(piece):
            raise _NotAllowedError("a FROM that cannot be read")
        self._table()
        return "after"

    def _outside(self, piece: _Token, state: str, clause: bool) -> str:
        if piece in _COMMANDS and self._peek(-1) != "." and self._peek(1) != ".":
            raise _NotAllowedError(f"the word {str(piece).upper()}")
        if piece == "with":
            raise _NotAllowedError("a WITH inside of the query")
        if piece == "select" and not clause:
            raise _NotAllowedError("a SELECT without parentheses of its own")
        if piece == "from" and clause and not self._compares():
            return "table"
        if piece == "join" or (piece == "," and state == "after"):
            return "table"
        return "" if piece in _ENDS else state

    def _compares(self) -> bool:
        """Whether the FROM here ends `a IS [NOT] DISTINCT FROM`, where no table comes."""
        back = -3 if self._peek(-2) == "not" else -2
        words = (self._peek(-1), self._peek(back))
        left = self._peek(back - 1)
        named = not left.quoted and left in (".", ",", "(", "as", "select")  # a column that is called `is`
        return words == ("distinct", "is") and not any(word.quoted for word in words) and not named

    def _require_known_function(self, piece: _Token, state: str) -> None:
        """Refuse a call of a function that is not known to compute only: others read tables that texts name."""
        if self._peek(1) != "(" or not _is_name(piece) or self._is_no_call(piece, state):
            return
        if self._peek(-1) == ".":
            raise _NotAllowedError(f"the function {self._peek(-2)}.{piece}")
        if piece not in FUNCTIONS:
            raise _NotAllowedError(f"the function {piece}, which is not known to read nothing")

    def _is_no_call(self, piece: _Token, state: str) -> bool:
        """Whether a parenthesis behind a name is no call: a word of SQL, a type, a sampling, or a query's own name."""
        before = self._peek(-1)
        word = not piece.quoted and piece in BEFORE_PARENTHESIS and before != "."
        a_type = before in ("as", "tablesample") or (before == ":" and self._peek(-2) == ":")
        columns = before == ")" and state == "after"
        return word or (not before.quoted and (a_type or columns))

    def _table(self) -> None:
        """Take the name of a table, and leave the last of its tokens for the walk to go on behind."""
        parts = [self._peek()]
        while self._peek(1) == "." and not self._peek(1).quoted:
            self._at += 2
            parts.append(self._peek())
        name, following = ".".join(parts), self._peek(1)
        if following == "(" and not following.quoted:
            if len(parts) > 1 or parts[0].quoted or name not in _ROW_FUNCTIONS:
                raise _NotAllowedError(f"the function {name} as a table")
        elif not (self._is_query(parts) or self._is_allowed(parts)):
            raise _NotAllowedError(f"the table {name!r}")
        elif following and not _is_name(following) and following != ",":
            raise _NotAllowedError(f"the sign {following} behind a table")

    def _is_query(self, parts: list[_Token]) -> bool:
        return len(parts) == 1 and parts[0].key in self._known

    def _is_allowed(self, parts: list[_Token]) -> bool:
        named = len(parts) == 2 and all(part and _is_name(part) for part in parts)  # noqa: PLR2004 - schema and table
        return named and _is_among(parts[0], self._schemas)
