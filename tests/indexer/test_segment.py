from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from embedstore.errors import BandError, EncoderError, LabelError
from embedstore.spec import Modality
from indexer import segment
from indexer.encoders.model_file import Model
from indexer.networks.unet import PixelEmbedding
from indexer.segment import IGNORE, confusion, fine_tune, mean_iou

if TYPE_CHECKING:
    from numpy.typing import NDArray

BANDS = ("B02", "B03", "B04", "B08")


def scene(seed: int, side: int = 48) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Two classes in squares: of one band the mean differs a little, of another only the texture."""
    random = np.random.default_rng(seed)
    mask = random.integers(0, 2, (side // 12, side // 12)).repeat(12, 0).repeat(12, 1)
    image = random.normal(0, 1, (4, side, side))
    image[0] += mask
    image[1] *= 0.2 + mask
    return (image * 300 + 1000).astype(np.float32), mask


@pytest.fixture
def model() -> Model:
    options = {"dimension": 8, "channels": 5, "widths": [8, 12], "depths": [1, 1], "kernel": 3, "expansion": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = PixelEmbedding(**options).state_dict()
    bands = ("B01", *BANDS)
    return Model("dense", options, (Modality("optical", bands, (0.0,) * 5, (1.0,) * 5),), 32, 10.0, 8, "mean", state)


def score(segmenter: segment.Segmenter, seeds: range) -> float:
    counts = sum(confusion(segmenter.predict(image), mask, 2) for image, mask in map(scene, seeds))
    return mean_iou(np.asarray(counts))


def test_it_learns_masks_from_few_labels_and_much_unlabelled(model: Model) -> None:
    images, masks = zip(*map(scene, range(3)), strict=True)
    random = np.random.default_rng(0)
    sparse = [np.where(random.random(mask.shape) < 0.1, mask, IGNORE) for mask in masks]
    images[0][:, :10] = np.nan
    untrained = fine_tune(model, images, sparse, 2, bands=BANDS, steps=0, batch=4, side=24)
    trained = fine_tune(model, images, sparse, 2, bands=BANDS, steps=60, batch=4, side=24)
    assert score(trained, range(10, 12)) > max(0.75, score(untrained, range(10, 12)) + 0.2)


def test_the_same_seed_learns_the_same_and_another_does_not() -> None:
    image, mask = scene(0)
    scores = [
        fine_tune(None, [image], [mask], 2, bands=BANDS, steps=2, batch=2, side=16, seed=seed)
        .network[1]
        .weight.detach()
        .numpy()
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_both_beginnings_share_all_but_the_weights(model: Model) -> None:
    image, mask = scene(0)
    begun = [fine_tune(m, [image], [mask], 2, bands=BANDS, steps=0).network[0] for m in (model, None)]
    assert torch.equal(begun[0].stem.weight, model.tensors["unet.stem.weight"][:, 1:])
    assert type(begun[0]) is type(begun[1])
    assert begun[1].stem.weight.shape[1] == 4


def test_units_do_not_matter_and_no_data_is_the_mean(model: Model) -> None:
    image, mask = scene(0)
    image[:, :4] = np.nan
    one = fine_tune(model, [image], [mask], 2, bands=BANDS, steps=3, batch=2, side=16)
    other = fine_tune(model, [image / 10_000], [mask], 2, bands=BANDS, steps=3, batch=2, side=16)
    assert (one.predict(image) == other.predict(image / 10_000)).mean() > 0.99
    whole = image.copy()
    whole[:, :4] = one.mean
    assert np.array_equal(one.predict(image), one.predict(whole))


def test_crops_hold_a_label_and_the_masks_turn_with_the_pixels() -> None:
    mask = np.full((30, 20), IGNORE)
    mask[29, 19], mask[3, 3] = 1, 0
    image = np.arange(1, 601, dtype=np.float32).reshape(1, 30, 20)
    crops = segment._crops([image], [mask], 16, 12, 0)
    for _ in range(5):
        x, wanted = next(crops)
        assert x.shape == (16, 1, 12, 12)
        assert ((wanted == IGNORE).flatten(1).sum(1) < 144).all()
        assert (x[:, 0][wanted != IGNORE] != 0).all()


def test_large_images_are_predicted_in_windows_without_seams(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    image, mask = scene(0, 96)
    learned = fine_tune(model, [image], [mask], 2, bands=BANDS, steps=5, batch=2, side=16)
    whole = learned.predict(image)
    monkeypatch.setattr(segment, "WINDOW", 32)
    monkeypatch.setattr(segment, "MARGIN", 16)
    assert (learned.predict(image) == whole).all()


def test_intersection_over_union_by_hand() -> None:
    truth = np.array([[0, 0, 1, IGNORE], [1, 1, 0, IGNORE]])
    predicted = np.array([[0, 1, 1, 2], [1, 1, 0, 0]])
    counts = confusion(predicted, truth, 4)
    assert counts.tolist() == [[2, 1, 0, 0], [0, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert mean_iou(counts) == pytest.approx((2 / 3 + 3 / 4) / 2)
    counts[0, 2] = 1  # a class that is nowhere was given: its intersection over union is 0
    assert mean_iou(counts) == pytest.approx((2 / 4 + 3 / 4 + 0) / 3)


def test_what_makes_no_sense_is_refused(model: Model) -> None:
    image, mask = scene(0, 12)
    for images, masks, message in (
        ([image], [], "1 images and 0 masks"),
        ([image[:3]], [mask], r"shape \(3, 12, 12\)"),
        ([image], [mask + 1], "class 2"),
        ([image], [np.full_like(mask, IGNORE)], "no pixel"),
        ([np.full_like(image, np.nan)], [mask], "no pixel"),
    ):
        with pytest.raises(LabelError, match=message):
            fine_tune(None, images, masks, 2, bands=BANDS)
    with pytest.raises(LabelError, match="nothing to measure"):
        mean_iou(np.zeros((2, 2), np.int64))
    with pytest.raises(EncoderError, match="no device 'tpu'"):
        fine_tune(None, [image], [mask], 2, bands=BANDS, device="tpu")
    with pytest.raises(BandError, match="knows no B11"):
        fine_tune(model, [image], [mask], 2, bands=("B02", "B03", "B04", "B11"))
    torn = Model("dense", model.options, model.modalities, 32, 10.0, 8, "mean", {"x": torch.zeros(1)})
    with pytest.raises(EncoderError, match="does not fit its network"):
        fine_tune(torn, [image], [mask], 2, bands=BANDS)


def test_images_without_masks_say_what_is_usual() -> None:
    (image, mask), (other, _) = scene(0), scene(1)
    brighter = other + 500
    made = fine_tune(None, [image], [mask], 2, bands=BANDS, unlabelled=[brighter], steps=0)
    both = np.concatenate([image, brighter], axis=1)
    assert np.allclose(made.mean[:, 0, 0], both.mean((1, 2)))
    assert np.allclose(made.std[:, 0, 0], both.std((1, 2)))
    with pytest.raises(LabelError, match="unlabelled image 1"):
        fine_tune(None, [image], [mask], 2, bands=BANDS, unlabelled=[other, other[:2]], steps=0)
