"""What a container has and a process has not: names of hosts, ports and a file system of its own.

Everything else of a service is taken as it is written. Names of hosts become 127.0.0.1 with a free port for each port
of a service; what is mounted, the secrets and Airflow's home become folders of this machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from dev.compose.description import ComposeService

AIRFLOW_HOME = "/opt/airflow"
SECRETS = "/run/secrets"
HOST = "127.0.0.1"
Ports = Mapping[tuple[str, int], int]
"""Service and its port inside: the port of 127.0.0.1 that it has here."""


def mounted(service: ComposeService, root: Path, secrets: Path) -> dict[str, Path]:
    """Return the folders and files of this machine for paths of the container, the longest path first.

    Each service has an Airflow home of its own, as each container has: what two of them share is a volume.
    """
    volumes = {mount.target: mount.source or root / "volumes" / mount.name for mount in service.mounts}
    places = {AIRFLOW_HOME: root / "containers" / service.name, SECRETS: secrets, **volumes}
    return dict(sorted(places.items(), key=lambda item: -len(item[0])))


def translate(
    text: str, service: ComposeService, services: Iterable[ComposeService], ports: Ports, places: Mapping[str, Path]
) -> str:
    """Return a word of a command or a value of the environment, as it is for a process of this machine."""
    for other in services:
        for port in other.ports:
            text = _address(other.name, port, ports[other.name, port], text)
        for outside, inside in other.published.items():
            text = _address("localhost", outside, ports[other.name, inside], text)
    for port in service.ports:
        text = _address("localhost", port, ports[service.name, port], text)
        text = re.sub(rf"(?<![\w.]){port}(?![\w.])", str(ports[service.name, port]), text)
    text = text.replace("0.0.0.0", HOST)  # noqa: S104 - it is what is taken out
    for path, place in places.items():
        # split and joined: in a replacement of `re.sub` a backslash of a folder's name would have a meaning
        text = str(place).join(re.split(rf"(?<![\w./-]){re.escape(path)}(?=/|$|[\s'\");])", text))
    return text


def _address(host: str, port: int, here: int, text: str) -> str:
    return re.sub(rf"(?<![\w.-]){re.escape(host)}:{port}(?!\d)", f"{HOST}:{here}", text)
