"""Runs pods as processes of this machine: for tests, in the place of a kubelet, and of the controller of jobs.

A pod's container becomes a process with its command, its environment (words, Secrets, ConfigMaps) and its volumes as
folders; phase and exit status are written back, and a pod that is deleted is stopped. What a container engine alone can
do is not done: images, users, limits, networks. Each pod has one container.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.stack import services
from tests.support.cluster import Cluster

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
ENDED = ("Succeeded", "Failed")


@dataclass
class Kubelet:
    """Watches one namespace from a thread of its own; what goes wrong there is raised where the context ends."""

    cluster: Cluster
    namespace: str
    folder: Path
    ran: dict[str, Object] = field(default_factory=dict)
    """By name, every pod that was started."""
    lines: dict[str, list[str]] = field(default_factory=dict)
    """By name of the pod, the command of its process."""
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _error: BaseException | None = None

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    def log(self, pod: str) -> str:
        """Return what a pod's process has said."""
        return (self.folder / pod / "log").read_text(errors="replace")

    def work(self) -> None:
        """Look after the namespace until told to stop."""
        try:
            while not self._over.wait(0.3):
                self._jobs()
                self._pods()
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise to: the context does it
            self._error = error

    def end(self) -> None:
        """Let the thread come to its end."""
        self._over.set()

    def close(self) -> None:
        """Stop every process that still runs, and raise what went wrong; after the thread's end."""
        for process in self._processes.values():
            _stop(process)
        if self._error:
            raise self._error

    def _pods(self) -> None:
        pods = {each["metadata"]["name"]: each for each in self.cluster.get(f"{self._path}/pods")["items"]}
        for name, process in [*self._processes.items()]:
            if name not in pods:
                _stop(process)
                del self._processes[name]
            elif (status := process.poll()) is not None:
                self._say(name, "Succeeded" if status == 0 else "Failed", {"terminated": {"exitCode": status}})
                del self._processes[name]
        for name, pod in pods.items():
            if name not in self.ran and pod["status"].get("phase") not in ENDED:
                self.ran[name] = pod
                self._start(name, pod["spec"])

    def _start(self, name: str, spec: Object) -> None:
        (container,) = spec["containers"]
        folder = self.folder / name
        folder.mkdir(parents=True)
        places = self._volumes(spec.get("volumes", ()), container, folder)
        said = {**self._words_from(container), **self._words(container)}
        variables = {key: _moved(value, places) for key, value in said.items()}
        command = [_moved(word, places) for word in (*container.get("command", ()), *container.get("args", ()))]
        self.lines[name] = command
        root = str(Path(__file__).parents[2])
        environment = {**services.base(), "PYTHONPATH": root, "TMPDIR": str(folder), **variables}
        if command[0] == "python":
            command[0] = sys.executable
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )
        self._processes[name] = process
        self._say(name, "Running", {"running": {"startedAt": _now()}})

    def _words(self, container: Object) -> dict[str, str]:
        words = {}
        for each in container.get("env", ()):
            source = each.get("valueFrom")
            words[each["name"]] = self._secret(source["secretKeyRef"]) if source else str(each.get("value", ""))
        return words

    def _words_from(self, container: Object) -> dict[str, str]:
        words: dict[str, str] = {}
        for each in container.get("envFrom", ()):
            words |= self._data("secrets", each["secretRef"]["name"])
        return words

    def _secret(self, reference: Object) -> str:
        return self._data("secrets", reference["name"])[reference["key"]]

    def _data(self, kind: str, name: str) -> dict[str, str]:
        found = self.cluster.get(f"{self._path}/{kind}/{name}").get("data", {})
        if kind == "configmaps":
            return dict(found)
        return {key: base64.b64decode(value).decode() for key, value in found.items()}

    def _volumes(self, volumes: list[Object], container: Object, folder: Path) -> dict[str, str]:
        """Make the volumes; return the folder for each path that the container has them at."""
        places = {}
        for number, volume in enumerate(volumes):
            place = folder / f"volume-{number}"
            place.mkdir()
            if "configMap" in volume:
                for file, text in self._data("configmaps", volume["configMap"]["name"]).items():
                    (place / file).write_text(text)
            for mount in container.get("volumeMounts", ()):
                # Programs find /tmp by TMPDIR; as a word it is also the beginning of paths of this machine.
                if mount["name"] == volume["name"] and mount["mountPath"] != "/tmp":  # noqa: S108
                    places[mount["mountPath"]] = str(place)
        return places

    def _say(self, name: str, phase: str, state: Object) -> None:
        (container,) = self.ran[name]["spec"]["containers"]
        status = {
            "phase": phase,
            "startTime": _now(),
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": phase == "Running",
                    "restartCount": 0,
                    "state": state,
                }
            ],
        }
        answer = self.cluster.ask("PATCH", f"{self._path}/pods/{name}/status", {"status": status}, content=MERGE)
        assert answer.ok or answer.status_code == 404, answer.text

    def _jobs(self) -> None:
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs"
        for job in self.cluster.get(path)["items"]:
            name = job["metadata"]["name"]
            if job["status"].get("completionTime") or job["status"].get("failed"):
                continue
            pod = self.cluster.ask("GET", f"{self._path}/pods/{name}")
            if pod.status_code == 404:
                template = job["spec"]["template"]
                owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"]}
                about = {"name": name, "labels": template["metadata"]["labels"], "ownerReferences": [owner]}
                body = {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": template["spec"]}
                self.cluster.make(f"{self._path}/pods", body)
            elif (phase := pod.json()["status"].get("phase")) in ENDED:
                answer = self.cluster.ask("PATCH", f"{path}/{name}/status", {"status": _ended(phase)}, content=MERGE)
                assert answer.ok, answer.text
                self.cluster.ask("DELETE", f"{self._path}/pods/{name}", gracePeriodSeconds="0")
                self.ran.pop(name)


def _ended(phase: str) -> Object:
    """Return the status of a job whose only pod has ended."""
    begins, ends = ("SuccessCriteriaMet", "Complete") if phase == "Succeeded" else ("FailureTarget", "Failed")
    said = {"status": "True", "reason": phase, "lastTransitionTime": _now()}
    status: Object = {
        "startTime": _now(),
        "uncountedTerminatedPods": {},
        "conditions": [{"type": begins, **said}, {"type": ends, **said}],
    }
    return {**status, "succeeded": 1, "completionTime": _now()} if phase == "Succeeded" else {**status, "failed": 1}


def _moved(text: str, places: dict[str, str]) -> str:
    for path, place in places.items():
        text = place.join(re.split(rf"(?<![\w./-]){re.escape(path)}(?=/|$)", text))
    return text


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(15)


@contextmanager
def running_pods(cluster: Cluster, namespace: str, folder: Path) -> Iterator[Kubelet]:
    """Run the pods of a namespace while it is open."""
    kubelet = Kubelet(cluster, namespace, folder)
    thread = threading.Thread(target=kubelet.work)
    thread.start()
    try:
        yield kubelet
    finally:
        kubelet.end()
        thread.join()
        kubelet.close()
