"""What people do on the map, done by a browser against the real service."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import geopandas
import pytest
import shapely
from rasterio.windows import Window

from tests.keys import key_file
from tests.web.conftest import CHIP, PATIENCE, click_map, serving, settle

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Download, Page

    from tests.web.conftest import Open

TOWN, FIELD, LAGOON = (13.3705, 45.7685), (13.345, 45.762), (13.372, 45.737)
PLACES = {"Town": [TOWN, (13.3665, 45.7655)], "Water": [LAGOON, (13.36, 45.7345), (13.385, 45.736)]}
CHIPS = 200
HIT = ".tile[data-id]"
ASKED = (
    "(({positives, negatives, area, labels, tab}) => ({positives, negatives, area, labels, tab}))(embedstore.store.now)"
)
CONTROLS = "button, input:not([hidden]), select, textarea, summary"


def link(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).fragment)


def hits(page: Page) -> list[str]:
    return [tile.get_attribute("data-id") or "" for tile in page.locator(HIT).all()]


def export(page: Page, panel: str, form: str, at: int = -1) -> Download:
    menus = page.locator(f"{panel} details.menu")
    menu = menus.nth(at if at >= 0 else menus.count() - 1)
    menu.locator("summary").click()
    with page.expect_download() as started:
        menu.get_by_role("button", name=form, exact=True).click()
    return started.value


def test_the_whole_loop(open_map: Open) -> None:
    page = open_map()

    click_map(page, *TOWN)
    page.locator(HIT).first.wait_for()
    first = hits(page)
    assert len(first) == 24

    with page.expect_response(lambda answer: answer.url.endswith("/search")):
        page.get_by_role("button", name="Less like hit 2", exact=True).click()
    page.wait_for_function(f"document.querySelector('.tile[data-id=\"{first[1]}\"]') === null")
    page.wait_for_function("location.hash.includes('unlike')")
    assert link(page)["unlike"] == [first[1]]
    assert hits(page) != first

    page.keyboard.press("d")
    corners = [(13.335, 45.745), (13.39, 45.745), (13.39, 45.775), (13.335, 45.775)]
    with page.expect_response(lambda answer: answer.url.endswith("/search")):
        for corner in corners:
            click_map(page, *corner)
        page.keyboard.press("Enter")
    page.locator("#panel-find .results:not([aria-busy])").wait_for()
    found = json.loads(export(page, "#panel-find", "GeoJSON").path().read_text(encoding="utf-8"))
    area = shapely.Polygon(corners)
    centres = [shapely.Point(each["properties"]["lon"], each["properties"]["lat"]) for each in found["features"]]
    assert centres
    assert all(area.buffer(1e-4).contains(centre) for centre in centres)
    page.get_by_role("button", name="Clear the area").click()

    page.get_by_role("tab", name="Label").click()
    for number, (name, places) in enumerate(PLACES.items(), 1):
        page.get_by_label(f"Name of class {number}").fill(name)
        page.get_by_label(f"Name of class {number}").press("Enter")
        for place in places:
            click_map(page, *place)
            page.wait_for_function(f"Object.values(embedstore.store.now.labels).includes('{name}')")
    page.wait_for_function("Object.keys(embedstore.store.now.labels).length === 5")
    page.get_by_role("button", name="Classify the view").click()
    page.locator(".legend").wait_for()
    saved = export(page, "#panel-label", "GeoParquet")
    classified = geopandas.read_parquet(saved.path())
    assert len(classified) == CHIPS
    assert set(classified["class"]) == {"Town", "Water"}
    assert classified["confidence"].between(0, 1).all()
    assert classified.crs == "OGC:CRS84"
    # Marsh at the lagoon's rim is unlike every label: there the vote is near even, and the confidence says so.
    lagoon = classified[classified["confidence"] > 0.6].cx[13.34:13.40, :45.737]
    assert len(lagoon) >= 10
    assert (lagoon["class"] == "Water").all()

    page.get_by_role("button", name="What next?").click()
    page.locator(".next").first.wait_for()
    with page.expect_response(lambda answer: answer.url.endswith("/classify")):
        page.locator(".next").first.get_by_role("button", name="Water").click()
    page.wait_for_function("Object.keys(embedstore.store.now.labels).length === 6")


def test_a_link_brings_back_examples_labels_and_area(open_map: Open) -> None:
    page = open_map()
    click_map(page, *TOWN)
    page.locator(HIT).first.wait_for()
    click_map(page, *LAGOON, modifiers=["Alt"])
    page.locator(".example.unlike").wait_for()
    page.get_by_role("button", name="View", exact=True).click()
    page.get_by_role("tab", name="Label").click()
    click_map(page, *FIELD)
    page.wait_for_function("/classes/.test(location.hash) && /area/.test(location.hash)")
    before = page.evaluate(ASKED)

    again = open_map(urlsplit(page.url)._replace(scheme="", netloc="", path="").geturl())
    after = again.evaluate(ASKED)
    assert {**after, "area": None} == {**before, "area": None}
    assert after["area"] == [[pytest.approx(x, abs=1e-5) for x in corner] for corner in before["area"]]
    again.get_by_role("tab", name="Find").click()
    again.locator(HIT).first.wait_for()
    assert hits(again) == hits(page)


def test_a_link_that_is_pasted_into_the_page_is_followed(open_map: Open) -> None:
    page = open_map()
    click_map(page, *TOWN)
    page.locator(HIT).first.wait_for()
    page.wait_for_function("/like/.test(location.hash)")
    link, town = urlsplit(page.url).fragment, hits(page)
    click_map(page, *LAGOON)
    page.wait_for_function("link => location.hash && !location.hash.endsWith(link)", arg=link)
    with page.expect_event("load"):
        page.evaluate("link => (location.hash = link)", link)
    page.locator(HIT).first.wait_for()
    assert hits(page) == town


def test_a_place_is_chosen_without_a_mouse(open_map: Open) -> None:
    page = open_map()
    page.evaluate("([lon, lat]) => embedstore.map.go([lon, lat])", TOWN)
    page.wait_for_function("embedstore.map.idle")
    page.locator(".map canvas").focus()
    page.keyboard.press("Enter")
    page.locator(HIT).first.wait_for()
    page.evaluate("([lon, lat]) => embedstore.map.go([lon, lat])", LAGOON)
    page.wait_for_function("embedstore.map.idle")
    page.locator(".map canvas").focus()
    page.keyboard.press("Alt+Enter")
    page.locator(".example.unlike").wait_for()


def test_examples_that_are_gone_leave_no_heat_map(open_map: Open) -> None:
    page = open_map()
    click_map(page, *TOWN)
    page.locator(HIT).first.wait_for()
    page.keyboard.press("h")
    page.wait_for_function("embedstore.store.now.heat.is === 'done'")
    page.get_by_role("button", name="Remove this example").click()
    page.wait_for_function("embedstore.store.now.heat.is === 'idle'")


def test_an_uploaded_chip_finds_its_place(open_map: Open, scene: Path, tmp_path: Path) -> None:
    from query.demo import cut

    chip = tmp_path / "mine.tif"
    cut(scene, Window(2 * CHIP, 3 * CHIP, CHIP, CHIP), chip)
    page = open_map()
    page.locator("#upload").set_input_files(chip)
    page.locator(HIT).first.wait_for()
    assert float(page.locator(".tile .score").first.inner_text()) > 0.999


def test_the_heat_map_covers_the_view_and_is_exported(open_map: Open) -> None:
    page = open_map()
    click_map(page, *TOWN)
    page.get_by_label("Similarity heat map of the view").check()
    page.locator(".ramp").wait_for()
    cells = json.loads(export(page, "#panel-find .heat", "GeoJSON").path().read_text(encoding="utf-8"))["features"]
    assert sum(cell["properties"]["chips"] for cell in cells) == CHIPS
    assert {round(cell["properties"]["heat"], 3) for cell in cells} >= {0.0, 1.0}


def test_dates_filter(open_map: Open) -> None:
    page = open_map("#from=2020-01-01")
    click_map(page, *TOWN)
    page.locator(HIT).first.wait_for()
    page.locator(".note", has_text="100 candidates").wait_for()


def test_what_changed_between_two_dates_and_a_swipe(open_map: Open) -> None:
    page = open_map("#t=change")
    page.get_by_role("button", name="Rank changes").click()
    page.locator(".pair").first.wait_for()
    pairs = page.evaluate("embedstore.store.now.pairs.value")
    changed = sum(pair["distance"] > 0.01 for pair in pairs)
    assert changed == 12  # three rows of four chips are another place
    page.get_by_label("Swipe on the map").check()
    bar = page.get_by_role("slider", name="Swipe between the dates")
    bar.press("ArrowRight")
    assert bar.get_attribute("aria-valuenow") == "52"
    assert page.locator(".swipe-day").all_inner_texts() == ["2019-04-16", "2021-04-16"]


def test_sql_rows_are_in_a_table_on_the_map_and_in_a_file(open_map: Open) -> None:
    page = open_map("#t=sql", expected="400")
    page.get_by_role("button", name="In the view").click()
    page.get_by_role("button", name="Run").click()
    page.locator("#panel-sql tbody tr").first.wait_for()
    saved = geopandas.read_parquet(export(page, "#panel-sql", "GeoParquet").path())
    assert len(saved) == CHIPS
    assert set(saved.geom_type) == {"Polygon"}
    page.get_by_label("SQL statement").fill("SELECT nothing FROM embeddings")
    with page.expect_response(lambda answer: answer.status == 400):
        page.get_by_label("SQL statement").press("Control+Enter")
    page.get_by_role("alert").get_by_text("nothing").wait_for()


def test_a_service_with_a_key_asks_for_it_and_large_areas_are_jobs(
    open_map: Open, two_dates: Path, tmp_path: Path
) -> None:
    from query.api import Settings

    keys = key_file(tmp_path, someone="k" * 32)
    with serving(two_dates, Settings(key_file=keys, sync_chips=10, jobs_folder=tmp_path / "jobs")) as address:
        page = open_map(
            address=address, drawn=False, expected="40[01]"
        )  # without a key; two labels are too few for a score
        page.get_by_role("textbox", name="Key").fill("k" * 32)
        page.get_by_role("button", name="Continue").click()
        settle(page)
        assert "k" * 32 not in page.url
        page.keyboard.press("2")
        click_map(page, *TOWN)
        page.wait_for_function("Object.keys(embedstore.store.now.labels).length === 1")
        page.keyboard.press("Shift+2")
        click_map(page, *LAGOON)
        page.get_by_role("button", name="Everything").click()
        page.locator(".legend").wait_for()
        page.get_by_role("heading", name=f"{CHIPS} chips").wait_for()
        with page.expect_download() as started:
            page.get_by_role("button", name="Save GeoParquet").click()
        assert len(geopandas.read_parquet(started.value.path())) == CHIPS


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(open_map: Open, scheme: str) -> None:
    page = open_map(viewport={"width": 375, "height": 720}, has_touch=True, is_mobile=True, color_scheme=scheme)
    click_map(page, *TOWN)
    page.locator(HIT).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    colours = page.evaluate("(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))")
    ink, paper = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert (ink > paper) == (scheme == "dark")
    page.get_by_role("button", name="Resize the panel").click()
    assert page.locator(".side").bounding_box()["height"] > 600  # type: ignore[index]


def test_everything_has_a_name_and_a_key(open_map: Open) -> None:
    page = open_map()
    click_map(page, *TOWN)
    page.locator(HIT).first.wait_for()
    nameless = page.evaluate(
        f"[...document.querySelectorAll('{CONTROLS}')].filter(e => !(e.ariaLabel || e.textContent.trim()"
        " || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert not nameless
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("+")
    page.locator(".example.like").nth(1).wait_for()
    for key, tab in {"2": "Label", "3": "Change", "4": "SQL", "1": "Find"}.items():
        page.keyboard.press(key)
        assert page.get_by_role("tab", name=tab).get_attribute("aria-selected") == "true"
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard and mouse").wait_for()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()


def test_it_asks_nobody_but_its_own_service(open_map: Open, service: str) -> None:
    asked: list[str] = []
    page = open_map()
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    settle(page)
    assert asked
    assert all(url.startswith((service, "blob:", "data:")) for url in asked)


def test_the_documentation_is_drawn_from_what_is_served(browser: Browser, service: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{service}docs")
    page.locator(".opblock-summary-path", has_text="/search").click()
    page.get_by_text("Find the chips most like one or more examples").first.wait_for()
    assert [url for url in asked if not url.startswith((service, "data:"))] == []
    page.close()


def test_the_pages_keep_to_their_policy(open_map: Open, service: str) -> None:
    page = open_map(drawn=False, bypass_csp=False)
    drawn = "() => Boolean(embedstore.store.now.collection && embedstore.map.idle)"
    until = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(drawn):
        assert time.monotonic() < until
        page.wait_for_timeout(100)
    click_map(page, *TOWN)
    page.locator(HIT).first.wait_for()
    page.goto(f"{service}docs")
    page.get_by_text("/collections/{c}/search").first.wait_for()
    assert page.evaluate("() => document.scripts.length") > 0
