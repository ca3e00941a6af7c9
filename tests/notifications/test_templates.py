"""Templates of a notifier's arguments: they see the event, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.notifications import LoopEvent, loop_event
from airflow_mlops.notifications.templates import NotAllowedError, render
from tests.support.builders import make_spec


@pytest.fixture(scope="module")
def event() -> LoopEvent:
    return loop_event(
        make_spec(), "rejected", reasons=["worse in city = {{ 6 * 7 }}", "weak"], links={"Report": "https://x/y"}
    )


def test_what_texts_need_is_rendered(event: LoopEvent) -> None:
    given = {
        "a": "{{ event.title }} of {{ event.owner | upper }}",
        "b": ["{% if event.version %}v{{ event.version }}{% else %}none{% endif %}", 7, None],
        "c": "{% for name, url in event.links.items() %}{{ name }}: {{ url }};{% endfor %}",
        "d": {"e": "{{ event.reasons | join(', ') }}", "f": "no template"},
        "h": "{{ 1.25|round(1) }} {{ event.title|truncate(9, true) }} {{ event.version|default(0) }}",
        "g": "{{ event.reasons[1] ~ '!' }} {{ event.as_of.isoformat() if event.as_of else 'now' }}",
    }
    assert render(given, event) == {
        "a": "m: the gate rejected a candidate of O",
        "b": ["none", 7, None],
        "c": "Report: https://x/y;",
        "d": {"e": "worse in city = {{ 6 * 7 }}, weak", "f": "no template"},
        "h": "1.2 m: the... None",
        "g": "weak! now",
    }


REFUSED = [
    "{{ conn.warehouse.password }}",
    "{{ var.value.key }}",
    "{{ ti }}",
    "{{ macros }}",
    "{{ params }}",
    "{{ config }}",
    "{{ event.__class__ }}",
    "{{ event['__class__'] }}",
    "{{ event.__init__.__globals__ }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ event|attr('__class__') }}",
    "{{ event.from_json('{}') }}",
    "{{ event.payload() }}",
    "{{ range(10**9) }}",
    "{{ lipsum() }}",
    "{{ cycler.__init__ }}",
    "{{ self }}",
    "{{ self.__init__ }}",
    "{{ namespace() }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ 'a' * 10**10 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ 'a'.center(10**9) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{% macro a() %}{{ a() }}{% endmacro %}",
    "{% for a in event.text %}{% for b in event.text %}x{% endfor %}{% endfor %}",
    "{% set a = 1 %}",
    "{{ event",
    "{% for %}",
    "{% for a in event.text recursive %}{{ loop(a) }}{% endfor %}",
    "{{ event.text|tojson|tojson|tojson|tojson }}",
    "{{ (event.text|join(event.text))|join(event.text) }}",
    "{{ event.nothing }}",
    "{{ nothing }}",
    "{{ event.reasons[9] }}",
    "{{ event.text.format_map(event) }}",
    "{{ event.links.get(*event.links) }}",
    "{{ 1.5|round(1000000, 'ceil') }}",
    "{{ 1.5|round(1001, 'floor') }}",
    "{{ 1.5|round(900 + 900, 'floor') }}",
    "{{ 1.5|round(event.version or 7, 'ceil') }}",
    "{{ event.text|truncate(2000) }}",
    "{{ event.text" + " ~ event.text" * 1000 + " }}",
]


@pytest.mark.parametrize("template", REFUSED)
def test_nothing_else_is_seen_run_or_made(template: str, event: LoopEvent) -> None:
    with pytest.raises(NotAllowedError, match="template"):
        render({"message": template}, event)


def test_a_value_of_the_event_is_not_a_template(event: LoopEvent) -> None:
    assert render("{{ event.reasons[0] }}", event) == "worse in city = {{ 6 * 7 }}"


@pytest.mark.parametrize("value", [None, 1, True, 1.5, [], {}])
def test_what_is_no_text_stays(value: Any, event: LoopEvent) -> None:
    assert render(value, event) == value


@pytest.mark.parametrize("digits", ["1000000", "-1000000", "1e300", "1001"])
def test_a_number_that_would_take_minutes_is_refused_before_it_is_computed(digits: str, event: LoopEvent) -> None:
    with pytest.raises(NotAllowedError, match=r"number above|computes|than a number of digits"):
        render("{{ 1.5|round(DIGITS, 'ceil') }}".replace("DIGITS", digits), event)
