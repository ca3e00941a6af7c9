"""Read compose.yaml: the part of the Compose specification that this project's own file uses, and nothing of it twice.

What a service is, its command, environment, mounts, health check and what it waits for, stands in that file alone. A
key that this reader does not know is an error and not something left out: what is run as processes is what is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from dev.errors import DevError

FILE = Path(__file__).parents[2] / "docker" / "compose.yaml"
Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\})")
_KNOWN = {
    *("command", "depends_on", "entrypoint", "environment", "expose", "healthcheck", "image", "ports", "profiles"),
    *("secrets", "volumes"),
}
_OF_CONTAINERS = {
    *("build", "cap_drop", "init", "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "user"),
}
"""What only an engine can do: how a container is built, closed off and kept running."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """Something of the host below a path of the container; without a source it is a volume that the engine keeps."""

    target: str
    source: Path | None
    name: str


@dataclass(frozen=True, kw_only=True)
class ComposeService:
    """One service of the file."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ports: tuple[int, ...]
    """Ports that it listens on, inside."""
    published: Mapping[int, int]
    """Port of the host: port inside."""
    mounts: tuple[Mount, ...]
    secrets: tuple[str, ...]
    health: tuple[str, ...]
    """Command that ends well when the service is healthy; empty without a check."""
    needs: Mapping[str, Condition]
    profiles: tuple[str, ...]


def load(variables: Mapping[str, str], file: Path = FILE) -> dict[str, ComposeService]:
    """Read the services, in an order in which each comes after those that it needs.

    Parameters
    ----------
    variables
        What ``${NAME:-default}`` of the file stands for; others have their default.
    file
        The compose file; relative paths of the host start at its folder.

    Raises
    ------
    DevError
        If it says something that this reader does not know, or a variable has neither value nor default.
    """
    said = _interpolated(yaml.safe_load(file.read_text(encoding="utf-8")), variables)
    services = {name: _service(name, entry, file.parent) for name, entry in said["services"].items()}
    return {name: services[name] for name in _ordered(services)}


def secret_files(variables: Mapping[str, str], file: Path = FILE) -> dict[str, Path]:
    """Return where the file of each secret lies on the host."""
    said = _interpolated(yaml.safe_load(file.read_text(encoding="utf-8")), variables)
    return {name: (file.parent / entry["file"]).resolve() for name, entry in said["secrets"].items()}


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Put values in the place of variables, as the Compose specification says; two dollars are one.

    >>> interpolate("${PORT:-8080}: $$(cat file) ${TAG:-local}", {"TAG": "1"})
    '8080: $(cat file) 1'
    """

    def value(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return "$"
        if variables.get(name):
            return variables[name]
        if found["default"] is None:
            raise DevError(f"compose.yaml asks for ${{{name}}}, which has no value and no default")
        return found["default"]

    return _VARIABLE.sub(value, text)


def _interpolated(said: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(said, dict):
        return {name: _interpolated(value, variables) for name, value in said.items()}
    if isinstance(said, list):
        return [_interpolated(value, variables) for value in said]
    return interpolate(said, variables) if isinstance(said, str) else said


def _service(name: str, said: dict[str, Any], folder: Path) -> ComposeService:
    unknown = sorted(set(said) - _KNOWN - _OF_CONTAINERS)
    if unknown:
        raise DevError(f"compose.yaml: service {name} has {', '.join(unknown)}, which dev/compose does not understand")
    published = dict(_published(entry) for entry in said.get("ports", ()))
    exposed = (port for port in said.get("expose", ()) if not port.endswith("/udp"))
    return ComposeService(
        name=name,
        image=said["image"],
        command=(*said.get("entrypoint", ()), *said.get("command", ())),
        environment={key: str(value) for key, value in said.get("environment", {}).items()},
        ports=(*published.values(), *map(int, exposed)),
        published=published,
        mounts=tuple(_mount(entry, folder) for entry in said.get("volumes", ())),
        secrets=tuple(said.get("secrets", ())),
        health=_health(said.get("healthcheck", {}).get("test", ())),
        needs={needed: entry["condition"] for needed, entry in said.get("depends_on", {}).items()},
        profiles=tuple(said.get("profiles", ())),
    )


def _published(entry: str) -> tuple[int, int]:
    _, outside, inside = entry.rsplit(":", 2)
    return int(outside), int(inside)


def _mount(entry: str, folder: Path) -> Mount:
    source, target, *_ = entry.split(":")
    of_host = source.startswith(("/", "."))
    return Mount(target=target, source=(folder / source).resolve() if of_host else None, name=Path(source).name)


def _health(test: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    if not test:
        return ()
    kind, *words = test
    return ("sh", "-c", *words) if kind == "CMD-SHELL" else tuple(words)


def _ordered(services: Mapping[str, ComposeService]) -> list[str]:
    ordered: list[str] = []
    while len(ordered) < len(services):
        ready = [name for name in services if name not in ordered and set(services[name].needs) <= set(ordered)]
        if not ready:
            raise DevError(f"compose.yaml: {', '.join(sorted(set(services) - set(ordered)))} wait for each other")
        ordered += ready
    return ordered
