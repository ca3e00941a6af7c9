"""A backtest in words: the tables of the terminal and of the page, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from airflow_mlops.core.records.backtest import BacktestReport, Line
from airflow_mlops.core.text import format_number, metric_label

NAMES = {
    "never": "never",
    "always": "always",
    "schedule": "on schedule, by the gate",
    "point_estimate": "better point estimate",
    "specification": "the specification's own",
    "calendar": "tuned calendar",
    "cusum": "tuned CUSUM",
    "adwin": "ADWIN",
    "ddm": "DDM",
    "cara_threshold": "CARA, threshold",
    "cara_cumulative": "CARA, cumulative",
    "cara_periodic": "CARA, periodic",
    "upf": "UPF",
    "oracle": "the oracle, which knows the future",
}
"""Policies, as a reader calls them."""
MEANINGS = {
    "retrainings": "Trainings after the first model's, which every policy begins with.",
    "promotions": "Changes of the serving model after the first.",
    "mean": "The primary metric of the model that served, on what it had to predict from each step to the next, by the "
    "labels as they were known in the end; mean over all steps, weighted by rows.",
    "objective": "The mean, made worse by what the retrainings cost (`retraining.cost`).",
    "oracle": "That, as a multiple of the objective of the oracle: the schedule of retrainings that would have had the "
    "best objective, found by dynamic programming with the future known. 1 is as good; of a metric of which more is "
    "better, the oracle's over the policy's.",
    "worst": "The mean without the cost, of the worst step, and when that began.",
    "behind": "Decays: the model trained at a step would surely have done better on that step's future (95 % lower "
    "bound of its gain above 0; of short steps, on the future of its and the next ones, up to four). 'In 5 of 12 "
    "steps': of the others it is not known, and 'not known' is no 0. Days from the step at which that began to the "
    "step at which it ended, in the mean and at the longest.",
    "false": "Retrainings at steps where the serving model had not decayed: a fresh one would not surely have done "
    "better. 'In 2 of 3': of the others it is not known.",
    "told": "Escalations and blocks: the owner was asked instead.",
    "seconds": "Of the policy's trainings, judgements and monitoring, as if it had run alone.",
}
"""Columns, as a reader must understand them."""


def heads(report: BacktestReport) -> tuple[str, ...]:
    """Titles of the columns behind the name."""
    name = metric_label(report.metric)
    return (
        "retrainings",
        "promotions",
        f"mean {name}",
        "objective",
        "to the oracle",
        f"worst {name}",
        "worst step",
        "decays",
        "days, mean",
        "days, longest",
        "false alarms",
        "owner asked",
        "seconds",
    )


def cells(line: Line) -> tuple[str, ...]:
    """Numbers of one policy, in the order of `heads`."""
    steps, retrainings = (line.known_steps, line.measured_steps), (line.known_retrainings, line.retrainings)
    return (
        str(line.retrainings),
        str(line.promotions),
        format_number(line.mean_loss),
        format_number(line.objective),
        "-" if line.to_oracle is None else f"{line.to_oracle:.3f}",
        format_number(line.worst_loss),
        day(line.worst_step),
        counted(line.decays, *steps, "steps"),
        short(line.recovery_days) if steps[0] else UNKNOWN,
        short(line.longest_days) if steps[0] else UNKNOWN,
        counted(line.false_alarms, *retrainings, ""),
        str(line.escalations),
        f"{line.compute_seconds:.0f}",
    )


UNKNOWN = "not known"


def counted(number: int, known: int, asked: int, what: str) -> str:
    """Say how many were found, and among how many it is known at all.

    >>> counted(0, 12, 12, "steps"), counted(1, 5, 12, "steps"), counted(0, 0, 12, "steps"), counted(0, 0, 0, "")
    ('0', '1 in 5 of 12 steps', 'not known', '0')
    """
    if asked and not known:
        return UNKNOWN
    return str(number) if known == asked else f"{number} in {known} of {asked} {what}".strip()


def all_lines(report: BacktestReport) -> tuple[Line, ...]:
    """The policies, and the oracle below them."""
    return report.lines if report.oracle is None else (*report.lines, report.oracle)


def terminal(report: BacktestReport) -> Iterator[str]:
    """Everything for a terminal, line by line."""
    yield (
        f"{report.model}: {report.start:%Y-%m-%d} to {report.end:%Y-%m-%d}, a step every "
        f"{report.every_seconds / 86400:g} days"
    )
    yield ""
    yield from table(("policy", *heads(report)), [(NAMES[line.policy], *cells(line)) for line in all_lines(report)])
    if report.grid:
        yield ""
        yield from table(
            ("the specification's own policy, with", *heads(report), "front"),
            [(name_of(line), *cells(line), "*" if line.pareto else "") for line in report.grid],
        )
        yield "  *: no other point is better in the mean without more promotions, or has fewer without a worse mean"
    yield ""
    yield from (f"  {note}" for note in report.notes)


def name_of(line: Line) -> str:
    """A point of the grid by what differs: each path by its last names, as many as tell it from the others.

    >>> names = ("gate.champion.confidence", "monitoring.performance.confidence", "retraining.on_drift")
    >>> print(*short_paths(names))
    champion.confidence performance.confidence on_drift
    """
    short_ = short_paths(tuple(line.settings))
    named = zip(short_, line.settings.values(), strict=True)
    return ", ".join(f"{path}={value}" for path, value in named) or NAMES[line.policy]


def short_paths(paths: Sequence[str]) -> tuple[str, ...]:
    """Return the fewest last names of each path that no other path ends with."""

    def cut(path: str) -> str:
        names = path.split(".")
        ends = (".".join(names[-count:]) for count in range(1, len(names) + 1))
        return next(end for end in ends if sum(f".{other}".endswith(f".{end}") for other in paths) <= 1)

    return tuple(map(cut, dict.fromkeys(paths)))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table; all but the first column are set to the right."""
    widths = [max(len(row[i]) for row in (titles, *rows)) for i in range(len(titles))]
    for row in (titles, ["-" * width for width in widths], *rows):
        padded = [cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(zip(row, widths))]  # noqa: B905
        yield "  ".join(padded).rstrip()


def short(value: float | None) -> str:
    """A number of days."""
    return "-" if value is None else f"{value:.0f}"


def day(moment: datetime | None) -> str:
    """A date."""
    return "-" if moment is None else f"{moment:%Y-%m-%d}"
