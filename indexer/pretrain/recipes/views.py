"""Two views of the same ground whose geometry is known: crops, right-angle rotations, flips, colours that vary.

Pixels of the ground are numbered ``row * size + column`` over the chip as it was drawn. A view remembers the number of
each of its pixels, so that what was done to it never has to be undone: two pixels are of one place if they have one
number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class View:
    """Some chips as one view shows them.

    Parameters
    ----------
    pixels
        Shape (n, channels, side, side).
    ground
        int64, shape (n, side * side): which pixel of the ground each one is of.
    """

    pixels: torch.Tensor
    ground: torch.Tensor


def cut(pixels: torch.Tensor, side: int, generator: torch.Generator) -> View:
    """Cut a square from each chip, turn it by a multiple of 90 degrees and perhaps mirror it, each chip by itself.

    Parameters
    ----------
    pixels
        Shape (n, channels, size, size).
    side
        Of the square, at most `size`.
    generator
        On the CPU.
    """
    import torch  # noqa: PLC0415

    n, channels, size, _ = pixels.shape
    numbers = torch.arange(size * size).view(size, size)
    corner = torch.randint(size - side + 1, (n, 2), generator=generator).tolist()
    turn = torch.randint(8, (n,), generator=generator).tolist()
    squares = []
    for (top, left), way in zip(corner, turn, strict=True):
        square = numbers[top : top + side, left : left + side].rot90(way % 4)
        squares.append((square.flip(1) if way >= 4 else square).flatten())
    ground = torch.stack(squares).to(pixels.device)
    seen = pixels.flatten(2).gather(2, ground.unsqueeze(1).expand(-1, channels, -1))
    return View(seen.view(n, channels, side, side), ground)


def places(view: View, size: int) -> torch.Tensor:
    """Return where a view shows each pixel of the ground, int64 of shape (n, size * size), -1 where it does not."""
    import torch  # noqa: PLC0415

    where = torch.full((len(view.ground), size * size), -1, device=view.ground.device)
    order = torch.arange(view.ground.shape[1], device=view.ground.device)
    return where.scatter(1, view.ground, order.expand_as(view.ground))


def share_pixels(
    one: View, other: View, usable: torch.Tensor, count: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw pixels of the ground that both views show.

    Parameters
    ----------
    usable
        bool, shape (n, size, size): which pixels of the ground may be drawn.
    count
        How many of each chip; a chip with fewer gives some twice.
    generator
        On the CPU.

    Returns
    -------
    int64: the chips that have any such pixel, shape (m,); and the numbers of the pixels drawn, shape (m, count).
    """
    import torch  # noqa: PLC0415

    size = usable.shape[-1]
    both = (places(one, size) >= 0) & (places(other, size) >= 0) & usable.flatten(1)
    both = both.cpu()  # chance comes from the CPU
    chips = both.any(1).nonzero().squeeze(1)
    drawn = torch.multinomial(both[chips].float(), count, replacement=True, generator=generator) if len(chips) else None
    numbers = torch.empty((0, count), dtype=torch.int64) if drawn is None else drawn
    return chips.to(usable.device), numbers.to(usable.device)


def recolour(z: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Return z-scores as another light and another atmosphere would have them.

    Each chip is scaled and shifted as a whole and each of its bands a little by itself; factors and shifts are normal.

    Parameters
    ----------
    z
        Shape (n, channels, h, w).
    strength
        Standard deviation of the factors about 1 and of the shifts about 0, in standard deviations of the bands; half
        of it for single bands.
    generator
        On the CPU.
    """
    import torch  # noqa: PLC0415

    n, channels = z.shape[:2]
    draw = torch.randn(2, n, channels + 1, 1, 1, generator=generator) * strength
    whole, single = draw[:, :, :1], draw[:, :, 1:] / 2
    gain, shift = (whole + single).to(z.device)
    coloured: torch.Tensor = z * (1 + gain) + shift
    return coloured


def keep_bands(channels: int, generator: torch.Generator) -> torch.Tensor:
    """Return which bands are kept, bool of shape (channels,): all of them half of the time, else any number.

    A network that is to work without some bands has to learn without them. They are the same for a whole batch and for
    both views: if each chip lacked others, what is missing would tell chips apart better than what is there.
    """
    import torch  # noqa: PLC0415

    everything, count = torch.rand(2, generator=generator).tolist()
    if everything < 0.5:
        return torch.ones(channels, dtype=torch.bool)
    kept = torch.zeros(channels, dtype=torch.bool)
    kept[torch.randperm(channels, generator=generator)[: 1 + int(count * channels)]] = True
    return kept
