"""Statements of strangers who mean harm: each is refused or stopped, and the session answers the next one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from embedstore.errors import EmbedstoreError, LimitError, SqlError
from query import Engine
from query.sql import Limits, Session
from tests.embedstore import make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE = make.chip_id(1)
REFUSED = (
    # functions that read files, list folders or tell of files
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM READ_CSV_AUTO('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM parquet_scan(['{file}'])",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT * FROM parquet_kv_metadata('{file}')",
    "SELECT * FROM glob('{root}/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM ST_Read('/etc/passwd')",
    "SELECT * FROM st_read_meta('{file}')",
    "SELECT * FROM ST_ReadOSM('/etc/passwd')",
    "SELECT * FROM ST_ReadSHP('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM '{file}'",
    'FROM "{file}"',
    "SELECT * FROM 'https://example.com/a.parquet'",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT 1 WHERE EXISTS (SELECT * FROM read_text('/etc/passwd'))",
    "SELECT * FROM embeddings ORDER BY (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM embeddings LIMIT (SELECT count(*) FROM read_text('/etc/passwd'))",
    "SELECT encode_chip('/etc/passwd')",
    "SELECT * FROM nearest_within(chip_vector('{one}'), 1, '/etc/passwd')",
    "SELECT * FROM nearest_within(chip_vector('{one}'), 1, '{{\"within\": \"/etc/passwd\"}}')",
    """SELECT * FROM nearest_within(chip_vector('{one}'), 1,
       '{{"where": "EXISTS (SELECT content FROM read_text(''''/etc/passwd''''))"}}')""".replace("''''", "''"),
    """SELECT * FROM nearest_within(chip_vector('{one}'), 1,
       '{{"where": "error((SELECT string_agg(value, '' '') FROM duckdb_settings())) IS NULL"}}')""",
    """SELECT * FROM nearest_within(chip_vector('{one}'), 1,
       '{{"where": "error(current_setting(''secret_directory'')) IS NULL"}}')""",
    """SELECT * FROM nearest_within(chip_vector('{one}'), 1,
       '{{"where": "hex(hex(hex(id))) > ''a''"}}')""",
    # statements that are no SELECT
    "COPY (SELECT 1) TO '/tmp/stolen.csv'",
    "COPY embeddings TO '/tmp/stolen.parquet' (FORMAT parquet)",
    "COPY embeddings FROM '/etc/passwd'",
    "ATTACH '/tmp/other.duckdb' AS other",
    "DETACH memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '/tmp/evil.duckdb_extension'",
    "PRAGMA database_list",
    "PRAGMA memory_limit='100GB'",
    "SET memory_limit = '100GB'",
    "SET GLOBAL enable_external_access = true",
    "RESET lock_configuration",
    "SET VARIABLE a = 1",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW embeddings AS SELECT 1",
    "CREATE OR REPLACE MACRO similarity(a, b) AS 1",
    "CREATE SECRET (TYPE s3)",
    "DROP VIEW embeddings",
    "INSERT INTO embeddings SELECT * FROM embeddings",
    "DELETE FROM embeddings",
    "UPDATE embeddings SET id = ''",
    "EXPORT DATABASE '/tmp/stolen'",
    "IMPORT DATABASE '/tmp'",
    "CALL duckdb_settings()",
    "USE memory",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN ANALYZE SELECT * FROM embeddings",
    "PIVOT embeddings ON modalities USING count(*)",
    # several statements
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW embeddings",
    "SELECT 1;; COPY (SELECT 1) TO '/tmp/stolen.csv'",
    "SELECT 1 /* ; */; SET threads = 64",
    "",
    ";",
    "-- nothing",
    # what tells of the server, directly or behind WITH
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_views()",
    "SELECT sql FROM duckdb_views",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_views",
    "SELECT * FROM main._rows",
    "SELECT * FROM _rows",
    "SELECT * FROM memory.main.embeddings",
    "SELECT current_setting('allowed_paths')",
    "SELECT pg_get_viewdef(1)",
    "SELECT getenv('HOME')",
    "SELECT * FROM (SHOW ALL TABLES)",
    "SUMMARIZE duckdb_settings",
    "WITH duckdb_views AS (SELECT * FROM duckdb_views) SELECT * FROM duckdb_views",
    "SELECT * FROM (WITH sqlite_master AS (SELECT 1) SELECT 1), sqlite_master",
    "WITH RECURSIVE pg_views AS (SELECT * FROM pg_views UNION SELECT * FROM pg_views) SELECT * FROM pg_views",
    "SELECT * FROM (WITH \"/etc/passwd\" AS (SELECT 1) SELECT 1), '/etc/passwd'",
    "WITH a AS (SELECT * FROM read_text('/etc/passwd')) SELECT 1 FROM a",
    "WITH a AS MATERIALIZED (COPY (SELECT 1) TO '/tmp/stolen.csv') SELECT * FROM a",
    # what runs other statements, takes pointers, or changes the session
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM query_table('/etc/passwd')",
    "SELECT * FROM json_execute_serialized_sql('{{}}')",
    "SELECT json_serialize_plan('SELECT 1')",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM python_map_function(1)",
    "SELECT * FROM seq_scan('embeddings')",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM enable_logging()",
    "SELECT write_log('x')",
    "SELECT nextval('s')",
    "SELECT system.main.current_setting('threads')",
    "SELECT __internal_compress_string_ubigint('x')",
    "SELECT _stored('x', 1)",
    "SELECT $1",
)
STOPPED = (
    # runaway joins and recursion
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 < b.range % 5",
    "SELECT count(*) FROM range(1000000) a JOIN range(1000000) b ON a.range * 31 % 1009 > b.range",
    "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) SELECT max(x) FROM r",
    "SELECT count(*) FROM embeddings a, embeddings b, embeddings c WHERE similarity(a.embedding, c.embedding) > 2",
    "SELECT sum(range) FROM range(1000000000000)",
    # one call of a function that does not come back
    "SELECT levenshtein(repeat('x', 3000000), repeat('y', 3000000))",
    # memory bombs
    "SELECT length(repeat('x', 4000000000))",
    "SELECT max(length(repeat('x', 500000000 + i::INT))) FROM range(10) t(i)",
    "SELECT list_sum(range(1000000000))",
    "SELECT length(format('{{:>2000000000}}', 'a'))",
    "SELECT length(lpad('x', 2000000000, 'y'))",
    "SELECT length(string_agg(i::VARCHAR)) FROM range(200000000) t(i)",
    "SELECT array_agg(i) FROM range(500000000) t(i)",
    "SELECT count(DISTINCT i) FROM range(1000000000) t(i)",
    "WITH RECURSIVE r AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM r) SELECT max(length(s)) FROM r",
    "SELECT count(*) FROM (SELECT i, row_number() OVER (ORDER BY hash(i)) AS n FROM range(100000000) t(i)) WHERE n < 5",
    "SELECT ST_NPoints(ST_Buffer(ST_Point(0, 0), 1, 20000000))",
    # more rows and neighbours than are allowed
    "SELECT * FROM range(100000)",
    "SELECT unnest(range(100000))",
    "SELECT * FROM nearest(chip_vector('{one}'), 100000)",
    "SELECT h3_polygon_to_cells(ST_MakeEnvelope(-180, -90, 180, 90), 15)",
)
LIMITS = Limits(seconds=30, memory_mb=128, rows=5000)  # so long that a busy machine answers what is honest


@pytest.fixture(scope="module")
def stranger(engine: Engine) -> Iterator[Session]:
    with Session(engine, LIMITS) as session:
        yield session


@pytest.fixture(scope="module")
def hurried(engine: Engine) -> Iterator[Session]:
    """One for statements that run until they are stopped."""
    with Session(engine, replace(LIMITS, seconds=2)) as session:
        yield session


def test_there_are_enough() -> None:
    assert len(set(REFUSED)) + len(set(STOPPED)) == len(REFUSED) + len(STOPPED) >= 60


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refused(stranger: Session, engine: Engine, number: int) -> None:
    root = engine.store.path
    file = root / engine.snapshot.files[0].path
    words = {"file": file, "root": root, "one": ONE}
    with pytest.raises(EmbedstoreError) as raised:
        stranger.query(REFUSED[number].format(**words))
    assert not isinstance(raised.value, LimitError)
    asked = REFUSED[number]
    assert str(root) not in str(raised.value) or "{file}" in asked or "{root}" in asked
    assert stranger.query("SELECT 1 AS one")["one"].to_pylist() == [1]


@pytest.mark.parametrize("statement", STOPPED)
def test_stopped(hurried: Session, statement: str) -> None:
    with pytest.raises(EmbedstoreError):
        hurried.query(statement.format(one=ONE))
    found = hurried.query(f"SELECT count(*) AS n FROM nearest(chip_vector('{ONE}'), 3)")
    assert found["n"].to_pylist() == [3]


def test_a_message_that_ends_within_a_letter_is_told(stranger: Session, engine: Engine) -> None:
    for ask in (stranger.query, engine.sql):
        with pytest.raises(SqlError, match="Expected number"):
            ask("SELECT ST_GeomFromText('POLYGON((é0 0')")


def test_a_file_of_the_snapshot_is_reached_through_the_view_only(stranger: Session, engine: Engine) -> None:
    for file in engine.snapshot.files[:3]:
        with pytest.raises(SqlError, match="no table"):
            stranger.query(f"SELECT * FROM '{engine.store.path / file.path}'")


@pytest.mark.parametrize(
    "statement",
    [
        "WITH n AS (SELECT * FROM nearest(chip_vector('{one}'), 5)) SELECT id, score FROM n JOIN embeddings USING (id)",
        "FROM embeddings SELECT count(*)",
        "DESCRIBE embeddings",
        "DESCRIBE SELECT id FROM embeddings",
        "VALUES (1), (2)",
        "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 5) SELECT * FROM r",
        "SELECT h3_cell, count(*) FROM embeddings_in(ST_MakeEnvelope(10, 45, 12, 47)) GROUP BY ALL ORDER BY ALL",
        "SELECT id, rank() OVER (PARTITION BY h3_cell ORDER BY datetime) FROM embeddings QUALIFY rank() OVER () < 3",
        "SELECT unnest(list_transform([3, 1, 2], lambda x: x + 1)) AS x ORDER BY x LIMIT 2;",
        "SELECT id FROM embeddings UNION SELECT id FROM embeddings ORDER BY id",
        "SELECT date_trunc('month', datetime) AS month, avg(valid_fraction) FROM embeddings GROUP BY 1",
    ],
)
def test_honest_statements_are_answered_as_a_trusted_session_answers(
    stranger: Session, engine: Engine, statement: str
) -> None:
    found, expected = (ask(statement.format(one=ONE)) for ask in (stranger.query, engine.sql))
    assert found.schema == expected.schema
    key = [(name, "ascending") for name in found.column_names[:1]]
    assert found.num_rows
    assert found.sort_by(key)[0].to_pylist() == expected.sort_by(key)[0].to_pylist()


def test_the_folders_of_scenes_are_nobody_elses_business(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    chips = make.chips(list(range(5)))
    of = chips.schema.field("inputs")
    moved = [[{**one, "href": "/archive/2019/a.tif"} for one in inputs] for inputs in chips["inputs"].to_pylist()]
    store.append(chips.set_column(chips.schema.get_field_index("inputs"), of, pa.array(moved, of.type)))
    statement = "SELECT id, inputs FROM embeddings ORDER BY id"
    with Engine(tmp_path / "s") as engine, Session(engine, Limits()) as stranger:
        told, known = stranger.query(statement), engine.sql(statement)
    assert told.schema == known.schema
    assert {i["href"] for row in known["inputs"].to_pylist() for i in row} == {"/archive/2019/a.tif"}
    expected = [[{**one, "href": "a.tif"} for one in row] for row in known["inputs"].to_pylist()]
    assert told["inputs"].to_pylist() == expected
