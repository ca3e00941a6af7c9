"""What the rule on leakage saw, in words."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_mlops.core.gate.rule import Seen
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import SHORT, clip_text, format_number, spell_out


def sections(seen: Seen) -> Iterator[Section]:
    """Word everything that was tried for knowing the label, the leaks first."""
    ordered = sorted(seen.evaluation.evidence.leaks, key=lambda leak: (not leak.leaking, not leak.asked))
    yield Section(
        key="leaks",
        title="Leakage",
        headings=("stands", "kind", "what", "in words", "value", "bound"),
        rows=tuple(
            (
                "leak" if leak.leaking else "question" if leak.asked else "none",
                spell_out(leak.kind),
                clip_text(leak.what, SHORT),
                leak.words,
                format_number(leak.value),
                format_number(leak.bound),
            )
            for leak in ordered
        ),
        tones=tuple(("bad" if leak.leaking else "unsure" if leak.asked else "good",) for leak in ordered),
    )
