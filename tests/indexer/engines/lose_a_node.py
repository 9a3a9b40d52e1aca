"""Encode scenes on a Ray of two nodes, of which one is killed in the middle; print what came of it as JSON.

Arguments: the store, and scenes.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from embedstore.store import Store
from indexer import chips, engines
from indexer.encode import encode
from indexer.engines.ray import quiet_ray

MEMORY = 100 << 20


def main(store: Path, scenes: list[Path]) -> None:
    quiet_ray()
    from ray.cluster_utils import Cluster

    chips.BLOCK = 8
    one = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": MEMORY}
    cluster = Cluster(initialize_head=True, head_node_args={**one, "include_dashboard": False})
    node = cluster.add_node(**one)
    killed_at = []

    def kill() -> None:
        while not (Store.exists(store) and Store.open(store).rows):
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)
        killed_at.append(Store.open(store).rows)

    killer = threading.Thread(target=kill)
    with engines.choose("ray", cluster.address) as engine:
        slots = engine.slots
        killer.start()
        report = encode(scenes, store, chip_size=8, engine=engine)
        killer.join()
    sys.stdout.write(json.dumps({**report.to_dict(), "slots": slots, "killed_at": killed_at[0]}))
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(p) for p in sys.argv[2:]])
