"""Decisions about a candidate, sealed in its run."""

from __future__ import annotations

import pytest

from airflow_mlops.core.errors import RecordError, StaleDecisionError
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.promotion import Approval
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop_parts import decision_of
from tests.support.memory_registry import NOW
from tests.support.mlflow_records import codes, record

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def test_a_decision_comes_back_and_an_edited_one_does_not(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    with pytest.raises(RecordError, match="has no decision"):
        store.decisions.decision(candidate.run_id)
    rejected = decision_of(candidate, None, Verdict.REJECT)
    store.decisions.record_decision(candidate.run_id, rejected, page_html="<p>no</p>")
    assert store.decisions.decision(candidate.run_id, expected=rejected) == rejected
    with pytest.raises(StaleDecisionError) as error:
        store.decisions.decision(candidate.run_id, expected=decision_of(candidate, None))
    assert codes(error) == {ReasonCode.DECISION_MISMATCH}
    store.artifacts.write_text(candidate.run_id, "gate/decision.json", rejected.to_text().replace("reject", "accept"))
    with pytest.raises(RecordError, match="not what") as changed:
        store.decisions.decision(candidate.run_id)
    assert codes(changed) == {ReasonCode.RECORD_CONFLICT}


def test_an_answer_is_kept_sealed(store: MLflowStore, name: str) -> None:
    run_id = store.runs.open_run(name, "d/r", model="toy")
    assert store.decisions.approval(run_id) is None
    said = Approval(model="toy", run_id=run_id, decision="d" * 64, approved=False, by="ada", at=NOW, note="later")
    store.decisions.record_approval(run_id, said)
    assert store.decisions.approval(run_id) == said
    store.artifacts.write_text(run_id, "approval/approval.json", said.to_text().replace("false", "true", 1))
    with pytest.raises(RecordError, match="not what"):
        store.decisions.approval(run_id)
