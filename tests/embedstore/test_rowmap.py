from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedstore import rowmap
from embedstore.errors import DamageError

origins = st.dictionaries(
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6),
    st.lists(st.tuples(st.sampled_from(["a", "b", "c/d.parquet"]), st.integers(0, 2**31)), min_size=1, max_size=20),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40)
@given(origins)
def test_what_was_written_is_read(rows_of: dict[str, list[tuple[str, int]]]) -> None:
    made = {
        new: rowmap.Origin(np.array([f for f, _ in rows], object), np.array([r for _, r in rows], np.int64))
        for new, rows in rows_of.items()
    }
    with TemporaryDirectory() as folder:
        path = rowmap.write(Path(folder), "ab" * 16, made)
        assert path.name.startswith("ab" * 16 + "-")
        again = rowmap.read(path)
    assert {new: list(zip(o.file.tolist(), o.row.tolist(), strict=True)) for new, o in again.items()} == rows_of


def test_every_flipped_byte_and_a_lost_map_are_refused(tmp_path: Path) -> None:
    path = rowmap.write(tmp_path, "cd" * 16, {"new": rowmap.Origin(np.array(["old"], object), np.array([3]))})
    whole = path.read_bytes()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with pytest.raises(DamageError):
            rowmap.read(path)
    path.unlink()
    with pytest.raises(DamageError, match="cannot be read"):
        rowmap.read(path)
