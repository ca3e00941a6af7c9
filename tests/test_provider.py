"""What Airflow reads of the package: every name in it can be imported, and names its distribution."""

from importlib import import_module
from importlib.metadata import entry_points

from airflow_mlops.provider import get_provider_info


def resolve(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def test_every_class_and_function_that_the_provider_names_exists() -> None:
    info = get_provider_info()
    names = [c["hook-class-name"] for c in info["connection-types"]] + info["extra-links"] + info["cli"]
    names += info["notifications"]
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
    for section in get_provider_info()["config"].values():
        for option in section["options"].values():
            assert {"description", "version_added", "type", "example", "default"} <= option.keys()
