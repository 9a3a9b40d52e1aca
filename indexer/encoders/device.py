"""Where a network runs: lanes, each of which takes one batch at a time.

On CUDA every GPU has a replica and two lanes, each with its own stream and pinned memory: while one lane computes,
the other copies. On the CPU every core is a lane of one thread, which beats one batch on all cores: nothing waits at
the end of each layer for a core that was reading a scene.
"""

from __future__ import annotations

import copy
import queue
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.cores import cores
from embedstore.errors import EncoderError
from indexer.encoders import heap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from embedstore.spec import Modality

CUDA_BATCH = 256
CPU_BATCH = (4, 32)
CPU_PIXELS = 131_072
"""On the CPU, pixels of a batch within those limits: more do not run faster, and lanes end far apart."""
LANES_PER_GPU = 2


@dataclass
class Lane:
    """One place to run a batch: a replica, and on CUDA a stream and a pinned buffer."""

    network: Any
    device: Any
    stream: Any = None
    pinned: Any = None


class Runner:
    """Runs a network on batches from any thread.

    Parameters
    ----------
    network
        A torch module from (n, bands, size, size), and the valid pixels (n, size, size) if `masked`, to (n, d).
    modality
        Mean and std of the bands.
    device
        ``cpu``, ``cuda`` or ``auto``.
    masked
        Whether the network takes the valid pixels.
    half
        Whether CUDA may compute in bfloat16.
    chip_size
        Side of a chip in pixels.
    """

    def __init__(
        self, network: Any, modality: Modality, device: str, *, chip_size: int, masked: bool = False, half: bool
    ) -> None:
        import torch  # noqa: PLC0415

        self._torch = torch
        self._half = half
        self._masked = masked
        self.kind = kind(device)
        if self.kind == "cpu":
            heap.keep()
        self._mean = torch.tensor(modality.mean, dtype=torch.float32).view(-1, 1, 1)
        self._std = torch.tensor(modality.std, dtype=torch.float32).view(-1, 1, 1)
        network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for lane in self._make_lanes(network):
            self._free.put(lane)
        self.lanes = self._free.qsize()
        self.batch = CUDA_BATCH if self.kind == "cuda" else _cpu_batch(chip_size)
        gpus = torch.cuda.device_count() if self.kind == "cuda" else 1
        self.device = f"{gpus} x {self.kind}" if gpus > 1 else self.kind

    def _make_lanes(self, network: Any) -> Iterator[Lane]:
        torch = self._torch
        if self.kind == "cpu":
            for _ in range(cores()):
                yield Lane(network, torch.device("cpu"))
            return
        for number in range(torch.cuda.device_count()):
            device = torch.device("cuda", number)
            replica = copy.deepcopy(network).to(device)
            for _ in range(LANES_PER_GPU):
                yield Lane(replica, device, torch.cuda.Stream(device))

    def __call__(self, pixels: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the network's output for chips, float32 of shape (n, d); waits for a free lane."""
        torch = self._torch
        lane = self._free.get()
        try:
            with torch.inference_mode():
                return self._cuda(lane, pixels, valid) if lane.stream else self._cpu(lane, pixels, valid)
        finally:
            self._free.put(lane)

    def _cpu(self, lane: Lane, pixels: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        torch = self._torch
        with one_thread(torch):
            x = torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)
            return self._forward(lane, x, torch.from_numpy(valid), self._mean, self._std)

    def _cuda(self, lane: Lane, pixels: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        torch = self._torch
        with torch.cuda.device(lane.device), torch.cuda.stream(lane.stream):
            if lane.pinned is None or lane.pinned.numel() < pixels.size:
                lane.pinned = torch.empty(pixels.size, dtype=torch.float32, pin_memory=True)
            # Copied in the order in which the pixels lie, which is channels last already.
            nhwc = lane.pinned[: pixels.size].view(len(pixels), *pixels.shape[2:], pixels.shape[1])
            np.copyto(nhwc.numpy(), pixels.transpose(0, 2, 3, 1))
            x = nhwc.to(lane.device, non_blocking=True).permute(0, 3, 1, 2)
            seen = torch.from_numpy(valid).to(lane.device)
            mean, std = self._mean.to(lane.device), self._std.to(lane.device)
            with torch.autocast("cuda", torch.bfloat16, enabled=self._half):
                return self._forward(lane, x, seen, mean, std)

    def _forward(self, lane: Lane, x: Any, valid: Any, mean: Any, std: Any) -> NDArray[np.float32]:
        """Bring pixels to z-scores, 0 where there is no data (as :func:`base.preprocess`), and run the network."""
        z = (x - mean).div_(std)
        if self._masked or not bool(valid.all()):
            z *= valid.unsqueeze(1)
        out = lane.network(z, valid) if self._masked else lane.network(z)
        return out.float().cpu().numpy()  # type: ignore[no-any-return]


def check(device: str) -> None:
    """Raise EncoderError unless it is what a device may be called: ``auto``, ``cpu``, ``cuda``."""
    if device not in {"auto", "cpu", "cuda"}:
        raise EncoderError(f"there is no device {device!r}; choose auto, cpu or cuda.")


def kind(device: str) -> str:
    """Return what a device is, ``cpu`` or ``cuda``; ``auto`` is CUDA if there is any.

    Raises
    ------
    EncoderError
        If there is no such device.
    """
    import torch  # noqa: PLC0415

    check(device)
    if device == "cuda" and not torch.cuda.is_available():
        raise EncoderError("device cuda was asked for, and torch finds no CUDA device; use --device cpu.")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def _cpu_batch(chip_size: int) -> int:
    least, most = CPU_BATCH
    return max(least, min(most, CPU_PIXELS // chip_size**2))


@contextmanager
def one_thread(torch: Any) -> Iterator[None]:
    """Let torch use one core in this thread, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
