"""Conditions from strangers."""

from __future__ import annotations

import pytest

from embedstore.errors import FilterError
from query import conditions


@pytest.mark.parametrize(
    "where",
    [
        "valid_fraction > 0.9",
        "valid_fraction BETWEEN 0.5 AND 1 AND NOT lon < 3 OR lat IN (1, 2, 3)",
        "year(datetime) = 2019 AND month(datetime) NOT IN (1, 12)",
        "datetime >= '2019-01-01' AND datetime_end IS NOT NULL",
        "datetime::DATE = DATE '2019-04-16' -- that day",
        "id = unhex('00ff') OR hex(id) LIKE '00%'",
        "abs(round(lon * 2) % 2) = CASE WHEN lat > 45 THEN 1 ELSE 0 END",
        "modalities & 1 = 1",
        "datetime > TIMESTAMPTZ '2020-01-01'",
        "TRY_CAST(lon AS DECIMAL(9, 4))::VARCHAR = '1.0000' OR id = '\\x00'::BLOB",
        "true",
    ],
)
def test_conditions_on_columns(where: str) -> None:
    conditions.check(where)


@pytest.mark.parametrize(
    "where",
    [
        "",
        "lon >",
        "lon > 1; DROP TABLE t",
        "lon > 1) UNION SELECT 1 FROM t WHERE (true",
        "lon > 1) LIMIT (1",
        "lon > 1) GROUP BY (1",
        "true) ORDER BY (lon",
        "EXISTS (SELECT 1)",
        "lon IN (SELECT unnest(range(1000000000)))",
        "(SELECT count(*) FROM range(1000000000000)) > 0",
        "len(range(1000000000)) > 0",
        "len(repeat('x', 1000000000)) > 0",
        "list_sum(list_transform(range(100000), x -> x)) > 0",
        "getenv('HOME') = 'x'",
        "(SELECT content FROM read_text('/etc/passwd')) = 'x'",
        "row_number() OVER () = 1",
        "count(*) > 1",
        "$1 > 0",
        "current_setting('threads') = '1'",
        "nextval('s') > 0",
        "regexp_matches(hex(id), '(a+)+$')",
        "x.y.z(1)",
        "[lon][1] > 0",
        "{'a': lon}.a > 0",
        "hex(hex(id)) > ''",
        "unhex(hex(id)) = id",
        "hex(lower('a')) = '61'",
        "id::BIT::VARCHAR > ''",
        "TRY_CAST('[1]' AS INTEGER[]) IS NULL",
        "id::JSON IS NULL",
        "CAST(lon AS STRUCT(a INTEGER)) IS NULL",
    ],
)
def test_anything_more_is_refused(where: str) -> None:
    with pytest.raises(FilterError, match="the condition"):
        conditions.check(where)
