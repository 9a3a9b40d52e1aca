"""A small STAC API on the loopback: item search by POST and GET, in pages with `next` links."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import shapely

from indexer import acquisition

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]


class Api:
    """What the server holds, and what it was asked.

    Parameters
    ----------
    items
        All of them.
    page
        How many an answer holds at most.
    fails_at
        Number of the page from 0 that is answered by 404.
    """

    def __init__(self, items: list[dict[str, Any]], page: int = 2, fails_at: int | None = None) -> None:
        self.items = [{**item, "assets": {k: _by_url(a) for k, a in item["assets"].items()}} for item in items]
        self.page, self.fails_at = page, fails_at
        self.asked: list[dict[str, Any]] = []
        self.url = ""

    def search(self, body: dict[str, Any]) -> dict[str, Any] | None:
        self.asked.append(body)
        west, south, east, north = body["bbox"]
        start, end = (acquisition.parse(t) for t in body["datetime"].split("/"))
        found = [
            item
            for item in self.items
            if (item["geometry"] is None or shapely.box(west, south, east, north).intersects(_shape(item)))
            and start <= acquisition.parse(item["properties"]["datetime"]) <= end
            and (not body.get("collections") or item["collection"] in body["collections"])
        ]
        at = int(body.get("token", 0))
        if self.fails_at == at:
            return None
        page = found[at * self.page : (at + 1) * self.page]
        links = []
        if (at + 1) * self.page < len(found):
            again = {**body, "token": at + 1}
            links = [{"rel": "next", "method": "POST", "href": f"{self.url}/search", "body": again}]
        return {"type": "FeatureCollection", "features": page, "links": links}


def _by_url(asset: dict[str, Any]) -> dict[str, Any]:
    """Return an asset whose href would not be taken for a path on the server."""
    return {**asset, "href": f"file://{asset['href']}"}


def _shape(item: dict[str, Any]) -> Any:
    return shapely.geometry.shape(item["geometry"])


@contextmanager
def serving(api: Api) -> Iterator[str]:
    """Serve an API; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path)
            if path.path == "/search":
                self._answer(api.search({k: v[0] for k, v in parse_qs(path.query).items()}))
            else:
                links = [{"rel": rel, "href": api.url} for rel in ("self", "root")]
                search = {
                    "rel": "search",
                    "href": f"{api.url}/search",
                    "method": "POST",
                    "type": "application/geo+json",
                }
                root = {"type": "Catalog", "id": "made", "description": "made", "stac_version": "1.0.0"}
                self._answer({**root, "conformsTo": CONFORMS, "links": [*links, search]})

        def do_POST(self) -> None:
            self._answer(api.search(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def _answer(self, body: dict[str, Any] | None) -> None:
            text = json.dumps(body or {"description": "no such page"}).encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield api.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
