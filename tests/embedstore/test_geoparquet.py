from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely

from embedstore import geoparquet, schema
from embedstore.append import by_partition, prepare
from embedstore.errors import DamageError
from embedstore.geoparquet import DIGEST, name_batch, name_digest, read_part, write_part
from embedstore.sealed import sha256
from tests.embedstore import make

if TYPE_CHECKING:
    from pathlib import Path

BATCH = "ab" * 16


@pytest.fixture
def piece() -> tuple[str, pa.Table]:
    rows = prepare(make.chips(list(range(50)), box=(10, 45, 10.1, 45.1)), make.ENCODER, make.GRID)
    return max(by_partition(rows), key=lambda p: len(p[1]))


def test_what_was_written_is_read(tmp_path: Path, piece: tuple[str, pa.Table]) -> None:
    cell, rows = piece
    part = write_part(tmp_path, cell, BATCH, rows, make.ENCODER)
    path = tmp_path / part.path
    assert (part.cell, part.rows, part.size) == (cell, len(rows), path.stat().st_size)
    assert path.parent.name == f"h3_cell={cell}"
    assert read_part(path).equals(rows.cast(schema.FILE))
    assert read_part(path, ["id"]).column_names == ["id"]
    assert name_batch(part.path) == BATCH
    assert name_digest(part.path) == sha256(path)[:DIGEST]
    assert [p.name for p in path.parent.iterdir()] == [path.name], "no draft is left"


def test_footers_and_statistics_say_what_is_inside(tmp_path: Path, piece: tuple[str, pa.Table]) -> None:
    part = write_part(tmp_path, *piece[:1], BATCH, piece[1], make.ENCODER)
    footer = pq.read_schema(tmp_path / part.path).metadata
    bounds = shapely.total_bounds(shapely.from_wkb(piece[1]["geometry"].to_numpy(zero_copy_only=False))).tolist()
    assert json.loads(footer[b"geo"])["columns"]["geometry"]["bbox"] == bounds
    assert json.loads(footer[b"emb"])["model"]["fingerprint"] == make.ENCODER.fingerprint
    stats = json.loads(part.stats)
    assert stats["numRecords"] == len(piece[1])
    assert stats["minValues"]["bbox"]["xmin"] == bounds[0]
    assert stats["maxValues"]["bbox"]["ymax"] == bounds[3]
    assert stats["minValues"]["id"] == min(piece[1]["id"].to_pylist())
    assert stats["maxValues"]["h3"] == pc.max(piece[1]["h3"]).as_py()


def test_rows_of_unknown_time_have_no_bounds_in_time(tmp_path: Path, piece: tuple[str, pa.Table]) -> None:
    cell, rows = piece
    none = pa.nulls(len(rows), schema.TIME)
    rows = rows.set_column(rows.schema.get_field_index("datetime"), "datetime", none)
    stats = json.loads(write_part(tmp_path, cell, BATCH, rows, make.ENCODER).stats)
    assert "datetime" not in stats["minValues"]
    assert "datetime_end" in stats["minValues"]


def test_a_new_partition_is_durable(
    tmp_path: Path, piece: tuple[str, pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(geoparquet, "sync_folder", synced.append)
    for expected in ([tmp_path, tmp_path / f"h3_cell={piece[0]}"], [tmp_path / f"h3_cell={piece[0]}"]):
        synced.clear()
        write_part(tmp_path, piece[0], BATCH, piece[1], make.ENCODER)
        assert synced == expected


def test_a_damaged_file_is_never_read_as_if_whole(tmp_path: Path, piece: tuple[str, pa.Table]) -> None:
    part = write_part(tmp_path, *piece[:1], BATCH, piece[1], make.ENCODER)
    path = tmp_path / part.path
    whole = path.read_bytes()
    right = read_part(path)
    for offset in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x55]) + whole[offset + 1 :])
        assert sha256(path)[:DIGEST] != name_digest(part.path)
        try:
            assert read_part(path).num_rows == len(right)
        except DamageError as error:
            assert path.name in str(error)  # noqa: PT017 - either is right: bytes that no column uses may change
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamageError, match=path.name):
        read_part(path)
    path.unlink()
    with pytest.raises(DamageError, match="cannot be read"):
        read_part(path)


def test_a_flipped_byte_of_a_column_is_found_by_its_page(tmp_path: Path, piece: tuple[str, pa.Table]) -> None:
    part = write_part(tmp_path, *piece[:1], BATCH, piece[1], make.ENCODER)
    path = tmp_path / part.path
    group = pq.read_metadata(path).row_group(0)
    column = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema.startswith("embedding"))
    raw = bytearray(path.read_bytes())
    raw[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DamageError, match=path.name):
        read_part(path)
    assert read_part(path, ["id"]).num_rows == part.rows


@pytest.mark.parametrize("path", ["x.parquet", "h3_cell=1/part-0001.parquet", "h3_cell=1/part-a-b-c.parquet"])
def test_files_of_other_writers_have_no_batch(path: str) -> None:
    assert name_batch(path) == ""
