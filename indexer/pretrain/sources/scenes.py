"""The scenes of a folder: STAC Items, and GeoTIFFs of Sentinel-2 that no Item names.

A file ``scenes.json`` in the folder may say more::

    {"scale": {"north/*.tif": 0.0001}, "leave_out": ["*_mask.tif"], "attribution": "modified Copernicus data 2019"}

``scale`` is by what stored numbers are multiplied to be reflectances, for files whose path in the folder matches the
pattern (the first that does), where the files do not say; ``leave_out`` names files to leave alone; ``attribution``
goes into model cards.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import InputError, RasterError
from indexer import acquisition
from indexer.pretrain.modalities import CLASSES, LABELS, PIXELS, VALUES
from indexer.pretrain.sources.layers import Grid, Layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

TOLD = "scenes.json"
PLAIN = (".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Scene:
    """What was seen of a place at one time.

    Parameters
    ----------
    layers
        Modalities, all on one grid.
    when
        When, if that is known.
    values, labels
        Of the whole scene, as :class:`indexer.pretrain.sources.batch.Batch` has them of a chip.
    simulated
        Whether it says that it was never seen.
    """

    layers: tuple[Layer, ...]
    when: datetime | None
    values: dict[str, tuple[float, ...]] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    simulated: bool = False

    @property
    def grid(self) -> Grid:
        """Where its pixels lie."""
        return self.layers[0].grid


@dataclass(frozen=True, slots=True)
class Told:
    """What ``scenes.json`` says; see the module."""

    scale: dict[str, float]
    leave_out: tuple[str, ...]
    attribution: str

    @classmethod
    def read(cls, folder: Path) -> Told:
        """Read it, if it is there.

        Raises
        ------
        RasterError
            If it makes no sense.
        """
        path = folder / TOLD
        said = _json(path) if path.exists() else {}
        try:
            unknown = set(said) - {"scale", "leave_out", "attribution"}
            scale = {str(pattern): float(number) for pattern, number in said.get("scale", {}).items()}
            if unknown or not all(number > 0 and math.isfinite(number) for number in scale.values()):
                what = f"unknown: {', '.join(sorted(unknown))}" if unknown else "scales are above 0"
                raise ValueError(what)  # noqa: TRY301 - one way to say it
            leave_out = tuple(str(pattern) for pattern in said.get("leave_out", ()))
            return cls(scale, leave_out, str(said.get("attribution", "")))
        except (ValueError, TypeError, AttributeError) as error:
            raise RasterError(
                f'{path} cannot be understood ({error}); it holds {{"scale": {{PATTERN: NUMBER}}, "leave_out": '
                '[PATTERN], "attribution": TEXT}, each of them if need be.'
            ) from error

    def scale_of(self, name: str) -> float | None:
        """Return what a file's numbers are multiplied with, if it is told."""
        return next((number for pattern, number in self.scale.items() if fnmatchcase(name, pattern)), None)

    def keeps(self, name: str) -> bool:
        """Tell whether a file is not left out."""
        return not any(fnmatchcase(name, pattern) for pattern in self.leave_out)


def find(folder: Path, told: Told) -> list[Scene]:
    """Return the scenes of a folder and the folders in it, in order of their paths.

    Raises
    ------
    RasterError
        If there are none, or one of them cannot be read or used.
    """
    if not folder.is_dir():
        raise RasterError(f"there is no folder {folder}; give one with STAC Items or GeoTIFFs of Sentinel-2.")

    def name(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    def files(suffixes: Iterable[str]) -> Iterator[Path]:
        found = (p for suffix in suffixes for p in folder.rglob(f"*{suffix}"))
        return iter(sorted(p for p in found if p.is_file() and told.keeps(name(p))))

    items = [(path, said) for path in files([".json"]) if path != folder / TOLD and _is_item(said := _json(path))]
    scenes = [_from_item(path, said, folder, told) for path, said in items]
    taken = {layer.path.resolve() for scene in scenes for layer in scene.layers}
    taken |= {(path.parent / a["href"]).resolve() for path, said in items for a in said["assets"].values()}
    for path in files(PLAIN):
        if path.resolve() not in taken:
            layer = Layer.open(path, "optical", told.scale_of(name(path)))
            scenes.append(Scene((layer,), layer.when))
    if not scenes:
        raise RasterError(f"{folder} holds no scenes; it should hold STAC Items or GeoTIFFs of Sentinel-2.")
    return scenes


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RasterError(f"{path} cannot be read as JSON: {error}. Is it whole?") from error


def _is_item(said: Any) -> bool:
    return isinstance(said, dict) and said.get("type") == "Feature" and "stac_version" in said


def _from_item(path: Path, said: dict[str, Any], folder: Path, told: Told) -> Scene:
    """Read a STAC Item (stac-spec 1.0, item-spec); assets that are no modality are left alone."""
    try:
        hrefs = {k: path.parent / said["assets"][k]["href"] for k in (*PIXELS, *CLASSES) if k in said["assets"]}
        properties = said["properties"]
        when = acquisition.parse(properties["datetime"]) if properties.get("datetime") else None
        values = {k: tuple(_number(n) for n in v) for k, v in properties.get("embedstore:values", {}).items()}
        labels = {k: int(v) for k, v in properties.get("embedstore:labels", {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise RasterError(f"{path} is no STAC Item that can be understood: {type(error).__name__} {error}.") from error
    wrong = [f"{k} of {len(v)}" for k, v in values.items() if VALUES.get(k) != len(v)]
    wrong += [f"{k} {v}" for k, v in labels.items() if not -1 <= v < LABELS.get(k, -1)]
    if wrong:
        raise RasterError(f"{path} has values or labels that are not known: {', '.join(wrong)}.")
    if not hrefs:
        raise RasterError(f"{path} has no asset of a known name: {', '.join((*PIXELS, *CLASSES))}.")
    layers = []
    for modality, href in hrefs.items():
        scale = told.scale_of(_relative(href, folder)) if modality == "optical" else None
        layers.append(Layer.open(href, modality, scale))
    odd = [layer.path.name for layer in layers if layer.grid != layers[0].grid]
    if odd:
        raise RasterError(
            f"the assets of {path} must lie on one grid; {', '.join(odd)} do not as {layers[0].path.name}."
        )
    return Scene(tuple(layers), when or layers[0].when, values, labels, "embedstore:simulator" in properties)


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.name


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)
