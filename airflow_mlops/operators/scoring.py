"""Score a window with the champion."""

from __future__ import annotations

from typing import Any

from airflow_mlops.links import MLflowRunLink, ModelVersionLink
from airflow_mlops.operators._base import LoopOperator


class ScoreOperator(LoopOperator):
    """Score the window that ends at the run's as-of time with the champion, in chunks that bound memory.

    Returns the :class:`~airflow_mlops.core.records.predictions.Predictions` as JSON. Scoring the same window again
    replaces its predictions as a whole.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    """

    operator_extra_links = (
        MLflowRunLink(),
        ModelVersionLink(),
    )

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Load the champion, then score."""
        from datetime import UTC, datetime

        from airflow_mlops.config import settings
        from airflow_mlops.core.records.snapshot import Window
        from airflow_mlops.core.scoring import score
        from airflow_mlops.stores.open_source import open_rows

        spec, as_of = self.model_spec(context), self.as_of(context)
        window = Window(start=as_of - spec.scoring.window, end=as_of)
        store = open_rows(spec, data_root=settings().data_root)
        with self.records(spec) as records:
            champion = records.require_champion(spec)
            records.claim_folder(spec, self.storage())
            pipeline = records.load_pipeline(champion.candidate, spec=spec)
            self.run_url = records.run_url(champion.run_id)
            self.version_url = records.version_url(spec.registered_model, champion.version)
        predictions = score(
            spec,
            champion,
            pipeline,
            store,
            self.storage(),
            window,
            loop_run=self.loop_run(context),
            now=datetime.now(UTC),
        )
        for issue in predictions.invalid:
            self.log.warning("%s", issue)
        self.log.info("%s rows of %s scored by version %s", predictions.rows, window, champion.version)
        return predictions.to_json()
