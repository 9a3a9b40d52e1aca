"""Write docs/scale.md from the cost model's figures: ``python -m benchmarks.scale_page [--gpu-rate R]``.

Sections whose results are not there stay as they are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import sections
from benchmarks.cost_model import CHIP, foretold
from benchmarks.report import text

RESULT, PAGE = Path("benchmarks/results/cost_model.json"), Path("docs/scale.md")
CONTINENT = Path("benchmarks/results/continent.json")
AREAS = {"Europe": 9_938_000, "Africa": 30_065_000, "All land": 148_647_000}
"""Square kilometres: Infoplease, "World Land Areas and Elevations", after the World Atlas."""
SOURCE = "https://www.infoplease.com/geography/world-land-areas-and-elevations"
SIDE = 0.64
"""Of a chip, in kilometres: 64 pixels of 10 m."""
GOOD = 0.2
"""How far off a cost may be foretold, relatively."""
ASSUMED = 2000.0
"""Chips a second of one GPU, where nobody has measured."""
NAMES = {
    "encode_s": "encoding, seconds",
    "table_bytes": "table, bytes",
    "build_s": "index build, seconds",
    "index_bytes": "index, bytes",
    "query_ms": "a question, ms",
}
TERMS = {
    "encode_s": ("", "a chip"),
    "table_bytes": ("a chip",),
    "build_s": ("", "a row", "a list²", "a row and list"),
    "index_bytes": ("a row",),
    "query_ms": ("", "a √row", "a row"),
}
HEAD = f"""# Scale

What a continent takes. `python -m benchmarks.scale_page` writes this page from `{RESULT}`, which
`python -m benchmarks.cost_model` measures, and `{CONTINENT}`.
"""
TITLES = ("What things cost here", "What that makes", "What was run")
"""Of the sections, in order."""
RECIPE = """## Recipe

1. Every machine gets the same version: `pip install 'embedstore[cpu,ray]'`, or `'embedstore[gpu,ray]'`, and reads
   scenes by the same paths or URLs. `ray start --head` on one, `ray start --address HEAD:6379` on the others. Data
   centres sell machines that they may take back: use such for all but the head.
2. Plan on the head: `embedstore plan --aoi continent.geojson --stac CATALOG --datetime A/B -o plan.parquet`. It says
   what it will take before a pixel is read.
3. Encode from the head: `embedstore encode --plan plan.parquet --store S --engine ray --address auto`. Workers, one a
   GPU (`--gpus 0.5` puts two on one) or one a core, are sent the encoder and work units, and send back tables; the head
   commits them, one after the other. The store may be a folder of the head. A lost worker costs the unit that it was
   doing, which is tried four times in all. What fails is listed, the exit code is 1 then, and the same command does
   what is missing.
4. Index: `embedstore index S --engine ray --address auto`. The head trains the codebook once; each worker writes a
   segment that holds a share of every region, at most sixteen in all; one publication makes them live. Workers must
   reach the store by the same path: a shared folder, or an object store.
5. Label: `embedstore classify S --labels F -o classes.parquet --engine ray --address auto`.

Ray's own files lie in `/tmp/ray`; its usage report and its dashboard are off. It says nothing on the terminal; set
`RAY_BACKEND_LOG_LEVEL=info` for its reasons.

## Limits

- One process commits, so there is a number of GPUs beyond which more of them do not help. Then encode regions from
  several heads into the same store: appends of several processes are safe.
- A commit takes longer the more files there are: of 64 chips each, the twentieth took 0.03 s of one core, the four
  hundredth 0.14 s. So work units that are done wait for one another until commits take a tenth of the time; what waits
  is encoded again if the head dies.
- The time of a question cannot be foretold so far: by November 2026 five checks of it were off by +4, +29, +138
  (beside other work), -38 (medians of six processes) and +80 % (caches filled with something else before each question,
  sizes in turns). A sixth, fitted to 25, 50 and 100 thousand rows by the number of lists and their length instead, was
  off by -53 % at a million. How many lists are probed, and how many codes are scored again, goes by steps.
- All work units are listed before the first starts, about 2 kB each on the head.
- Workers that join after a command began are used by the next.
"""


def projected(fits: dict[str, dict[str, Any]], chips: float, gpu_rate: float) -> list[str]:
    """Return GPU-hours, core-hours, table and index in GB, build hours, and milliseconds of a question.

    A dagger stands at costs that the check did not bear out.
    """

    def cost(name: str, unit: float) -> str:
        found = fits[name]
        doubt = "†" if abs(found["error"]) > GOOD else ""
        return f"{foretold(name, found['coefficients'], chips) / unit:,.3g}{doubt}"

    return [
        f"{chips / gpu_rate / 3600:,.3g}",
        cost("encode_s", 3600),
        cost("table_bytes", 1e9),
        cost("index_bytes", 1e9),
        cost("build_s", 3600),
        cost("query_ms", 1),
    ]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def run(body: dict[str, Any]) -> str:
    """Return what became of the continent that is not there."""
    f = body["figures"]
    return f"""## What was run

`{body["command"].partition(" --json")[0]}` on {body["date"]}, {body["machine"]}:
{f["tiles"]:,} simulated scenes of 512 pixels and four bands in five UTM zones, served over HTTP. {body.get("note", "")}

- Planned: {f["chips_planned"]:,} chips in {f["units"]:,} units, {f["plan_s"]:.0f} s.
- Encoded by `rcf` on Ray with two workers, and killed {f["kills"]} times on the way: {f["encode_s"]:,.0f} s in all,
  with starts and rendering {f["chips_per_second"]:,.0f} chips/s.
- There in the end: {f["rows"]:,} chips, each id once, {f["across_180"]:,} of them across the antimeridian.
- Indexed in {f["index_s"]:.0f} s. The ten nearest of a stored chip took {f["search_p50_ms"]:.1f} ms.
- All processes of the last run together held {f["peak_gb"]:.1f} GB at the most, and in its last third
  {f["growth_gb"]:+.2f} GB more than in its second.

"""


def model(body: dict[str, Any], gpu_rate: float | None) -> str:
    """Return what things cost, and what a continent would."""
    fits = {row["cost"]: row for row in body["rows"]}
    figures = body["figures"]
    coefficients = [
        [
            NAMES[name],
            " + ".join(
                f"{value:.3g} {unit}".strip() for value, unit in zip(f["coefficients"], TERMS[name], strict=True)
            ),
            f"{f['fitted']:,}",
            f"{f['checked']:,}",
            text(f["measured"]),
            text(f["predicted"]),
            f"{f['error']:+.0%}",
        ]
        for name, f in fits.items()
    ]
    continents = [
        [
            *(name, f"{area / 1e6:.1f}", f"{area / SIDE**2 / 1e6:,.0f} million"),
            *projected(fits, area / SIDE**2, gpu_rate or ASSUMED),
        ]
        for name, area in AREAS.items()
    ]
    rate = (
        f"GPU-hours are of a GPU measured at {gpu_rate:,.0f} chips/s."
        if gpu_rate
        else f"GPU-hours **assume** {ASSUMED:,.0f} chips/s: none was measured. Measure yours with `python -m "
        "benchmarks.encode` and say `--gpu-rate`."
    )
    off = (
        ""
        if figures["worst_error"] <= GOOD
        else (
            "\n**What was not foretold within 20 % has a dagger (†) below; it follows the fit all the same.** The "
            "time of a question goes by steps: calibration probes half as many lists, or twice as many, and three "
            "small runs do not tell it.\n"
        )
    )
    head = ["cost", "coefficients", "fitted to", "checked at", "measured", "foretold", "off by"]
    wide = ["", "million km²", "chips, one date", "GPU-hours", "machine-hours", "table, GB", "index, GB"]
    return f"""## What things cost here

Measured by `{body["command"].partition(" --json")[0]}` on {body["date"]}, {body["machine"]}:
chips of {CHIP} pixels and four bands by `rcf`, index of {figures["dimension"]:.0f} dimensions. Each cost was fitted to
three small runs, and foretold for one ten times as large as the largest of them; within 20 % is asked.

{table(head, coefficients)}
{off}
## What that makes

Chips of 640 m side by side, one date. Areas: [Infoplease]({SOURCE}), after the World Atlas. {rate}
Machine-hours and hours of index build are of the machine above, whole, without a GPU; the build's share beyond training
is divided among workers.

{table([*wide, "build, hours", "a question, ms"], continents)}

An index is mapped, not loaded: a search process needs {figures["anon_gb"]:.2f} GB of its own, and is as fast as above
once what it touches is in the page cache. The build held {figures["build_peak_bytes_a_row"]:,.0f} bytes a row at the
most; of what it merges, each worker holds its share.

These sizes are far beyond what was measured; the largest store that ever was is in [benchmarks](benchmarks.md), with
what building it and asking it takes.
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu-rate", type=float, help="chips per second of one GPU, as benchmarks.encode measured it")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    made = model(json.loads(options.result.read_text()), options.gpu_rate) if options.result.is_file() else ""
    made += f"\n{run(json.loads(CONTINENT.read_text()))}" if CONTINENT.is_file() else ""
    sections.write(PAGE, HEAD, TITLES, made, RECIPE)


if __name__ == "__main__":
    main()
