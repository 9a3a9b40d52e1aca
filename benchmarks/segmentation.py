"""What pretraining is worth for a class of every pixel: mean IoU against number of labelled images, places held out.

``python -m benchmarks.segmentation --encoder pixels,random,dense@FILE --data FOLDER --json F``

`random` is the U-Net of the dense recipe from a random start and `dense@FILE` the same, pretrained; both are fine-tuned
alike (:func:`indexer.segment.fine_tune`). `pixels` is a random forest on each pixel's bands and their mean and spread
around it, which has nothing to pretrain. Claimed (arXiv 2203.06041): the fewer labels, the more pretraining gains.
``--simulated REGION,…`` adds simulated land cover. Data sets: :mod:`benchmarks.tasks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import report
from benchmarks.measures import MeanIoU, Tally
from benchmarks.tasks import masks as sets
from indexer.encoders import model_file
from indexer.encoders.pretrained import locate
from indexer.segment import IGNORE, fine_tune

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from benchmarks.measures import Figure
    from benchmarks.tasks.masks import Masks

COUNTS = (1, 2, 5, 10, 20)
"""Labelled images, unless told otherwise; all is added."""
PIXELS, RANDOM = "pixels", "random"
AROUND = 7
"""Side of the square around a pixel whose mean and spread the forest sees."""
LEARNED = 20_000
"""Pixels that the forest learns from at most."""
TREES = 50


def score(task: Masks, encoder: str, count: int | None, *, steps: int, batch: int) -> Figure:
    """Return the mean IoU over whole places of learning from so many images of each split, all if None."""
    tally = Tally(MeanIoU(len(task.classes)), task.places, 1)
    for number, (train, test) in enumerate(task.splits()):
        at = train if count is None else train[:count]
        if encoder == PIXELS:
            learned = _pixels(task, at)
        else:
            learned = _network(task, train, len(at), encoder, number, steps, batch)
        for image in test.tolist():
            truth = task.masks[image]
            known = truth != IGNORE
            given = learned(task.images[image])
            tally.add(0, np.full(int(known.sum()), image), truth[known], given[known])
    return tally.figure()


def _network(task: Masks, train: NDArray[np.int64], count: int, encoder: str, seed: int, steps: int, batch: int) -> Any:
    """Fine-tune on the first images, all being known without their masks; return what predicts an image's classes."""
    model = None if encoder == RANDOM else model_file.read(locate(encoder))
    images, masks = [task.images[i] for i in train], [task.masks[i] for i in train[:count]]
    more: dict[str, Any] = {"unlabelled": images[count:], "steps": steps, "batch": batch, "seed": seed}
    return fine_tune(model, images[:count], masks, len(task.classes), bands=task.bands, **more).predict


def _pixels(task: Masks, at: NDArray[np.int64]) -> Any:
    """Grow a forest on pixels and return what predicts the classes of an image."""
    from sklearn.ensemble import RandomForestClassifier

    known = [task.masks[i] != IGNORE for i in at]
    features = np.concatenate([surroundings(task.images[i])[:, k].T for i, k in zip(at, known, strict=True)])
    classes = np.concatenate([task.masks[i][k] for i, k in zip(at, known, strict=True)])
    drawn = np.random.default_rng(0).permutation(len(classes))[:LEARNED]
    forest = RandomForestClassifier(TREES, random_state=0).fit(features[drawn], classes[drawn])

    def predict(image: NDArray[np.float32]) -> NDArray[np.int64]:
        seen = surroundings(image)
        return forest.predict(seen.reshape(len(seen), -1).T).reshape(image.shape[1:])  # type: ignore[no-any-return]

    return predict


def surroundings(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each band of an image, and its mean and spread around each pixel, shape (3 · bands, h, w)."""
    from scipy.ndimage import uniform_filter

    whole = np.nan_to_num(image)
    mean = uniform_filter(whole, (0, AROUND, AROUND))
    spread = np.sqrt(np.maximum(uniform_filter(whole**2, (0, AROUND, AROUND)) - mean**2, 0))
    return np.concatenate([whole, mean, spread]).astype(np.float32)


def rows_of(task: Masks, encoder: str, *, counts: Sequence[int], steps: int, batch: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each number of labelled images."""
    least = min(len(train) for train, _ in task.splits())
    for count in [*(c for c in counts if c < least), None]:
        figure = score(task, encoder, count, steps=steps, batch=batch)
        yield {
            "set": task.name,
            "encoder": encoder,
            "images": count or least,
            "all": count is None,
            "mIoU": str(figure),
            "numbers": {"value": figure.value, "low": figure.low, "high": figure.high},
            "what": [task.title],
        }


def main() -> None:
    """Run from the command line."""
    parser = report.parser("Mean IoU against number of labelled images.")
    parser.add_argument("--encoder", default=f"{PIXELS},{RANDOM}", help=f"{PIXELS}, {RANDOM}, dense@FILE, by comma")
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--sets", default=",".join(sets.REAL), help=f"of {', '.join(sets.REAL)}; empty for none")
    parser.add_argument("--simulated", default="", help="regions by comma")
    parser.add_argument("--tiles", type=int, default=48, help="of each simulated region")
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)), help="labelled images, by comma; all is added")
    parser.add_argument("--steps", type=int, default=200, help="of each fine-tuning")
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    tasks = [sets.REAL[name](args.data) for name in args.sets.split(",") if name]
    tasks += [sets.simulated(region, args.tiles) for region in args.simulated.split(",") if region]
    counts = [int(count) for count in args.counts.split(",")]
    rows = [
        row
        for task in tasks
        for encoder in args.encoder.split(",")
        for row in rows_of(task, encoder, counts=counts, steps=args.steps, batch=args.batch)
    ]
    figures = {f"{r['set']}/{r['encoder']}/{'all' if r['all'] else r['images']}": r["numbers"]["value"] for r in rows}
    report.write(f"segmentation, {args.steps} steps of {args.batch} crops", rows, figures, args.json)


if __name__ == "__main__":
    main()
