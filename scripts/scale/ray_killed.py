"""The example of Ray in a cluster of two nodes, of which one is killed by SIGKILL in the middle, and replaced.

    python scripts/scale/ray_killed.py INPUT OUTPUT MODEL ACTORS     as scripts/scale/check.py runs it
"""

import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

# Seconds until something must have been written.
PATIENCE = 600


def kill(cluster, node, target: Path, killed: threading.Event) -> None:
    """Kills all processes of a node once something is written, and adds another node."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and not (target.is_dir() and any(target.rglob("*.parquet"))):
        time.sleep(0.1)
    processes = [info.process.pid for infos in node.all_processes.values() for info in infos]
    for process in processes:
        os.kill(process, signal.SIGKILL)
    killed.set()
    cluster.add_node(num_cpus=1)


if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address)
    killed = threading.Event()
    killer = threading.Thread(target=kill, args=(cluster, second, Path(sys.argv[2]), killed), daemon=True)
    killer.start()
    runpy.run_path("scripts/examples/ray_rerank.py", run_name="__main__")
    is_killed = killed.is_set()
    killer.join()
    ray.shutdown()
    cluster.shutdown()
    if not is_killed:
        sys.exit("everything was scored before the node was killed; take more pairs")
