"""One file cannot take the others: whatever stands in the folder, the good models load, and the bad file says so."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_mlops import dags as dags_module
from airflow_mlops.dags import load_models
from airflow_mlops.spec import SpecError, load_spec
from airflow_mlops.spec.yaml_lines import LARGEST
from tests.spec.samples import TEN_LINES

GOOD = TEN_LINES.replace("flight_delay", "good")
GOOD_IDS = {"good.train", "good.score", "good.monitor"}
REPOSITORY = Path(__file__).parents[2]
WHOLE = (REPOSITORY / "dags" / "models" / "flight_delay.yaml").read_text()


def pages(folder: Path, extra: int = 1) -> dict[str, DAG]:
    """Load the folder; return the DAGs that are not the good model's, of which there must be `extra`."""
    loaded = load_models(folder)
    assert set(loaded) >= GOOD_IDS
    others = {name: dag for name, dag in loaded.items() if name not in GOOD_IDS}
    assert len(others) == extra, sorted(others)
    for name, dag in others.items():
        assert len(name) <= 250
        # What Airflow sends to its database: text, and no character that PostgreSQL refuses.
        text = f"{dag.dag_id}{dag.description}{dag.doc_md}{dag.get_task('problems').message}" if dag.tasks else ""
        text.encode()
        assert "\0" not in text
        assert len(text) < 500_000
    return others


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    return tmp_path


def with_line(line: str) -> bytes:
    return f"{TEN_LINES}{line}\n".encode()


CONTENT: dict[str, bytes] = {
    "nothing": b"",
    "not YAML": b"x: [",
    "a NUL byte": b"name: a\0b\n",
    "UTF-16": TEN_LINES.encode("utf-16"),
    "UTF-32": TEN_LINES.encode("utf-32"),
    "latin-1": "owner: Jos\xe9".encode("latin-1"),
    "an escaped NUL": with_line('description: "a\\0b"'),
    "half a surrogate pair": with_line('description: "\\ud800"'),
    "half a surrogate pair as a key": with_line('"\\udfff": 1'),
    "half a surrogate pair as a parameter": with_line('  parameters: {"\\ud800": 1}'),
    "aliases": b"a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b, *b, *b]\n",
    "a list of itself": b"name: &a [*a]\n",
    "a deep list": b"name: " + b"[" * 100_000,
    "a deep mapping": b"{a: " * 60_000,
    "a deep key": b"? " * 100_000,
    "a number of a thousand digits": with_line(f"scoring: {{chunk_rows: {'9' * 1000}}}"),
    "a number of sixty digits": with_line(f"execution: {{retries: {'9' * 60}}}"),
    "a parameter of sixty digits": with_line(f"  parameters: {{a: {'9' * 60}}}"),
    "not a number": with_line("  parameters: {a: .nan}"),
    "an infinite backoff": with_line("retraining: {backoff: .inf}"),
    "truth as a number": with_line("execution: {retries: true}"),
    "a superscript parameter": with_line('  parameters: {"\u00b2": 1}\n  search: {parameters: {"\u00b2": [1]}}'),
    "the first year, east of Greenwich": with_line("").replace(
        b'schedule: "@monthly"', b"schedule: {cron: '@daily', start: '0001-01-01', timezone: Asia/Tokyo}"
    ),
    "the last year, west of Greenwich": with_line("").replace(
        b'schedule: "@monthly"', b"schedule: {cron: '@daily', end: '9999-12-31T23:59:59', timezone: America/Lima}"
    ),
    "a doubled key": with_line("owner: other"),
    "an owner as long as a file": with_line("").replace(b"ops-analytics", b"o" * 100_000),
    "a cron as long as a file": with_line("").replace(b"@monthly", b"0," * 50_000 + b"0 * * * *"),
    "a query with a NUL": with_line("").replace(b"{path: flights/}", b'{conn_id: w, query: "a\\0.sql"}'),
    "a query as long as a file": with_line("").replace(
        b"{path: flights/}", b"{conn_id: w, query: %s.sql}" % (b"a/" * 9000)
    ),
    "a time zone that is a path": with_line("").replace(b'"@monthly"', b"{cron: '@daily', timezone: ../../etc/passwd}"),
    "a time zone with a NUL": with_line("").replace(b'"@monthly"', b"{cron: '@daily', timezone: \"a\\0\"}"),
    "many directives": b"".join(b"%%TAG !a%d! x\n" % i for i in range(15_000)) + b"---\nname: x\n",
    "a file that is too large": b"#" * (LARGEST + 1),
}


@pytest.mark.parametrize("what", CONTENT)
def test_a_hostile_file_is_a_page_and_the_good_model_loads(folder: Path, what: str) -> None:
    (folder / "bad.yaml").write_bytes(CONTENT[what])
    assert set(pages(folder)) == {"bad.invalid_spec"}


NAMES = ["n" * 240, "a b", "\u00e9", "a\nb", "<script>", "..", "a'b\"c", " ", "-", "bad.invalid_spec", "\u202egnp"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_file_is_an_id(folder: Path, name: str) -> None:
    (folder / f"{name}.yaml").write_text("x")
    pages(folder)


def test_names_that_are_no_text_or_become_the_same_id_stay_apart(folder: Path) -> None:
    for name in (b"\xff\xfe.yaml", b"a b.yaml", b"a_b.yaml", b"a%b.yaml", b"bad.yaml"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_text("x")
    assert {"a_b.invalid_spec", "bad.invalid_spec"} <= set(pages(folder, 5))


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


KINDS: dict[str, Callable[[Path], None]] = {
    "a folder": lambda path: path.mkdir(),
    "a pipe that nobody writes to": os.mkfifo,
    "a device without an end": link("/dev/zero"),
    "a link to nowhere": link("nowhere.yaml"),
    "a link to itself": link("bad.yaml"),
    "a link out": link("/etc/passwd"),
    "a link out and back": link("../../../etc/passwd"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plain_file_is_a_page(folder: Path, kind: str) -> None:
    KINDS[kind](folder / "bad.yaml")
    assert set(pages(folder)) == {"bad.invalid_spec"}


def test_a_file_that_may_not_be_read_is_a_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = folder / "bad.yaml"
    bad.write_text(TEN_LINES)
    bad.chmod(0)
    if os.access(bad, os.R_OK):  # root may read it: then there is nothing to be refused
        assert "flight_delay.train" in load_models(folder)
    else:
        assert set(pages(folder)) == {"bad.invalid_spec"}


def test_where_a_link_leads_is_not_shown(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.yaml"
    secret.write_text("password: hunter2\nname: [hunter2\n")
    (folder / "bad.yaml").symlink_to(secret)
    (page,) = pages(folder).values()
    shown = f"{page.doc_md}{page.description}{page.get_task('problems').message}"
    assert "a link to a file outside of its folder" in shown
    assert "hunter2" not in shown
    assert "elsewhere" not in shown


def test_a_query_that_is_a_link_out_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.sql"
    secret.write_text("hunter2")
    (folder / "q.sql").symlink_to(secret)
    (folder / "bad.yaml").write_text(TEN_LINES.replace("{path: flights/}", "{conn_id: w, query: q.sql}"))
    with pytest.raises(SpecError, match="a link to a file outside of its folder") as caught:
        load_spec(folder / "bad.yaml")
    assert "elsewhere" not in str(caught.value)


def test_links_within_the_folder_load_as_kubernetes_mounts_them(tmp_path: Path) -> None:
    revision = tmp_path / "..2026_11_30"
    revision.mkdir()
    (revision / "good.yaml").write_text(GOOD)
    (tmp_path / "..data").symlink_to("..2026_11_30")
    (tmp_path / "good.yaml").symlink_to("..data/good.yaml")
    assert set(load_models(tmp_path)) == GOOD_IDS


def test_a_folder_that_is_itself_a_link_loads(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    seen = tmp_path_factory.mktemp("seen") / "models"
    seen.symlink_to(folder)
    assert set(load_models(seen)) == GOOD_IDS


class Untakable(Exception):
    """What Airflow might raise."""


@pytest.mark.parametrize("loop", ["_train", "_score", "_monitor"])
@pytest.mark.parametrize("error", [RecursionError, MemoryError, Untakable])
def test_a_loop_of_which_no_dag_can_be_made_is_a_page_and_none_of_its_dags_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch, loop: str, error: type[Exception]
) -> None:
    from airflow.sdk.definitions._internal.contextmanager import DagContext

    (folder / "bad.yaml").write_text(TEN_LINES.replace("flight_delay", "bad"))
    made = getattr(dags_module, loop)

    def fails(spec: Any) -> DAG:
        dag: DAG = made(spec)
        if spec.name == "bad":
            raise error("such a value")
        return dag

    monkeypatch.setattr(dags_module, loop, fails)
    monkeypatch.setattr(DagContext, "current_autoregister_module_name", __name__)
    monkeypatch.setattr(DagContext, "autoregistered_dags", set())
    (page,) = pages(folder).values()
    assert error.__name__ in str(page.doc_md)
    assert {dag.dag_id for dag, _ in DagContext.autoregistered_dags} == {*GOOD_IDS, "bad.invalid_spec"}


@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_bytes_are_a_page(folder: Path, raw: bytes) -> None:
    (folder / "bad.yaml").write_bytes(raw)
    assert set(pages(folder)) == {"bad.invalid_spec"}


PIECES = [
    "&a ", "*a", "!!python/object:os.system ", "<<: ", "? ", "- ", "[", "]", "{", "}", ": ", "\n", "  ", "'", '"',
    "|", ">", "%", "---\n", "...\n", "\\ud800", "\\0", "\ufeff", "\u2028", "\t", "#", "9" * 80,
    ".nan", ".inf", "-.inf", "true", "null",
    "0x1F", "{{ conn.x }}", "@daily", "0001-01-01", "9999-12-31", "\u00b2", "..", "/",
    "${jndi}", "1e999", "-1", "a.b", "100000w",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a whole specification in which some pieces were put in, cut out, doubled or exchanged."""
    text = draw(st.sampled_from([TEN_LINES, WHOLE]))
    random_ = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311 - of a test
    for _ in range(draw(st.integers(1, 6))):
        start = random_.randrange(len(text) + 1)
        end = min(len(text), start + random_.choice([0, 1, 3, 20, 200]))
        piece = random_.choice([random_.choice(PIECES), text[start:end] * 2, ""])
        text = text[:start] + piece + text[end:]
    return text


@given(mutated())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_a_mutated_file_is_a_model_or_a_page(folder: Path, text: str) -> None:
    (folder / "bad.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    loaded = load_models(folder)
    others = set(loaded) - GOOD_IDS
    assert set(loaded) >= GOOD_IDS or "good.invalid_spec" in others  # the mutation may have found the name "good"
    assert len(others) in {1, 2, 3}


def test_a_thousand_problems_are_not_a_thousand_lines(folder: Path) -> None:
    (folder / "bad.yaml").write_text(TEN_LINES + "\n".join(f"k{i}: 1" for i in range(20_000)))
    (page,) = pages(folder).values()
    assert len(str(page.doc_md)) < 100_000
    assert "more problems" in str(page.doc_md)


def test_ten_thousand_columns_are_a_specification(tmp_path: Path) -> None:
    names = ", ".join(f"column_{i:05d}" for i in range(10_000))
    (tmp_path / "wide.yaml").write_text(f"{TEN_LINES}features: {{numeric: [{names}]}}\n")
    assert len(load_spec(tmp_path / "wide.yaml").features.numeric) == 10_000
