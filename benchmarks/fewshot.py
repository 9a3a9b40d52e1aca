"""Few-shot classification of labelled chips: ten labels a class, every method, and what abstaining gains.

``python -m benchmarks.fewshot --chips aid_96px.parquet --json F --plot confusion.png``

The file is Parquet with columns ``label``, ``split`` (train or test) and ``jpeg``; chips are square and of one size.
The encoder learns what the bands look like from training chips without their labels. Each draw takes ten labelled chips
a class from the training split, learns, and classifies the whole test split; figures are means over the draws, and
intervals hold 95 of 100 resamples of draws and test chips. Plain cosine kNN, without the metric and the weights that
ours learns from the labels, stands beside it.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from benchmarks import report
from indexer.encoders import registry
from indexer.sample import CHIPS, Sample
from query.fewshot import METHODS, estimator

if TYPE_CHECKING:
    from numpy.typing import NDArray

BANDS = ("R", "G", "B")
BATCH = 64
RESAMPLES = 1000
HALF = 0.5


def encode(name: str, jpegs: list[bytes], train: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the unit vectors of RGB pictures, shape (n, d), by an encoder made from training chips."""
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(j)).convert("RGB")).transpose(2, 0, 1) for j in jpegs])
    size = pixels.shape[2]
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(np.flatnonzero(train), min(CHIPS, int(train.sum())), replace=False))
    sample = Sample(BANDS, pixels[drawn].astype(np.float32), np.ones((len(drawn), size, size), bool), 1.0)
    with tempfile.TemporaryDirectory() as folder:
        spec = registry.make(name, sample, Path(folder))
        encoder = registry.load(Path(folder), spec)
        vectors = []
        for start in range(0, len(pixels), BATCH):
            batch = pixels[start : start + BATCH].astype(np.float32)
            valid = np.ones((len(batch), size, size), bool)
            vectors.append(encoder.encode({spec.modalities[0].name: batch}, valid))
    return np.concatenate(vectors)


def shots(codes: NDArray[np.int64], candidates: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Return positions of `count` chips of each class among candidates."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.choice(candidates[codes[candidates] == c], count, replace=False) for c in range(int(codes.max()) + 1)]
    )


class Drawn:
    """What one method answered for all test chips, draw after draw.

    Parameters
    ----------
    truth
        Classes of the test chips, shape (n,).
    """

    def __init__(self, truth: NDArray[np.int64]) -> None:
        self.truth = truth
        self.given: list[NDArray[np.int64]] = []
        self.sure: list[NDArray[np.float64]] = []

    def add(self, shares: NDArray[np.float64]) -> None:
        """Take in one draw's confidence in each class, shape (n, classes)."""
        self.given.append(shares.argmax(axis=1))
        self.sure.append(shares.max(axis=1))

    def figures(self) -> dict[str, tuple[float, float, float]]:
        """Return each figure with its interval."""
        given, sure = np.array(self.given), np.array(self.sure)
        right = given == self.truth
        draws, chips = right.shape
        rng = np.random.default_rng(0)
        values = [self._values(right, sure, given, np.arange(draws), np.arange(chips))]
        for _ in range(RESAMPLES):
            some = rng.integers(0, draws, draws), rng.integers(0, chips, chips)
            values.append(self._values(right, sure, given, *some))
        low, high = np.quantile(np.array(values[1:]), [0.025, 0.975], axis=0)
        names = ("accuracy", "macro_f1", "precision_at_half", "gain_at_half")
        return {n: (float(values[0][i]), float(low[i]), float(high[i])) for i, n in enumerate(names)}

    def _values(
        self,
        right: NDArray[np.bool_],
        sure: NDArray[np.float64],
        given: NDArray[np.int64],
        draws: NDArray[np.int64],
        chips: NDArray[np.int64],
    ) -> list[float]:
        """Return accuracy, macro F1, precision of the surer half, and how much that is above all."""
        at = np.ix_(draws, chips)
        hits = right[at]
        order = np.argsort(-sure[at], axis=1, kind="stable")[:, : int(HALF * len(chips))]
        half = float(np.take_along_axis(hits, order, axis=1).mean())
        macro = float(np.mean([_macro_f1(self.truth[chips], given[d, chips]) for d in draws]))
        return [float(hits.mean()), macro, half, half - float(hits.mean())]


def _macro_f1(truth: NDArray[np.int64], given: NDArray[np.int64]) -> float:
    count = int(truth.max()) + 1
    right = np.bincount(truth[truth == given], minlength=count)
    both = np.bincount(truth, minlength=count) + np.bincount(given, minlength=count)[:count]
    return float((2 * right / np.maximum(both, 1)).mean())


def confusion_plot(path: Path, names: list[str], drawn: Drawn, title: str) -> None:
    """Draw which class is taken for which, in per cent of the chips of each, over all draws."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    count = len(names)
    table = np.zeros((count, count))
    for given in drawn.given:
        np.add.at(table, (drawn.truth, given), 1)
    table *= 100 / table.sum(axis=1, keepdims=True)
    figure, axes = plt.subplots(figsize=(12, 11), layout="constrained")
    image = axes.imshow(table, cmap="Blues", vmin=0, vmax=100)
    for row, col in zip(*np.nonzero(table >= 3), strict=True):
        value = table[row, col]
        axes.text(col, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color="w" if value > 50 else "k")
    axes.set(xlabel="taken for", ylabel="is", title=title)
    axes.set_xticks(range(count), names, rotation=90, fontsize=8)
    axes.set_yticks(range(count), names, fontsize=8)
    figure.colorbar(image, shrink=0.6, label="per cent of the chips of a class")
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)


def answer(method: str, k: int, vectors: NDArray[np.float32], codes: NDArray[np.int64], asked: Any) -> Any:
    """Learn from labelled vectors and return the confidence in each class of what is asked."""
    if method == "plain cosine knn":
        model = KNeighborsClassifier(k, weights="distance", metric="cosine", algorithm="brute")
        return model.fit(vectors, codes).predict_proba(asked)
    return estimator(method, k=k).fit(vectors, codes).predict_proba(asked)


def main() -> None:
    """Run from the command line."""
    parser = report.parser("Classify labelled chips from a few labels a class.")
    parser.add_argument("--chips", type=Path, required=True, help="Parquet of label, split and jpeg")
    parser.add_argument("--encoder", default="rcf", help="rcf, or timm:MODEL with weights at hand")
    parser.add_argument("--shots", type=int, default=10, help="labels a class")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("-k", type=int, default=5)
    parser.add_argument("--plot", type=Path, help="write the confusion plot of kNN here")
    args = parser.parse_args()
    table = pq.read_table(args.chips, columns=["label", "split", "jpeg"])
    names, codes = np.unique(table["label"].to_pylist(), return_inverse=True)
    train = np.array(table["split"].to_pylist()) == "train"
    vectors = encode(args.encoder, table["jpeg"].to_pylist(), train)
    methods = [*METHODS, "plain cosine knn"]
    drawn = {m: Drawn(codes[~train]) for m in methods}
    for seed in range(args.draws):
        at = shots(codes, np.flatnonzero(train), args.shots, seed)
        for method in methods:
            drawn[method].add(answer(method, args.k, vectors[at], codes[at], vectors[~train]))
    rows: list[dict[str, str]] = []
    figures: dict[str, float] = {}
    for method in methods:
        measured = drawn[method].figures()
        rows.append({"method": method, **{n: f"{v:.3f} ({a:.3f}-{b:.3f})" for n, (v, a, b) in measured.items()}})
        for name, (value, low, high) in measured.items():
            key = f"{method.replace(' ', '_')}_{name}"
            figures |= {key: value, f"{key}_low": low, f"{key}_high": high}
    title = (
        f"{args.encoder}, {args.shots} labels of each of {len(names)} classes, {int((~train).sum()):,} test chips, "
        f"{args.draws} draws"
    )
    report.write(title, rows, figures, args.json)
    if args.plot:
        confusion_plot(args.plot, names.tolist(), drawn["knn"], f"kNN, {title}")


if __name__ == "__main__":
    main()
