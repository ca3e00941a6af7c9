"""The loop up to the gate on a source, once and for nobody: what a specification and its data would come to."""

from __future__ import annotations

from airflow_mlops.core.rehearsal.rehearse import Rehearsal, newest_as_of, rehearse

__all__ = ["Rehearsal", "newest_as_of", "rehearse"]
