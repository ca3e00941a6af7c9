"""Files as people have them, by the way of the loop: read rightly, or refused in a sentence, never decided silently."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.pipeline.features import as_features, resolve
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.rows.windows import utc
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.open_source import open_rows
from tests.support.snapshots_of_files import AS_OF, orders, said, spec, taken


def parts(folder: Path, *frames: pd.DataFrame) -> str:
    (folder / "data").mkdir()
    for number, frame in enumerate(frames):
        frame.to_parquet(folder / f"data/part-{number}.parquet", index=False)
    return "data/"


def test_a_file_outside_of_the_window_needs_no_column_of_it(tmp_path: Path) -> None:
    now = orders().assign(items=1.0)
    old = orders(100, end=AS_OF - timedelta(days=700), prefix="z").assign(late="yes")
    newest = orders(50, days=5, end=AS_OF + timedelta(days=6), prefix="n").drop(columns="late")
    snapshot, rows = taken(tmp_path, spec(parts(tmp_path, old, now, newest), features={"numeric": ["load", "items"]}))
    assert (snapshot.rows, rows["items"].notna().all()) == (400, True)
    assert snapshot.known_issues == ()


def test_a_column_that_came_within_the_window_is_null_before_and_said(tmp_path: Path) -> None:
    now = orders().assign(items=1.0)
    path = parts(tmp_path, now[:100].drop(columns=["items", "late"]), now[100:])
    snapshot, rows = taken(tmp_path, spec(path, features={"numeric": ["load", "items"]}))
    assert (snapshot.rows, snapshot.unlabelled) == (300, 100)
    assert rows["items"].notna().all()
    assert "columns late, items: found no such columns in 1 of 2 files" in said(snapshot)
    assert "read as missing in these 100 rows" in said(snapshot)
    again, rows = taken(tmp_path, spec(path, features={"numeric": ["items"]}, label="load"))
    assert (again.rows, int(rows["items"].isna().sum())) == (400, 100)


def test_a_column_that_went_within_the_window_is_null_after_and_no_fault(tmp_path: Path) -> None:
    now = orders(2000).assign(items=np.arange(2000) % 9, prices=1.0)
    snapshot, rows = taken(tmp_path, spec(parts(tmp_path, now[:1500], now[1500:].drop(columns=["items", "prices"]))))
    assert (snapshot.rows, snapshot.quarantined_rows, int(rows["items"].isna().sum())) == (2000, 0, 500)
    (issue,) = snapshot.known_issues
    assert issue.field == "columns items, prices"
    assert "read as missing in these 500 rows" in issue.fix
    now[1500:].rename(columns={"prices": "price"}).to_parquet(tmp_path / "data/part-1.parquet")
    snapshot, _ = taken(tmp_path, spec("data/", features={"numeric": ["prices"]}))
    assert "was prices named 'price' there?" in said(snapshot)
    assert snapshot.known_issues[0].code == ReasonCode.COLUMN_RENAMED


@pytest.mark.parametrize("column", ["late", "items"])
def test_whole_numbers_and_fractions_are_one_column(tmp_path: Path, column: str) -> None:
    frame = orders().assign(items=range(400))
    gaps = frame[100:].copy()
    gaps[column] = gaps[column].where(np.arange(300) % 3 > 0)
    snapshot, rows = taken(tmp_path, spec(parts(tmp_path, frame[:100], gaps)))
    known = frame if column == "items" else frame[(np.arange(400) < 100) | (np.arange(400) % 3 != 1)]
    assert snapshot.rows == len(known)
    assert rows["items"].dropna().astype(int).isin(range(400)).all()
    assert {c.name: c.type for c in snapshot.columns}[column] == "double"


def test_ids_of_64_bits_stay_what_they_are_or_are_refused(tmp_path: Path) -> None:
    ids = np.array([10**18 + 1, 10**18 + 2, 10**18 + 3])
    frame = orders().assign(merchant=pd.array(ids[np.arange(400) % 3], "Int64"))
    frame.loc[::50, "merchant"] = pd.NA
    path = parts(tmp_path, frame[:200], frame[200:].assign(merchant=pd.Series([np.nan] * 200, index=range(200, 400))))
    _, rows = taken(tmp_path, spec(path))
    texts = as_features(rows, [Feature(name="merchant", role="categorical")])["merchant"]
    assert set(texts.dropna()) == {str(number) for number in ids}
    assert int(texts.isna().sum()) == 4 + 200
    frame[200:].assign(merchant=1.5).to_parquet(tmp_path / "data/part-1.parquet", index=False)
    with pytest.raises(DataError, match=r"column merchant: found values of type int64 in .*part-0.*to the last digit"):
        taken(tmp_path, spec("data/"))


def test_decimals_are_the_categories_that_they_are(tmp_path: Path) -> None:
    vat = [Decimal("0.10"), Decimal("0.20"), Decimal("7.00")]
    _, rows = taken(tmp_path, spec(parts(tmp_path, orders().assign(vat=[vat[i % 3] for i in range(400)]))))
    texts = as_features(rows, [Feature(name="vat", role="categorical")])["vat"]
    assert set(texts) == {"0.1", "0.2", "7"}


def test_folders_of_a_partition_are_columns(tmp_path: Path) -> None:
    frame = orders()
    frame.to_parquet(tmp_path / "by_city", partition_cols=["city"])
    model = spec("by_city/")
    snapshot, rows = taken(tmp_path, model)
    assert "city" in [feature.name for feature in resolve(model, snapshot)]
    assert sorted(zip(rows["order_id"], rows["city"], strict=True)) == sorted(
        zip(frame["order_id"], frame["city"], strict=True)
    )


def test_a_partition_is_the_event_time_and_chooses_the_files(tmp_path: Path) -> None:
    frame = orders()
    frame["day"] = frame["ordered_at"].dt.strftime("%Y-%m-%d")
    frame.drop(columns="ordered_at").to_parquet(tmp_path / "by_day", partition_cols=["day"])
    for file in (tmp_path / "by_day/day=2026-02-20").iterdir():
        file.write_bytes(b"broken")
    snapshot, rows = taken(tmp_path, spec("by_day/", time="day", window="30d"), AS_OF - timedelta(days=10))
    assert rows["day"].min() == pd.Timestamp("2026-01-20", tz="UTC")
    assert snapshot.rows == int(frame["day"].between("2026-01-20", "2026-02-18").sum())


@pytest.mark.parametrize("name", ["index", "orders.csv"])
def test_the_index_of_a_frame_is_no_feature_and_said(tmp_path: Path, name: str) -> None:
    frame = orders().set_index(pd.Index(np.arange(400) * 7))
    if name == "index":
        (tmp_path / name).mkdir()
        frame.to_parquet(tmp_path / name / "a.parquet")
    else:
        frame.to_csv(tmp_path / name)
    snapshot, rows = taken(tmp_path, spec(name))
    assert list(rows) == ["ordered_at", "order_id", "late", "load", "city"]
    assert "the index of a pandas frame" in said(snapshot)
    assert len(snapshot.known_issues) == 1


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_running_number_of_pandas_is_no_feature_and_an_index_of_prices_is_one(tmp_path: Path, ending: str) -> None:
    frame = orders().reset_index()
    other = orders().assign(index=np.arange(400)[::-1] * 1.5)
    for name, rows in (("running", frame), ("prices", other)):
        file = tmp_path / f"{name}.{ending}"
        rows.to_csv(file, index=False) if ending == "csv" else rows.to_parquet(file, index=False, row_group_size=150)
    snapshot, rows = taken(tmp_path, spec(f"running.{ending}"))
    assert "index" not in rows
    assert "column index: found a running number from 0" in said(snapshot)
    assert "index" in taken(tmp_path, spec(f"prices.{ending}"))[1]
    assert "index" in taken(tmp_path, spec(f"running.{ending}", features={"numeric": ["index"]}))[1]


def test_keys_and_named_columns_of_a_csv_file_keep_their_zeros_and_others_are_said(tmp_path: Path) -> None:
    frame = orders().assign(order_id=[f"{i:06d}" for i in range(400)], zip="00123", code="00123")
    frame.to_csv(tmp_path / "a.csv", index=False)
    snapshot, rows = taken(tmp_path, spec("a.csv", source={"types": {"zip": "text"}}))
    assert (rows["order_id"][1], rows["zip"][1], rows["code"][1]) == ("000001", "00123", 123)
    assert "column code: found 400 whole numbers with leading zeros" in said(snapshot)
    assert len(snapshot.known_issues) == 1


def test_numbers_of_another_country_are_read_when_stated_and_said_when_not(tmp_path: Path) -> None:
    frame = orders().assign(sum=np.arange(400) * 1000 + 0.5)
    frame.to_csv(tmp_path / "de.csv", index=False, sep=";", decimal=",")
    frame.assign(sum=frame["sum"].map("{:,.2f}".format)).to_csv(tmp_path / "us.csv", index=False)
    snapshot, rows = taken(tmp_path, spec("de.csv", source={"delimiter": ";", "decimal": ","}))
    assert rows["sum"].tolist() == frame["sum"].tolist()
    assert snapshot.known_issues == ()
    _, rows = taken(tmp_path, spec("us.csv", source={"thousands": ","}))
    assert rows["sum"].tolist() == frame["sum"].tolist()
    for path, source in [("de.csv", {"delimiter": ";"}), ("us.csv", {})]:
        snapshot, _ = taken(tmp_path, spec(path, source=source))
        assert "column sum: found 400 texts that all look like numbers of another country" in said(snapshot)


def test_a_quoted_na_is_a_country(tmp_path: Path) -> None:
    frame = orders().assign(country=["NA", "DE"] * 200, share=[0.5, None] * 200)
    frame.to_csv(tmp_path / "quoted.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    frame.to_csv(tmp_path / "plain.csv", index=False)
    assert taken(tmp_path, spec("quoted.csv"))[1]["country"].tolist() == ["NA", "DE"] * 200
    assert int(taken(tmp_path, spec("plain.csv"))[1]["country"].isna().sum()) == 200
    _, rows = taken(tmp_path, spec("plain.csv", source={"null_values": ["n/a"]}))
    assert rows["country"].tolist() == ["NA", "DE"] * 200
    assert int(rows["share"].isna().sum()) == 200


def test_times_without_a_zone_are_those_of_the_stated_zone(tmp_path: Path) -> None:
    frame = orders()
    truth = frame["ordered_at"]
    local = truth.dt.tz_convert("America/New_York").dt.tz_localize(None)
    frame.assign(ordered_at=local).to_parquet(tmp_path / "a.parquet")
    frame.assign(ordered_at=local.astype(str)).to_csv(tmp_path / "a.csv", index=False)
    for path in ("a.parquet", "a.csv"):
        _, rows = taken(tmp_path, spec(path, source={"time_zone": "America/New_York"}))
        assert rows["ordered_at"].tolist() == truth.tolist()
        _, rows = taken(tmp_path, spec(path, source={"time_zone": "America/New_York"}), AS_OF - timedelta(hours=30))
        assert rows["ordered_at"].max() < AS_OF - timedelta(hours=30)


@pytest.mark.parametrize("path", ["a.parquet", "a.csv"])
def test_that_times_without_a_zone_are_taken_for_utc_is_said_until_it_is_stated(tmp_path: Path, path: str) -> None:
    frame = orders()
    frame["ordered_at"] = frame["ordered_at"].dt.tz_localize(None)
    frame.to_csv(tmp_path / path, index=False) if path.endswith("csv") else frame.to_parquet(tmp_path / path)
    assert "times without a zone in 'ordered_at'" in said(taken(tmp_path, spec(path))[0])
    assert taken(tmp_path, spec(path, source={"time_zone": "UTC"}))[0].known_issues == ()
    frame["ordered_at"] = frame["ordered_at"].dt.date
    frame.to_csv(tmp_path / path, index=False) if path.endswith("csv") else frame.to_parquet(tmp_path / path)
    assert taken(tmp_path, spec(path))[0].known_issues == ()


def test_an_hour_that_comes_twice_is_the_later_one_and_said(tmp_path: Path) -> None:
    autumn = datetime(2025, 10, 27, tzinfo=UTC)
    frame = orders(48, days=3, end=autumn)
    frame["ordered_at"] = pd.date_range("2025-10-25T01:30", periods=48, freq="h", unit="us")
    frame.to_parquet(tmp_path / "a.parquet")
    snapshot, rows = taken(tmp_path, spec("a.parquet", source={"time_zone": "Europe/Berlin"}), autumn)
    assert "1 rows with a time that the clock of Europe/Berlin shows twice, or never" in said(snapshot)
    assert rows["ordered_at"][25] == pd.Timestamp("2025-10-26T01:30Z")  # 02:30 of winter time


@pytest.mark.parametrize(
    ("written", "source"),
    [
        (lambda t: t.astype("int64") // 10**3, {"time_unit": "ms"}),
        (lambda t: t.astype("int64") / 10**6, {"time_unit": "s"}),
        (lambda t: t.dt.strftime("%d.%m.%Y %H:%M:%S.%f"), {"time_format": "%d.%m.%Y %H:%M:%S.%f"}),
    ],
)
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_event_times_are_numbers_or_texts_of_a_format(tmp_path: Path, written, source, ending: str) -> None:
    frame = orders()
    truth = frame["ordered_at"]
    other = frame.assign(ordered_at=written(truth))
    other.to_parquet(tmp_path / "a.parquet") if ending == "parquet" else other.to_csv(tmp_path / "a.csv", index=False)
    _, rows = taken(tmp_path, spec(f"a.{ending}", source=source))
    assert len(rows) == 400
    assert abs(rows["ordered_at"] - truth).max() <= timedelta(milliseconds="time_unit" in source)
    with pytest.raises(DataError, match=r"data\.time: found .*state data\.source\.time_(unit|format)"):
        taken(tmp_path, spec(f"a.{ending}"))


def test_exact_duplicates_are_dropped_when_asked_and_contradicting_ones_stay(tmp_path: Path) -> None:
    frame = orders()
    path = parts(tmp_path, frame[:250], frame[200:])
    assert taken(tmp_path, spec(path))[0].rows == 450  # validation refuses them
    snapshot, rows = taken(tmp_path, spec(path, duplicates="drop_exact"))
    assert rows["order_id"].tolist() == frame["order_id"].tolist()
    assert "data.key: found 50 rows that are the same as another in every column" in said(snapshot)
    frame[200:].assign(load=0.0).to_parquet(tmp_path / "data/part-1.parquet")
    assert taken(tmp_path, spec(path, duplicates="drop_exact"))[0].rows == 450
    _, rows = taken(tmp_path, spec(path, duplicates="keep_last"))
    assert rows.sort_values("order_id")["load"].tolist() == [*frame["load"][:200], *[0.0] * 200]


def test_what_is_no_feature_by_its_type_is_said(tmp_path: Path) -> None:
    frame = orders().assign(signed_up=AS_OF, tags=[["a"]] * 400)
    snapshot, _ = taken(tmp_path, spec(parts(tmp_path, frame)))
    assert "2 columns whose type is that of no feature: signed_up (timestamp[us, tz=UTC]), tags (list<" in said(
        snapshot
    )
    snapshot, _ = taken(tmp_path, spec("data/", features={"exclude": ["signed_up", "tags"]}))
    assert snapshot.known_issues == ()


def test_a_text_among_numbers_names_the_file_and_only_where_it_is_read(tmp_path: Path) -> None:
    frame = orders().assign(items=1)
    path = parts(tmp_path, frame[:200], frame[200:].assign(items="one"))
    with pytest.raises(DataError) as caught:
        taken(tmp_path, spec(path))
    (problem,) = caught.value.problems
    assert problem.code == ReasonCode.COLUMN_RETYPED
    assert "type string in " in problem.found
    assert "part-1.parquet" in problem.found
    assert taken(tmp_path, spec(path, features={"exclude": ["items"]}))[0].rows == 400
    _, rows = taken(tmp_path, spec(path, source={"types": {"items": "text"}}))
    assert set(rows["items"]) == {"1", "one"}


def test_a_specification_that_names_nothing_new_has_the_fingerprint_of_before() -> None:
    plain = spec("x/")
    for said_anew in ({"source": {"decimal": "."}}, {"duplicates": "refuse"}, {"source": {"types": {}}}):
        assert spec("x/", **said_anew).fingerprint == plain.fingerprint
    for changed in ({"source": {"decimal": ","}}, {"duplicates": "keep_last"}, {"source": {"time_zone": "Asia/Tokyo"}}):
        assert spec("x/", **changed).fingerprint != plain.fingerprint
    assert open_rows(plain, data_root="/srv").description == "files /srv/x/"
    assert utc(AS_OF, "as-of") == AS_OF
