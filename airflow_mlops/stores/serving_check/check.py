"""Serve a stored candidate in a fresh interpreter, and compare what it says with what was recorded.

The interpreter is started with ``-I`` (no PYTHON* variables, no user packages, not the folder of its script) and an
environment without secrets, and it runs :mod:`airflow_mlops.stores.model_files.loader` only. `environment: current`
gives it this worker's import path; `fresh` the packages that the model itself requires, and no others.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.evidence import ServingReport
from airflow_mlops.core.records.json_text import read_json
from airflow_mlops.core.training import Golden, GoldenBatch, largest_difference
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.stores.model_files import loader as serving_child
from airflow_mlops.stores.model_files.format import model_file, steps_folder
from airflow_mlops.stores.model_files.lock import clean
from airflow_mlops.stores.serving_check.environment import CannotBuildError, fresh_python

if TYPE_CHECKING:
    from airflow_mlops.stores.mlflow.store import MLflowStore

SECONDS = 120.0
"""Within this time a model must have loaded and scored the golden batch; cold imports on a busy machine take ten."""
_THREADS = re.compile(r"^(OMP|OPENBLAS|MKL|NUMEXPR|LOKY)_[A-Z_]+$")
"""How many processors to use: sums in another order differ in their last bits."""
_POLITE = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads without work sleep: on a busy machine those that spin keep the working ones waiting, 100 times as long."""


class ServingCheck:
    """A serving check under way; :func:`start_serving_check` makes it. Use it as a context manager.

    Whoever leaves without asking for the report stops the interpreter.
    """

    def __init__(self, base: ServingReport, *, seconds: float) -> None:
        self._base = base
        self._done: ServingReport | None = None
        self._until = time.monotonic() + seconds
        self._seconds = seconds
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._golden: Golden | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the interpreter; None when none runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def report(self) -> ServingReport:
        """Wait for the interpreter and return what it saw; asked again, the same."""
        if self._done is None:
            try:
                self._done = self._collect()
            finally:
                self.stop()
        return self._done

    def stop(self) -> None:
        """End the interpreter if it still runs, and remove its folder."""
        process = self._process
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own: its children go with it
            process.wait()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # how it comes to be --------------------------------------------------------------------------------------------

    def fail(self, sentence: str) -> None:
        """End the check with a failure."""
        from dataclasses import replace

        self._done = replace(self._base, failure=" ".join(sentence.split()))
        self.stop()

    def start(self, records: MLflowStore, candidate: Candidate, spec: ModelSpec) -> None:
        """Fetch the model and its golden batch, and start the interpreter on them."""
        from dataclasses import replace

        self._folder = tempfile.TemporaryDirectory(prefix="airflow-mlops-serving-")
        folder = Path(self._folder.name)
        batch = records.lineage.golden(candidate.run_id)
        self._golden = batch.record
        (folder / "model").mkdir()
        model = records.download_model(candidate, str(folder / "model"))
        size = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
        self._base = replace(self._base, rows=len(batch.rows), size_bytes=size)
        _write_job(folder, model, batch, spec, seconds=self._seconds)
        # The model is audited there, not here: nothing of it is loaded in this process.
        current = self._base.environment == "current"
        python = Path(sys.executable) if current else fresh_python(records.lineage.lock_of(candidate))
        self._until = time.monotonic() + self._seconds
        with (folder / "output.txt").open("wb") as output:
            self._process = subprocess.Popen(
                [str(python), "-I", "-W", "ignore", str(Path(serving_child.__file__).resolve()), str(folder)],
                cwd=folder,
                env={**_POLITE, **clean(home=folder, also=_THREADS)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _collect(self) -> ServingReport:
        from dataclasses import replace

        process, folder, golden = self._process, self._folder, self._golden
        if process is None or folder is None or golden is None:
            return replace(self._base, failure="the serving check was stopped before it gave an answer")
        try:
            process.wait(max(0.0, self._until - time.monotonic()))
        except subprocess.TimeoutExpired:
            return replace(self._base, failure=f"the stored model gave no answer within {self._seconds:g} seconds")
        try:
            result = read_json((Path(folder.name) / "result.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return replace(self._base, failure=_ended(process.returncode))
        try:
            return _reported(self._base, golden, result)
        except (KeyError, IndexError, TypeError, ValueError):
            return replace(self._base, failure="the fresh interpreter gave an answer that is not whole")


def start_serving_check(
    records: MLflowStore, candidate: Candidate, spec: ModelSpec, *, seconds: float = SECONDS
) -> ServingCheck:
    """Start to serve a stored candidate in a fresh interpreter; ask the handle for the report later.

    Parameters
    ----------
    records
        Where the model and its golden batch are.
    candidate
        What is to be served.
    spec
        Says which types are trusted, and the kind of environment (`gate.serving.environment`). A fresh one is built
        before this returns, unless it was built before.
    seconds
        Time limit of the interpreter.

    Raises
    ------
    StoreUnavailableError
        If MLflow is away. Everything else that is wrong is the report's `failure`.
    """
    check = ServingCheck(_unserved(candidate, spec.gate.serving.environment), seconds=seconds)
    try:
        check.start(records, candidate, spec)
    except RecordError as refusal:
        check.fail("; ".join(f"{problem.field}: {problem.found}" for problem in refusal.problems))
    except CannotBuildError as error:
        check.fail(str(error))
    except BaseException:
        check.stop()
        raise
    return check


def check_serving(
    records: MLflowStore, candidate: Candidate, spec: ModelSpec, *, seconds: float = SECONDS
) -> ServingReport:
    """Serve a stored candidate in a fresh interpreter and wait for the report; see :func:`start_serving_check`."""
    with start_serving_check(records, candidate, spec, seconds=seconds) as check:
        return check.report()


def _unserved(candidate: Candidate, environment: Literal["current", "fresh"]) -> ServingReport:
    return ServingReport(
        model_uri=candidate.model_uri,
        environment=environment,
        rows=0,
        max_difference=math.nan,
        load_seconds=math.nan,
        row_ms=(math.nan, math.nan),
        batch_ms=(math.nan, math.nan),
        size_bytes=0,
        python="",
    )


_PLAIN: Mapping[str, Callable[[Any], list[Any]]] = {
    "numeric": lambda values: list(values.tolist()),
    "categorical": lambda values: [value if isinstance(value, str) else None for value in values],
    "time": lambda values: [
        moment.isoformat() if known else None for moment, known in zip(values, values.notna(), strict=True)
    ],
}
"""How values of each role are written in JSON."""


def _own_steps(folder: Path) -> str:
    """Copy our own steps, which are in every pipeline, to where only they are: not the copy that the model brings."""
    target = folder / "steps"
    shutil.copytree(steps_folder(), target / "airflow_mlops_steps", ignore=shutil.ignore_patterns("__pycache__"))
    return str(target)


def _write_job(folder: Path, model: Path, batch: GoldenBatch, spec: ModelSpec, *, seconds: float) -> None:
    file = model_file(model, spec, subject=batch.record.model)
    current = spec.gate.serving.environment == "current"
    job = {
        "file": str(file.file.resolve()),
        "format": file.format,
        "trusted": file.trusted,
        "claimed": file.claimed,
        "task": batch.record.task,
        "seconds": math.ceil(seconds),
        # With the worker's packages the team's own modules are at hand too, such as those of the DAG folder.
        "paths": [str(Path(path).resolve()) for path in sys.path] if current else [_own_steps(folder)],
    }
    columns: list[dict[str, Any]] = []
    for feature in batch.record.features:
        values = batch.rows[feature.name]
        columns.append({"name": feature.name, "role": feature.role, "values": _PLAIN[feature.role](values)})
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    (folder / "rows.json").write_text(json.dumps(columns), encoding="utf-8")


def _reported(base: ServingReport, golden: Golden, result: dict[str, Any]) -> ServingReport:
    from dataclasses import replace

    python = str(result.get("python", ""))
    if "failure" in result:
        return replace(base, python=python, failure=str(result["failure"]))
    # 1 and True are equal, and are not the same class
    if [(type(label), label) for label in result["classes"]] != [(type(label), label) for label in golden.classes]:
        found = f"{len(result['classes'])} classes that are not the recorded {len(golden.classes)}, or in another order"
        return replace(base, python=python, failure=f"the stored model has {found}")
    alone = result["alone"]
    gaps = (
        largest_difference(golden.output, golden.predictions, result["batch"]),
        largest_difference(golden.output, golden.predictions[: len(alone)], alone),
    )
    return replace(
        base,
        python=python,
        max_difference=math.nan if any(map(math.isnan, gaps)) else max(gaps),
        load_seconds=float(result["load_seconds"]),
        row_ms=(float(result["row_ms"][0]), float(result["row_ms"][1])),
        batch_ms=(float(result["batch_ms"][0]), float(result["batch_ms"][1])),
    )


def _ended(code: int) -> str:
    how = f"by signal {-code}" if code < 0 else f"with status {code}"
    return f"the fresh interpreter ended {how} before it gave an answer"
