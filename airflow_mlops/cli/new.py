"""`airflow mlops new`: a short specification to begin with."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path


def new(args: Namespace) -> None:
    """Write a short specification; a file that exists is never replaced.

    Raises
    ------
    SystemExit
        With status 1 when the name is none, or the file exists or cannot be written.
    """
    from airflow_mlops.spec import SpecError
    from airflow_mlops.spec.template import new_text

    target = Path(args.output or f"{args.name}.yaml")
    try:
        text = new_text(args.name, args.owner)
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except SpecError as error:
        raise SystemExit(str(error)) from None
    except FileExistsError:
        raise SystemExit(f"{target}: exists already; choose another file with --output") from None
    except OSError as error:
        raise SystemExit(f"{target}: cannot be written ({error.strerror})") from None
    print(f"{target}: written; now edit it, and run: airflow mlops validate {target}")
