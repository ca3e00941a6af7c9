"""A test that asserts only inside a loop over results passes when there are none: it asserts their length first.

The rule knows no names. A loop runs at least once over what is written down where the test is read: a literal, a range
of numbers, a constant of the module, what `parametrize` or `given` gives, and what `zip`, `sorted` or a comprehension
without a condition makes of these. Over anything else it may not run, and then one assertion must stand outside of it.
So `all(...)` is judged as the loop that it is. What a helper asserts, and what must raise, counts as asserted.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py"))
AS_MANY = {"enumerate", "sorted", "reversed", "list", "tuple", "set", "iter"}
"""Functions that give as many as their first argument has, or at least one if it has any."""
Function = ast.FunctionDef | ast.AsyncFunctionDef
Loop = ast.For | ast.AsyncFor


class Rule:
    """Judges the test functions of one module."""

    def __init__(self, source: str) -> None:
        self.module = ast.parse(source)
        self.functions = [node for node in ast.walk(self.module) if isinstance(node, Function)]
        self.asserting = {each.name for each in self.functions if any(map(_asserts, ast.walk(each)))}

    def offenders(self) -> list[str]:
        """Return the tests that assert, but that may not come to any of their assertions."""
        return [each.name for each in self.functions if each.name.startswith("test_") and self._is_empty_promise(each)]

    def _is_empty_promise(self, test: Function) -> bool:
        known = _written_down(test)
        found = list(self._assertions(test.body, known, certain=True))
        return bool(found) and not any(found)

    def _assertions(self, body: list[ast.stmt], known: dict[str, ast.expr | None], *, certain: bool) -> Iterator[bool]:
        """Yield for each assertion whether the loops around it run at least once."""
        for node in body:
            if isinstance(node, ast.Assert):
                yield certain and not _is_vacuous(node.test, known)
            elif isinstance(node, Loop):
                yield from self._assertions(node.body, known, certain=certain and _runs(node.iter, known))
                yield from self._assertions(node.orelse, known, certain=certain)
            else:
                yield from (certain for part in _expressions(node) if self._is_assertion(part))
                for inner in _bodies(node):
                    yield from self._assertions(inner, known, certain=certain)

    def _is_assertion(self, node: ast.AST) -> bool:
        return _asserts(node) or (isinstance(node, ast.Call) and _name_of(node.func) in self.asserting)


def _name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _asserts(node: ast.AST) -> bool:
    """Return whether this asserts by itself: `assert`, `assert_...(...)`, `pytest.raises`, `warns` or `fail`."""
    if isinstance(node, ast.Call):
        name = _name_of(node.func)
        return name.startswith("assert_") or name in {"raises", "warns", "fail"}
    return isinstance(node, ast.Assert)


def _bodies(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        if body := getattr(node, name, None):
            yield body
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield part.body


def _expressions(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield the expressions of a statement, without the statements below it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.expr, ast.withitem)):
            yield from ast.walk(child)


def _written_down(test: Function) -> dict[str, ast.expr | None]:
    """Return the local names that are bound once, and to what; what `parametrize` and `given` give is None."""
    bound: dict[str, list[ast.expr | None]] = {}
    for node in ast.walk(test):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = [part.id for part in ast.walk(target) if isinstance(part, ast.Name)]
                for name in names:
                    bound.setdefault(name, []).append(node.value if isinstance(target, ast.Name) else ast.Tuple([]))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            bound.setdefault(node.target.id, []).append(node.value or ast.Tuple([]))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.setdefault(node.id, [])
    known = {name: values[0] for name, values in bound.items() if len(values) == 1}
    return known | dict.fromkeys(_given(test), None)


def _given(test: Function) -> Iterator[str]:
    """Yield the arguments whose values stand in the test's decorators: they are its inputs, not its results."""
    arguments = [argument.arg for argument in test.args.args]
    for decorator in test.decorator_list:
        if not isinstance(decorator, ast.Call):
            continue
        if _name_of(decorator.func) == "parametrize":
            for part in ast.walk(decorator.args[0]):
                if isinstance(part, ast.Constant):
                    yield from (name.strip() for name in str(part.value).split(","))
        elif _name_of(decorator.func) == "given":
            yield from (word.arg for word in decorator.keywords if word.arg)
            yield from arguments[len(arguments) - len(decorator.args) :]


def _runs(iterable: ast.expr, known: dict[str, ast.expr | None]) -> bool:
    """Return whether a loop over this runs at least once, as far as the test's own text says."""
    found = False
    match iterable:
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            found = any(not isinstance(part, ast.Starred) or _runs(part.value, known) for part in parts)
        case ast.Dict(keys=keys):
            found = bool(keys)
        case ast.Constant(value=value):
            found = bool(value)
        case ast.Name(id=name):
            value = known.get(name)
            found = name.isupper() or (name in known and (value is None or _runs(value, known)))
        case ast.Attribute(attr=name):
            found = name.isupper()
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            found = _runs(left, known) or _runs(right, known)
        case ast.ListComp(generators=parts) | ast.GeneratorExp(generators=parts) | ast.SetComp(generators=parts):
            found = all(not part.ifs and _runs(part.iter, known) for part in parts)
        case ast.Call():
            found = _call_runs(iterable, known)
    return found


def _call_runs(call: ast.Call, known: dict[str, ast.expr | None]) -> bool:
    name = _name_of(call.func)
    if name == "range":
        return all(isinstance(bound, ast.Constant) or _name_of(bound).isupper() for bound in call.args)
    if name == "zip":
        strict = any(word.arg == "strict" and ast.unparse(word.value) == "True" for word in call.keywords)
        return (any if strict else all)(_runs(part, known) for part in call.args)
    if name == "product":
        return all(_runs(part, known) for part in call.args)
    if name in {"items", "values", "keys"} and isinstance(call.func, ast.Attribute):
        return _runs(call.func.value, known)
    return name in AS_MANY and bool(call.args) and _runs(call.args[0], known)


def _is_vacuous(test: ast.expr, known: dict[str, ast.expr | None]) -> bool:
    """Return whether an assertion is `all(...)` over what may be nothing; beside another condition it is not."""
    match test:
        case ast.Call(func=ast.Name(id="all"), args=[ast.GeneratorExp() | ast.ListComp() as parts]):
            return not _runs(parts, known)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_is_vacuous(value, known) for value in values)
    return False


def test_there_are_files() -> None:
    assert len(FILES) > 180


@pytest.mark.parametrize("file", FILES)
def test_no_test_asserts_only_where_it_may_never_come(file: str) -> None:
    offenders = Rule((TESTS / file).read_text(encoding="utf-8")).offenders()
    assert offenders == [], "asserts only inside loops over results: assert their length, or what they are, first"


FOUND = [
    "for x in results(): assert x",
    "for x in found.columns: assert x",
    "for a in (1, 2):\n    for b in results(a): assert b",
    "assert all(x > 0 for x in results())",
    "assert all(x > 0 for x in results()) and all(x < 9 for x in results())",
    "found = results()\nfor x in found: assert x",
    "found = [1]\nfound = results()\nfor x in found: assert x",
    "for x, y in zip(results(), others(), strict=True): assert x == y",
    "for x in [y for y in (1, 2) if good(y)]: assert x",
    "for number in range(len(results())): assert number",
    "for x in results():\n    with pytest.raises(ValueError): act(x)",
    "for x in results(): np.testing.assert_array_equal(x, 0)",
    "for x in [*results()]: assert x",
    "try:\n    for x in results(): assert x\nfinally: close()",
]
FREE = [
    "assert len(results()) == 2\nfor x in results(): assert x",
    "for x in (1, 2): assert x",
    "for x in {1: 2}.items(): assert x",
    "parts = [1, 2]\nfor x in parts: assert x",
    "for x in CASES: assert x",
    "for x in registry.CASES: assert x",
    "for number in range(40): assert act(number)",
    "for x, y in zip(results(), (1, 2), strict=True): assert x == y",
    "assert all(results(x) for x in (1, 2))",
    "assert results() and all(x > 0 for x in results())",
    "assert any(x > 0 for x in results())",
    "for x in results(): print(x)",
    "for x in results():\n    assert x\nelse:\n    assert done()",
    "for x in results(): assert x\nwith pytest.raises(ValueError): act()",
    "for x in results(): assert x\nassert_same(1, 2)",
    "for x in results(): assert x\nhelp_to_check()",
    "for x in (*results(), 1): assert x",
    "reports = [act() for _ in range(3)]\nfor x in reports: assert x",
    "for x in given: assert x",
    "for x in drawn: assert x",
    "parts: list[int] = [1, 2]\nfor x in parts: assert x",
]


def indented(body: str) -> str:
    return "\n".join(f"    {line}" for line in body.splitlines())


def module_of(body: str) -> str:
    helper = "def help_to_check():\n    assert True\n\n"
    decorators = "@pytest.mark.parametrize('given', [[1], [2]])\n@given(st.lists(st.integers()))\n"
    return f"{helper}{decorators}def test_it(given, drawn):\n{indented(body)}\n"


@pytest.mark.parametrize("body", FOUND)
def test_the_rule_finds_what_may_assert_nothing(body: str) -> None:
    assert Rule(module_of(body)).offenders() == ["test_it"]


@pytest.mark.parametrize("body", FREE)
def test_the_rule_lets_pass_what_asserts_something(body: str) -> None:
    assert Rule(module_of(body)).offenders() == []
