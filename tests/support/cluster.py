"""A real Kubernetes API server over a real etcd, on loopback, and helm against it. Nothing in it runs pods.

There is no scheduler and no controller: objects are stored, validated and authorised, watches work, and that is all.
What makes pods run as processes is tests/support/kubelet.py.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from dev.kubernetes import tools
from dev.stack.process import Service, spawn, stop
from tests.support.charts import CHART, values_file
from tests.support.servers import free_port

JSON = "application/json"


@dataclass(frozen=True)
class Cluster:
    """What is needed to talk to the server as its administrator, or as somebody with a token."""

    folder: Path
    url: str
    token: str
    helm: Path

    @property
    def authority(self) -> Path:
        """The server's own certificate: it signs itself."""
        return self.folder / "certificates" / "apiserver.crt"

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str = "", content: str = JSON, **query: str
    ) -> requests.Response:
        """Send a request and return the answer, whatever it is."""
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": content}
        data = None if body is None else json.dumps(body)  # JSON is YAML, too
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method,
                self.url + path,
                params=query,
                data=data,
                headers=headers,
                verify=str(self.authority),
                timeout=30,
            )

    def make(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object; it must be accepted."""
        answer = self.ask("POST", path, body)
        assert answer.ok, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def get(self, path: str) -> dict[str, Any]:
        """Read an object; it must be there."""
        answer = self.ask("GET", path)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def namespace(self, name: str) -> str:
        """Make a namespace of that name."""
        self.make("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    def account(self, namespace: str, name: str) -> None:
        """Make a ServiceAccount, as another chart would."""
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        self.make(f"/api/v1/namespaces/{namespace}/serviceaccounts", body)

    def secret(self, namespace: str, name: str, **words: str) -> None:
        """Make a Secret."""
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": words}
        self.make(f"/api/v1/namespaces/{namespace}/secrets", body)

    def token_of(self, namespace: str, account: str) -> str:
        """Return a token by which its holder is that account."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
        made = self.make(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", body)
        return str(made["status"]["token"])

    def may(self, token: str, namespace: str, verb: str, resource: str, subresource: str = "") -> bool:
        """Ask the server whether the holder of a token may do that: what `kubectl auth can-i` asks."""
        what = {"namespace": namespace, "verb": verb, "resource": resource, "subresource": subresource}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": what},
        }
        answer = self.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body, token=token)
        assert answer.ok, answer.text
        return bool(answer.json()["status"]["allowed"])

    def kubeconfig(self, token: str, file: Path) -> Path:
        """Write a file by which programs are the holder of a token."""
        server = {"server": self.url, "certificate-authority": str(self.authority)}
        said = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": server}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }
        file.write_text(yaml.safe_dump(said))
        file.chmod(0o600)
        return file

    def run_helm(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run helm as the administrator."""
        where = ["--kube-apiserver", self.url, "--kube-token", self.token, "--kube-ca-file", str(self.authority)]
        return subprocess.run([str(self.helm), *words, *where], capture_output=True, text=True, check=False)

    def install(self, release: str, namespace: str, values: str, *more: str, command: str = "install") -> None:
        """Install or upgrade the chart with a set of values."""
        words = [command, release, str(CHART), "--namespace", namespace, "--values", str(values_file(values)), *more]
        done = self.run_helm(*words)
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Start etcd and the API server, wait until they are ready, and stop them by their ids."""
    etcd, server = tools.control_plane()
    helm = tools.helm()
    folder.mkdir(mode=0o700, parents=True)
    token = secrets.token_urlsafe(24)
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    (folder / "tokens.csv").chmod(0o600)
    subprocess.run(["openssl", "genrsa", "-out", str(folder / "sa.key"), "2048"], check=True, capture_output=True)
    client, peer, secure = free_port(), free_port(), free_port()
    cluster = Cluster(folder, f"https://127.0.0.1:{secure}", token, helm)
    services: list[Service] = []

    def start(name: str, command: list[str]) -> None:
        services.append(spawn(name, command, {"HOME": str(folder)}, folder / f"{name}.log", folder))

    try:
        start("etcd", _etcd(etcd, folder, client, peer))
        start("kube-apiserver", _server(server, folder, client, secure))
        _wait(cluster, services)
        for path in tools.operator_kinds():
            answer = cluster.ask(
                "POST",
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                yaml.safe_load(path.read_text(encoding="utf-8")),
            )
            assert answer.ok, answer.text
        yield cluster
    finally:
        stop(reversed(services), seconds=10)


def _etcd(program: Path, folder: Path, client: int, peer: int) -> list[str]:
    here, other = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        *(str(program), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--log-level", "warn"),
        *("--listen-client-urls", here, "--advertise-client-urls", here),
        *("--listen-peer-urls", other, "--initial-advertise-peer-urls", other, "--initial-cluster", f"default={other}"),
    ]


def _server(program: Path, folder: Path, client: int, secure: int) -> list[str]:
    return [
        *(str(program), f"--etcd-servers=http://127.0.0.1:{client}", f"--secure-port={secure}"),
        *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--cert-dir={folder / 'certificates'}"),
        *(f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC"),
        *(f"--service-account-key-file={folder / 'sa.key'}", f"--service-account-signing-key-file={folder / 'sa.key'}"),
        *("--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.0.0.0/24"),
        # It would wait for the account `default`, which a controller makes, and there are no controllers.
        "--disable-admission-plugins=ServiceAccount",
    ]


def _wait(cluster: Cluster, services: list[Service]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for service in services:
            assert service.alive, service.ending
        try:
            if cluster.authority.exists() and cluster.ask("GET", "/readyz").status_code == 200:
                return
        except requests.RequestException:
            time.sleep(0.3)
        time.sleep(0.3)
    raise AssertionError(services[-1].ending)
