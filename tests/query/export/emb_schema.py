"""What the STAC extension for embeddings, 0.0.1, asks of Items and Collections, as its published fields say.

Source: https://github.com/geo-embeddings/embeddings-stac-specification (README and tables of fields).
"""

from __future__ import annotations

from typing import Any

from query.export.stac import EXTENSION

TEXT, NUMBER, TEXTS = {"type": "string"}, {"type": "number"}, {"type": "array", "items": {"type": "string"}}
PAIR = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2}
UNCERTAINTY = {"type": "object", "properties": {"method": TEXT, "description": TEXT}, "additionalProperties": False}


def only(fields: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object whose fields of the prefix are none but these."""
    others = {"^(?!emb:)": {}}
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "patternProperties": others,
        "additionalProperties": False,
    }


LAYOUT = {
    "type": "object",
    "properties": {
        "layout_type": {"enum": ["regular_grid", "variable_grid", "named_grid"]},
        "chip_size": PAIR,
        "stride": PAIR,
        "grid_id": TEXT,
        "grid_definition": {"type": "object"},
    },
    "required": ["layout_type"],
}
QUANTIZATION = {
    "type": "object",
    "properties": {
        "method": TEXT,
        "original_dtype": TEXT,
        "quantized_dtype": TEXT,
        "scale": {"type": "array", "items": NUMBER},
        "offset": {"type": "array", "items": NUMBER},
        "link": {"type": "object"},
    },
    "required": ["method", "original_dtype"],
    "additionalProperties": False,
}
COLLECTION = only(
    {
        "emb:type": {"enum": ["pixel", "chip"]},
        "emb:dimensions": {"type": "integer", "minimum": 1},
        "data_type": TEXT,
        "gsd": NUMBER,
        "emb:chip_layout": LAYOUT,
        "emb:temporal_resolution": TEXT,
        "emb:fit_for_use": TEXTS,
        "emb:uncertainty": UNCERTAINTY,
    },
    ("emb:type", "emb:dimensions", "data_type", "links"),
)
PROPERTIES = only(
    {
        "emb:runtime_parameters": {"type": "object"},
        "emb:preprocessing": {"type": "object", "required": ["format", "expression"]},
        "emb:postprocessing": {"type": "object", "required": ["format", "expression"]},
        "emb:fit_for_use": TEXTS,
        "emb:uncertainty": UNCERTAINTY,
        "emb:quantization": QUANTIZATION,
        "emb:energy": {"type": "object"},
    }
)


def linked(rel: str) -> dict[str, Any]:
    """Links among which there is one of a relation."""
    link = {"type": "object", "properties": {"rel": {"const": rel}, "href": TEXT}, "required": ["rel", "href"]}
    return {"properties": {"links": {"contains": link}}}


DECLARED = {"properties": {"stac_extensions": {"contains": {"const": EXTENSION}}}, "required": ["stac_extensions"]}
SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$id": EXTENSION,
    "allOf": [DECLARED],
    "if": {"properties": {"type": {"const": "Collection"}}},
    "then": {"allOf": [COLLECTION, linked("emb:model"), linked("emb:source-data")]},
    "else": {
        "properties": {
            "properties": PROPERTIES,
            "assets": {"type": "object", "required": ["embeddings"], "additionalProperties": only({})},
        },
        "required": ["properties", "assets"],
    },
}
