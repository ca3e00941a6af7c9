"""Templates of a notifier's arguments: they see the event and nothing else, and end.

A template stands in a specification, and a specification is data. Airflow's own rendering would show it every
connection and variable. Here it is read first: only output, conditions, and one loop over something of the event, with
the few filters and methods that texts need. What is not known to be harmless is refused, so a template can neither
reach out of the event, nor run or grow without an end.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

    from airflow_mlops.notifications.event import LoopEvent

LONGEST = 10_000
"""Characters of one template."""
DEEPEST = 3
"""Filters one after another: what escapes a text may double its length, and so on with each."""
LARGEST = 1000
"""Number that a filter is given: `round` to a million digits takes minutes, and `truncate` needs no more."""
FILTERS = frozenset(
    {
        *("capitalize", "default", "e", "escape", "first", "join", "last", "length", "lower", "round", "safe"),
        *("string", "title", "tojson", "trim", "truncate", "upper", "urlencode"),
    }
)
METHODS = frozenset({"get", "isoformat", "items", "keys", "lower", "strftime", "title", "upper", "values"})
_NODES = frozenset(
    {
        *("Template", "Output", "TemplateData", "Name", "Getattr", "Getitem", "Const", "List", "Tuple", "Filter"),
        *("Test", "Compare", "Operand", "And", "Or", "Not", "CondExpr", "Concat", "If", "For", "Call", "Add", "Sub"),
    }
)


class NotAllowedError(ValueError):
    """A template, or a notifier, that asks for more than it is given. Its words quote nothing of the event."""


def render(value: Any, event: LoopEvent) -> Any:
    """Render every text in a value: of lists and mappings, too.

    Raises
    ------
    NotAllowedError
        If a template is none, or asks for something other than the event.
    """
    if isinstance(value, str):
        return _rendered(value, event)
    if isinstance(value, dict):
        return {key: render(held, event) for key, held in value.items()}
    return [render(held, event) for held in value] if isinstance(value, list | tuple) else value


def _rendered(text: str, event: LoopEvent) -> str:
    from jinja2 import TemplateError

    if "{" not in text:
        return text
    environment = _environment()
    try:
        _require_plain(environment, text)
        return environment.from_string(text).render(event=event)
    except TemplateError as error:  # its words quote the template only
        raise NotAllowedError(f"a template that cannot be rendered: {error.message}; it sees `event` only") from None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        if isinstance(error, NotAllowedError):
            raise
        raise NotAllowedError(f"a template that raised {type(error).__name__}; it sees `event` only") from None


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in FILTERS}
    return made


def _require_plain(environment: SandboxedEnvironment, text: str) -> None:
    from jinja2 import nodes

    if len(text) > LONGEST:
        raise NotAllowedError(f"a template of {len(text)} characters; at most {LONGEST} are rendered")
    tree = environment.parse(text)
    for node in tree.find_all(nodes.Node):
        kind = type(node).__name__
        if kind not in _NODES:
            raise NotAllowedError(f"a template with {kind}; it has outputs, conditions and one loop")
        if isinstance(node, nodes.Name) and node.name == "self":
            raise NotAllowedError("a template that looks at itself")
        if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
            raise NotAllowedError("a template that looks behind the event")
        if isinstance(node, nodes.Call) and not _is_method(node):
            raise NotAllowedError(f"a template that calls something; it may call {', '.join(sorted(METHODS))}")
        if isinstance(node, nodes.Filter):
            _require_short(node)
        if isinstance(node, nodes.For) and (node.recursive or any(True for _ in _loops_in(node))):
            raise NotAllowedError("a template with a loop inside of a loop")


def _require_short(node: Any) -> None:
    """Refuse filters that may make a text longer than any memory, or compute for ever."""
    from jinja2 import nodes

    if sum(1 for _ in node.find_all(nodes.Filter)) >= DEEPEST:
        raise NotAllowedError(f"a template with more than {DEEPEST} filters on one value")
    for given in node.args:
        if isinstance(given, nodes.Add | nodes.Sub) or any(True for _ in given.find_all((nodes.Add, nodes.Sub))):
            raise NotAllowedError("a template that computes what a filter is given")
        if any(_is_large(one.value) for one in (given, *given.find_all(nodes.Const)) if isinstance(one, nodes.Const)):
            raise NotAllowedError(f"a template that gives a filter a number above {LARGEST}")
    if node.name == "round" and not all(isinstance(given, nodes.Const) for given in node.args):
        raise NotAllowedError("a template that rounds to something else than a number of digits")
    if node.name == "join" and not isinstance(node.node, nodes.Getattr):  # and not what was joined before
        raise NotAllowedError("a template that joins something else than a field of the event")


def _is_large(value: object) -> bool:
    return isinstance(value, int | float) and not -LARGEST <= value <= LARGEST


def _loops_in(node: Any) -> Any:
    from jinja2 import nodes

    for part in (*node.body, *node.else_):
        if isinstance(part, nodes.For):
            yield part
        yield from part.find_all(nodes.For)


def _is_method(node: Any) -> bool:
    from jinja2 import nodes

    return isinstance(node.node, nodes.Getattr) and node.node.attr in METHODS and not (node.dyn_args or node.dyn_kwargs)
