"""Approvals and notifications: tiers and events that exist, one way to be told."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.spec import SpecError
from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.promotion import ApprovalSpec, NotificationSpec


@pytest.mark.parametrize(
    ("part", "values", "field", "found"),
    [
        (ApprovalSpec, {"tiers": ["highest"]}, "tiers", "'highest'"),
        (ApprovalSpec, {"approvers": ["anna"]}, "approvers", "approvers, but no tiers"),
        (NotificationSpec, {"events": ["born"], "conn_id": "chat"}, "events", "'born'"),
        (NotificationSpec, {"events": ["promoted"]}, "conn_id", "neither conn_id nor notifier"),
        (
            NotificationSpec,
            {"events": ["promoted"], "conn_id": "chat", "notifier": "a.B"},
            "conn_id",
            "both conn_id and notifier",
        ),
        (
            NotificationSpec,
            {"events": ["promoted"], "conn_id": "chat", "arguments": {"a": 1}},
            "arguments",
            "arguments without a notifier",
        ),
    ],
)
def test_values_that_do_not_fit_together(part: type[SpecModel], values: dict[str, Any], field: str, found: str) -> None:
    with pytest.raises(SpecError) as caught:
        part.model_validate(values)
    assert [(problem.field, problem.found) for problem in caught.value.problems] == [(field, found)]
