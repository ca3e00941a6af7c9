"""Calls of a backtest's pool that say who did them, fail, or end their process; and inputs to call them with."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from airflow_mlops.core.backtest.inputs import Inputs, InputSources
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.backtest import Scored
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.drifting_stream import openers, plan

PROBLEM = Problem(code=ReasonCode.WINDOW_EMPTY, field="orders", found="no row", allowed="rows", fix="bring some")


def sources(folder: Path) -> InputSources:
    """Inputs of the stream in a folder; the finished work is in `state/`."""
    open_state = partial(open_storage, str(folder / "state"))
    return InputSources(plan=plan(), open_store=openers(folder)["open_store"], open_storage=open_state)


def count(inputs: Inputs, log: str, name: str) -> int:
    """Write name and process down, slowly, unless somebody has; return the length of the name."""

    def compute() -> Scored:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{name} {os.getpid()}\n")
        time.sleep(0.05)
        return Scored(rows=len(name), seconds=0)

    return inputs.cache.remember(Scored, f"counting {name}", [name], compute).rows


def refuse(inputs: Inputs, name: str) -> int:
    """Fail with a refusal."""

    def compute() -> Scored:
        raise DataError(PROBLEM, subject="orders")

    return inputs.cache.remember(Scored, f"refusing {name}", [name], compute).rows


def end_process(inputs: Inputs, name: str) -> int:
    """End the process, as a lack of memory would."""

    def compute() -> Scored:
        os._exit(3)

    return inputs.cache.remember(Scored, f"ending {name}", [name], compute).rows
