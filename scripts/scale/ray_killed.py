"""The example of Ray in a cluster of two nodes, of which one is killed by SIGKILL in the middle, and replaced.

    python scripts/scale/ray_killed.py INPUT OUTPUT MODEL ACTORS     as scripts/scale/check.py runs it
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ray.cluster_utils import Cluster

# Cores of a node, as Ray counts them: an actor takes half of one, and a task that lists or writes files a whole one.
CPUS = 2


def main() -> None:
    """Starts the cluster and the example, and kills all processes of a node once something is written."""
    target = Path(sys.argv[2])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": CPUS})
    second = cluster.add_node(num_cpus=CPUS)
    example = [sys.executable, "scripts/examples/ray_rerank.py", *sys.argv[1:]]
    running = subprocess.Popen(example, env={**os.environ, "RAY_ADDRESS": cluster.address})
    while running.poll() is None and not (target.is_dir() and any(target.rglob("*.parquet"))):
        time.sleep(0.1)
    if running.poll() is not None:
        sys.exit("the example has ended before the node was killed; take more pairs")
    processes = [process for infos in second.all_processes.values() for info in infos for process in family(info.process.pid)]
    for process in processes:
        os.kill(process, signal.SIGKILL)
    cluster.add_node(num_cpus=CPUS)
    status = running.wait()
    cluster.shutdown()
    sys.exit(status)


def family(process: int) -> list[int]:
    """A process and those that it has started, which are the node's workers."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]
    return [process, *(number for child in children for number in family(child))]


if __name__ == "__main__":
    main()
