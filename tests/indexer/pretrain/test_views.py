from __future__ import annotations

import torch

from indexer.pretrain.recipes import views

SIZE, SIDE = 12, 8


def numbered(n: int) -> torch.Tensor:
    """Chips whose pixels say where on the ground they are: row and column."""
    row, col = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return torch.stack([row, col]).float().expand(n, -1, -1, -1)


def test_a_pixel_of_a_view_knows_its_ground() -> None:
    generator = torch.Generator().manual_seed(0)
    view = views.cut(numbered(64), SIDE, generator)
    assert view.pixels.shape == (64, 2, SIDE, SIDE)
    row, col = view.pixels.flatten(2).unbind(1)
    assert torch.equal(view.ground, (row * SIZE + col).long())


def test_views_are_cut_turned_and_mirrored_and_keep_neighbours_together() -> None:
    view = views.cut(numbered(400), SIDE, torch.Generator().manual_seed(0))
    right = view.pixels[:, :, 0, 1] - view.pixels[:, :, 0, 0]
    down = view.pixels[:, :, 1, 0] - view.pixels[:, :, 0, 0]
    ways = {tuple(torch.cat([a, b]).tolist()) for a, b in zip(right, down, strict=True)}
    assert len(ways) == 8  # the symmetries of the square
    assert all(abs(step).sum() == 1 for step in (*right, *down))
    corners = {tuple(chip.flatten(1).min(1).values.tolist()) for chip in view.pixels}
    assert len(corners) == (SIZE - SIDE + 1) ** 2


def test_the_same_ground_is_found_in_both_views_and_only_where_it_may_be_drawn() -> None:
    generator = torch.Generator().manual_seed(3)
    one, other = (views.cut(numbered(32), SIDE, generator) for _ in range(2))
    usable = torch.ones(32, SIZE, SIZE, dtype=torch.bool)
    usable[:, 5] = False
    usable[7] = False
    chips, numbers = views.share_pixels(one, other, usable, 40, generator)
    assert chips.tolist() == [i for i in range(32) if i != 7]
    assert not (numbers // SIZE == 5).any()
    for view in (one, other):
        at = views.places(view, SIZE)[chips].gather(1, numbers)
        assert (at >= 0).all()
        shown = view.pixels.flatten(2)[chips].gather(2, at.unsqueeze(1).expand(-1, 2, -1))
        assert torch.equal((shown[:, 0] * SIZE + shown[:, 1]).long(), numbers)


def test_chips_without_a_usable_pixel_give_none() -> None:
    generator = torch.Generator().manual_seed(3)
    one, other = (views.cut(numbered(2), SIDE, generator) for _ in range(2))
    chips, numbers = views.share_pixels(one, other, torch.zeros(2, SIZE, SIZE, dtype=torch.bool), 5, generator)
    assert len(chips) == 0
    assert numbers.shape == (0, 5)


def test_other_colours_leave_no_data_alone_and_differ_by_chip_and_band() -> None:
    z = torch.ones(3, 4, 2, 2)
    z[0, 1] = torch.nan
    coloured = views.recolour(z, 0.2, torch.Generator().manual_seed(0))
    assert torch.equal(coloured.isnan(), z.isnan())
    seen = coloured[..., 0, 0].nan_to_num(9.0).flatten()
    assert len(seen.unique()) == len(seen)
    assert torch.equal(views.recolour(z[1:], 0.0, torch.Generator()), z[1:])


def test_half_of_the_batches_have_all_bands_and_the_others_any_number() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = [int(views.keep_bands(12, generator).sum()) for _ in range(600)]
    assert 0.4 < sum(c == 12 for c in counts) / 600 < 0.65
    assert set(counts) == set(range(1, 13))
