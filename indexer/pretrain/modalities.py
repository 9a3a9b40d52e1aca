"""What the recipes see and predict: modalities, their channels in order, and their classes."""

from __future__ import annotations

OPTICAL = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
"""Sentinel-2 surface reflectance, 0 to 1, in ESA's order without B10."""
SAR = ("VV_asc", "VH_asc", "VV_desc", "VH_desc")
"""Sentinel-1 backscatter in dB, on ascending and descending orbits."""
COHERENCE = ("COH12", "COH24", "COH36", "COH48")
"""Interferometric coherence of Sentinel-1, 0 to 1, by days between the two passes."""
TERRAIN = ("elevation", "slope")
"""Metres, degrees."""
CANOPY = ("height", "height_std")
"""Of trees, in metres."""
CLIMATE = tuple(f"{what}_{when}" for when in ("previous", "month", "year") for what in ("mean", "min", "max", "rain"))
"""Air temperature in degrees Celsius and rain in mm: of the month before, the month, and the year, as ERA5 has them."""

LAND_COVER = (
    "trees",
    "shrubs",
    "grass",
    "crops",
    "built",
    "bare",
    "snow",
    "water",
    "wetland",
    "mangroves",
    "moss",
)
"""The classes of ESA WorldCover 2020, in order of their codes."""
DYNAMIC_WORLD = ("water", "trees", "grass", "flooded vegetation", "crops", "shrubs", "built", "bare", "snow")
"""The classes of Dynamic World, in order of their codes."""
BIOMES = 14
"""Of the ecoregions of Dinerstein et al. 2017."""

PIXELS = {"optical": OPTICAL, "sar": SAR, "coherence": COHERENCE, "terrain": TERRAIN, "canopy": CANOPY}
"""Continuous layers: channels of each."""
CLASSES = {"land_cover": LAND_COVER, "dynamic_world": DYNAMIC_WORLD}
"""Layers of classes."""
VALUES = {"climate": len(CLIMATE), "lat": 2, "lon": 2, "month": 2}
"""Numbers of a whole chip, by how many; angles and the month as sine and cosine."""
LABELS = {"biome": BIOMES, "ecoregion": 846}
"""Classes of a whole chip, by how many."""
