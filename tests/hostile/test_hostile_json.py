"""Who may write to MLflow or the storage writes any JSON where ours stood: each reader refuses it in one sentence."""

from __future__ import annotations

import hashlib
import json
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.cli.status import status
from airflow_mlops.core.promotion import claim_folder, promote
from airflow_mlops.core.records.base import Record
from airflow_mlops.core.records.json_text import DEEPEST, read_json
from airflow_mlops.core.records.ownership import OWNER_TAG, Claim, SpecIdentity
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import Refusal
from airflow_mlops.stores.mlflow.retraining_log import _holder
from airflow_mlops.stores.mlflow.seals import SealKeys
from airflow_mlops.stores.mlflow.store import MLflowStore
from airflow_mlops.stores.mlflow.trail_heads import HEAD, TrailHeads
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.loop_parts import decision_of
from tests.support.mlflow_records import record


def kinds(of: type[Record]) -> list[type[Record]]:
    return [kind for below in of.__subclasses__() for kind in (below, *kinds(below))]


def head(text: str) -> object:
    return TrailHeads(None, SealKeys(), None)._read("m", "the tag", text)  # type: ignore[arg-type]


READERS: dict[str, Callable[[str], object]] = {
    **{kind.__name__: kind.from_json for kind in kinds(Record)},
    "owner": lambda text: SpecIdentity.from_text(text, where="x"),
    "claim": lambda text: Claim.from_text(text, where="x"),
    "claim of a retraining": lambda text: _holder("m", text),
    "head": head,
}
INSIDE = {"kind", "format", "specification", "owner", "number", "digest", "seal", "key", "loop_run", "registered_model"}
DEEP = "[" * 5000
TEXTS = {
    "deep": DEEP,
    "deep and whole": "[" * 900 + "]" * 900,
    "deep inside": json.dumps(dict.fromkeys(INSIDE)).replace("null", "[" * 900 + "]" * 900),
    "deep mappings": '{"kind":' * 900 + "1" + "}" * 900,
    "endless": '{"number": 1e999, "digest": "", "seal": ""}',
    "below nothing": '{"number": -100, "digest": "", "seal": ""}',
    "no number": '{"number": NaN, "digest": "", "seal": ""}',
    "many digits": '{"number": %s, "digest": "", "seal": ""}' % ("9" * 5000),
    "half a pair": '{"kind": "\\ud800", "format": 1, "specification": "\\ud800"}',
    "not whole": '{"kind": "AuditEvent", "format": 1',
    "nothing": "",
    "null": "null",
    "a list": "[]",
    "a text": '"x"',
}  # fmt: skip


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_any_json_is_read_or_refused(reader: str, what: str) -> None:
    with pytest.raises(Refusal):
        READERS[reader](TEXTS[what])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(INSIDE)), inner, max_size=6),
    max_leaves=8,
)


@given(VALUES)
def test_drawn_json_is_read_or_refused(value: Any) -> None:
    text = json.dumps(value)
    for read in (*READERS.values(), AuditEvent.from_json):
        try:
            read(text)
        except Refusal:
            continue


@given(st.integers(1, 2 * DEEPEST))
def test_levels_are_counted(levels: int) -> None:
    text = "[" * levels + "]" * levels
    if levels <= DEEPEST:
        assert read_json(text) is not None
    else:
        with pytest.raises(ValueError, match="levels"):
            read_json(text)


def test_a_head_that_counts_from_the_end_is_none() -> None:
    """Of a plain seal anybody makes one to fit: event -1 would be the one before the last, whatever was cut off."""
    seal = hashlib.sha256(b"-1:").hexdigest()
    with pytest.raises(Refusal, match="cannot be read"):
        head(json.dumps({"number": -1, "digest": "", "seal": seal}))


@pytest.fixture
def served(mlflow_uri: str, request: pytest.FixtureRequest) -> tuple[MLflowStore, str]:
    """A model that serves, in a real MLflow."""
    store = MLflowStore.connect(mlflow_uri)
    name = "json_" + "".join(c if c.isalnum() else "_" for c in request.node.name)[-40:]
    candidate = record(store, name, "r1", days=1)
    given: dict[str, Any] = {"registered_model": name, "by": "a", "now": datetime(2026, 6, 1, tzinfo=UTC)}
    promote(decision_of(candidate, None), candidate, store.registry, store.trail, **given)
    return store, name


@pytest.mark.parametrize("tag", [HEAD, OWNER_TAG])
def test_a_tag_of_any_depth_is_one_sentence(
    loop_home: Path, served: tuple[MLflowStore, str], tag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store, name = served
    store.registry.tag_model(name, {tag: DEEP[:4000]})
    with pytest.raises(SystemExit):
        status(Namespace(models=[name], json=False, conn_id="mlflow_default"))
    said = "".join(capsys.readouterr())
    assert "Traceback" not in said
    assert "allowed:" in said
    storage = open_storage(str(loop_home / "storage"))
    storage.write_text(f"owners/{name}.json", DEEP)
    asker = Claim(holder=SpecIdentity(name=name), registered_model=name)
    with pytest.raises(Refusal, match="names no owner|cannot be read"):
        claim_folder(storage, store.registry, store.trail, asker)
