"""Single values: cron expressions, addresses."""

from __future__ import annotations

import pytest

from airflow_mlops.spec import SpecError
from airflow_mlops.spec.data import FileSource
from airflow_mlops.spec.model import ScheduleSpec
from airflow_mlops.spec.value_checks import PRESETS


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(preset: str) -> None:
    assert ScheduleSpec(cron=preset).cron == preset


@pytest.mark.parametrize("cron", ["* * * * *", "0 6 * * 1-5", "*/15 0-6/2 1,15 jan-mar MON,wed", "0 0 31 12 7"])
def test_cron_expressions(cron: str) -> None:
    assert ScheduleSpec(cron=cron).cron == cron


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *",
             "*/0 * * * *", "a * * * *", "1- * * * *", "5/2 * * * *", "@reboot", "1,,2 * * * *", "0 0 1 1 1 1"]
)  # fmt: skip
def test_broken_cron_expressions(cron: str) -> None:
    with pytest.raises(SpecError):
        ScheduleSpec(cron=cron)


@pytest.mark.parametrize("path", ["s3://bucket/key/", "s3://conn@bucket/key", "/data/a@b:c/", "C:/data"])
def test_addresses_without_a_password_are_kept(path: str) -> None:
    assert FileSource(path=path).path == path
