"""Another package's page is harmless: no value becomes markup, and its frame reaches nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.monitoring.drift.evidently import _html
from airflow_mlops.core.monitoring.drift.sandbox import POLICY, harmless, harmless_frames, sandboxed
from airflow_mlops.core.records.candidate import Feature

EVIL = [
    "</script><script>document.title='PWNED'</script>",
    "<img src=x onerror=alert(1)>",
    "\"');alert(1)//",
    "\\u003cscript\\u003e",
    "{{7*7}}${7*7}",
    "javascript:alert(1)",
    "<!--",
    "]]>",
    "\u2028alert(1)",
    "&lt;script&gt;",
    "a\x00b",
]


class Elements(HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@given(st.text(max_size=80))
def test_no_text_keeps_a_character_of_markup(text: str) -> None:
    shown = harmless(text)
    assert not set(shown) & set("<>&\"'`\\={}$%/")
    assert shown.isprintable()
    assert len(shown) <= 60


def test_the_outer_page_has_no_script_and_the_inner_one_no_origin() -> None:
    inner = "<script>fetch('/api/2.0/mlflow/runs/delete')</script>"
    page = Elements(sandboxed(inner, '<b>"'))
    (frame,) = [attributes for tag, attributes in page.tags if tag == "iframe"]
    assert frame["sandbox"] == "allow-scripts"
    assert frame["srcdoc"] == inner
    assert [tag for tag, _ in page.tags if tag in ("script", "b", "object", "embed")] == []
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == POLICY
    for rule in ("default-src 'none'", "connect-src 'none'", "form-action 'none'", "base-uri 'none'"):
        assert rule in POLICY
    assert "allow-same-origin" not in str(frame["sandbox"])
    # The policy stands before whatever it is to hold for.
    names = [tag for tag, _ in page.tags]
    assert names.index("meta") < names.index("style") < names.index("iframe")


def frames_of(values: list[str], name: str) -> tuple[list[pd.DataFrame], list[Feature]]:
    column = pd.Series(values * 3, dtype="category")
    frame = pd.DataFrame({"load<x>": [float(n) for n in range(len(column))], name: column})
    return [frame, frame], [Feature(name="load<x>", role="numeric"), Feature(name=name, role="categorical")]


def test_names_and_shown_categories_stay_apart() -> None:
    values = ["<", ">", "\u2039", "a" * 90, "a" * 91, None]
    frames, features = frames_of(values, "c<")  # type: ignore[arg-type]
    (one, other), renamed = harmless_frames(frames, features, {"c<"})
    assert [feature.name for feature in renamed] == list(one.columns) == ["load\u2039x\u203a", "c\u2039"]
    assert one[renamed[1].name].nunique() == 5
    assert one[renamed[1].name].isna().sum() == 3
    pd.testing.assert_frame_equal(one, other)


def test_categories_that_may_not_be_shown_are_numbered_alike_on_both_sides() -> None:
    frames, features = frames_of(["Ada", "Bob", "Bob"], "person")
    (one, other), renamed = harmless_frames([frames[0], frames[1].head(4)], features, set())
    assert list(one[renamed[1].name][:3]) == ["category 2", "category 1", "category 1"]
    assert list(other[renamed[1].name]) == ["category 2", "category 1", "category 1", "category 2"]


@pytest.mark.parametrize("shown", [True, False])
def test_no_value_of_the_data_is_an_element_of_evidentlys_page(shown: bool) -> None:
    name = "c" + EVIL[0]
    frames, features = frames_of(EVIL, name)
    frames, features = harmless_frames(frames, features, {name} if shown else set())
    page = _html(frames[0], frames[1], features)
    assert "PWNED" not in "".join(str(part) for part in Elements(page).tags)
    assert ("\\u2039img src" in page) is shown  # as JSON writes it
    # As many scripts as a page of harmless words has.
    frames, features = frames_of([str(n) for n in range(len(EVIL))], "c")
    plain = _html(frames[0], frames[1], features)
    assert page.count("<script") == plain.count("<script")
    for evil in EVIL:
        if evil != "javascript:alert(1)":  # a text like any other, where it is no address
            assert page.count(evil) == plain.count(evil)
