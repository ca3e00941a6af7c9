"""`make test-fast` is honest: a test without a server's mark cannot start one, and says so when it tries."""

from __future__ import annotations

import multiprocessing
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from tests.support.rooms import group_of, quick, rank_of


def listen() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))


def call() -> None:
    with socket.socket() as one:
        one.connect(("127.0.0.1", 9))


def serve() -> None:
    subprocess.run([sys.executable, "-m", "mlflow", "server", "--port", "1"], check=True)


def migrate() -> None:
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)


@pytest.mark.parametrize("act", [listen, call, serve, migrate])
def test_it_is_refused_and_remembered(act: Callable[[], None]) -> None:
    with quick() as tried:
        with pytest.raises(PermissionError, match="without a server's mark"):
            act()
        assert len(tried) == 1


def test_what_another_thread_tries_is_remembered_though_nobody_hears_its_error() -> None:
    def swallow() -> None:
        with pytest.raises(PermissionError):
            listen()

    with quick() as tried:
        thread = threading.Thread(target=swallow)
        thread.start()
        thread.join()
    assert len(tried) == 1


def test_a_forked_child_is_refused_too() -> None:
    with quick():
        child = multiprocessing.get_context("fork").Process(target=_refused_in_a_child)
        child.start()
        child.join()
    assert child.exitcode == 0


def _refused_in_a_child() -> None:
    with pytest.raises(PermissionError):
        listen()


def test_other_programs_and_sockets_between_processes_are_free() -> None:
    with quick() as tried:
        subprocess.run([sys.executable, "-c", "import airflow_mlops"], check=True)
        one, other = socket.socketpair()
        one.close()
        other.close()
    assert tried == []


def test_a_file_runs_on_one_worker_and_the_stack_on_one_before_all_others() -> None:
    assert group_of("tests/core/test_text.py::test_a[1]") == "tests/core/test_text.py"
    assert group_of("tests/stack/test_stop.py::test_a") == group_of("tests/stack/test_approval.py::test_b")
    assert group_of("airflow_mlops/asof.py::airflow_mlops.asof") == "airflow_mlops/asof.py"
    assert rank_of("tests/stack/test_stop.py::test_a") < rank_of("tests/operators/test_gate.py::test_a")
    assert rank_of("tests/operators/test_gate.py::test_a") < rank_of("tests/spec/test_gate.py::test_a")
