"""Paths, tiles, jobs and parameters of queries that lead where nobody may go."""

from __future__ import annotations

from tests.hostile.case import KEEPER, READER, C, Case

LONG = "a" * 8_000
TRAVERSALS = {
    "dots": "..%2f..%2f..%2fetc%2fpasswd",
    "dots encoded twice": "%252e%252e%252f%252e%252e%252fetc%252fpasswd",
    "dots of overlong UTF-8": "%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
    "backslashes": "..%5c..%5cetc%5cpasswd",
    "an absolute path": "%2fetc%2fpasswd",
    "NUL": "store%00.json",
    "a line break": "store%0d%0aX-Injected:%20yes",
    "text that turns round": "%e2%80%aeerots",
    "letters that only look alike": "%d1%95tore",
    "a URL": "https:%2f%2fexample.org%2f",
    "a very long name": LONG,
    "a format": "%7b0.__class__%7d%25s%25n",
    "a template": "%7b%7b7*7%7d%7d$%7bjndi:ldap:%2f%2fexample.org%7d",
}


def _everywhere() -> list[Case]:
    """Every path parameter with every traversal."""
    places = {
        "the collection": "/collections/{}",
        "the item": C + "/items/{}",
        "the item of a thumbnail": C + "/items/{}/thumbnail",
        "the job": "/jobs/{}",
        "the job of a result": "/jobs/{}/result",
        "the scene": C + "/rasters/{}/12/2200/1460.png",
        "the map's files": "/assets/{}",
    }
    return [
        Case(f"{what} as {place}", 404, path=path.format(text))
        for place, path in places.items()
        for what, text in TRAVERSALS.items()
    ]


PATHS = (
    *_everywhere(),
    Case("plain dots above the root", 404, path="/../../../../etc/passwd"),
    Case("dots out of the map's files", 404, path="/assets/../../../pyproject.toml"),
    Case("dots that a filter would make", 404, path="/assets/....//....//etc/passwd"),
    Case("ids that are digits in another script", 404, path=f"{C}/items/" + "%d9%a3" * 32),
    Case("an id that SQL would run", 404, path=f"{C}/items/'%20OR%201=1%20--"),
    Case("an id in half", 404, path=f"{C}/items/00"),
    Case("a method that writes an item", 405, "PUT", f"{C}/items/@id"),
    Case("a method that deletes a collection", 405, "DELETE", C),
    Case("a method that nobody knows", 405, "PROPFIND", "/collections"),
    Case("a method that echoes", 405, "TRACE", "/collections"),
    Case("a job's method on the search", 405, "DELETE", f"{C}/search"),
)

TILES = tuple(
    Case(f"{what} of {kind}", status, path=f"{C}/{kind}/{numbers}.{suffix}")
    for kind, suffix in (("footprints/tiles", "mvt"), ("heatmap/tiles", "mvt"), ("rasters/none", "png"))
    for what, status, numbers in (
        ("a negative zoom", 404, "-1/0/0"),
        ("a zoom past the deepest", 404, "25/0/0"),
        ("an enormous zoom", 404, "99999999999/0/0"),
        ("a column beyond the world", 404, "3/8/0"),
        ("a negative row", 404, "3/0/-1"),
        ("a number that no machine holds", 404, f"3/{'9' * 40}/0"),
        ("a number of thousands of digits", 422, f"3/{'9' * 6000}/0"),
        ("a zoom that is none", 422, "NaN/0/0"),
        ("a half column", 422, "3/1.5/0"),
    )
)

JOBS = (
    Case("somebody else's job", 404, path="/jobs/@job", key=READER),
    Case("the result of somebody else's job", 404, path="/jobs/@job/result", key=READER),
    Case("somebody else's job by another writer", 404, path="/jobs/@job"),
    Case("to delete somebody else's job", 404, "DELETE", "/jobs/@job"),
    Case("to delete a job with a key that reads", 403, "DELETE", "/jobs/@job", key=READER),
    Case("a job in capitals", 404, path="/jobs/" + "A" * 32, key=KEEPER),
    Case("a job of letters that are no ASCII", 404, path="/jobs/" + "%c2%b2" * 32, key=KEEPER),
    Case("a job of dots", 404, path="/jobs/" + "." * 32, key=KEEPER),
    Case("the lock of a job", 404, path="/jobs/@job%2flock", key=KEEPER),
    Case("the request of a job", 404, path="/jobs/@job/request.json", key=KEEPER),
    Case("the figures with a key that writes", 403, path="/metrics"),
)

QUERIES = (
    Case("no items", 400, path=f"{C}/items?limit=0"),
    Case("fewer than no items", 400, path=f"{C}/items?limit=-1"),
    Case("a limit of thousands of digits", 400, path=f"{C}/items?limit={'9' * 5000}"),
    Case("a limit that is none", 400, path=f"{C}/items?limit=NaN"),
    Case("a box of NaN", 400, path=f"{C}/items?bbox=nan,nan,nan,nan"),
    Case("a box without end", 400, path=f"{C}/items?bbox=-inf,-inf,inf,inf"),
    Case("a box past a pole", 400, path=f"{C}/items?bbox=0,0,1,1000"),
    Case("a box of a thousand numbers", 400, path=f"{C}/items?bbox={'1,' * 3000}1"),
    Case("a box of words", 400, path=f"{C}/items?bbox=a,b,c,__import__('os')"),
    Case("a time that is none", 400, path=f"{C}/items?datetime=%00"),
    Case("a time before all calendars", 400, path=f"{C}/items?datetime=-99999-01-01/.."),
    Case("a time at the end of the calendar", 400, path=f"{C}/items?datetime=9999-12-31T23:59:59-23:59/.."),
    Case("a time of many parts", 400, path=f"{C}/items?datetime={'/' * 4000}"),
    Case("a token that leads to a file", 400, path=f"{C}/items?token=..%2f..%2fetc%2fpasswd"),
    Case("a token of thousands of digits", 400, path=f"{C}/items?token={'f' * 7000}-{'0' * 32}"),
    Case("a token below zero", 400, path=f"{C}/items?token=-1-{'0' * 32}"),
    Case("a place that is none", 422, path=f"{C}/nearest?lon=nan&lat=0"),
    Case("a place beyond all numbers", 422, path=f"{C}/nearest?lon=1e999&lat=0"),
    Case("a place past a pole", 422, path=f"{C}/nearest?lon=0&lat=90.1"),
    Case("no place", 422, path=f"{C}/nearest"),
    Case("a place where nothing is", 404, path=f"{C}/nearest?lon=-180&lat=-90"),
    Case("a time of a heat tile that is none", 400, path=f"{C}/heatmap/tiles/3/4/2.mvt?id=@id&between=x"),
    Case("a heat tile of nothing", 400, path=f"{C}/heatmap/tiles/3/4/2.mvt"),
    Case("examples of a heat tile without end", 413, path=f"{C}/heatmap/tiles/3/4/2.mvt?positives={'a,' * 3000}"),
    Case("an example of a heat tile that is not there", 404, path=f"{C}/heatmap/tiles/3/4/2.mvt?id={'0' * 32}"),
)

CASES = (*PATHS, *TILES, *JOBS, *QUERIES)
