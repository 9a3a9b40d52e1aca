"""A procedural landscape: every sensor over ground that is known, to learn from and to measure with."""

from indexer.landscape.regions import REGIONS
from indexer.landscape.world import SIMULATOR, SIZE, Landscape, Scene, Tile

__all__ = ["REGIONS", "SIMULATOR", "SIZE", "Landscape", "Scene", "Tile"]
