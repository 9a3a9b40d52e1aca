"""What others read of a store in S3, and what strangers cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.loopback import BUCKET, Loopback
from embedstore import cloud
from embedstore.errors import InputError, SqlError, StorageError
from embedstore.geoparquet import read_part
from embedstore.store import Store
from query import Engine
from query.api.collections import Collection
from query.api.settings import Settings
from query.sql import Session
from query.sql.database import Database
from query.sql.limits import Limits
from tests.embedstore import make

ROWS = 120


@pytest.fixture
def store(uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    store = Store.create(uri, make.ENCODER, make.GRID)
    store.append(make.chips(list(range(ROWS))))
    monkeypatch.setenv("EMBEDSTORE_CACHE_DIR", str(tmp_path / "other"))
    return store


def test_sql_fetches_the_files_of_its_partitions(store: Store, uri: str, s3: Loopback) -> None:
    cells = sorted({f.cell for f in store.table.files()})
    rows = sum(f.rows for f in store.table.files() if f.cell == cells[1])
    with Session(Engine(uri)) as session:
        s3.asked()
        counted = session.query(
            f"SELECT count(*) AS n, max(datetime) AS t FROM embeddings WHERE h3_cell = '{cells[1]}'"
        )
        assert counted["n"].to_pylist() == [rows]
        fetched = {one["path"] for one in s3.asked() if one["method"] == "GET"}
        assert all(f"h3_cell={cells[1]}" in path for path in fetched)
        near = "SELECT e.id FROM nearest(chip_vector(?), 3) n JOIN embeddings e USING (id, h3_cell)"
        some = make.chip_id(5)
        assert session.query(near.replace("?", f"'{some}'")).num_rows == 3


def test_strangers_reach_the_files_and_nothing_else(store: Store, uri: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    other = store.table.files()[0].path
    with Session(Engine(uri), Limits()) as session:
        assert session.query("SELECT count(*) AS n FROM embeddings")["n"].to_pylist() == [ROWS]
        assert session.query("SELECT embedding FROM embeddings LIMIT 3").num_rows == 3
        with pytest.raises(SqlError):
            session.query(f"SELECT * FROM read_text('{tmp_path / 'secret.txt'}')")
    bare = Database(Engine(uri), Limits())  # without the check of the statement, DuckDB's own lock must hold
    for path in (
        tmp_path / "secret.txt",
        f"s3://{BUCKET}/{other}",
        "embedstore://_delta_log/00000000000000000000.json",
        f"embedstore:///{tmp_path / 'secret.txt'}",
        f"embedstore://../{other}",
    ):
        with pytest.raises(Exception, match=r"[Pp]ermission|No files found|does not exist|disabled"):
            bare._connection.execute(f"SELECT * FROM read_blob('{path}')").fetchall()
    with pytest.raises(Exception, match=r"[Pp]ermission|disabled|not implemented|write"):
        bare._connection.execute(f"COPY (SELECT 1) TO 'embedstore://{other}'")


def test_the_service_moves_on(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedstore.bucket.FRESH_S", 0.0)
    collection = Collection(Path(uri), Settings())
    assert collection.id == store.path.rpartition("/")[2]  # type: ignore[union-attr]
    before = collection.version
    store.append(make.chips([f"new {i}" for i in range(3)]))
    collection.refresh()
    assert collection.version == before + 1
    assert {scene.href for scene in collection.scenes().values()} == {"a.tif"}
    file = store.table.files()[0]
    assert len(collection.shelf.take([file.path], make.np.array([0]), ["id"])[0]) == 1
    collection.close()


def test_scattered_rows_of_large_files_are_read_by_range(
    store: Store, uri: str, s3: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedstore.bucket.SMALL", 0)
    snapshot = Store.open(uri).snapshot()
    file = max(snapshot.files, key=lambda f: f.rows)
    held = read_part(store.home.here(store.home.folder / file.path), ["id"])["id"].to_pylist()
    s3.asked()
    read = snapshot.fetch([file.path] * 2, make.np.array([3, 1]), ["id", "geometry"], [held[3], held[1]])
    assert read["id"].to_pylist() == [held[3], held[1]]
    ranges = [one for one in s3.asked() if one["range"] and one["path"].endswith(".parquet")]
    assert 0 < len(ranges) <= 8


def test_polars_and_duckdb_read_it(store: Store, uri: str, s3: Loopback) -> None:
    import duckdb
    import duckdb_extension_httpfs
    import polars as pl

    options = {"aws_allow_http": "true", **s3.environment}
    frame = pl.scan_delta(uri, storage_options=options).select("id", "h3_cell", "embedding").collect()
    assert sorted(frame["id"]) == sorted(make.chip_id(i) for i in range(ROWS))
    extension = next(Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension"))
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        connection.execute(f"LOAD '{extension}'")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{s3.environment['AWS_ACCESS_KEY_ID']}', REGION 'us-east-1', "
            f"SECRET '{s3.environment['AWS_SECRET_ACCESS_KEY']}', URL_STYLE 'path', USE_SSL false, "
            f"ENDPOINT '{s3.endpoint.removeprefix('http://')}')"
        )
        files = [f"{uri}/{f.path}" for f in store.table.files()]
        rows = connection.execute(
            f"SELECT count(*), count(DISTINCT h3_cell) FROM read_parquet({files}, hive_partitioning = true)"
        )
        assert rows.fetchone() == (ROWS, len({f.cell for f in store.table.files()}))


def test_credentials_are_missing_or_refused(uri: str, s3: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.refuse(path=f"/{BUCKET}", status=403, count=100)
    with pytest.raises(StorageError, match=r"credentials were refused .* Check AWS_ACCESS_KEY_ID") as refused:
        Store.open(uri)
    assert "\n" not in str(refused.value)
    s3.reset()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StorageError, match=r"no credentials were found\. Set AWS_ACCESS_KEY_ID") as missing:
        Store.open(uri)
    assert "secret-of-the-test" not in str(missing.value) + str(refused.value)


def test_no_such_bucket_and_no_such_server(s3: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3
    with pytest.raises(StorageError, match="there is no such bucket"):
        Store.open("s3://another-bucket/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(cloud, "RETRIES", 1)
    with pytest.raises(StorageError, match="Check the network and the endpoint"):
        Store.open("s3://bucket/x")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("https://host/store", "begins with s3://"),
        ("s3://key:secret@bucket/x", "credentials come from the environment"),
        ("s3://bucket/x?versionId=3", "and nothing else"),
        ("s3://", "names no place"),
        ("gs://bucket/../x", "names no place"),
        ("file://host/x", "on another machine"),
    ],
)
def test_uris_that_make_no_sense(path: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        cloud.parse(path)
    assert "secret" not in str(error.value)


def test_uris_and_paths(tmp_path: Path) -> None:
    assert cloud.parse("store") == Path("store").absolute()
    assert cloud.parse(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert cloud.parse(Path(f"file://{tmp_path}")) == tmp_path
    assert str(cloud.parse(Path("s3://bucket/a//b/"))) == "s3://bucket/a/b"
    assert str(cloud.parse("az://container")) == "az://container"
    assert cloud.parse("c:/x") == Path("c:/x").absolute()


def test_file_uris_are_folders(tmp_path: Path) -> None:
    Store.create(f"file://{tmp_path}/store", make.ENCODER, make.GRID).append(make.chips([1, 2]))
    assert Store.open(tmp_path / "store").rows == 2
    assert Store.open(Path(f"file://{tmp_path}/store")).path == tmp_path / "store"


def test_the_command_line_takes_uris(store: Store, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    from query.cli import main

    assert store
    for words in (["info", uri], ["verify", uri], ["search", uri, "--id", make.chip_id(1), "-k", "3"]):
        with pytest.raises(SystemExit) as done:
            main(words)
        assert done.value.code in {0, None}, capsys.readouterr().err
    assert uri in capsys.readouterr().out
