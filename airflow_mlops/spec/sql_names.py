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
_READERS: tuple[str, ...] = (
    "pg_",
    "lo_",
    "dblink",
    "xp_",
    "sp_",
    "open",
    "load_",
    "read",
    "query_to_",
    "table_to_",
    "schema_to_",
)
_READERS += ("database_to_", "cursor_to_", "xmltable", "json_table", "sys_")
"""How the names of functions begin that read files, run texts as queries, or reach other databases."""
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
    if schema.lower() not in {name.lower() for name in schemas}:
        yield _refused(f"{field}.table", f"the table {table!r}", schemas)


def query_problems(query: str, schemas: tuple[str, ...], field: str = "data.source") -> Iterator[Problem]:
    """Say which table of a query lies in no allowed schema, or what of it cannot be read.

    >>> [problem.found for problem in query_problems("SELECT a FROM sales.o JOIN hr.people p ON TRUE", ("sales",))]
    ["the table 'hr.people'"]
    """
    try:
        _Query(_tokens(query), frozenset(name.lower() for name in schemas)).check()
    except _NotAllowedError as error:
        yield _refused(f"{field}.query", str(error), schemas)


def _refused(field: str, found: str, schemas: tuple[str, ...]) -> Problem:
    return wrong(
        field,
        found,
        f"tables of the schemas {', '.join(schemas)}, each named with its schema, as {_OPTION} says",
        "name the table with an allowed schema, or ask who runs this Airflow",
        code="schema_not_allowed",
    )


class _NotAllowedError(ValueError):
    """What of a query is not allowed, or not understood."""


class _Token(str):
    """A piece of SQL: a word in lower case, a name with its quotes taken off, or a sign."""

    __slots__ = ("quoted",)
    quoted: bool


def _token(text: str, *, quoted: bool = False) -> _Token:
    made = _Token(text)
    made.quoted = quoted
    return made


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
        if query[at].isspace():
            at += 1
            continue
        comment = _after_comment(query, at)
        if comment is None:
            piece, at = _next_piece(query, at, found)
            found.append(piece)
        else:
            at = comment
    return found


def _after_comment(query: str, at: int) -> int | None:
    if query.startswith("--", at):
        return _after(query, "\n", at, or_end=True)
    if not query.startswith("/*", at):
        return None
    end = _after(query, "*/", at + 2)
    if "/*" in query[at + 2 : end]:  # some databases end it here, others behind the outer one
        raise _NotAllowedError("a comment inside of a comment")
    if query[at + 2 : at + 3] in ("!", "+"):  # which one of them runs
        raise _NotAllowedError("a comment that some databases run")
    return end


def _next_piece(query: str, at: int, before: list[_Token]) -> tuple[_Token, int]:
    char = query[at]
    if char in (_STRING, "$"):
        return _token(""), _after_text(query, at)
    if char == "#":  # a comment for one database, an operator for another
        raise _NotAllowedError("the sign #")
    if char in _QUOTES and not (char == "[" and before and _is_name(before[-1])):
        end = _after(query, _QUOTES[char], at + 1)
        return _token(query[at + 1 : end - 1].lower(), quoted=True), end
    end = at + 1
    while (char.isalnum() or char == "_") and end < len(query) and (query[end].isalnum() or query[end] in "_$"):
        end += 1
    return _token(query[at:end].lower()), end


def _is_name(piece: _Token) -> bool:
    return piece.quoted or piece[:1].isalnum() or piece[:1] in "_)]"


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

    def __init__(self, tokens: list[_Token], schemas: frozenset[str]) -> None:
        self._tokens = tokens
        self._schemas = schemas
        self._known: set[str] = set()
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
            if self._peek() != "(" or not _is_name(name):
                raise _NotAllowedError("a WITH that cannot be read")
            end = self._closing()
            if recursive:
                self._known.add(str(name))
            self._walk(end + 1)
            self._known.add(str(name))
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
                clause.append(before not in _NO_CLAUSE)
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
        if not piece.quoted and state != "table":
            return self._outside(piece, state, clause)
        if state != "table":
            return state
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
        if piece == "from" and clause and not (self._peek(-1) == "distinct" and self._peek(-2) in ("is", "not")):
            return "table"
        if self._peek(1) == "(" and _is_name(piece):
            self._function(piece)
        if piece == "join" or (piece == "," and state == "after"):
            return "table"
        return "" if piece in _ENDS else state

    def _function(self, piece: _Token) -> None:
        if self._peek(-1) == ".":
            raise _NotAllowedError(f"the function {self._peek(-2)}.{piece}")
        if piece.startswith(_READERS):
            raise _NotAllowedError(f"the function {piece}")

    def _table(self) -> None:
        """Take the name of a table, and leave the last of its tokens for the walk to go on behind."""
        parts = [self._peek()]
        while self._peek(1) == "." and not self._peek(1).quoted:
            self._at += 2
            parts.append(self._peek())
        name = ".".join(parts)
        if self._peek(1) == "(" and not self._peek(1).quoted:
            if name not in _ROW_FUNCTIONS:
                raise _NotAllowedError(f"the function {name} as a table")
        elif len(parts) == 1 and name in self._known:
            return
        elif len(parts) != 2 or parts[0] not in self._schemas:  # noqa: PLR2004 - schema and table
            raise _NotAllowedError(f"the table {name!r}")
