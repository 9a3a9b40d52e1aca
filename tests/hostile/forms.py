"""Uploads: forms that are none, and files that are not what they say."""

from __future__ import annotations

import json
import struct
import zlib

from tests.hostile import rasters
from tests.hostile.case import C, Case

EDGE = "edge7"


def part(body: bytes, head: str = 'name="file"; filename="chip.tif"', more: str = "") -> bytes:
    """Return one part of a form."""
    return f"--{EDGE}\r\nContent-Disposition: form-data; {head}\r\n{more}\r\n".encode("latin-1") + body + b"\r\n"


def form(name: str, status: int, *parts: bytes, kind: str = f"multipart/form-data; boundary={EDGE}") -> Case:
    """Return a case that sends a form to the search."""
    body = b"".join(parts) + f"--{EDGE}--\r\n".encode()
    return Case(name, status, "POST", f"{C}/search", body, (("Content-Type", kind),))


def file(name: str, status: int, raw: bytes, called: str = "chip.tif") -> Case:
    """Return a case that uploads a file."""
    return form(name, status, part(raw, f'name="file"; filename="{called}"'))


def asked(name: str, status: int, text: bytes) -> Case:
    """Return a case that uploads an honest chip with a hostile question."""
    return form(name, status, part(rasters.geotiff()), part(text, 'name="query"'))


def leading_elsewhere() -> bytes:
    """Return a chip whose metadata names other files: GDAL would open them."""
    metadata = '<GDALMetadata><Item name="OVERVIEW_FILE" domain="OVERVIEWS">/etc/passwd</Item></GDALMetadata>'
    raw = rasters.geotiff(bands=1)
    count = struct.unpack_from("<H", raw, struct.unpack_from("<I", raw, 4)[0])[0]
    at = struct.unpack_from("<I", raw, 4)[0]
    entries = raw[at + 2 : at + 2 + 12 * count]
    kept = [entries[i : i + 12] for i in range(0, len(entries), 12) if entries[i : i + 2] != struct.pack("<H", 42112)]
    text = metadata.encode() + b"\0"
    kept.append(struct.pack("<HHII", 42112, 2, len(text), len(raw)))
    kept.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    directory = struct.pack("<H", len(kept)) + b"".join(kept) + bytes(4)
    return raw[:4] + struct.pack("<I", len(raw) + len(text)) + raw[8:] + text + directory


FORMS = (
    form("a form without an edge", 400, part(b"x"), kind="multipart/form-data"),
    form("a form with another edge", 400, part(b"x"), kind="multipart/form-data; boundary=other"),
    form("a form with an empty edge", 400, part(b"x"), kind="multipart/form-data; boundary="),
    form("a form with an edge of thousands of letters", 400, part(b"x"),
         kind="multipart/form-data; boundary=" + "e" * 9000),
    form("a form without parts", 422),
    form("a form without a file", 422, part(b"{}", 'name="query"')),
    form("a file that is text", 422, part(b"x", 'name="file"')),
    form("two files", 400, part(b"x"), part(b"x")),
    form("thousands of files", 400, *[part(b"x")] * 5000),
    form("thousands of fields", 400, *[part(b"x", 'name="query"')] * 5000),
    form("a field of megabytes", 400, part(rasters.geotiff()), part(b" " * (5 << 20), 'name="query"')),
    form("a part without a name", 400, part(b"x", 'filename="a"')),
    form("a part with thousands of headers", 400, part(b"x", more="X-A: b\r\n" * 5000)),
    form("a part with a header of megabytes", 400, part(b"x", more="X-A: " + "b" * (2 << 20) + "\r\n")),
    form("a name of thousands of letters", 400, part(b"x", f'name="file"; filename="{"a" * 5000}"')),
    form("a name of bytes that are no text", 415, part(b"x", 'name="file"; filename="\xff\xfe"')),
    form("a charset that nobody knows", 415, part(b"x"),
         kind=f"multipart/form-data; boundary={EDGE}; charset=nonsense"),
    form("a form in a form", 415, part(part(rasters.geotiff()), more="Content-Type: multipart/mixed; boundary=x\r\n")),
    form("a coding of a part", 415, part(b"SUkqAA==", more="Content-Transfer-Encoding: base64\r\n")),
    Case("a form that stops", 422, "POST", f"{C}/search", part(rasters.geotiff())[:900],
         (("Content-Type", f"multipart/form-data; boundary={EDGE}"),)),
    Case("a form of line breaks", 422, "POST", f"{C}/search", b"\r\n" * 300_000,
         (("Content-Type", f"multipart/form-data; boundary={EDGE}"),)),
)  # fmt: skip

QUESTIONS = (
    asked("a question beside a file that is no JSON", 422, b"{"),
    asked("a question beside a file in bytes that are no text", 422, b'{"k": "\xff"}'),
    asked("a question beside a file that is nested without end", 422, b"[" * 100_000),
    asked("a question beside a file of NaN", 422, b'{"at": [NaN, NaN]}'),
    asked("a vector beside a file", 422, json.dumps({"vector": [0.5] * 4}).encode()),
    asked("a condition beside a file that reads another", 400,
          b'{"where": "(SELECT content FROM read_text(\'/etc/passwd\')) = \'x\'"}'),
)  # fmt: skip

NAMES = tuple(
    file(f"a virtual raster called {called[:24]!r}", 415, rasters.vrt("/etc/passwd"), called)
    for called in (
        "../../../../etc/cron.d/x.tif",
        "/vsicurl/http://127.0.0.1:9/a.tif",
        "/vsizip/a.zip/a.tif",
        "GTIFF_DIR:1:/etc/passwd",
        "chip.tif;GDAL_VRT_ENABLE_PYTHON=YES",
        "%00.tif",
    )
)

FILES = (
    *(file(f"for a chip, {what}", 415, raw) for what, raw in rasters.of_other_formats().items()),
    file("a TIFF that is a virtual raster", 400, b"II*\0" + rasters.vrt("/etc/passwd")),
    file("a PNG that is a virtual raster", 400, b"\x89PNG\r\n\x1a\n" + rasters.vrt("/etc/passwd")),
    file("a TIFF whose end is a zip file", 400, rasters.tiff(32, 32) + rasters.of_other_formats()["a zip file"]),
    file("a TIFF of a million by a million pixels", 413, rasters.tiff(10**6, 10**6)),
    file("a TIFF of as many pixels as can be said", 400, rasters.tiff(2**32 - 1, 2**32 - 1)),
    file("a TIFF of one row without end", 413, rasters.tiff(2**31 - 1, 1)),
    file("a TIFF of sixty thousand bands", 413, rasters.tiff(32, 32, samples=60_000)),
    file("a TIFF of a thousand million strips", 400, rasters.tiff(32, 32, strips=10**9)),
    file("a TIFF without pixels", 400, rasters.tiff(0, 0)),
    file("a TIFF whose directories go in a circle", 400, rasters.circle(big=False)),
    file("a BigTIFF whose directories go in a circle", 400, rasters.circle(big=True)),
    file("a TIFF whose directory is beyond its end", 400, rasters.tiff(32, 32, offset=2**31)),
    file("a TIFF whose directory is itself", 400, rasters.tiff(32, 32, offset=0)),
    file("a TIFF that names other files", 400, leading_elsewhere()),
    file("a TIFF of packed pixels that unpack to much", 413,
         rasters.geotiff(side=32, tiled=True, blockxsize=16384, blockysize=16384, SPARSE_OK="TRUE",
                         COMPRESS="DEFLATE")),
    file("a TIFF of too many bands", 413, rasters.geotiff(bands=65)),
    file("a TIFF of the wrong bands", 400, rasters.geotiff(bands=1)),
    file("a TIFF of complex numbers", 400, rasters.geotiff(dtype="complex64")),
    file("a TIFF of too few pixels", 400, rasters.geotiff(side=16)),
    file("half a TIFF", 400, rasters.geotiff()[:300]),
    file("a PNG of sixty thousand by sixty thousand pixels", 413, rasters.png(60_000, 60_000, bytes(1000))),
    file("a PNG of as many pixels as can be said", 400, rasters.png(2**31, 2**31)),
    file("a PNG of packed pixels that unpack to much", 400, rasters.png(32, 32, bytes(1 << 26))),
    file("a PNG without pixels", 400, rasters.png(0, 0)),
    file("a PNG whose text is packed without end", 400,
         rasters.png(32, 32)[:33] + struct.pack(">I4s", 16, b"iTXt") + zlib.compress(bytes(100_000))[:16]),
)  # fmt: skip

CASES = (*FORMS, *QUESTIONS, *NAMES, *FILES)
