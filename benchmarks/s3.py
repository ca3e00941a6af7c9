"""Months of the flights with everything in S3, beside the same months on a local disk, in turns in one process."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.child import in_child
from benchmarks.loop import DAGS, MODEL, STAGES
from benchmarks.report import Table
from dev.demo import flights

if TYPE_CHECKING:
    from benchmarks.recorded import Month

AS_OF = tuple(f"2013-{month:02}-01T00:00:00+00:00" for month in range(3, 12))
"""The first makes a champion on each side, and is not counted."""
GOAL_RATIO = 1.3
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "bench"
LATENCY = 0.02
"""Seconds of a network that is not there, for a second measurement."""
SERVER = """
import sys, time
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

inner = DomainDispatcherApplication(create_backend_app)

def app(environ, start_response):
    time.sleep(float(sys.argv[2]))
    return inner(environ, start_response)

run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
"""
"""moto's server, whose every answer comes later."""
TASKS = tuple(task for _, task in STAGES)


def measure(months: int) -> tuple[Table, dict[str, Any]]:
    """Run the months on both sides; `months` of them count."""
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        root = Path(folder)
        flights.build(root / "data")
        given = {"folder": folder, "spec": str(DAGS / "models" / f"{MODEL}.yaml"), "as_of": AS_OF[: months + 1]}
        found = in_child("s3:loops", **given, latency=0.0, limit_seconds=1800)
        far = in_child("s3:loops", **given, latency=LATENCY, limit_seconds=1800)["seconds"]
    disk, s3 = (_medians(found["seconds"][side]) for side in ("disk", "s3"))
    whole = {side: sum(seconds.values()) for side, seconds in (("disk", disk), ("s3", s3))}
    near, away = (_medians(far[side]) for side in ("disk", "s3"))
    ratio_away = sum(away.values()) / sum(near.values())
    client = found["client_seconds"]
    ratio = whole["s3"] / whole["disk"]
    apart = (whole["s3"] + len(TASKS) * client) / whole["disk"]
    monthly = {name: count / months for name, count in found["requests"].items()}
    rows = [
        (
            task,
            f"{disk[task]:.2f}",
            f"{s3[task]:.2f}",
            f"{s3[task] / disk[task]:.2f}",
            f"{away[task] / near[task]:.2f}",
            _asked(found, task, months),
        )
        for task in TASKS
    ]
    asked = f"{sum(monthly.values()):.0f}"
    rows.append(("all tasks", f"{whole['disk']:.2f}", f"{whole['s3']:.2f}", f"{ratio:.2f}", f"{ratio_away:.2f}", asked))
    listed = ", ".join(f"{count:.0f} {name}" for name, count in sorted(monthly.items()))
    said = (
        f"S3 takes {ratio:.2f} times the local disk (goal: at most {GOAL_RATIO}): rows, snapshot, predictions and "
        "score log by our code, artifacts by an MLflow server, which stands before the disk, too."
    )
    once = (
        f"A task in a process of its own also makes a client, in {client:.2f} s: with one for each of the "
        f"{len(TASKS)} tasks it is {apart:.2f} times."
    )
    table = Table(
        title=f"A month of flights in S3, beside a local disk: seconds of each task, median of {months}",
        heads=("task", "local disk", "S3", "ratio", f"ratio at {LATENCY * 1000:.0f} ms", "requests of our code"),
        rows=tuple(rows),
        notes=(
            said,
            once,
            f"Requests of our code a month: {listed}.",
            "The S3 is moto on the same two cores: no network between, some milliseconds of Python for each request.",
            f"With {LATENCY * 1000:.0f} ms before each answer, also to MLflow's server, it is {ratio_away:.2f} times.",
        ),
    )
    figures = {
        **found,
        "far": far,
        "ratio": ratio,
        "ratio_far": ratio_away,
        "ratio_with_clients": apart,
        "goal_ratio": GOAL_RATIO,
        "requests": monthly,
    }
    return table, figures


def _medians(of: Sequence[dict[str, float]]) -> dict[str, float]:
    return {task: statistics.median(one[task] for one in of) for task in TASKS}


def _asked(found: dict[str, Any], task: str, months: int) -> str:
    return f"{found['requests_of'].get(task, 0) / months:.0f}"


def loops(folder: str, spec: str, as_of: list[str], latency: float) -> dict[str, Any]:
    """Run each month on one side and then on the other, in the order of the last one turned round."""
    import yaml

    from airflow_mlops.preload import preload
    from airflow_mlops.spec import parse_spec

    assert not preload(), "a library of the loop cannot be imported"
    root = Path(folder)
    place = root / f"servers-{latency}"
    place.mkdir()
    model = parse_spec(yaml.safe_load(Path(spec).read_text()))
    seconds: dict[str, list[dict[str, float]]] = {"disk": [], "s3": []}
    with _servers(root, place, latency) as sides:
        _upload(root, sides["s3"]["endpoint"])
        client_seconds = _client_seconds()
        requests = _Requests()
        places = {side: _opened(given) for side, given in sides.items()}
        for number, instant in enumerate(as_of):
            order = ("disk", "s3") if number % 2 else ("s3", "disk")
            for side in order:
                month = _month(model, places[side], instant, requests)
                found = month.run()
                if number:
                    seconds[side].append(found)
            if not number:
                requests.forget()
    return {
        "seconds": seconds,
        "client_seconds": client_seconds,
        "requests": requests.by_operation,
        "requests_of": requests.by_task,
    }


@contextmanager
def _servers(root: Path, place: Path, latency: float) -> Iterator[dict[str, dict[str, str]]]:
    """Start S3 and two MLflow servers; yield where each side has its rows, its storage and its records."""
    from tests.support.servers import free_port, mlflow_server, stop, wait_for

    endpoint = f"http://127.0.0.1:{(port := free_port())}"
    with ExitStack() as stack:
        log = stack.enter_context((place / "moto.log").open("wb"))
        command = [sys.executable, "-c", SERVER, str(port), str(latency)]
        moto = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        stack.callback(stop, moto)
        wait_for(f"{endpoint}/moto-api/", moto, place / "moto.log")
        os.environ |= {**KEYS, "MLFLOW_S3_ENDPOINT_URL": endpoint}
        of_s3 = stack.enter_context(
            mlflow_server(place / "m1", ["--artifacts-destination", f"s3://{BUCKET}/artifacts"])
        )
        for name in (*KEYS, "MLFLOW_S3_ENDPOINT_URL"):
            del os.environ[name]
        of_disk = stack.enter_context(mlflow_server(place / "m2"))
        extra = {"endpoint_url": endpoint, "region_name": KEYS["AWS_DEFAULT_REGION"]}
        keys = {"login": KEYS["AWS_ACCESS_KEY_ID"], "password": KEYS["AWS_SECRET_ACCESS_KEY"]}
        os.environ["AIRFLOW_CONN_BENCH"] = json.dumps({"conn_type": "aws", **keys, "extra": extra})
        there = f"s3://bench@{BUCKET}"
        yield {
            "disk": {"rows": str(root), "storage": str(place / "storage"), "mlflow": of_disk},
            "s3": {"rows": there, "storage": f"{there}/mlops", "mlflow": of_s3, "endpoint": endpoint},
        }


def _upload(root: Path, endpoint: str) -> None:
    import boto3

    session = boto3.session.Session(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    client = session.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=BUCKET)
    for file in sorted((root / "data").rglob("*.parquet")):
        client.upload_file(str(file), BUCKET, file.relative_to(root).as_posix())


def _client_seconds() -> float:
    """Seconds of what each task's process does once; the second of two, as where a worker has made one before."""
    from airflow_mlops.stores.s3 import client
    from airflow_mlops.stores.s3.address import S3Address

    seconds = 0.0
    for _ in range(2):
        client._clients.clear()  # noqa: SLF001 - there is no other way to make one again
        began = time.perf_counter()
        client.s3_client(S3Address(bucket=BUCKET, conn_id="bench"), "bench")
        seconds = time.perf_counter() - began
    return seconds


class _Requests:
    """Counts what is asked of S3 in this process."""

    def __init__(self) -> None:
        from airflow_mlops.stores.s3.address import S3Address
        from airflow_mlops.stores.s3.client import s3_client

        self.by_operation: Counter[str] = Counter()
        self.by_task: Counter[str] = Counter()
        self.task = ""
        client = s3_client(S3Address(bucket=BUCKET, conn_id="bench"), "bench")
        client.meta.events.register("before-send.s3", self._count)

    def _count(self, event_name: str, **_: Any) -> None:
        self.by_operation[event_name.rpartition(".")[2]] += 1
        self.by_task[self.task] += 1

    def forget(self) -> None:
        self.by_operation.clear()
        self.by_task.clear()


def _opened(given: dict[str, str]) -> tuple[str, Any, Any]:
    from airflow_mlops.stores.mlflow.store import MLflowStore
    from airflow_mlops.stores.storage.storage import open_storage

    return given["rows"], open_storage(given["storage"]), MLflowStore.connect(given["mlflow"])


def _month(model: Any, place: tuple[str, Any, Any], instant: str, requests: _Requests) -> Month:
    """A month over a store of rows that is opened anew, as a task opens it."""
    from airflow_mlops.stores.open_source import open_source
    from benchmarks.recorded import Month

    class Counted(Month):
        @contextmanager
        def _timed(self, task: str) -> Iterator[None]:
            requests.task = task
            with super()._timed(task):
                yield

    rows, storage, records = place
    return Counted(
        model, open_source(model.data.source, data_root=rows), storage, records, datetime.fromisoformat(instant)
    )
