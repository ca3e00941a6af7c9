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
            name=name, help=summary, func=lazy_load_command(f"airflow_mlops.cli.spec.{name}"), args=args
        )

    paths = arg(("paths",), nargs="+", metavar="PATH", help="Specification files, or folders of them")
    markdown = arg(("--markdown",), action="store_true", help="Print the reference in Markdown, not the JSON schema")
    name = arg(("name",), metavar="NAME", help="The model's name")
    owner = arg(("--owner",), default="my-team", help="Who answers for the model (default: %(default)s)")
    output = arg(("-o", "--output"), default=None, metavar="FILE", help="File to write (default: NAME.yaml)")
    return [
        GroupCommand(
            name="mlops",
            help="Keep machine-learning models good after launch",
            subcommands=[
                action("validate", "Say everything that is wrong with specifications", paths),
                action("schema", "Print the JSON schema of a specification", markdown),
                action("new", "Write a short specification to begin with", name, owner, output),
            ],
        )
    ]
