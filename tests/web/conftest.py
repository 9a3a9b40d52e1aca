"""The map as people meet it: a real service on loopback, a real browser, and a store of one place on two dates."""

from __future__ import annotations

import re
import shutil
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import rasterio

import hatch_build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Page

    from query.api import Settings

    Open = Callable[..., Page]

CHIP = 32
CHANGED = (slice(0, 96), slice(0, 128))
"""Rows and columns that are another place on the second date."""
PATIENCE = 30_000
BUSY = "status of 503"
"""Milliseconds; a browser without a GPU on a busy machine takes its time."""
# WebGL in software, which is all that a machine without a display has.
FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")


@pytest.fixture(scope="session")
def two_dates(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of the cut scene and of itself two years later, when its north-west had changed."""
    from indexer.encode import encode

    folder = tmp_path_factory.mktemp("two dates")
    later = folder / "later.tif"
    shutil.copy(scene, later)
    with rasterio.open(later, "r+") as raster:
        pixels = raster.read()
        rows, columns = CHANGED
        pixels[:, rows, columns] = pixels[:, ::-1, ::-1][:, rows, columns]
        raster.write(pixels)
        raster.update_tags(ACQUISITIONDATETIME="2021-04-16")
    encode([scene, later], folder / "aquileia", chip_size=CHIP, bands=["B02", "B03", "B04", "B08"])
    return folder / "aquileia"


@contextmanager
def serving(store: Path, settings: Settings) -> Iterator[str]:
    """Serve a store from a thread and give its address."""
    import uvicorn

    from query.api import create_app

    server = uvicorn.Server(uvicorn.Config(create_app([store], settings), port=0, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="session")
def dist() -> Path:
    """Return the built map, built anew if its sources have changed."""
    return hatch_build.build()


@pytest.fixture(scope="module")
def service(two_dates: Path, dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a service that asks for no key."""
    from query.api import Settings

    assert dist.is_dir()
    with serving(two_dates, Settings(jobs_folder=tmp_path_factory.mktemp("jobs"))) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a headless Chromium; `.ci/run` installs Debian's."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium on PATH; install it (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def open_map(browser: Browser, service: str) -> Iterator[Open]:
    """Open the map and wait until it is drawn; at the end nothing must have gone wrong on any page."""
    faults: list[str] = []
    contexts = []

    def hear(said: ConsoleMessage, expected: str | None) -> None:
        # the browser tells of every 503, after which the page comes again
        if said.type == "error" and not re.search("|".join(filter(None, (expected, BUSY))), said.text):
            faults.append(said.text)

    def open_(
        link: str = "", *, address: str = service, drawn: bool = True, expected: str | None = None, **options: object
    ) -> Page:
        # waiting for a condition evaluates a text in the page, which the pages' policy forbids; one test keeps to it
        options = {
            "viewport": {"width": 1024, "height": 640},
            "reduced_motion": "reduce",
            "bypass_csp": True,
            **options,
        }
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: hear(said, expected))
        page.goto(address + link)
        if drawn:
            settle(page)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not faults


def settle(page: Page) -> None:
    """Wait until the store is shown and all that is in view has been drawn."""
    page.wait_for_function("embedstore.store.now.collection && embedstore.store.now.collections.is === 'done'")
    page.wait_for_function("embedstore.map.idle")


def click_map(page: Page, lon: float, lat: float, **options: object) -> None:
    """Click a place on the map."""
    x, y = page.evaluate(f"embedstore.map.project([{lon}, {lat}])")
    page.locator(".map").click(position={"x": x, "y": y}, **options)  # type: ignore[arg-type]
