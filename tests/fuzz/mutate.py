"""Mutations of small valid files: the same seed and number always give the same input."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**64 - 1)
"""Counts, sizes and offsets at which readers go wrong."""
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**70, -(2**63), 0.5, 1e308, -1e308, float("nan"), float("inf"), "",
    "a", "\0", "\ud800", "é" * 50, "9" * 5000, "../../etc/passwd", "/vsicurl/http://127.0.0.1:9/a", [], [[]], {},
    [None], {"": None}, {"type": None}, [[[[[[0]]]]]], "2024-99-99", "NaN", "EPSG:999999", {"a": {"b": []}},
)  # fmt: skip
"""Values that stand where others were expected."""
DEEP = 3_000


def of_bytes(random_: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return one of the seeds with a few bytes changed, moved, cut, or taken from another seed."""
    data = bytearray(random_.choice(seeds))
    for _ in range(random_.choice((1, 1, 1, 2, 3, 5, 10))):
        _change(random_, data, seeds)
    return bytes(data)


def _change(random_: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    size = len(data)
    if not size:
        data += random_.randbytes(8)
        return
    at = random_.randrange(size)
    if random_.random() < 0.3:  # heads and feet say how the rest is read
        at = random_.randrange(min(size, 256)) if random_.random() < 0.5 else max(0, size - 1 - random_.randrange(256))
    match random_.randrange(9):
        case 0 | 1:
            data[at] ^= 1 << random_.randrange(8)
        case 2:
            data[at] = random_.randrange(256)
        case 3 | 4:
            width = random_.choice((1, 2, 4, 8))
            number = random_.choice(NUMBERS) + random_.choice((0, 0, -1, 1))
            order = random_.choice(("little", "big"))
            data[at : at + width] = (number % (1 << (8 * width))).to_bytes(width, order)
        case 5:
            del data[at : at + random_.choice((1, 2, 4, 16, 1000, size))]
        case 6:
            data[at:at] = random_.randbytes(random_.choice((1, 2, 4, 16, 300)))
        case 7:
            data[at:at] = data[at : at + random_.choice((1, 8, 64, 1000))]
        case _:
            other = random_.choice(seeds)
            from_ = random_.randrange(len(other)) if other else 0
            part = other[from_ : from_ + random_.choice((1, 4, 16, 256))]
            data[at : at + len(part)] = part


def of_json(random_: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return the JSON of a seed with parts replaced, doubled, taken away or nested; now and then mere bytes."""
    if random_.random() < 0.15:
        return of_bytes(random_, seeds)
    body = [json.loads(random_.choice(seeds))]
    for _ in range(random_.choice((1, 1, 1, 2, 4))):
        _replace(random_, body)
    text = json.dumps(body[0], ensure_ascii=random_.random() < 0.5)
    if random_.random() < 0.02:
        depth = random_.choice((50, DEEP, 100_000))
        text = text.replace("null", "[" * depth + "]" * depth, 1)
    return text.encode("utf-8", "surrogatepass")


def _places(body: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) in a JSON document."""
    found, waiting = [], [body]
    while waiting:
        at = waiting.pop()
        keys = at.keys() if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ()
        for key in keys:
            found.append((at, key))
            waiting.append(at[key])
    return found


def _replace(random_: random.Random, body: list[Any]) -> None:
    at, key = random_.choice(_places(body))
    value = at[key]
    match random_.randrange(8):
        case 0 if isinstance(at, dict):
            del at[key]
        case 1 if isinstance(value, list) and len(value) < 1000:
            at[key] = value * random_.choice((2, 3, 50))
        case 2 if isinstance(value, list) and value:
            at[key] = value[: random_.randrange(len(value))]
        case 3:
            at[key] = random_.choice(([value], {"a": value}, [value] * 4, str(value)))
        case 4 if isinstance(value, (int, float)) and not isinstance(value, bool):
            at[key] = random_.choice((-value, value + 1, value * 1e6, float(value), str(value), value * 1e300))
        case 5:
            other, name = random_.choice(_places(body))
            at[key] = copy.deepcopy(other[name])
        case _:
            at[key] = copy.deepcopy(random_.choice(HOSTILE))


WORDS = re.compile(r"\w+|\s+|[^\w\s]")


def of_text(random_: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return text whose words are those of the seeds, in another order; now and then mere bytes."""
    if random_.random() < 0.1:
        return of_bytes(random_, seeds)
    words = WORDS.findall(random_.choice(seeds).decode())
    for _ in range(random_.choice((1, 1, 2, 4, 8))):
        at = random_.randrange(len(words)) if words else 0
        others = WORDS.findall(random_.choice(seeds).decode()) or [" "]
        match random_.randrange(7):
            case 0:
                del words[at : at + random_.choice((1, 2, 5))]
            case 1:
                from_ = random_.randrange(len(others))
                words[at:at] = others[from_ : from_ + random_.choice((1, 3, 10))]
            case 2:
                words[at : at + 1] = [random_.choice(others)]
            case 3:
                words[at : at + 1] = [str(random_.choice(NUMBERS))]
            case 4:
                words[at:at] = random_.choice(
                    (["("], [")"], ["'"], ['"'], [";"], ["--"], ["/*"], ["\0"], [","], ["::"], ["$1"], ["*"], ["é"])
                )
            case 5:
                words[at:at] = words[at : at + 20] * random_.choice((1, 5, 50))
            case _:
                words[at : at + 1] = [random_.choice(("NULL", "NaN", "''", "[]", "{}", "'\\xff'::BLOB", "1e400"))]
    return "".join(words).encode("utf-8", "surrogatepass")
