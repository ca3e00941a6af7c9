"""The documentation is run: specifications load, DAG files give DAGs, and all that is named exists."""

import ast
import os
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

import pytest
from airflow.dag_processing.dagbag import DagBag

from airflow_mlops.cli import get_cli_commands
from airflow_mlops.config import CONFIG
from airflow_mlops.spec import parse_spec
from tests.support.recipes import FENCE

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    found = FENCE.finditer(text)
    return [Block(page, text[: m.start()].count("\n") + 1, m["language"], m["text"]) for m in found]


# What the pages of docs/extending say is done and run by tests/contracts/test_extending.py.
TRIED = {"tutorial.md"}
"""Pages that another test follows word for word, against a live stack: tests/stack/test_tutorial.py."""
BLOCKS = [block for page in PAGES if page.parent.name != "extending" for block in blocks_of(page)]
SPECS = [b for b in BLOCKS if b.language == "yaml" and re.search(r"^name:", b.text, re.MULTILINE)]
PYTHON = [b for b in BLOCKS if b.language == "python" and b.page.name not in TRIED]
SHELL = "\n".join(b.text for b in BLOCKS if b.language in {"", "bash", "sh", "console"})
PROSE = "\n".join(FENCE.sub("", page.read_text()) for page in PAGES)
SPANS = SPAN.findall(PROSE)


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def slug(heading: str) -> str:
    """Return GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


# -- examples ---------------------------------------------------------------------------------------------------------


def test_there_are_examples_of_each_kind() -> None:
    assert SPECS
    assert len(PYTHON) >= 5
    assert {b.language for b in BLOCKS} <= {"", "yaml", "python"}, "an example in a language that no test runs"


@pytest.mark.parametrize("block", SPECS, ids=str)
def test_a_specification_loads(block: Block) -> None:
    spec = parse_spec(block.text)
    assert spec.name
    assert spec.training.estimator


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder laid out as the examples say, as the working directory."""
    models = tmp_path / "dags" / "models"
    models.mkdir(parents=True)
    for example in (ROOT / "dags" / "models").glob("*.yaml"):
        (models / example.name).write_text(example.read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dags_of(file: Path) -> dict[str, object]:
    """Load a DAG file as Airflow's dag-processor does, and check every DAG of it."""
    bag = DagBag(dag_folder=file, bundle_path=file.parent, bundle_name="examples")
    assert not bag.import_errors
    assert not bag.captured_warnings
    return dict(bag.dags)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_dag_file_gives_dags(block: Block, project: Path) -> None:
    file = project / "dags" / "example.py"
    file.write_text(block.text)
    dags = dags_of(file)
    assert dags
    assert not [name for name in dags if name.endswith(".invalid_spec")]


@pytest.mark.parametrize("file", sorted((ROOT / "dags").glob("*.py")), ids=names)
def test_the_dag_files_of_this_repository_give_dags(file: Path) -> None:
    dags = dags_of(file)
    assert dags
    assert not [name for name in dags if name.endswith(".invalid_spec")]


def test_the_first_example_is_ten_lines_and_said_to_be() -> None:
    first = next(block for block in SPECS if block.page.name == "README.md")
    assert len(first.text.strip().splitlines()) == 10
    assert "A model in ten lines" in first.page.read_text()


# -- what is named ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in LINK.finditer(FENCE.sub("", page.read_text())):
        target, _, anchor = unquote(link["target"]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if anchor and file.is_file() else []
        if not file.exists() or ROOT not in (file, *file.parents) or (anchor and anchor not in map(slug, headings)):
            lost.append(link["target"])
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    assert not re.findall(r"@@\w+@@|\bTODO\b|\bTBD\b|\bFIXME\b", page.read_text())


def test_the_images_are_there_and_whole() -> None:
    readme = (ROOT / "README.md").read_text()
    images = [ROOT / link for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", readme)]
    assert {image.name for image in images} >= {"loop.svg", "airflow-runs.png"}
    for image in images:
        beginning = image.read_bytes()[:256].lstrip()
        assert beginning.startswith(b"\x89PNG\r\n\x1a\n" if image.suffix == ".png" else b"<")


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"^make ([a-z][\w-]*)", "\n".join([*SPANS, *SPAN.findall(SHELL), SHELL]), re.MULTILINE))
    assert used >= {"demo", "up", "down", "test", "lint", "bench"}
    assert used <= targets


def test_every_name_of_the_package_that_is_mentioned_exists() -> None:
    trees = [ast.parse(block.text) for block in PYTHON]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported = {(str(n.module), a.name) for n in nodes for a in n.names if str(n.module).startswith("airflow_mlops")}
    assert imported
    for module, name in sorted(imported):
        assert name in getattr(import_module(module), "__all__", dir(import_module(module))), f"{module}.{name}"
    for dotted in sorted({m for span in SPANS for m in re.findall(r"\bairflow_mlops(?:\.\w+)+", span)}):
        module, _, name = dotted.rpartition(".")
        assert (ROOT / dotted.replace(".", "/")).with_suffix(".py").exists() or hasattr(import_module(module), name)


def test_every_file_of_the_repository_that_is_mentioned_exists() -> None:
    folders = "|".join(sorted(p.name for p in ROOT.iterdir() if p.is_dir() and p.name[0].isalpha()))
    mentioned = {span for span in SPANS if re.fullmatch(rf"(?:{folders})/[\w./-]*", span)}
    assert "tests/core/promotion/test_promote.py" in mentioned
    own = {"models/", "reports/"}
    assert not sorted(path for path in mentioned - own if not (ROOT / path).exists())


def test_every_command_that_is_mentioned_exists() -> None:
    (group,) = get_cli_commands()
    known = {command.name for command in group.subcommands}  # type: ignore[union-attr]
    used = set(re.findall(r"airflow mlops (\w+)", "\n".join([*SPANS, SHELL])))
    assert used
    assert used <= known


def test_every_configuration_option_is_described_and_no_other() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    table = page[page.index("| `[mlops]` option") :].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(CONFIG["mlops"]["options"])
    variables = re.findall(r"AIRFLOW__MLOPS__(\w+)", "\n".join(p.read_text() for p in PAGES))
    assert {name.lower() for name in variables} <= set(CONFIG["mlops"]["options"])


def test_every_operator_is_described_with_arguments_that_it_takes() -> None:
    import inspect

    from airflow_mlops import operators, sensors

    page = (ROOT / "docs" / "operators.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+(?:Operator|Sensor))` \| ([^|]*)\|", page, re.MULTILINE))
    assert set(rows) == {*operators.__all__, *sensors.__all__}
    for name, takes in rows.items():
        cls = getattr(operators, name, None) or getattr(sensors, name)
        known = {p for base in cls.__mro__ for p in inspect.signature(base.__init__).parameters}
        assert set(SPAN.findall(takes)) <= known, name


def test_nothing_of_the_machine_it_was_written_on_is_in_it() -> None:
    text = "\n".join(p.read_text() for p in PAGES)
    assert not re.findall(r"(?:/home/|/root/|/Users/|" + re.escape(str(Path.home()) + os.sep) + ")", text)
