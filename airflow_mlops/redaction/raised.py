"""What is raised, and what is logged, without secrets."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from airflow_mlops.redaction import redact

_lock = Lock()


class WithheldError(RuntimeError):
    """Stands in a traceback for an error whose own words cannot be changed, and held a secret."""


def without_secrets(error: BaseException) -> BaseException:
    """Return an error none of whose words, notes, causes and contexts holds a secret: the same one where that can be.

    Airflow logs the whole chain of a failed task's error, and libraries quote the addresses they were given.
    """
    return _cleaned(error, set())


def _cleaned(error: BaseException, done: set[int]) -> BaseException:
    if id(error) in done:
        return error
    done.add(id(error))
    for link in ("__cause__", "__context__"):
        linked = getattr(error, link)
        if linked is not None:
            suppressed = error.__suppress_context__
            setattr(error, link, _cleaned(linked, done))
            error.__suppress_context__ = suppressed  # setting a cause says that there is nothing else
    if isinstance(error, BaseExceptionGroup):
        inner = [_cleaned(one, done) for one in error.exceptions]
        if _says_secret(error) or any(new is not old for new, old in zip(inner, error.exceptions, strict=True)):
            return _in_place_of(error, BaseExceptionGroup(redact(error.message), inner))
        return error
    # What Airflow raises to go on elsewhere says nothing; its causes were looked at.
    if not isinstance(error, Exception | SystemExit) or not _says_secret(error):
        return error
    _rewrite(error, done)
    if not _says_secret(error):
        return error
    return _in_place_of(error, WithheldError(f"{type(error).__name__}: {redact(_words(error))}"))


def _in_place_of(error: BaseException, stand_in: BaseException) -> BaseException:
    stand_in.__cause__, stand_in.__context__ = error.__cause__, error.__context__
    stand_in.__suppress_context__ = error.__suppress_context__
    return stand_in.with_traceback(error.__traceback__)


def _words(error: BaseException) -> str:
    try:
        words = str(error)
    except Exception as broken:  # noqa: BLE001 - an error that cannot say what it is must not hide what happened
        words = f"it cannot say ({type(broken).__name__})"
    return "\n".join((words, *map(str, getattr(error, "__notes__", ()))))


def _says_secret(error: BaseException) -> bool:
    """Whether a secret is in what a traceback shows of an error, which may be more than its words: a line of code."""
    words = "".join(traceback.format_exception_only(error))
    return redact(words) != words


def _rewrite(error: BaseException, done: set[int]) -> None:
    """Take secrets out of where errors keep their words: their arguments, their attributes, their notes."""
    notes = getattr(error, "__notes__", None)
    if notes:
        error.__notes__ = [redact(str(note)) for note in notes]
    error.args = tuple(_rewritten(value, done) for value in error.args)
    held = [*getattr(error, "__dict__", {}), "strerror", "filename", "filename2", "reason", "msg", "text"]
    for name in held:
        value = getattr(error, name, None)
        if name != "__notes__" and isinstance(value, str | BaseException):
            try:
                setattr(error, name, _rewritten(value, done))
            except (AttributeError, TypeError):  # it cannot be set: a stand-in is raised if it is said
                continue


def _rewritten(value: Any, done: set[int]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, BaseException):
        return _cleaned(value, done)
    if isinstance(value, tuple | list):
        return type(value)(_rewritten(one, done) for one in value) if type(value) in (tuple, list) else value
    if isinstance(value, int | float | bytes | type(None)):
        return redact(value.decode("latin-1")).encode("latin-1") if isinstance(value, bytes) else value
    words = str(value)
    return redact(words) if redact(words) != words else value


@contextmanager
def raising_no_secrets() -> Iterator[None]:
    """Take the secrets out of whatever is raised within: the one door by which errors leave a store or a task."""
    try:
        yield
    except BaseException as error:  # a time-out of Airflow's, and an exit, are none of the others, and are logged alike
        cleaned = without_secrets(error)
        if cleaned is error:
            raise
        raise cleaned from cleaned.__cause__


@contextmanager
def logging_no_secrets() -> Iterator[None]:
    """Take the secrets out of what any library logs within: they warn of addresses that do not answer, for one."""
    global _guards, _factory  # noqa: PLW0603 - how records are made is the process's
    with _lock:
        if not _guards:
            _factory = logging.getLogRecordFactory()
            logging.setLogRecordFactory(_clean_record)
        _guards += 1
    try:
        yield
    finally:
        with _lock:
            _guards -= 1
            if not _guards and logging.getLogRecordFactory() is _clean_record:
                logging.setLogRecordFactory(_factory)


_guards = 0
_factory: Callable[..., logging.LogRecord] = logging.LogRecord


def _clean_record(*given: Any, **named: Any) -> logging.LogRecord:
    record = _factory(*given, **named)
    try:
        said = record.getMessage()
    except Exception:  # noqa: BLE001 - wrong arguments of somebody's log call are said by logging itself
        return record
    cleaned = redact(said)
    if cleaned != said:
        record.msg, record.args = cleaned, ()
    if record.exc_info and record.exc_info[1] is not None:
        error = without_secrets(record.exc_info[1])
        record.exc_info = (type(error), error, record.exc_info[2])
    return record
