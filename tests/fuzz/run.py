"""Fuzz every reader, each batch in a process of its own that may neither hang, nor crash, nor take much memory.

``python -m tests.fuzz.run --inputs 100`` tries so many inputs of each target; ``--seconds`` goes on, round after round,
until that much CPU time has been spent. An input is known by (seed, target, number) and can be made again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedstore.errors import EmbedstoreError
from tests.fuzz import seeds
from tests.fuzz.targets import TARGETS, Target

PATIENCE = 30.0
"""Seconds of one input after which it hangs."""
MEMORY = 2 << 30
"""Bytes that a process may hold beyond what it begins with."""
BATCH = 400
"""Inputs of a process."""


@dataclass
class Found:
    """What came of fuzzing.

    Parameters
    ----------
    inputs, refused, seconds
        By target: how many were tried, how many of them were refused, CPU seconds.
    faults
        Target, number, and what went wrong, of each input that did what it may not.
    """

    inputs: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, Any]] = field(default_factory=list)


def made(target: Target, root: Path, name: str, seed: int, number: int) -> bytes:
    """Return one input."""
    held = [path.read_bytes() for path in sorted((root / target.seeds).glob("[!.]*"))]
    return target.mutate(random.Random(f"{seed}/{name}/{number}"), held)


def child(name: str, root: Path, seed: int, numbers: range, note: Path) -> None:
    """Try inputs one after the other; the note says, for whoever waits, which one and what came of those before."""
    own = Path(tempfile.mkdtemp(prefix="fuzz-", dir=root))
    os.chdir(own)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    run, target, refused = TARGETS[name].open(root, own), TARGETS[name], 0
    held = [path.read_bytes() for path in sorted((root / target.seeds).glob("[!.]*"))]
    has = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    limit = int(has.split()[1]) * 1024 + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it ends the process, even inside a library
    with note.open("r+b", buffering=0) as telling:
        for number in numbers:
            raw = target.mutate(random.Random(f"{seed}/{name}/{number}"), held)
            os.pwrite(telling.fileno(), struct.pack("<qq", number, refused), 0)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            try:
                run(raw)
            except EmbedstoreError:
                refused += 1
            except Exception:  # noqa: BLE001 - that is what is looked for
                os.lseek(telling.fileno(), 0, os.SEEK_END)
                os.write(telling.fileno(), json.dumps([number, traceback.format_exc()]).encode() + b"\n")
            signal.setitimer(signal.ITIMER_REAL, 0)
        os.pwrite(telling.fileno(), struct.pack("<qq", numbers.stop, refused), 0)
    shutil.rmtree(own, ignore_errors=True)


def batch(found: Found, name: str, root: Path, seed: int, numbers: range) -> None:
    """Try inputs in processes of their own: after a crash another goes on behind the input that caused it."""
    at = numbers.start
    while at < numbers.stop:
        note = root / "note"
        note.write_bytes(bytes(16))
        os.pwrite((fd := os.open(note, os.O_WRONLY)), struct.pack("<qq", at - 1, 0), 0)
        os.close(fd)
        pid = os.fork()
        if not pid:
            code = 70
            with contextlib.suppress(BaseException):
                with Path(os.devnull).open("w") as nowhere:
                    os.dup2(nowhere.fileno(), 1)
                try:
                    child(name, root, seed, range(at, numbers.stop), note)
                    code = 0
                except BaseException:
                    traceback.print_exc()
                    raise
            os._exit(code)
        _, status, used = os.wait4(pid, 0)
        raw = note.read_bytes()
        last, refused = struct.unpack_from("<qq", raw)
        for line in raw[16:].splitlines():
            number, said = json.loads(line)
            found.faults.append({"target": name, "number": number, "said": said})
        found.seconds[name] += used.ru_utime + used.ru_stime
        found.refused[name] += refused
        if status:
            end = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
            if last < at:
                raise RuntimeError(f"the target {name} cannot be opened: {end}")
            found.faults.append({"target": name, "number": last, "said": end})
            last += 1
        found.inputs[name] += last - at
        at = last


def fuzz(names: list[str], seed: int, inputs: int, seconds: float, keep: Path | None) -> Found:
    """Try so many inputs of each target, and go on until so many CPU seconds have been spent."""
    found, start = Found(), 0
    with tempfile.TemporaryDirectory(prefix="embedstore-fuzz-") as folder:
        root = Path(folder)
        pid = os.fork()
        if not pid:
            code = 70
            with contextlib.suppress(BaseException):
                try:
                    seeds.make_all(root)
                    code = 0
                except BaseException:
                    traceback.print_exc()
                    raise
            os._exit(code)
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError("the seeds cannot be made")
        asked_to_end: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: asked_to_end.append(number))  # then the round is the last
        while not start or (found.seconds.total() < seconds and not asked_to_end):
            for name in names:
                known = len(found.faults)
                batch(found, name, root, seed, range(start, start + inputs))
                for fault in found.faults[known:]:
                    fault["seed"] = seed
                    if keep:
                        keep.mkdir(parents=True, exist_ok=True)
                        path = keep / f"{name}-{seed}-{fault['number']}"
                        path.write_bytes(made(TARGETS[name], root, name, seed, fault["number"]))
                        path.with_name(f"{path.name}.txt").write_text(fault["said"])
            start += inputs
    return found


def main() -> None:
    """Fuzz as the arguments say, print what came of it, and fail if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--inputs", type=int, default=BATCH)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("EMBEDSTORE_FUZZ_SECONDS", "0")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("EMBEDSTORE_FUZZ_SEED", "0")))
    parser.add_argument("--keep", type=Path, help="folder for the inputs of faults")
    asked = parser.parse_args()
    began = time.perf_counter()
    found = fuzz(asked.targets or list(TARGETS), asked.seed, asked.inputs, asked.seconds, asked.keep)
    sys.stdout.write(f"{'target':10} {'inputs':>8} {'refused':>8} {'CPU s':>8} {'faults':>7}\n")
    faults = Counter(fault["target"] for fault in found.faults)
    for name in found.inputs:
        row = found.inputs[name], found.refused[name], found.seconds[name], faults[name]
        sys.stdout.write(f"{name:10} {row[0]:8,} {row[1]:8,} {row[2]:8,.1f} {row[3]:7}\n")
    whole = found.inputs.total(), found.refused.total(), found.seconds.total(), len(found.faults)
    sys.stdout.write(f"{'all':10} {whole[0]:8,} {whole[1]:8,} {whole[2]:8,.1f} {whole[3]:7}\n")
    sys.stdout.write(f"seed {asked.seed}, {time.perf_counter() - began:,.0f} s\n")
    for fault in found.faults:
        last = fault["said"].strip().splitlines()[-1]
        sys.stdout.write(f"fault: {fault['target']} {fault['number']}: {last[:200]}\n")
    sys.exit(bool(found.faults))


if __name__ == "__main__":
    main()
