"""Rasters that mean harm, made byte by byte, small and seeded."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from functools import cache
from typing import Any

import numpy as np
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

BANDS = ("B02", "B03", "B04", "B08")
WIDTH, HEIGHT, BITS, PACKING, COLOURS, OFFSETS, SAMPLES, ROWS, COUNTS = 256, 257, 258, 259, 262, 273, 277, 278, 279
PIXEL_SIZE, TIE_POINT, GEO_KEYS = 33550, 33922, 34735
SHORT, LONG, DOUBLE = 3, 4, 12
IN_DEGREES = (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326)
"""GeoTIFF keys of a raster in longitude and latitude."""


def geotiff(bands: int = 4, side: int = 32, dtype: str = "uint16", **more: Any) -> bytes:
    """Return an honest chip with the bands of the tests' store."""
    with MemoryFile() as memory:
        place = from_origin(13.3, 45.7, 1e-4, 1e-4)
        with memory.open(
            driver="GTiff", width=side, height=side, count=bands, dtype=dtype, transform=place, crs=4326, **more
        ) as out:
            out.write(np.full((bands, side, side), 900 if np.dtype(dtype).itemsize > 1 else 90, dtype))
            out.scales = (1e-4 if np.dtype(dtype).itemsize > 1 else 1e-3,) * bands
            for number, name in enumerate(BANDS[:bands], 1):
                out.set_band_description(number, name)
        return bytes(memory.read())


def tiff(width: int, height: int, *, next_: int = 0, offset: int = 8, strips: int = 1, samples: int = 1) -> bytes:
    """Return a TIFF of a few hundred bytes that says what it likes of its size; nothing of its pixels is there.

    Parameters
    ----------
    width, height, samples
        What it says.
    next_
        Where it says that the next directory is; 0 for nowhere.
    offset
        Where its only directory is said to be.
    strips
        How many it says that there are.
    """
    doubles = struct.pack("<3d6d", 1e-4, 1e-4, 0, 0, 0, 0, 13.3, 45.7, 0)
    keys = struct.pack(f"<{len(IN_DEGREES)}H", *IN_DEGREES)
    at = 8 + 2 + 12 * 12 + 4
    entries = (
        (WIDTH, LONG, 1, width),
        (HEIGHT, LONG, 1, height),
        (BITS, SHORT, 1, 8),
        (PACKING, SHORT, 1, 8),
        (COLOURS, SHORT, 1, 1),
        (OFFSETS, LONG, strips, at),
        (SAMPLES, SHORT, 1, samples),
        (ROWS, LONG, 1, max(height // strips, 1)),
        (COUNTS, LONG, strips, 64),
        (PIXEL_SIZE, DOUBLE, 3, at),
        (TIE_POINT, DOUBLE, 6, at + 24),
        (GEO_KEYS, SHORT, len(IN_DEGREES), at + 72),
    )
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", offset) + body + struct.pack("<I", next_) + doubles + keys


def circle(*, big: bool) -> bytes:
    """Return a TIFF whose directories follow one another in a circle, without end."""
    if not big:
        return tiff(32, 32, next_=8)
    entries = struct.pack("<Q", 2) + b"".join(struct.pack("<HHQQ", tag, LONG, 1, 32) for tag in (WIDTH, HEIGHT))
    return b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + entries + struct.pack("<Q", 16)


def png(width: int, height: int, pixels: bytes = b"") -> bytes:
    """Return a PNG that says how large it is, whatever it holds."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def jp2(width: int, height: int) -> bytes:
    """Return a JPEG 2000 file that says how large it is, and holds no pixel."""

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(body), kind) + body

    head = box(b"ihdr", struct.pack(">IIHBBBB", height, width, 1, 7, 7, 0, 0)) + box(b"colr", b"\1\0\0\0\0\0\x11")
    size = struct.pack(">HHIIIIIIIIHBBB", 41, 0, width, height, 0, 0, width, height, 0, 0, 1, 7, 1, 1)
    code = b"\xff\x4f\xff\x51" + size + b"\xff\x52\x00\x0c\0\0\0\1\0\1\4\4\0\1" + b"\xff\x5c\0\4\x40\x40"
    tile = b"\xff\x90\0\x0a\0\0\0\0\0\x0e\0\1\xff\x93\xff\xd9"
    return (
        box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + box(b"jp2h", head) + box(b"jp2c", code + tile)
    )


def vrt(source: str) -> bytes:
    """Return a virtual raster that shows another file."""
    return (
        '<VRTDataset rasterXSize="32" rasterYSize="32"><SRS>EPSG:4326</SRS><GeoTransform>13,1e-4,0,45,0,-1e-4'
        '</GeoTransform><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    ).encode()


def _packed(kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("chip.tif", b"II*\0" + bytes(1 << 24))
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            told = tarfile.TarInfo("../chip.tif")
            told.size = 1 << 20
            tar.addfile(told, io.BytesIO(bytes(1 << 20)))
    return out.getvalue()


@cache
def of_other_formats() -> dict[str, bytes]:
    """Return files that some driver of GDAL opens, and ours may not; by what they are."""
    away = "/vsicurl/http://127.0.0.1:9/a.tif"
    return {
        "a virtual raster": vrt("/etc/passwd"),
        "a virtual raster of the network": vrt(away),
        "a raster index": b"<GDALTileIndexDataset><IndexDataset>/etc/passwd</IndexDataset></GDALTileIndexDataset>",
        "a web service": b"<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1:9/</ServerUrl></Service></GDAL_WMS>",
        "a WMTS": b"<GDAL_WMTS><GetCapabilitiesUrl>http://127.0.0.1:9/</GetCapabilitiesUrl></GDAL_WMTS>",
        "a WCS": b"<WCS_GDAL><ServiceURL>http://127.0.0.1:9/</ServiceURL></WCS_GDAL>",
        "a name of the network": away.encode(),
        "a name in a zip file": b"/vsizip//vsicurl/http://127.0.0.1:9/a.zip/a.tif",
        "a name of memory": b"MEM:::DATAPOINTER=4096,PIXELS=32,LINES=32",
        "a derived dataset": b"DERIVED_SUBDATASET:LOGAMPLITUDE:/etc/passwd",
        "a STAC Item": b'{"type": "Feature", "stac_version": "1.0.0", "assets": {"a": {"href": "/etc/passwd"}}}',
        "netCDF": b"CDF\x01" + bytes(60),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(60),
        "GRIB": b"GRIB" + bytes(60),
        "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj",
        "GeoPackage": b"SQLite format 3\0" + bytes(84),
        "a zip file": _packed("zip"),
        "a tar file": _packed("tar"),
        "JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(40),
        "JPEG 2000 of a lying size": jp2(2_000_000_000, 2_000_000_000),
        "SVG": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
        "an ENVI header": b"ENVI\nsamples = 32\nlines = 32\nbands = 1\ndata type = 1\n",
        "a pickle": b"\x80\x04\x95\x1e\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85R.",
        "NumPy with a pickle": b"\x93NUMPY\x01\0\x3a\0{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n",
        "a shell script": b"#!/bin/sh\nid\n",
        "nothing": b"",
        "two bytes": b"II",
    }  # fmt: skip
