"""How every report and decision becomes JSON and comes back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.json_text import read_json
from airflow_mlops.spec.problems import Problem, ReasonCode

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    return _ADAPTERS.get(cls) or _ADAPTERS.setdefault(cls, TypeAdapter(cls))


def added(default: Any) -> Any:
    """Declare a field that records written before do not have: it is written only where it is not its default.

    So a record of before is written again as it was, byte for byte, and its digest, which approvals and decisions
    name, stays what it was.

    Parameters
    ----------
    default
        What records without the field are read with; an immutable value.
    """
    return field(default=default, metadata=_ADDED)


_ADDED = {"added": True}


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of what flows between stages: frozen, JSON round trip, an integer format version.

    Non-finite numbers are written as the strings ``NaN``, ``Infinity`` and ``-Infinity``, because XCom and
    MLflow refuse or change them. A field is added by :func:`added`; to change what is there, raise ``FORMAT``, and
    override :meth:`upgrade`.
    """

    FORMAT: ClassVar[int] = 1
    # Read by pydantic from the class: a dataclass cannot be given its configuration by the adapter.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="strings", extra="forbid")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, with ``kind`` and ``format`` first."""
        body: dict[str, Any] = json.loads(_adapter(type(self)).dump_json(self))
        _leave_out(self, body)
        return {"kind": type(self).__name__, "format": self.FORMAT, **body}

    def to_text(self) -> str:
        """Return the record as readable JSON text: the same record always gives the same bytes."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of the record's JSON, hexadecimal: two records are the same exactly when this is.

        Keys are sorted and equal numbers written alike: a record that went through XCom comes back with its mappings
        in PostgreSQL's order, and with its numbers as PostgreSQL writes them, which knows no -0.0 and no 1e+16.
        """
        text = json.dumps(_alike(self.to_json()), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def upgrade(cls, body: dict[str, Any], written: int) -> dict[str, Any]:  # noqa: ARG003 - for the formats to come
        """Turn data of the older format `written` into today's. The first format has nothing to upgrade."""
        return body

    @classmethod
    def from_json(cls, data: dict[str, Any] | str | bytes) -> Self:
        """Read what :meth:`to_json` or :meth:`to_text` wrote.

        Raises
        ------
        RecordError
            If it is another kind of record, a newer format, or not whole.
        """
        body = _body(cls, data)
        kind, written = body.pop("kind", None), body.pop("format", None)
        if kind != cls.__name__ or not isinstance(written, int):
            raise RecordError(_problem(cls, f"kind {kind!r}, format {written!r}", ReasonCode.RECORD_CONFLICT))
        if written > cls.FORMAT:
            raise RecordError(_problem(cls, f"format {written}", ReasonCode.FORMAT_TOO_NEW))
        try:
            record: Self = _adapter(cls).validate_python(cls.upgrade(body, written))
        except ValidationError as error:
            detail = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise RecordError(_problem(cls, detail, ReasonCode.RECORD_CONFLICT)) from error
        return record


def _leave_out(value: Any, body: Any) -> None:
    """Take out of the JSON of a value what was added to its kind and holds nothing but the default."""
    if is_dataclass(value):
        for one in fields(value):
            held = getattr(value, one.name)
            if one.metadata.get("added") and one.default is not MISSING and held == one.default:
                body.pop(one.name, None)
            else:
                _leave_out(held, body.get(one.name))
    elif isinstance(value, Mapping) and isinstance(body, dict):
        for key, held in value.items():
            _leave_out(held, body.get(str(key)))
    elif isinstance(value, tuple | list) and isinstance(body, list):
        for held, written in zip(value, body, strict=True):
            _leave_out(held, written)


def _body(cls: type[Record], data: Any) -> dict[str, Any]:
    """Return the JSON object in `data`; a file that was cut off has none."""
    try:
        body = read_json(data) if isinstance(data, str | bytes) else data
    except ValueError as error:
        raise RecordError(_problem(cls, "text that is not whole JSON", ReasonCode.RECORD_CONFLICT)) from error
    if not isinstance(body, Mapping):
        raise RecordError(_problem(cls, f"no JSON object, but {type(body).__name__}", ReasonCode.RECORD_CONFLICT))
    return dict(body)


def _alike(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _alike(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_alike(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _problem(cls: type[Record], found: str, code: ReasonCode) -> Problem:
    return Problem(
        code=code,
        field=cls.__name__,
        found=found,
        allowed=f"a {cls.__name__} of format {cls.FORMAT} or older",
        fix="use the airflow_mlops version that wrote it, or a newer one",
    )
