"""`airflow mlops ...`: the command tree only. Airflow imports this at every start, so it imports nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand


def get_cli_commands() -> list[CLICommand]:
    """Return the command group that the provider adds to `airflow`."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    arg: Callable[..., Arg] = Arg  # Airflow leaves its constructor without types

    def action(name: str, summary: str, *args: Arg) -> ActionCommand:
        return ActionCommand(
            name=name, help=summary, func=lazy_load_command(f"airflow_mlops.cli.{name}.{name}"), args=args
        )

    paths = arg(("paths",), nargs="+", metavar="PATH", help="Specification files, or folders of them")
    against = arg(
        ("--against-data",),
        action="store_true",
        help="Also read the rows, train and judge once, as the first run would; nothing is kept",
    )
    as_of = arg(("--as-of",), default=None, metavar="TIME", help="As of when (default: as far as the data reaches)")
    markdown = arg(("--markdown",), action="store_true", help="Print the reference in Markdown, not the JSON schema")
    name = arg(("name",), metavar="NAME", help="The model's name")
    owner = arg(("--owner",), default="my-team", help="Who answers for the model (default: %(default)s)")
    source = arg(
        ("--from",),
        dest="source",
        default=None,
        metavar="SOURCE",
        help="File, folder, object-store URI, or conn_id:table; what can be told from its rows is filled in",
    )
    time = arg(("--time",), default=None, metavar="COLUMN", help="Its event-time column (default: looked for)")
    key = arg(("--key",), nargs="+", default=None, metavar="COLUMN", help="Its key (default: looked for)")
    label = arg(("--label",), default=None, metavar="COLUMN", help="The column to predict (default: looked for)")
    interactive = arg(("--interactive",), action="store_true", help="Ask whether what was found is right")
    output = arg(("-o", "--output"), default=None, metavar="FILE", help="File to write (default: NAME.yaml)")
    conn_id = arg(("--conn-id",), default="mlflow_default", help="Airflow connection of MLflow (default: %(default)s)")
    model = arg(("model",), metavar="MODEL", help="Name of the registered model")
    models = arg(("models",), nargs="*", metavar="MODEL", help="Registered models (default: all of the loop's)")
    some_models = arg(("models",), nargs="+", metavar="MODEL", help="Registered models")
    version = arg(("version",), type=int, metavar="VERSION", help="Number of the version")
    reason = arg(("--reason",), required=True, help="Why; it stands in the audit trail")
    as_json = arg(("--json",), action="store_true", help="Print JSON")
    to = arg(("--to",), type=int, default=None, metavar="VERSION", help="Version to go back to (default: `previous`)")
    force = arg(("--force",), action="store_true", help="Override the gate; without it nothing is promoted")
    older = arg(("--allow-older",), action="store_true", help="Also a version that is older than the champion")
    undo = arg(("--undo",), action="store_true", help="Let a retired model train again")
    rows_from = arg(("--from",), dest="start", required=True, metavar="TIME", help="First event time of the rows")
    rows_to = arg(
        ("--to",), dest="end", default=None, metavar="TIME", help="Where they end (default: the change is to stay)"
    )
    specification = arg(
        ("--specification",),
        default=None,
        metavar="NAME",
        help="Refuse, unless the model belongs to the specification of this name",
    )
    to_spec = arg(("--to",), required=True, metavar="NAME", help="Name of the specification that gets the model")
    to_owner = arg(("--owner",), required=True, metavar="OWNER", help="Its `owner`, as its file says")
    lines = arg(("--json-lines",), action="store_true", help="Export every event, one JSON object a line")
    last = arg(("--last",), type=int, default=10, metavar="N", help="How many windows (default: %(default)s)")
    verify = arg(("--verify",), action="store_true", help="Check the hash chain, and the aliases against it")
    file = arg(("--file",), default=None, metavar="FILE", help="Verify an exported file instead of MLflow's trail")
    begin = arg(("--from",), dest="start", required=True, metavar="TIME", help="As-of time of the first step")
    end = arg(("--to",), dest="end", required=True, metavar="TIME", help="Where the last step's future ends")
    every = arg(("--every",), default="14d", metavar="DURATION", help="Time between two steps (default: %(default)s)")
    grid = arg(
        ("--grid",),
        nargs="+",
        default=None,
        metavar="PATH=VALUES",
        help="Settings to compare: gate.champion.confidence=0.8,0.9 monitoring.drift.min_effect=0.1,0.25",
    )
    policies = arg(
        ("--policies",),
        nargs="+",
        default=None,
        metavar="NAME",
        help="Policies to replay beside the specification's own: simple (the default), peers, oracle, or single ones",
    )
    state = arg(
        ("--state",), default=None, metavar="FOLDER", help="Where finished work is kept (default: below the storage)"
    )
    html = arg(("--html",), default=None, metavar="FILE", help="Page to write (default: report.html beside that)")
    model_or_file = arg(("model",), metavar="MODEL", help="Name of the registered model, or its specification's file")
    first_look = arg(
        ("--from",), dest="start", default=None, metavar="TIME", help="First as-of (default: six steps, where possible)"
    )
    last_look = arg(
        ("--to",), dest="end", default=None, metavar="TIME", help="Newest as-of (default: the midnight after the rows)"
    )
    apart = arg(("--every",), default=None, metavar="DURATION", help="Time between two steps (default: gate.holdout)")
    form = arg(
        ("-o", "--output"), dest="form", choices=("table", "json"), default="table", help="What to print (%(choices)s)"
    )
    workers = arg(("--workers",), type=int, default=None, metavar="N", help="Processes (default: one for each core)")
    return [
        GroupCommand(
            name="mlops",
            help="Keep machine-learning models good after launch",
            subcommands=[
                action("validate", "Say everything that is wrong with specifications", paths, against, as_of),
                action("schema", "Print the JSON schema of a specification", markdown),
                action(
                    "new",
                    "Write a specification to begin with: short, or proposed from the data",
                    *(name, source, time, key, label, interactive, owner, output),
                ),
                action("status", "Say what serves, since when, and by whom", models, as_json, conn_id),
                action(
                    "monitoring",
                    "Say what monitoring saw and decided, and why",
                    *(model, last, as_json, conn_id),
                ),
                action(
                    "history",
                    "Print, export or verify the audit trail",
                    *(model, lines, verify, file, conn_id),
                ),
                action(
                    "verify",
                    "Check trail, seals, stored models, decisions and rows of models; the fullest check there is",
                    *(models, as_json, conn_id),
                ),
                action(
                    "seal",
                    "Seal what stands with the newest key, after it was checked",
                    *(some_models, conn_id),
                ),
                action(
                    "rollback",
                    "Let an earlier version serve again",
                    *(model, to, reason, specification, as_json, conn_id),
                ),
                action(
                    "promote",
                    "Let a version serve against the gate, on the record",
                    *(model, version, force, reason, older, specification, as_json, conn_id),
                ),
                action("retire", "Stop a model's training", *(model, reason, undo, specification, as_json, conn_id)),
                action(
                    "handover",
                    "Hand a registered model over to another specification, or to another owner",
                    *(model, to_spec, to_owner, reason, as_json, conn_id),
                ),
                action(
                    "release",
                    "Say that rows which look broken are right",
                    *(model, rows_from, rows_to, reason, specification, as_json, conn_id),
                ),
                action(
                    "backtest",
                    "Replay history, and compare policies of retraining",
                    arg(("spec",), metavar="SPEC", help="Specification file"),
                    *(begin, end, every, policies, grid, state, html, workers, as_json),
                ),
                action(
                    "advise",
                    "Try on history what may help a first model that the gate refuses",
                    *(model_or_file, first_look, last_look, apart, state, workers, form, as_json, conn_id),
                ),
                action(
                    "reproduce",
                    "Train a version again from its records, and compare",
                    *(model, version, as_json, conn_id),
                ),
            ],
        )
    ]
