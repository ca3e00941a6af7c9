"""The shortest useful specification, for `airflow mlops new`."""

from __future__ import annotations

from airflow_mlops.spec.load import parse_spec


def new_text(name: str, owner: str = "my-team") -> str:
    """Return the YAML text of a new specification.

    Raises
    ------
    SpecError
        If the name cannot be a model's name.

    Examples
    --------
    >>> print(new_text("churn").splitlines()[0])
    name: churn
    """
    parse_spec(
        {
            "name": name,
            "owner": owner,
            "data": {"source": {"path": "data/"}, "time": "time", "key": "id", "label": "label"},
            "training": {"estimator": "sklearn.ensemble.HistGradientBoostingClassifier"},
        },
        where="airflow mlops new",
    )
    return _TEXT.format(name=name, owner=_quoted(owner))


def _quoted(text: str) -> str:
    import json

    return text if text.replace("-", "").isalpha() else json.dumps(text)


_TEXT = """\
name: {name}
owner: {owner}
schedule: "@monthly"
data:
  source: {{path: {name}/}}       # Parquet or CSV; or {{conn_id: warehouse, table: {name}}}
  time: event_time               # when the row's event happened
  key: id                        # column or columns that identify a row
  label: label                   # what to predict
  label_delay: 1d                # how long after the event the label is known
  window: 60d                    # how far back to train
training:
  estimator: sklearn.ensemble.HistGradientBoostingClassifier
"""
