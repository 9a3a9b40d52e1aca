"""Conditions and SQL that read what they may not, run other things, or never end."""

from __future__ import annotations

from tests.hostile.case import Case, post

CONDITIONS = tuple(
    post(f"a condition: {what}", status, "search", {"id": "@id", "where": where})
    for what, status, where in (
        ("nothing", 400, ""),
        ("half of one", 400, "lon >"),
        ("a file", 400, "(SELECT content FROM read_text('/etc/passwd')) = 'x'"),
        ("a file for a table", 400, "lon IN (SELECT lon FROM '/etc/passwd')"),
        ("another statement", 400, "true; DROP TABLE t"),
        ("another statement behind a comment", 400, "true /* ) */; COPY t TO '/tmp/x' --"),
        ("an end of the parenthesis", 400, "true) UNION ALL (SELECT 1 FROM t"),
        ("an end of the parenthesis and a limit", 400, "true) LIMIT (1"),
        ("a comment that hides the end", 400, "true /*"),
        ("NUL", 400, "true\0"),
        ("a function that tells of the server", 400, "getenv('HOME') = 'x'"),
        ("a function that sleeps", 400, "sleep_ms(100000) IS NULL"),
        ("a function that makes much of little", 400, "len(repeat('x', 1000000000)) > 0"),
        ("text that doubles again and again", 400, "hex(" * 40 + "id" + ")" * 40 + " = ''"),
        ("text of bits of text", 400, "id::BIT::VARCHAR::BLOB::BIT::VARCHAR::BLOB::BIT::VARCHAR = ''"),
        ("a list without end", 400, "len(range(1000000000)) > 0"),
        ("a regular expression that never ends", 400, "regexp_matches(hex(id), '^(([0-9A-F])+.)+([0-9A-F])+$')"),
        ("a regular expression of a million states", 400, "hex(id) SIMILAR TO '((a{1000}){1000}){1000}'"),
        ("a likeness of many wild cards", 400, "levenshtein(hex(id), 'a') > 1"),
        ("a lambda", 400, "list_filter([1], x -> x > 0) IS NULL"),
        ("a column that is not there", 400, "embedding IS NULL"),
        ("a column of another table", 400, "information_schema.tables.x = 1"),
        ("a parameter", 400, "lon > ?"),
        ("a type that does not fit", 400, "datetime = 'never'"),
        ("parentheses without end", 422, "(" * 9900 + "lon" + ")" * 9900),
        ("a list of more numbers than are read", 422, "lon IN (" + ",".join(["1"] * 20_000) + ")"),
        ("a text of megabytes", 422, "lon > 1 --" + "x" * 2_000_000),
        ("a star", 400, "COLUMNS(*) > 1"),
        ("a window", 400, "row_number() OVER () = 1"),
        ("a sum", 400, "sum(lon) > 1"),
    )
)

STATEMENTS = tuple(
    post(f"SQL: {what}", status, "sql", {"sql": sql})
    for what, status, sql in (
        ("a file of the machine", 400, "SELECT * FROM read_text('/etc/passwd')"),
        ("the server's environment", 400, "SELECT * FROM read_blob('/proc/self/environ')"),
        ("the server's memory", 400, "SELECT * FROM read_blob('/proc/self/mem')"),
        ("a device without end", 400, "SELECT * FROM read_text('/dev/zero')"),
        ("a folder", 400, "SELECT * FROM glob('/**')"),
        ("a file for a table", 400, "SELECT * FROM '/etc/passwd'"),
        ("the network", 400, "SELECT * FROM 'http://127.0.0.1:9/a.parquet'"),
        ("the cloud's own address", 400, "SELECT * FROM read_json('http://169.254.169.254/latest/meta-data/')"),
        ("a raster by GDAL", 400, "SELECT * FROM ST_Read('/vsicurl/http://127.0.0.1:9/a.gpkg')"),
        ("the drivers of GDAL", 400, "SELECT * FROM ST_Drivers()"),
        ("a variable of the environment", 400, "SELECT getenv('AWS_SECRET_ACCESS_KEY')"),
        ("the secrets", 400, "SELECT * FROM duckdb_secrets()"),
        ("the settings", 400, "SELECT * FROM duckdb_settings()"),
        ("a setting", 400, "SELECT current_setting('allowed_paths')"),
        ("the logs", 400, "SELECT * FROM duckdb_logs"),
        ("the files of others", 400, "SELECT * FROM duckdb_temporary_files()"),
        ("a file to write", 400, "COPY (SELECT 1) TO '/tmp/stolen.csv'"),
        ("a program to run", 400, "COPY (SELECT 1) TO PROGRAM 'id'"),
        ("a database to attach", 400, "ATTACH 'http://127.0.0.1:9/x.duckdb' AS x"),
        ("an extension to install", 400, "INSTALL httpfs"),
        ("an extension to load", 400, "LOAD '/tmp/evil.duckdb_extension'"),
        ("an extension by its name", 400, "FORCE INSTALL spatial FROM 'http://127.0.0.1:9'"),
        ("a pragma", 400, "PRAGMA enable_external_access = true"),
        ("a setting to change", 400, "SET memory_limit = '1TB'"),
        ("a setting to give back", 400, "RESET memory_limit"),
        ("a secret to make", 400, "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')"),
        ("a macro to replace ours", 400, "CREATE OR REPLACE MACRO nearest(a, b) AS TABLE SELECT 1"),
        ("rows to delete", 400, "DELETE FROM embeddings"),
        ("a statement in a text", 400, "SELECT * FROM query('SELECT 1')"),
        ("a table in a text", 400, "SELECT * FROM query_table('duckdb_settings')"),
        ("a statement that was packed", 400, "SELECT * FROM json_execute_serialized_sql('{}')"),
        ("a pointer", 400, "SELECT * FROM arrow_scan(4096, 4096, 4096)"),
        ("two statements", 400, "SELECT 1; SELECT 2"),
        ("two statements with a comment between", 400, "SELECT 1; -- \n DROP VIEW embeddings"),
        ("nothing but a comment", 400, "-- SELECT 1"),
        ("nothing", 422, ""),
        ("NUL", 400, "SELECT 1 \0 SELECT 2"),
        ("more letters than are read", 422, "SELECT 1 --" + "x" * 20_000),
        ("SELECT in SELECT without end", 400, "SELECT * FROM (" * 1_200 + "SELECT 1" + ")" * 1_200),
        ("a sum of thousands of parts", 400, "SELECT " + "+".join(["1"] * 9_900)),
        ("lists in lists without end", 400, "SELECT " + "[" * 9_000 + "1" + "]" * 9_000),
        ("a polygon that is none", 400, "SELECT ST_GeomFromText('POLYGON((0 0,1 1')"),
        ("bytes that are no polygon", 400, "SELECT ST_GeomFromWKB('\\xFF\\x00'::BLOB)"),
        ("neighbours of a vector that does not fit", 400, "SELECT * FROM nearest([1.0, 2.0], 3)"),
        ("neighbours without end", 413, "SELECT * FROM nearest(chip_vector('@id'), 1000000000)"),
        ("a neighbour's filter that reads a file", 400,
         "SELECT * FROM nearest_within(chip_vector('@id'), 1, '{\"within\": \"/etc/passwd\"}')"),
        ("a join of all with all", 413,
         "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 < b.range % 5"),
        ("a recursion without end", 413,
         "WITH RECURSIVE r AS (SELECT 1 x UNION ALL SELECT x + 1 FROM r) SELECT max(x) FROM r"),
        ("one call that does not come back", 413, "SELECT levenshtein(repeat('x', 3000000), repeat('y', 3000000))"),
        ("a text of gigabytes", 413, "SELECT length(repeat('x', 4000000000))"),
        ("a list of gigabytes", 413, "SELECT list_sum(range(1000000000))"),
        ("texts that double", 413,
         "WITH RECURSIVE r AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM r) SELECT max(length(s)) FROM r"),
        ("more rows than are allowed", 413, "SELECT * FROM range(100000)"),
        ("cells without end", 400, "SELECT h3_polygon_to_cells(ST_MakeEnvelope(-180, -90, 180, 90), 15)"),
    )
)  # fmt: skip

FORMATS = (
    post("SQL: a form that is not there", 422, "sql", {"sql": "SELECT 1", "format": "csv"}),
    post("SQL: GeoJSON of no geometry", 400, "sql", {"sql": "SELECT 1", "format": "geojson"}),
    post("SQL: a name that nobody knows", 422, "sql", {"sql": "SELECT 1", "limit": -1}),
    post("SQL: a list of statements", 422, "sql", {"sql": ["SELECT 1"]}),
)

CASES: tuple[Case, ...] = (*CONDITIONS, *STATEMENTS, *FORMATS)
