"""Every file of a store damaged in every way: verify names it, no answer is wrong in silence, repair mends it."""

from __future__ import annotations

import os
import random
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

import query.plan
from embedstore.errors import DamageError, EmbedstoreError
from embedstore.snapshot import DegradedIndexWarning
from embedstore.store import Store
from indexer import build as build_module
from tests.faults.damage import (
    PROBED,
    Damage,
    ask,
    build,
    copy,
    files,
    flips,
    is_superfluous,
    kind,
    matrix,
    unprivileged,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SEED = int(os.environ.get("EMBEDSTORE_FAULT_SEED", "0"))
SOME, FLIPS = 6, 1_000
"""Damages in the short version, each to a file of another kind; flipped bits in the long one, beside the matrix."""


@dataclass
class Bench:
    """Two stores, what the first answers, and a copy of it that is damaged and made whole again and again."""

    folder: Path
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, name in enumerate(("one", "other")):
            (self.folder / name).mkdir(parents=True)
            build(self.folder / name, number)
        self.whole, self.other = self.folder / "one" / "store", self.folder / "other" / "store"
        self.scene = self.folder / "one" / "scene.tif"
        self.right, said = ask(self.whole, self.scene)
        assert not said
        assert all(not isinstance(answer, str) for answer in self.right.values()), self.right
        if not os.geteuid():
            for path in (self.folder, *self.folder.parents[:2]):
                path.chmod(path.stat().st_mode | 0o055)  # for somebody who is not root

    def try_out(self, damage: Damage, *, repair: bool) -> None:
        """Damage a copy, look whether it is found and what the copy answers, and repair it."""
        store = copy(self.whole, self.folder / "copy" / "store")
        (store.parent).chmod(0o755)
        damage.strike(store)
        self.counts["damages"] += 1
        try:
            if damage.how == "unreadable":
                with unprivileged(store):
                    self._look(damage, store)
            else:
                self._look(damage, store)
                if repair:
                    self._repair(damage, store)
        except Exception as error:  # noqa: BLE001 - any traceback is a finding
            self.failures.append(f"{damage}: {type(error).__name__}: {error}")

    def _look(self, damage: Damage, store: Path) -> None:
        try:
            faults = Store.open(store).verify()
        except DamageError as error:
            faults = [str(error)]
        # a row map that is gone is missed by the uuid of its commit
        names = damage.file.name, damage.file.parent.name, damage.file.name.partition("-")[0]
        if is_superfluous(damage, self.whole):
            self.counts["superfluous"] += 1
        elif not any(name in fault for fault in faults for name in names):
            self.failures.append(f"{damage}: verify says {faults}")
        else:
            self.counts["found"] += 1
        answers, said = ask(store, self.scene, sql=damage.concerns_sql)
        silent = wrong(answers, self.right, warned=bool(said))
        if silent:
            self.failures.append(f"{damage}: wrong in silence: {silent}")
        refused = [answer for answer in answers.values() if isinstance(answer, str)]
        self.counts["answers"] += len(answers)
        self.counts["answers refused"] += len(refused)
        self.counts["with a warning"] += bool(said)
        self.counts["opened not at all"] += "open" in answers

    def _repair(self, damage: Damage, store: Path) -> None:
        """Repair a copy: what is derived is whole again, what is not is named."""
        try:
            repaired = Store.repair(store)
            if any("_index" in fault for fault in Store.open(store).verify()):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DegradedIndexWarning)
                    build_module.build(store)
            left = Store.open(store).verify()
        except EmbedstoreError as error:
            left, repaired = [str(error)], None
        if not left:
            answers, said = ask(store, self.scene, sql=damage.concerns_sql)
            # a new index probes otherwise than the old one
            bad = [name for name in wrong(answers, self.right, warned=False) if name not in PROBED]
            refused = [answer for answer in answers.values() if isinstance(answer, str)]
            if said or bad or refused:
                self.failures.append(f"{damage}: after repair {bad} {said} {refused}")
            self.counts["mended" if not is_superfluous(damage, self.whole) else "superfluous, whole"] += 1
        elif damage.file.name in " ".join(left):
            self.counts["named as lost"] += 1
            if damage.file.suffix == ".parquet" and damage.file.parts[0].startswith("h3_cell"):
                assert repaired is not None
                assert [one.path for one in repaired.lost] == [str(damage.file)]
        else:
            self.failures.append(f"{damage}: repair leaves {left}")

    def told(self) -> str:
        """Return the counts, in words."""
        return ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Small stores that take every path, among them probing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query.plan, "EXACT_ROWS", 50)
        patch.setattr(query.plan, "exact_is_cheaper", lambda *args: args[1] <= 100)
        patch.setattr("indexer.calibrate.LENGTHS", (100, 1000))
        patch.setattr(build_module, "FLAT_ROWS", 500)
        yield Bench(tmp_path_factory.mktemp("damage"))


def run(bench: Bench, what: str, damages: Iterable[Damage], *, repair: bool = True) -> None:
    """Try damages out, and repair one file of each kind after each; none may fail."""
    bench.counts.clear()
    bench.failures.clear()
    first: dict[str, Path] = {}
    for damage in damages:
        is_first = first.setdefault(kind(damage.file), damage.file) == damage.file
        bench.try_out(damage, repair=repair and is_first)
    print(f"{what}, seed {SEED}: {bench.told()}")  # noqa: T201 - shown with -s, for the record
    assert not bench.failures, "\n".join(bench.failures)


def test_some_damage(bench: Bench) -> None:
    rng = random.Random(SEED)
    by_kind: dict[str, list[Damage]] = {}
    for damage in matrix(bench.whole, bench.other, np.random.default_rng(SEED)):
        by_kind.setdefault(kind(damage.file), []).append(damage)
    assert len(by_kind) >= 18, sorted(by_kind)
    kinds = rng.sample(sorted(by_kind), SOME)
    run(bench, "some damage", [rng.choice(by_kind[one]) for one in kinds])


@pytest.mark.slow
def test_every_damage_to_every_file(bench: Bench) -> None:
    run(bench, f"{len(files(bench.whole))} files", matrix(bench.whole, bench.other, np.random.default_rng(SEED)))


@pytest.mark.slow
def test_a_thousand_flipped_bits(bench: Bench) -> None:
    run(bench, "flipped bits", flips(bench.whole, FLIPS, np.random.default_rng(SEED + 1)), repair=False)
