"""Variables of processes that run operators."""

from pathlib import Path


def process_environment(temporary: Path | None) -> dict[str, str]:
    """Variables for a process that runs operators, to be set before it imports their libraries.

    One thread for each operator: two processes of one thread beat one of two, and nobody fights over cores. No
    telemetry: onnxruntime and pyannote would report to their makers. Memory that operators have freed stays with them,
    by glibc's own variables: else every shard has the system clear hundreds of thousands of pages anew. What libraries
    cache for themselves goes to the temporary area.
    """
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    quiet = {"ORT_DISABLE_TELEMETRY": "1", "PYANNOTE_METRICS_ENABLED": "0"}
    memory = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2 << 30)}
    caches = {"MPLCONFIGDIR": str(temporary / "matplotlib")} if temporary else {}
    return dict.fromkeys(threads, "1") | quiet | memory | caches
