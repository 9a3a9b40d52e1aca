"""Readers of what others give. Each returns, or raises one of our errors; anything else is a fault."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import numpy as np

from embedstore import area
from indexer.encoders import card, model_file
from indexer.importers import layouts
from indexer.importers.source import Options
from indexer.plan import catalogue, file
from indexer.plan.catalogue import Question
from indexer.plan.scenes import Wanted, candidates
from indexer.rasters import open_raster
from query import conditions
from query.api import Settings, keys, uploads
from query.fewshot import sources
from query.filters import Filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[[bytes], None]


def imports(_: Path, own: Path) -> Run:
    """GeoParquet of others."""
    path = own / "a.parquet"

    def run(raw: bytes) -> None:
        path.write_bytes(raw)
        for unit in layouts.open_source(path, Options(model="m")).units():
            unit.read()

    return run


def arrays(root: Path, own: Path) -> Run:
    """Bare arrays, and the files that say where they belong."""
    vectors, places = ((root / "arrays" / f"{name}.npy").read_bytes() for name in ("vectors", "places"))

    def run(raw: bytes) -> None:
        is_vectors = b"(12, 8)" in raw[:128]
        suffix = ".parquet" if raw.startswith(b"PAR1") else ".npy" if b"NUMPY" in raw[:8] else ".csv"
        where = own / f"places{suffix}"
        (own / "v.npy").write_bytes(raw if is_vectors else vectors)
        where.write_bytes(places if is_vectors else raw)
        options = Options(model="m", coordinates=where, chip_metres=100.0)
        for unit in layouts.open_source(own / "v.npy", options).units():
            unit.read()

    return run


def models(_: Path, own: Path) -> Run:
    """Model files: safetensors, and the card in their head."""
    path = own / "m.safetensors"

    def run(raw: bytes) -> None:
        path.write_bytes(raw)
        model_file.read(path)
        card.markdown(model_file.describe(path), path)

    return run


def cards(_: Path, own: Path) -> Run:
    """Cards of models with the strangest contents."""
    from safetensors.numpy import save

    path = own / "m.safetensors"

    def run(raw: bytes) -> None:
        path.write_bytes(save({"a": np.zeros(2, np.float32)}, {model_file.KEY: raw.decode("utf-8", "replace")}))
        model_file.read(path)
        card.markdown(model_file.describe(path), path)

    return run


def uploaded(root: Path, _: Path) -> Run:
    """Rasters that strangers upload, up to the encoder."""
    from query.api.collections import Collection

    of = Collection(root / "store", Settings())
    spec = replace(of.engine.store.encoder, chip_size=32)
    encoder = Mock(spec=spec, encode=lambda *_: np.ones((1, spec.dimension), np.float32))
    encoder.spec = spec
    of.engine.encoder = lambda: encoder  # type: ignore[method-assign] - what it makes of pixels is not the question

    def run(raw: bytes) -> None:
        try:
            uploads.encode(of, io.BytesIO(raw), Settings(max_upload_decoded_bytes=64 << 20))
        except uploads.Problem as error:
            if error.status_code != 415:
                raise

    return run


def local(_: Path, own: Path) -> Run:
    """Scenes of this machine."""
    path = own / "S2_N0510_20190416.tif"

    def run(raw: bytes) -> None:
        path.write_bytes(raw)
        scene = open_raster(path)
        with scene.reader(scene.bands.names) as reader:
            height, width = min(scene.height, 64), min(scene.width, 64)
            reader.read(0, 0, height, width)
        scene.lonlat(np.array([0, scene.width]), np.array([0, scene.height]))

    return run


def labels(_: Path, own: Path) -> Run:
    """Labels in JSON and GeoJSON, as files."""
    path = own / "labels.geojson"

    def run(raw: bytes) -> None:
        path.write_bytes(raw)
        sources.read(path, "class")

    return run


def areas(_: Path, own: Path) -> Run:
    """Areas of interest, as files and as text."""
    path = own / "area.geojson"
    lon, lat = np.linspace(-180, 180, 50), np.linspace(-90, 90, 50)

    def run(raw: bytes) -> None:
        path.write_bytes(raw)
        shape = area.parse(path)
        Filter.parse(within=shape).cover.contains(lon, lat)

    return run


def stac(_: Path, own: Path) -> Run:
    """STAC: Items, and collections of them."""
    path = own / "items.json"
    everywhere = area.parse((-180, -90, 180, 90))
    question = Question(everywhere, datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))

    def run(raw: bytes) -> None:
        path.write_bytes(raw)
        faults: list[Any] = []
        items = list(catalogue.items(str(path), question, faults))
        candidates(items, Wanted("optical"), question, faults, lead=True)

    return run


def plans(_: Path, own: Path) -> Run:
    """Plans, damaged and sealed again."""
    path = own / "plan.parquet"

    def run(raw: bytes) -> None:
        seal = file._digest(file._with_seal(raw, _said(raw), file.UNSEALED))
        path.write_bytes(file._with_seal(raw, _said(raw), seal) if sum(raw) % 2 else raw)
        for unit in file.read(path).units:
            unit.expected()

    return run


def _said(raw: bytes) -> str:
    """Return the digest that a plan names."""
    at = raw.rfind(b'"sha256":"')
    return (raw[at + 10 : at + 74].decode("ascii", "replace") if at >= 0 else "") or file.UNSEALED


def key_files(_: Path, own: Path) -> Run:
    """Files of keys."""
    path = own / "keys.json"

    def run(raw: bytes) -> None:
        path.write_bytes(raw)
        now = datetime(2026, 1, 1, tzinfo=UTC)
        for key in keys.read(path):
            key.lives(now)
            asdict(key)

    return run


def where(root: Path, _: Path) -> Run:
    """Conditions, on a store."""
    from query import Engine

    engine = Engine(root / "store")
    vector = np.ones(16)

    def run(raw: bytes) -> None:
        where = raw.decode("utf-8", "replace")[:2000]
        conditions.check(where)
        engine.search(vector, k=3, where=where)

    return run


def sql(root: Path, _: Path) -> Run:
    """Statements of strangers; those that are not refused are run."""
    from query import Engine
    from query.sql import Limits, Session

    session = Session(Engine(root / "store"), Limits(seconds=1.0, memory_mb=128, rows=1000))

    def run(raw: bytes) -> None:
        session.query(raw.decode("utf-8", "replace")[:20_000])

    return run


def requests(root: Path, own: Path) -> Run:
    """Requests in JSON to the service: 2xx or 4xx."""
    from fastapi.testclient import TestClient

    from query.api import create_app

    settings = Settings(jobs_folder=own / "jobs")
    client = TestClient(create_app([root / "store"], settings), "http://127.0.0.1", raise_server_exceptions=True)
    client.__enter__()

    def run(raw: bytes) -> None:
        try:
            asked = json.loads(raw)
            to, body = str(asked["to"]).encode("ascii", "ignore").decode(), asked["body"]
        except (ValueError, KeyError, TypeError, RecursionError):
            to, body = "/collections/store/search", raw
        to = to if to.startswith("/collections/store/") and to.isprintable() else "/collections/store/search"
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = client.post(to, content=sent, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, answer.text
        assert str(root) not in answer.text

    return run
