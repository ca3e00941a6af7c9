"""The transformer of docs/models.md, as it stands there: text and the event time as features, trained and stored."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io

from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.pipeline.trusted_types import trusted_types
from airflow_mlops.core.training.fit import fit
from airflow_mlops.spec import parse_spec

PAGE = Path(__file__).parents[1] / "docs" / "models.md"


def block(first: str) -> str:
    """The one block of the page that begins so."""
    found = re.findall(r"```\w*\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (one,) = [text for text in found if text.startswith(first)]
    return str(one)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "our_features.py").write_text(block("# plugins/our_features.py"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "our_features", raising=False)


@pytest.mark.usefixtures("module")
def test_the_transformer_of_the_page_learns_from_words_and_hours(loop: Any) -> None:
    spec = parse_spec(block("name: tickets"))
    frame = loop.frame(3000).rename(columns={"t": "ordered_at", "id": "order_id", "a": "load", "c": "city"})
    rng = np.random.default_rng(0)
    broken = rng.random(len(frame)) < 0.4
    frame["note"] = np.where(broken, "it arrived broken", "all is well")
    frame.loc[::13, "note"] = None
    night = frame["ordered_at"].dt.hour < 6
    frame["late"] = (broken & (frame["note"].notna()) | night.to_numpy()).astype(int)
    snapshot = loop.snapshot(spec, frame.assign(t=frame["ordered_at"]))
    fitted = fit(spec, snapshot, frame.astype({"city": object}))
    assert {feature.name: feature.role for feature in fitted.features} == {
        "load": "numeric", "city": "categorical", "note": "categorical", "ordered_at": "time",
    }  # fmt: skip
    assert fitted.metrics["roc_auc"] > 0.95
    loaded = skops.io.loads(skops.io.dumps(fitted.pipeline), trusted=list(trusted_types(spec)))
    ours, theirs = (predict(pipeline, frame, fitted).probabilities for pipeline in (fitted.pipeline, loaded))
    np.testing.assert_array_equal(ours, theirs)
    assert isinstance(fitted.train_frame, pd.DataFrame)
