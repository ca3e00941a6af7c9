"""Tables of a query, where the platform allows only some schemas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.spec import SpecError, parse_spec
from airflow_mlops.spec.sql_names import query_problems, table_problems
from tests.spec.samples import TEN_LINES

ALLOWED = [
    "SELECT * FROM sales.o WHERE t >= :window_start AND t < :window_end;",
    "WITH a AS (SELECT * FROM sales.o), b AS (SELECT * FROM a) SELECT a.x FROM a JOIN b ON a.id = b.id, sales.z z",
    "SELECT EXTRACT(year FROM t), SUBSTRING(x FROM 2) FROM sales.o WHERE a IS DISTINCT FROM b",
    "SELECT * FROM (SELECT * FROM sales.o) q LEFT JOIN sales.p USING (id)",
    "SELECT count(*), sum(x) FROM sales.o GROUP BY 1 UNION ALL SELECT 1, 2 FROM Sales.Q",
    'SELECT "a b", "from" FROM "sales"."o"',
    "SELECT x FROM (sales.a JOIN sales.b ON true) CROSS JOIN LATERAL (SELECT 1) z",
    "SELECT a[1], t.\"from\", x::date, coalesce(y, 'it''s; FROM hr.p') FROM sales.o t -- hr.people\n WHERE 1 = 1",
    "WITH RECURSIVE r AS (SELECT 1 FROM sales.o UNION SELECT 2 FROM r) SELECT * FROM r",
    "SELECT * FROM generate_series(1, 3) s, sales.o",
    "SELECT x::numeric(10,2), CAST(y AS varchar(9)), sum(z) FILTER (WHERE z > 0) OVER (PARTITION BY a) FROM sales.o",
    "SELECT q.a FROM (SELECT 1, 2 FROM sales.o) AS q(a, b) JOIN (VALUES (1)) v(c) USING (c)",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM sales.o TABLESAMPLE system(10) WHERE a IN (1) AND (b)",
    'WITH "Q" AS (SELECT * FROM sales.o) SELECT * FROM "Q" -- the newest\r\nWHERE x IS NOT DISTINCT FROM y',
]
REFUSED = [
    "SELECT * FROM users",
    "SELECT * FROM hr.p",
    "SELECT * FROM sales.o, hr.p",
    "SELECT * FROM sales.o, users",
    "SELECT (SELECT max(x) FROM hr.p) FROM sales.o",
    "WITH sales AS (SELECT * FROM users) SELECT * FROM sales",
    "WITH a AS (SELECT * FROM a) SELECT * FROM a",
    "WITH RECURSIVE a AS (SELECT 1 FROM hr.p) SELECT * FROM a",
    "SELECT * FROM sales.o; DROP TABLE x",
    "SELECT pg_read_file('/etc/passwd') FROM sales.o",
    "SELECT * FROM dblink('x')",
    "TABLE hr.p",
    "SELECT * FROM (TABLE hr.p) x",
    "SELECT * FROM sales.o WHERE EXISTS (SELECT FROM hr.p)",
    "SELECT E'\\\\', * FROM hr.p --'",
    "SELECT $$a$$ FROM sales.o",
    'SELECT * FROM "hr".p',
    "SELECT * FROM db.sales.o",
    "SELECT * FROM sales.o NATURAL JOIN p",
    "SELECT * FROM (hr.a JOIN sales.b ON true)",
    "SELECT 1 FROM [hr].p",
    "SELECT x FROM sales.o UNION SELECT y FROM hr.p",
    "SELECT /* /* */ FROM hr.p */ 1",
    "SELECT 1 FROM `hr`.p",
    "",
    "SELECT query_to_xml('SELECT 1', true, true, '') FROM sales.o",
    "SELECT DISTINCT FROM hr.p",
    "SELECT hr.f(1) FROM sales.o",
    "SELECT * FROM sales.o WHERE a = (WITH q AS (SELECT * FROM hr.p) SELECT 1 FROM q)",
    "SELECT * INTO x FROM sales.o",
    "SELECT EXTRACT(year FROM (SELECT max(t) FROM hr.p)) FROM sales.o",
    "SELECT * FROM sales . o , hr . p",
    "SELECT * FROM sales.o JOIN (users) ON true",
    "SELECT * FROM ONLY hr.p",
    "SELECT * FROM sales.o, LATERAL hr.p",
    "SELECT /*! * FROM hr.p, */ 1 FROM sales.o",
    "SELECT * FROM sales.o WHERE x = ANY (TABLE hr.p)",
    "SELECT 1 # x\nFROM hr.p",
    "SELECT (1",
    "SELECT 1)",
    "SELECT 'a",
    'SELECT "a',
    "UPDATE sales.o SET a = 1",
    "VALUES (1)",
    # names that are the same for one database and not for another
    'WITH "PEOPLE" AS (SELECT 1) SELECT * FROM people',
    'WITH people AS (SELECT 1) SELECT * FROM "People"',
    'SELECT * FROM "SALES".o',
    "SELECT * FROM sales.o\u2003, hr.p",
    "SELECT * FROM sales..people",
    "WITH \"\" AS (SELECT 1) SELECT * FROM '/etc/passwd'",
    'WITH u AS (SELECT 1) SELECT * FROM U&"\\0068r".people',
    'SELECT u&"\\0070g_read_file"(x) FROM sales.o',
    'SELECT "\\" FROM sales.o -- ", x FROM hr.people',
    "SELECT * FROM sales\u00a0.o",
    "SELECT * FROM sales.o@remote",
    # comments and comparisons that end elsewhere
    "SELECT 1 FROM sales.o -- x\r, hr.people",
    "SELECT 1 -- \u2028 FROM hr.people\nFROM sales.o",
    "SELECT 5 --1 FROM hr.people /*\n FROM sales.o -- */",
    "SELECT r.is DISTINCT FROM hr.people p, (SELECT 1 AS is) r",
    "SELECT is DISTINCT FROM hr.people",
    "SELECT trim(SELECT max(x) FROM hr.people) FROM sales.o",
    # functions that read what texts name
    'SELECT "query_to_xml"(x, true, true, y) FROM sales.o',
    'SELECT "pg_read_file"(x) FROM sales.o',
    "SELECT ts_stat('SELECT x FROM hr.people') FROM sales.o",
    "SELECT DISTINCT ON (a) ts_stat('SELECT x FROM hr.people') FROM sales.o",
    "SELECT a[1:ts_stat('SELECT x FROM hr.people')] FROM sales.o",
    "SELECT ts_rewrite(a, 'SELECT x, y FROM hr.people') FROM sales.o",
    "SELECT crosstab('SELECT 1') FROM sales.o",
    "SELECT xpath_table('a', 'b', 'hr.people', 'd', 'e') FROM sales.o",
    "SELECT set_config('search_path', 'hr', false) FROM sales.o",
    "SELECT getenv('HOME') FROM sales.o",
    "SELECT 1 FROM sales.o a JOIN sales.o b ON crosstab('SELECT 1')",
    "SELECT 1 OPERATOR(hr.+) 2 FROM sales.o",
]


@pytest.mark.parametrize("query", ALLOWED)
def test_tables_of_allowed_schemas_may_be_read(query: str) -> None:
    assert [problem.found for problem in query_problems(query, ("sales",))] == []


@pytest.mark.parametrize("query", REFUSED)
def test_everything_else_is_refused(query: str) -> None:
    (problem,) = query_problems(query, ("sales",))
    assert problem.code == "schema_not_allowed"


def test_tables_are_named_with_their_schema() -> None:
    for table in ("sales.orders", "Own.orders"):
        assert list(table_problems(table, ("sales", "Own"))) == []
    # A name with capitals is asked for between quotes: `Sales` is another schema than `sales`.
    for table in ("orders", "hr.people", "db.sales.orders", "Sales.orders"):
        (problem,) = table_problems(table, ("sales",))
        assert problem.field == "data.source.table"


@pytest.mark.parametrize("source", ["{conn_id: w, table: hr.people}", "{conn_id: w, query: 'SELECT 1 FROM hr.people'}"])
def test_a_specification_is_refused_where_schemas_are_named(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEN_LINES.replace("{path: flights/}", source)
    assert parse_spec(text).data.source
    monkeypatch.setenv("AIRFLOW__MLOPS__ALLOWED_SCHEMAS", "sales, hr")
    assert parse_spec(text).data.source
    monkeypatch.setenv("AIRFLOW__MLOPS__ALLOWED_SCHEMAS", "sales")
    with pytest.raises(SpecError, match="line 5: data.source.*hr.people.*schema_not_allowed"):
        parse_spec(text)


@given(st.text(max_size=80) | st.lists(st.sampled_from(REFUSED[:12]), max_size=2).map(" ".join))
def test_any_text_is_read_to_an_end(query: str) -> None:
    assert len(list(query_problems(query, ("sales",)))) <= 1
