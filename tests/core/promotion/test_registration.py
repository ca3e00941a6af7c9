"""Which versions have served: by their status, and by an alias where the status is not written yet."""

from __future__ import annotations

from airflow_mlops.core.promotion.alias_log import STATUS_TAG
from airflow_mlops.core.promotion.registration import has_served
from airflow_mlops.core.records.decision import Verdict
from tests.support.memory_registry import MODEL, MemoryRegistry, go


def test_having_served_is_seen_by_status_and_by_alias() -> None:
    registry = MemoryRegistry()
    for number, champion in ((1, None), (2, 1), (3, 2)):
        go(registry, number, champion)
    go(registry, 4, 3, Verdict.REJECT)
    assert [has_served(registry, MODEL, version) for version in (1, 2, 3, 4, 5)] == [True, True, True, False, False]
    registry.tags[3][STATUS_TAG] = registry.tags[2][STATUS_TAG] = "candidate"  # killed before the statuses
    assert has_served(registry, MODEL, 2)
    assert has_served(registry, MODEL, 3)
