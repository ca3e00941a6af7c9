"""`airflow mlops backtest` as a user types it: options through Airflow's own parser, a page, JSON, and refusals."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_mlops.cli import get_cli_commands
from airflow_mlops.cli.backtest import backtest
from tests.support.drifting_stream import specification, stream

SPAN = ("--from", "2026-01-31", "--to", "2026-03-02", "--every", "10d", "--workers", "1")


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__MLOPS__STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("AIRFLOW__MLOPS__DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    stream(days=62).to_parquet(tmp_path / "orders.parquet")
    file = tmp_path / "orders.yaml"
    file.write_text(yaml.safe_dump(specification().model_dump(mode="json", exclude_unset=True)))
    return file


def parsed(*words: str) -> argparse.Namespace:
    """Options as Airflow's command line would hand them over."""
    command: Any = next(c for c in get_cli_commands()[0].subcommands if c.name == "backtest")  # type: ignore[union-attr]
    parser = argparse.ArgumentParser()
    for arg in command.args:
        arg.add_to_parser(parser)
    return parser.parse_args(list(words))


@pytest.mark.slow
def test_it_prints_the_table_and_writes_the_page(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = spec.parent / "page.html"
    backtest(parsed(str(spec), *SPAN, "--html", str(page), "--grid", "gate.champion.confidence=0.8,0.9"))
    out, err = capsys.readouterr()
    assert out.startswith("orders: 2026-01-31 to 2026-03-02, a step every 10 days\n")
    for policy in ("never", "always", "on schedule, by the gate", "the specification's own", "confidence=0.9"):
        assert f"\n{policy} " in out
    assert "<svg" in page.read_text()
    assert str(page) in err
    kept = sorted(spec.parent.glob("storage/backtests/orders/*/report.json"))
    assert len(kept) == 1

    backtest(parsed(str(spec), *SPAN, "--json"))
    out, err = capsys.readouterr()
    assert json.loads(out)["kind"] == "BacktestReport"
    assert "report.html" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--from", "soon", "--to", "later", "--every", "x"),
            ["--from: found 'soon'", "--to: found", "--every: found"],
        ),
        (("--from", "2026-03-02", "--to", "2026-01-31"), ["--from: found 2026-03-02", "exchange or correct them"]),
        (("--from", "2026-01-31", "--to", "2026-02-02"), ["--to: found 2d from --from to --to"]),
        ((*SPAN, "--grid", "gate.champion.confidense=1"), ["no field 'confidense'", "did you mean 'confidence'?"]),
        ((*SPAN, "--policies", "cusun", "never"), ["--policies: found 'cusun'", "did you mean 'cusum'?"]),
        ((*SPAN, "--grid", "retraining.cost.worse_by=1"), ["settings but retraining.cost: points are compared by it"]),
        (("--from", "2030-01-31", "--to", "2030-03-31"), ["--from: found no row of files", "choose --from and --to"]),
    ],
)
def test_what_is_refused_is_said_in_one_sentence_each(
    spec: Path, words: tuple[str, ...], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        backtest(parsed(str(spec), *words))
    out, err = capsys.readouterr()
    assert ended.value.code == 1
    assert out == ""
    assert "Traceback" not in err
    assert all(sentence in err for sentence in said), err


def test_a_page_that_cannot_be_written_is_one_sentence(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        backtest(parsed(str(spec), *SPAN, "--html", str(spec.parent / "none" / "page.html")))
    assert "--html: found" in capsys.readouterr().err


def test_a_failure_names_the_work_that_it_came_from(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backtest(parsed(str(spec), *SPAN))
    answers = sorted(spec.parent.glob("storage/backtests/orders/*/answers/trained/*.json"))
    assert len(answers) == 3
    for answer in answers:
        answer.write_text(answer.read_text()[:-20])
    with pytest.raises(SystemExit) as ended:
        backtest(parsed(str(spec), *SPAN))
    err = capsys.readouterr().err
    assert ended.value.code == 1
    assert "holds a damaged file answers/trained/" in err
    assert "\n  in the backtest's training of version 1\n" in err
