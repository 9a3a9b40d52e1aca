"""The regions: what differs between them, so that what is learned in one can be tried in another."""

from __future__ import annotations

from dataclasses import dataclass

from embedstore.errors import SpecError


@dataclass(frozen=True, slots=True)
class Crop:
    """What is grown on a parcel in a year.

    Parameters
    ----------
    name
        What it is.
    share
        Of the cropland's parcels, beside the others of the region.
    sow, harvest
        Months as numbers of [0, 12): 3.5 is the middle of April.
    cover
        Most of the ground that leaves cover.
    rise
        Share of the time between both at which half of that is reached.
    leaf
        A living material.
    flooded
        Months under water from sowing on.
    lasting
        Whether it stands all year, as orchards and hay do.
    """

    name: str
    share: float
    sow: float = 0.0
    harvest: float = 0.0
    cover: float = 0.9
    rise: float = 0.35
    leaf: str = "crop"
    flooded: float = 0.0
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the simulated world: lengths in pixels of 10 m, heights in metres, shares of 0 to 1.

    Parameters
    ----------
    name, epsg, east, north
        What it is called; its UTM zone, and its north-western corner there.
    biome, highland_biome, ecoregion
        Codes from 0 of lowland, mountains, and the first of two ecoregions.
    warmth, swing, warmest
        Mean temperature at sea level (degrees Celsius), half the way from winter to summer, and the warmest month.
    rain, wettest, dryness
        Millimetres a year, the month of most of it, and how far the others fall behind (0 to 1).
    base, hills, peaks, mountains
        Height of the plains, relief of hills and of mountains, and the share of land that mountains take.
    river, lakes
        Half the width of rivers, and the share of flat land under lakes.
    forest, needles, farms, arid
        Shares: of land under trees; of these, needle-leaved; of open flat land, farmed; of open land, bare.
    evergreen
        Share of broad leaves kept when others fall.
    green, sere
        Months at which leaves come and go.
    soils
        Weights of :data:`indexer.landscape.materials.GROUNDS`.
    blocks, jitter, turn
        Spacing of blocks of parcels, how irregular they are, and how far (radians) they are turned.
    parcel
        Width and length of parcels.
    hedges, pivots, meadows
        Shares: of blocks with hedges; of parcels watered in circles; of parcels under grass.
    towns, villages
        Shares of sites, 6 km and 2 km apart, where people live.
    street, roofs, garden
        Spacing of streets; weights of :data:`indexer.landscape.materials.ROOFS`; how green yards are.
    mangroves
        Whether wetlands are mangroves.
    crops
        What is grown.
    """

    name: str
    epsg: int
    east: float
    north: float
    biome: int
    highland_biome: int
    ecoregion: int
    warmth: float
    swing: float
    warmest: float
    rain: float
    wettest: float
    dryness: float
    base: float
    hills: float
    peaks: float
    mountains: float
    river: float
    lakes: float
    forest: float
    needles: float
    farms: float
    arid: float
    evergreen: float
    green: float
    sere: float
    soils: tuple[float, ...]
    blocks: float
    jitter: float
    turn: float
    parcel: tuple[float, float]
    hedges: float
    pivots: float
    meadows: float
    towns: float
    villages: float
    street: float
    roofs: tuple[float, ...]
    garden: float
    mangroves: bool
    crops: tuple[Crop, ...]


ALPHA = Region(
    # A temperate countryside with mountains: long fields, hedges, red roofs, four seasons.
    name="alpha", epsg=32633, east=300_000, north=5_250_000, biome=3, highland_biome=4, ecoregion=653,
    warmth=13.0, swing=10.0, warmest=6.7, rain=900, wettest=5.5, dryness=0.3,
    base=150, hills=130, peaks=2300, mountains=0.16, river=4.0, lakes=0.03,
    forest=0.34, needles=0.35, farms=0.84, arid=0.03, evergreen=0.06, green=4.0, sere=10.2,
    soils=(0.35, 0.5, 0.05, 0.05, 0.05), blocks=85, jitter=0.85, turn=3.14,
    parcel=(8.0, 26.0), hedges=0.35, pivots=0.0, meadows=0.24,
    towns=0.7, villages=0.5, street=9.0, roofs=(0.2, 0.55, 0.2, 0.05), garden=0.6, mangroves=False,
    crops=(
        Crop("winter cereals", 0.36, 9.8, 6.7, 0.92, 0.52),
        Crop("maize", 0.24, 3.8, 9.2, 0.92, 0.32),
        Crop("rape", 0.12, 8.6, 6.4, 0.9, 0.45),
        Crop("soya", 0.10, 4.4, 9.0, 0.85, 0.35),
        Crop("hay", 0.16, cover=0.85, leaf="herb", lasting=True),
        Crop("vines", 0.08, cover=0.45, leaf="broadleaf", lasting=True),
    ),
)  # fmt: skip
BETA = Region(
    # Continental plains: a grid of section roads, large parcels and circles, dark soils, grey roofs.
    name="beta", epsg=32614, east=320_000, north=4_650_000, biome=7, highland_biome=7, ecoregion=392,
    warmth=13.5, swing=14.0, warmest=6.6, rain=600, wettest=5.0, dryness=0.6,
    base=420, hills=70, peaks=300, mountains=0.05, river=6.0, lakes=0.03,
    forest=0.12, needles=0.1, farms=0.80, arid=0.05, evergreen=0.03, green=4.5, sere=9.7,
    soils=(0.55, 0.33, 0.02, 0.07, 0.03), blocks=161, jitter=0.0, turn=0.03,
    parcel=(40.0, 80.0), hedges=0.08, pivots=0.30, meadows=0.22,
    towns=0.6, villages=0.16, street=11.0, roofs=(0.45, 0.05, 0.5, 0.0), garden=0.7, mangroves=False,
    crops=(
        Crop("maize", 0.38, 4.2, 9.4, 0.93, 0.32),
        Crop("soya", 0.32, 4.7, 9.1, 0.9, 0.36),
        Crop("winter wheat", 0.18, 9.0, 6.2, 0.85, 0.56),
        Crop("sorghum", 0.06, 4.9, 9.6, 0.8, 0.36),
        Crop("hay", 0.14, cover=0.88, leaf="herb", lasting=True),
    ),
)  # fmt: skip
GAMMA = Region(
    # A dry, irrigated plain: small parcels and two harvests a year, sand, dense towns of the colour of the soil.
    name="gamma", epsg=32643, east=280_000, north=3_420_000, biome=12, highland_biome=12, ecoregion=814,
    warmth=25.0, swing=10.5, warmest=5.4, rain=380, wettest=7.2, dryness=0.85,
    base=190, hills=60, peaks=900, mountains=0.10, river=9.0, lakes=0.012,
    forest=0.05, needles=0.05, farms=0.62, arid=0.45, evergreen=0.55, green=6.0, sere=11.0,
    soils=(0.08, 0.47, 0.1, 0.3, 0.05), blocks=46, jitter=0.7, turn=0.6,
    parcel=(6.0, 11.0), hedges=0.15, pivots=0.02, meadows=0.06,
    towns=0.6, villages=0.65, street=6.0, roofs=(0.3, 0.02, 0.13, 0.55), garden=0.22, mangroves=False,
    crops=(
        Crop("wheat, then rice", 0.34, 10.4, 3.6, 0.9, 0.45),
        Crop("rice", 0.22, 5.6, 9.6, 0.93, 0.42, flooded=1.6),
        Crop("cotton", 0.20, 4.2, 10.4, 0.85, 0.42),
        Crop("cane", 0.10, 1.6, 0.4, 0.92, 0.30),
        Crop("orchards", 0.14, cover=0.6, leaf="broadleaf", lasting=True),
    ),
)  # fmt: skip
DELTA = Region(
    # A southern savanna with a dry winter: red soils, scattered trees, little plots, swamps and mangroves.
    name="delta", epsg=32736, east=330_000, north=8_050_000, biome=6, highland_biome=0, ecoregion=62,
    warmth=26.0, swing=4.2, warmest=11.2, rain=1050, wettest=0.6, dryness=0.9,
    base=60, hills=90, peaks=1000, mountains=0.10, river=7.0, lakes=0.05,
    forest=0.38, needles=0.0, farms=0.40, arid=0.07, evergreen=0.38, green=10.6, sere=5.2,
    soils=(0.12, 0.2, 0.52, 0.12, 0.04), blocks=38, jitter=0.95, turn=3.14,
    parcel=(4.5, 6.5), hedges=0.1, pivots=0.01, meadows=0.15,
    towns=0.4, villages=0.5, street=7.0, roofs=(0.2, 0.1, 0.2, 0.5), garden=0.5, mangroves=True,
    crops=(
        Crop("maize", 0.46, 10.6, 3.4, 0.75, 0.36),
        Crop("cassava", 0.22, cover=0.5, leaf="broadleaf", lasting=True),
        Crop("rice", 0.12, 11.0, 4.0, 0.9, 0.4, flooded=1.8),
        Crop("groundnuts", 0.12, 11.2, 3.8, 0.6, 0.4, leaf="herb"),
        Crop("cane", 0.08, 8.0, 6.6, 0.92, 0.3),
    ),
)  # fmt: skip
REGIONS = {r.name: r for r in (ALPHA, BETA, GAMMA, DELTA)}


def find(name: str) -> Region:
    """Return the region of a name.

    Raises
    ------
    SpecError
        If there is none.
    """
    if name not in REGIONS:
        raise SpecError(f"the simulated world has no region {name!r}; it has {', '.join(REGIONS)}.")
    return REGIONS[name]
