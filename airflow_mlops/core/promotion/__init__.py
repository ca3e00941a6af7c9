"""The fifth stage: what serves, who moved it, and the trail of it."""

from __future__ import annotations

from airflow_mlops.core.promotion.alias_log import STATUS_TAG
from airflow_mlops.core.promotion.attempts import has_served, registered_by, require_new_attempt
from airflow_mlops.core.promotion.audit_chain import (
    MOVES,
    from_lines,
    require_whole,
    to_lines,
    trail_seal,
    verify_lines,
)
from airflow_mlops.core.promotion.audit_state import SERVED_STATUSES, broken_trail, fold, no_trail, version_words
from airflow_mlops.core.promotion.checks import declined_because
from airflow_mlops.core.promotion.manual_move import move_refused, nonce_of, require_reason
from airflow_mlops.core.promotion.override import override
from airflow_mlops.core.promotion.ownership import hand_over, require_owner, settle_claim
from airflow_mlops.core.promotion.promote import challenge, keep_judged, promote
from airflow_mlops.core.promotion.registration import DECISION_DIGEST_TAG
from airflow_mlops.core.promotion.rejudge import (
    REPLACED,
    REPLACED_SEAL,
    approval_of,
    may_judge_again,
    required_decision,
)
from airflow_mlops.core.promotion.release import release, released_spans
from airflow_mlops.core.promotion.retire import retire, retirement_tag
from airflow_mlops.core.promotion.rollback import rollback, rollback_target
from airflow_mlops.core.promotion.rule_changes import earlier_changes, versions_judged
from airflow_mlops.core.promotion.serving_version import find_champion
from airflow_mlops.core.promotion.status import ModelStatus, status_of
from airflow_mlops.core.promotion.storage_owner import claim_folder
from airflow_mlops.core.promotion.verify import finish_unfinished, verify_trail

__all__ = [
    "DECISION_DIGEST_TAG",
    "MOVES",
    "REPLACED",
    "REPLACED_SEAL",
    "SERVED_STATUSES",
    "STATUS_TAG",
    "ModelStatus",
    "approval_of",
    "broken_trail",
    "challenge",
    "claim_folder",
    "declined_because",
    "earlier_changes",
    "find_champion",
    "finish_unfinished",
    "fold",
    "from_lines",
    "hand_over",
    "has_served",
    "keep_judged",
    "may_judge_again",
    "move_refused",
    "no_trail",
    "nonce_of",
    "override",
    "promote",
    "registered_by",
    "release",
    "released_spans",
    "require_new_attempt",
    "require_owner",
    "require_reason",
    "require_whole",
    "required_decision",
    "retire",
    "retirement_tag",
    "rollback",
    "rollback_target",
    "settle_claim",
    "status_of",
    "to_lines",
    "trail_seal",
    "verify_lines",
    "verify_trail",
    "version_words",
    "versions_judged",
]
