"""The loop up to the gate on a source, once and for nobody: what a specification and its data would come to."""

from __future__ import annotations

from airflow_mlops.core.rehearsal.rehearse import Against, Rehearsal, newest_as_of, rehearse

__all__ = ["Against", "Rehearsal", "newest_as_of", "rehearse"]
