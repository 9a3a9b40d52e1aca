"""Tiles that are kept."""

from __future__ import annotations

from query.api.tilecache import Tiles


def test_a_tile_is_made_once_for_a_version() -> None:
    version, made = 1, []

    def make() -> bytes:
        made.append(version)
        return b"tile of %d" % version

    kept = Tiles(lambda: version, 1 << 16)
    assert kept.get("a", make) == kept.get("a", make) == b"tile of 1"
    version = 2
    assert kept.get("a", make) == b"tile of 2"
    assert made == [1, 2]


def test_empty_tiles_are_kept_and_large_ones_pass() -> None:
    made = []

    def make(body: bytes) -> bytes:
        made.append(len(body))
        return body

    kept = Tiles(lambda: 0, 4_000)
    for _ in range(2):
        assert kept.get("empty", lambda: make(b"")) == b""
        assert kept.get("large", lambda: make(bytes(4_000))) == bytes(4_000)
    assert made == [0, 4_000, 4_000]


def test_the_least_used_go_first() -> None:
    kept = Tiles(lambda: 0, 3_000)
    for name in "abc":
        kept.get(name, lambda: bytes(1_000))
    assert kept.get("c", lambda: b"made anew") == bytes(1_000)
    assert kept.get("a", lambda: b"made anew") == b"made anew"
