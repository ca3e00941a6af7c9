"""`airflow mlops schema`: the JSON schema of a specification."""

from __future__ import annotations

from argparse import Namespace

from airflow_mlops.cli.printed import say


def schema(args: Namespace) -> None:
    """Print the JSON schema, or with --markdown the reference."""
    import json

    from airflow_mlops.spec.schema import json_schema, render_markdown

    say(render_markdown().rstrip("\n") if args.markdown else json.dumps(json_schema(), indent=2))
