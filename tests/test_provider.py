"""What Airflow reads of the package: it keeps to Airflow's schema, every name exists, and nothing is left out."""

import json
import pkgutil
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import pytest
from airflow.sdk import BaseHook, BaseNotifier, BaseOperator, BaseOperatorLink, BaseSensorOperator
from airflow.triggers.base import BaseTrigger
from jsonschema import Draft7Validator

from airflow_mlops.provider import get_provider_info

ROOT = Path(__file__).parents[1]
INFO = get_provider_info()
KINDS = ("operators", "sensors", "hooks", "triggers")


def resolve(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def defined(folder: str, base: type) -> dict[str, list[type]]:
    """Public classes under `base` by the module of a package that defines them; private modules hold bases only."""
    package = import_module(f"airflow_mlops.{folder}")
    names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    found: dict[str, list[type]] = {}
    for name in (package.__name__, *names):
        if name.rpartition(".")[2].startswith("_"):
            continue
        for value in vars(import_module(name)).values():
            if isinstance(value, type) and issubclass(value, base) and value.__module__ == name:
                found.setdefault(name, []).append(value)
    return found


def listed(kind: str) -> list[str]:
    return [module for entry in INFO[kind] for module in entry["python-modules"]]


def test_it_keeps_to_airflows_schema() -> None:
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    assert not list(Draft7Validator(schema).iter_errors(INFO))
    assert not INFO.keys() - schema["properties"].keys()


@pytest.mark.parametrize(
    ("kind", "folder", "base", "least"),
    [
        ("operators", "operators", BaseOperator, 11),
        ("sensors", "sensors", BaseSensorOperator, 3),
        ("hooks", "hooks", BaseHook, 1),
        ("triggers", "triggers", BaseTrigger, 3),
    ],
)
def test_the_modules_are_those_that_hold_a_class_of_the_kind(kind: str, folder: str, base: type, least: int) -> None:
    found = defined(folder, base)
    whole = {name for name, classes in found.items() if any(not is_base(cls) for cls in classes)}
    assert len(whole) >= least
    assert sorted(listed(kind)) == sorted(whole)


def is_base(cls: type) -> bool:
    """Whether other classes of the package stand on this one, in modules of their own."""
    return any(under.__module__ != cls.__module__ for under in cls.__subclasses__())


def test_links_and_notifiers_are_those_of_the_package() -> None:
    links = [f"{m}.{c.__name__}" for m, cs in defined("links", BaseOperatorLink).items() for c in cs]
    assert sorted(INFO["extra-links"]) == sorted(link for link in links if not link.rpartition(".")[2].startswith("_"))
    notifiers = [f"{m}.{c.__name__}" for m, cs in defined("notifications", BaseNotifier).items() for c in cs]
    assert INFO["notifications"] == notifiers
    assert len(links) >= 4
    assert len(notifiers) == 1


def test_every_integration_that_is_named_is_described_with_pages_that_exist() -> None:
    integrations = {entry["integration-name"]: entry for entry in INFO["integrations"]}
    named = {
        entry["integration-name"] for kind in ("operators", "sensors", "hooks", "triggers") for entry in INFO[kind]
    }
    assert named == set(integrations)
    for name, entry in integrations.items():
        assert entry["how-to-guide"], name
        for page in (*entry["how-to-guide"], *([entry["logo"]] if "logo" in entry else [])):
            assert page.startswith("/docs/")
            assert (ROOT / page[1:]).is_file(), page
        assert entry["tags"]
    assert "logo" in integrations["MLOps"]


def test_every_class_and_function_that_the_provider_names_exists() -> None:
    names = [c["hook-class-name"] for c in INFO["connection-types"]] + INFO["extra-links"] + INFO["cli"]
    names += INFO["notifications"]
    assert len(names) >= 5
    for name in names:
        assert callable(resolve(name)), name


def test_entry_points_lead_to_the_provider_and_the_plugin() -> None:
    (provider,) = (e for e in entry_points(group="apache_airflow_provider") if e.value.startswith("airflow_mlops."))
    (plugin,) = (e for e in entry_points(group="airflow.plugins") if e.value.startswith("airflow_mlops."))
    assert provider.dist is not None
    assert provider.load()()["package-name"] == provider.dist.name
    assert plugin.load().name == "mlops"


def test_every_configuration_option_has_what_airflow_requires() -> None:
    assert len(INFO["config"]) == 1
    for section in INFO["config"].values():
        assert len(section["options"]) >= 3
        for option in section["options"].values():
            assert {"description", "version_added", "type", "example", "default"} <= option.keys()
