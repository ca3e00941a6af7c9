"""A proposal as the text of a specification: each line with its reason above it."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_mlops.core.proposal.propose import Proposal
from airflow_mlops.core.text import visible

_WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z_/][\w./-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def to_yaml(proposal: Proposal, command: str) -> str:
    """Return the specification's text, commented.

    Parameters
    ----------
    command
        What it was written by, for its head.
    """
    codes = "; ".join(f"{column}: {why}" for column, why in proposal.codes.items())
    reasons = {
        **({"data.source": codes} if proposal.codes else {}),
        "data.time": _said(proposal.time.reason, proposal.time.sure),
        "data.key": _said(proposal.key.reason, proposal.key.sure),
        "data.label": _said(_label(proposal), proposal.target.label.sure),
        "data.positive": _said("the rarer of the two; metrics of one class and `probability` are about it", False),
        **{setting.field: setting.reason for setting in proposal.settings},
    }
    head = (
        f"Written by `{command}` from {proposal.rows}. Every line is a proposal, with its reason above it; what a line "
        "means, and every other field: docs/specification.md."
    )
    lines = [*_comment(head, ""), *_mapping(proposal.document(), proposal, reasons, ())]
    return "\n".join(lines) + "\n"


def _label(proposal: Proposal) -> str:
    target = proposal.target
    if target.share is not None:
        return f"{target.label.reason}; {target.share:.1%} of the rows are {target.rare!r}"
    if target.classes:
        return f"{target.label.reason}; {len(target.classes)} classes: {', '.join(target.classes[:8])}"
    return target.label.reason


def _said(reason: str, sure: bool) -> str:
    return reason if sure else f"A GUESS, look at it: {reason}"


def _mapping(
    found: Mapping[str, Any], proposal: Proposal, reasons: Mapping[str, str], path: tuple[str, ...]
) -> Iterator[str]:
    indent = "  " * len(path)
    for name, value in found.items():
        here = (*path, name)
        field = ".".join(here)
        if field in reasons:
            yield from _comment(reasons[field], indent)
        if field == "data.source":
            inside = ", ".join(f"{key}: {_scalar(one)}" for key, one in value.items())
            yield f"{indent}{name}: {{{inside}}}"
        elif field == "features.exclude":
            yield f"{indent}{name}:"
            for column in value:
                yield from _comment(proposal.excluded[column], f"{indent}  ")
                yield f"{indent}  - {_scalar(column)}"
        elif isinstance(value, Mapping):
            yield f"{indent}{name}:"
            yield from _mapping(value, proposal, reasons, here)
        elif isinstance(value, list):
            yield f"{indent}{name}: [{', '.join(map(_scalar, value))}]"
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _comment(text: str, indent: str) -> Iterator[str]:
    # A comment ends where YAML ends a line, and it does at five characters; names and classes are the data's words.
    for line in textwrap.wrap(visible(text), _WIDTH - len(indent) - 2, break_on_hyphens=False):
        yield f"{indent}# {line}"


def _scalar(value: Any) -> str:
    text = str(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_scalar(one)}' for name, one in value.items())}}}"
    if not isinstance(value, str) or re.fullmatch(r"\d+[dh]", text):
        return text
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else _quoted(text)


def _quoted(text: str) -> str:
    return visible(json.dumps(text, ensure_ascii=False), keep="")
