"""The real helm. Where it is not built yet, it is; where it cannot be, these tests fail with what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.kubernetes import tools


@pytest.fixture(scope="session")
def helm() -> Path:
    return tools.helm()
