"""The type of NumPy arrays in signatures."""

from __future__ import annotations

from typing import Any

Array = Any
"""numpy.ndarray; its import must not be paid for by whoever only names the type."""
