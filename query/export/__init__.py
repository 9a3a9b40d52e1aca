"""Chips out of a store: any subset as one GeoParquet file, as GeoJSON, as a STAC Collection, as a map."""

from __future__ import annotations

from query.export.run import FORMATS, Exported, choose_format, export

__all__ = ["FORMATS", "Exported", "choose_format", "export"]
