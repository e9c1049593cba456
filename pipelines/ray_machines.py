"""The machines of a Ray cluster, for workers who ask."""

from collections.abc import Collection


class RayMachines:
    """Which machine a worker is on, and which have left. Ray is asked only in a worker, where it is at work already."""

    def here(self) -> str:
        """The id of the machine that this process runs on."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def left(self, ids: Collection[str]) -> set[str]:
        """Those of these machines that have left the cluster."""
        import ray

        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        return {name for name in ids if name and name not in alive}
