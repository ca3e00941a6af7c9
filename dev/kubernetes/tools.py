"""Build helm, etcd and kube-apiserver from the Go module proxy, once for each version, into a folder that git ignores.

There is no other way to them on a machine that may only use package registries, and it is the same on every machine:
versions stand here, and Go verifies what it downloads against the checksum database.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dev.errors import DevError

HELM = "v3.22.0"
HELM_DOCS = "v1.14.2"
KUBERNETES = "v1.36.3"
OPERATOR = "v0.85.0"
"""Of the Prometheus operator: whose kinds ServiceMonitor and PrometheusRule are."""
MODULE = "k8s.io/kubernetes"
ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("MLOPS_TOOLS") or ROOT / ".tools")
"""Where the programs are kept; another place, shared by several checkouts, by the environment variable."""
_STAGING = "./staging/src/"
_IMPORTS = """//go:build programs

package programs

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
"""
Say = Callable[[str], None]


def helm(say: Say = print) -> Path:
    """Return the program helm, built if it is missing."""
    return _kept(f"helm-{HELM}", ("helm",), "about six minutes", _build_helm, say)["helm"]


def helm_docs(say: Say = print) -> Path:
    """Return the program helm-docs, built if it is missing."""
    return _kept(f"helm-docs-{HELM_DOCS}", ("helm-docs",), "two minutes", _build_helm_docs, say)["helm-docs"]


def operator_kinds(say: Say = print) -> tuple[Path, Path]:
    """Return the definitions of the kinds ServiceMonitor and PrometheusRule, fetched if they are missing."""
    names = ("servicemonitors.yaml", "prometheusrules.yaml")
    kept = _kept(f"prometheus-operator-{OPERATOR}", names, "a minute", _fetch_operator_kinds, say)
    return kept[names[0]], kept[names[1]]


def control_plane(say: Say = print) -> tuple[Path, Path]:
    """Return the programs etcd and kube-apiserver, built if they are missing."""
    names = ("etcd", "kube-apiserver")
    built = _kept(f"kubernetes-{KUBERNETES}", names, "about ten minutes", _build_control_plane, say)
    return built["etcd"], built["kube-apiserver"]


def kubernetes_go_mod(own: dict[str, Any]) -> str:
    """Return a module that needs Kubernetes, from what `go mod edit -json` says of Kubernetes' own module.

    That one cannot be installed by version: it replaces the modules that are developed inside of it by folders of its
    own, and Go refuses that. Each is published under the same minor version, so v1.36.3 becomes v0.36.3.

    Examples
    --------
    >>> inside = {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}}
    >>> print(kubernetes_go_mod({"Go": "1.26.0", "Replace": [inside]}))
    module airflow-mlops/tools
    <BLANKLINE>
    go 1.26.0
    <BLANKLINE>
    require k8s.io/kubernetes v1.36.3
    <BLANKLINE>
    replace k8s.io/api => k8s.io/api v0.36.3
    <BLANKLINE>
    """
    staged = KUBERNETES.replace("v1.", "v0.", 1)
    paths = [each["Old"]["Path"] for each in own["Replace"] if each["New"]["Path"].startswith(_STAGING)]
    replaced = "\n".join(f"replace {path} => {path} {staged}" for path in paths)
    return f"module airflow-mlops/tools\n\ngo {own['Go']}\n\nrequire {MODULE} {KUBERNETES}\n\n{replaced}\n"


def _kept(
    name: str, programs: Sequence[str], how_long: str, build: Callable[[Path], None], say: Say
) -> dict[str, Path]:
    """Return programs by name; a folder is made whole or not at all, so what is there was built to its end."""
    folder = FOLDER / name
    if not folder.is_dir():
        if shutil.which("go") is None:
            raise DevError(
                f"{' and '.join(programs)} must be built from source and Go is missing: install Go 1.26 or newer "
                "(https://go.dev/dl) and call this again"
            )
        say(f"building {' and '.join(programs)} into {folder}: {how_long} on two quiet cores, and only once")
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER, prefix=f".{name}.") as fresh:
            made = Path(fresh) / name
            made.mkdir()
            build(made)
            made.rename(folder)
    return {program: folder / program for program in programs}


def _build_helm(folder: Path) -> None:
    _go(folder, "install", "-p", "1", "-trimpath", f"helm.sh/helm/v3/cmd/helm@{HELM}", GOBIN=str(folder))


def _build_helm_docs(folder: Path) -> None:
    program = f"github.com/norwoodj/helm-docs/cmd/helm-docs@{HELM_DOCS}"
    _go(folder, "install", "-p", "1", "-trimpath", program, GOBIN=str(folder))


def _fetch_operator_kinds(folder: Path) -> None:
    module = f"github.com/prometheus-operator/prometheus-operator@{OPERATOR}"
    source = Path(json.loads(_go(folder, "mod", "download", "-json", module))["Dir"])
    for name in ("servicemonitors", "prometheusrules"):
        (found,) = source.glob(f"example/prometheus-operator-crd/monitoring.coreos.com_{name}.yaml")
        (folder / f"{name}.yaml").write_text(found.read_text(encoding="utf-8"), encoding="utf-8")


def _build_control_plane(folder: Path) -> None:
    module = folder.parent / "module"
    module.mkdir()
    (module / "programs.go").write_text(_IMPORTS, encoding="utf-8")
    downloaded = json.loads(_go(module, "mod", "download", "-json", f"{MODULE}@{KUBERNETES}"))
    own = json.loads(_go(module, "mod", "edit", "-json", downloaded["GoMod"]))
    (module / "go.mod").write_text(kubernetes_go_mod(own), encoding="utf-8")
    _go(module, "mod", "tidy")
    _go(module, "build", "-p", "1", "-trimpath", "-o", str(folder / "etcd"), "go.etcd.io/etcd/server/v3")
    major, minor = KUBERNETES.removeprefix("v").split(".")[:2]
    said = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in said.items())
    program = ("-o", str(folder / "kube-apiserver"), f"{MODULE}/cmd/kube-apiserver")
    _go(module, "build", "-p", "1", "-trimpath", "-ldflags", flags, *program)


def _go(folder: Path, *words: str, **environment: str) -> str:
    done = subprocess.run(
        ["go", *words], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DevError(f"'go {' '.join(words)}' failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def main(names: Sequence[str]) -> None:
    """Print the paths of what is named, after making what is missing."""
    made: dict[str, Callable[[], tuple[Path, ...]]] = {
        "helm": lambda: (helm(), *operator_kinds()),
        "helm-docs": lambda: (helm_docs(),),
        "kubernetes": lambda: (*control_plane(), *operator_kinds()),
    }
    for name in names:
        print(*made[name](), sep="\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except DevError as error:
        sys.exit(f"error: {error}")
