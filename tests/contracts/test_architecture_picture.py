"""The picture of the floors is that of the import contracts, from top to bottom."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
TEXT = re.compile(r'<text x="[^"]+" y="(?P<y>[\d.]+)"[^>]*font-weight="600"[^>]*>(?P<name>\w+)</text>')
PICTURE = {found["name"]: float(found["y"]) for found in TEXT.finditer((ROOT / "docs/images/floors.svg").read_text())}


@pytest.mark.parametrize("contract", ["floors", "core"])
def test_a_floor_stands_below_those_that_may_use_it(contract: str) -> None:
    layers = [re.split(r"\s*[|:]\s*", layer) for layer in CONTRACTS[contract]["layers"]]
    drawn = [[PICTURE[name] for name in layer] for layer in layers if layer != ["core"]]  # core is drawn as its rooms
    assert len(drawn) >= 10
    assert all(max(above) < min(below) for above, below in pairwise(drawn))


def test_nothing_else_is_drawn() -> None:
    named = {
        name
        for contract in ("floors", "core")
        for layer in CONTRACTS[contract]["layers"]
        for name in re.findall(r"\w+", layer)
    }
    assert set(PICTURE) == named - {"core"}
