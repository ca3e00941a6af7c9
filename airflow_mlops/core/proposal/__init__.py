"""What a specification of an unknown source may be: proposed from its rows, with the reason for each line."""

from __future__ import annotations

from airflow_mlops.core.proposal.propose import Proposal, Wishes, propose
from airflow_mlops.core.proposal.text import to_yaml

__all__ = ["Proposal", "Wishes", "propose", "to_yaml"]
