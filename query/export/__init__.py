"""Chips out of a store: any subset as one GeoParquet file, as GeoJSON, or as a STAC Collection."""

from __future__ import annotations

from query.export.run import FORMATS, Exported, choose_format, export

__all__ = ["FORMATS", "Exported", "choose_format", "export"]
