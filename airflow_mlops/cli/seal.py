"""`airflow mlops seal`: what was sealed without a key, or with an older one, is sealed with the newest."""

from __future__ import annotations

import sys
from argparse import Namespace

from airflow_mlops.cli._common import opened
from airflow_mlops.cli.printed import say


def seal(args: Namespace) -> None:
    """Seal the records of models anew, each after it was held against the seal that it has.

    Raises
    ------
    SystemExit
        With status 1 when no key is configured, or something is not what its seal says.
    """
    from airflow_mlops.stores.mlflow.sealing import seal_anew

    with opened(args.conn_id) as records:
        if not records.artifacts.keys.secrets:
            say("no key to seal with: set [mlops] seal_secret to id:secret", file=sys.stderr)
            raise SystemExit(1)
        for model in args.models:
            say(f"{model}: {seal_anew(records, model)} seals made anew")
