"""Scenes that are not on this machine, read where they lie: parts of COGs over HTTP, S3, Google Cloud Storage, Azure.

GDAL reads them by ranges (https://gdal.org/en/stable/user/virtual_file_systems.html). A server decides what comes back,
so only a few drivers may look at it: none that follows what a file says to other files.

A signature in a URL's query is a secret. It is kept beside the path, which goes into messages and tables without it.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import rasterio

from embedstore import cloud
from embedstore.errors import RasterError

if TYPE_CHECKING:
    from collections.abc import Callable

DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".jp2": "JP2OpenJPEG"}
"""By suffix, what may open a file, here too: what says that it is a TIFF shall not be a list of other files. Everything
else that is elsewhere is a GeoTIFF."""
OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # nobody asks for neighbours
    "CPL_VSIL_CURL_USE_HEAD": "NO",  # the first part says the size too
    "GDAL_INGESTED_BYTES_AT_OPEN": str(1 << 20),  # where all blocks lie, in one request
    "CPL_VSIL_CURL_CHUNK_SIZE": str(1 << 20),
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_CONNECTTIMEOUT": "5",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.25",
}
"""Few reads, large ones, tried again."""
HEAD, TAIL = 1 << 20, 1 << 16
"""Bytes at either end of a file that tell its content."""
SPREAD, PIECE = 16, 1 << 14
"""Pieces between them that tell pixels which are not compressed, and bytes of each."""
TRIES = 5
_URL = re.compile(r"^(https?|s3|gs|az):/{1,2}([^/].*)$", re.DOTALL)
_VSI = {"s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}
_QUERIES: dict[str, str] = {}


def url(path: str | Path) -> str | None:
    """Return the URL that a path stands for, without its query; None if it is a path on this machine.

    A URL that went through :class:`pathlib.Path`, and lost a slash on the way, is one still.
    """
    found = _URL.match(str(path))
    return f"{found[1]}://{found[2]}".partition("?")[0] if found else None


def named(scene: str | Path) -> Path:
    """Return a scene's path as it may be shown; a URL's query is remembered for this process and left out."""
    bare = url(scene)
    if bare is None:
        return Path(scene)
    query = str(scene).partition("?")[2]
    if query:
        _QUERIES[bare] = query
    return Path(bare)


def href(path: str | Path) -> str:
    """Return what a table says of where a scene lies: its URL without a query, or its absolute path."""
    return url(path) or str(Path(path).absolute())


def gdal_name(path: Path) -> str | Path:
    """Return what GDAL calls a file, here or elsewhere."""
    bare = url(path)
    if bare is None:
        return path
    scheme, _, rest = bare.partition("://")
    query = f"?{_QUERIES[bare]}" if bare in _QUERIES else ""
    return f"{_VSI[scheme]}{rest}" if scheme in _VSI else f"/vsicurl/{bare}{query}"


def driver(path: Path) -> str | None:
    """Return the driver that may open a file; any may open one that is here and of another suffix."""
    return DRIVERS.get(path.suffix.lower(), "GTiff" if url(path) else None)


def settings(path: Path | None) -> AbstractContextManager[Any]:
    """Return the settings under which GDAL reads a file; none of a file on this machine, all if None."""
    if path is not None and url(path) is None:
        return nullcontext()
    options = dict(OPTIONS)
    endpoint = urlsplit(cloud.Address("s3", "", "").endpoint)
    if endpoint.netloc:
        options |= {"AWS_S3_ENDPOINT": endpoint.netloc, "AWS_VIRTUAL_HOSTING": "FALSE"}
        options["AWS_HTTPS"] = "NO" if endpoint.scheme == "http" else "YES"
    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    if account:
        options["AZURE_STORAGE_ACCOUNT"] = account
    reading: AbstractContextManager[Any] = rasterio.Env(**options)
    return reading


def reason(path: Path, error: Exception) -> RasterError:
    """Return what went wrong with a remote scene, as one line without secrets."""
    said = cloud.plain(error)
    last = error.__cause__
    if last is not None and "previous exception" in said:
        said = cloud.plain(last if isinstance(last, Exception) else error)
    where = url(path)
    plain = re.sub(r"\S*/\S*", "", said)  # names of files hold numbers too
    if re.search(r"\b404\b|does not exist", plain):
        return RasterError(f"there is no file {where} (404); check its URL.")
    if re.search(r"\b(401|403)\b|Access ?Denied|InvalidCredentials|No valid .* credentials", plain):
        names = cloud.CREDENTIALS.get(where.partition(":")[0] if where else "", "a signature in the URL")
        return RasterError(f"{where} may not be read: the server refuses ({said}). Check {names}.")
    return RasterError(
        f"{where} cannot be read: {said}. Is it a whole COG, and does the server answer? Run the same command again."
    )


def identity(path: Path, packed: bool = True) -> str:
    """Return an identity of a remote file's content that takes a few requests and not all of its bytes.

    Parameters
    ----------
    path
        The file's URL.
    packed
        Whether its pixels are compressed.

    Returns
    -------
    ``range:`` and the SHA-256 of its size, its first MiB and its last 64 KiB: in a COG they hold the place and the
    packed length of every block, so that other pixels make other bytes there. Of one that is not packed, 16 pieces
    spread over it tell its pixels. A copy on this machine has another one.

    Raises
    ------
    RasterError
        If it cannot be had.
    """
    bare = url(path)
    assert bare is not None
    scheme, _, rest = bare.partition("://")
    if scheme in _VSI:
        read = _object(scheme, *rest.partition("/")[::2])
    else:
        query = f"?{_QUERIES[bare]}" if bare in _QUERIES else ""
        read = _http(bare, query)
    head, size = read(0, HEAD)
    tail = read(max(HEAD, size - TAIL), size)[0] if size > HEAD else b""
    starts = [HEAD + i * (size - TAIL - HEAD) // SPREAD for i in range(0 if packed or size <= HEAD + TAIL else SPREAD)]
    with ThreadPoolExecutor(TRIES) as pool:
        between = list(pool.map(lambda start: read(start, min(start + PIECE, size))[0], starts))
    return "range:" + hashlib.sha256(b"".join((b"%d:" % size, head, tail, *between))).hexdigest()


def _object(scheme: str, bucket: str, key: str) -> Callable[[int, int], tuple[bytes, int]]:
    import obstore  # noqa: PLC0415 - an extra, which connect() asks for

    address = cloud.Address(scheme, bucket, "")
    store = address.connect()

    def read(start: int, stop: int) -> tuple[bytes, int]:
        try:
            with cloud.refusals("read a scene of", address):
                size = int(obstore.head(store, key)["size"])
                return bytes(obstore.get_range(store, key, start=start, end=min(stop, size))), size
        except FileNotFoundError as error:
            raise RasterError(f"there is no file {address}/{key} (404); check its URL.") from error

    return read


def _http(bare: str, query: str) -> Callable[[int, int], tuple[bytes, int]]:
    import httpx  # noqa: PLC0415 - slow to import

    def once(start: int, stop: int) -> tuple[bytes, int]:
        asked = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        with httpx.stream("GET", bare + query, headers=asked, timeout=60, follow_redirects=True) as answer:
            answer.raise_for_status()
            total = re.match(r"bytes \d+-\d+/(\d+)$", answer.headers.get("Content-Range", ""))
            if answer.status_code != httpx.codes.PARTIAL_CONTENT or not total:
                raise RasterError(f"the server of {bare} gives no parts of files. Download the scene first.")
            return answer.read(), int(total[1])

    def read(start: int, stop: int) -> tuple[bytes, int]:
        for attempt in range(TRIES):
            try:
                return once(start, stop)
            except httpx.HTTPStatusError as error:
                if error.response.status_code < 500 or attempt == TRIES - 1:
                    raise reason(Path(bare), RuntimeError(f"HTTP status {error.response.status_code}")) from error
            except httpx.HTTPError as error:
                if attempt == TRIES - 1:
                    raise reason(Path(bare), error) from error
            time.sleep(0.25 * 2**attempt)
        raise AssertionError

    return read
