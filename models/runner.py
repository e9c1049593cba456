"""Run a function of tensors on a device, over and over: as it is, or as a CUDA graph for each shape of its inputs.

Networks as small as these keep a GPU waiting for the CPU to launch kernels; a graph launches them all at once.
Recorded by torch.cuda.graph and not made by torch.compile: that wants a C compiler beside Python (the images have
none), takes tens of seconds for each shape in each worker, and makes other kernels, whose sums are other sums. A graph
is recorded in milliseconds and runs the very kernels that were run without it, so it changes no label.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from models.device import Execution, to_device

WARM_UPS = 3  # as PyTorch's own recorder does: libraries choose kernels and take memory in their first calls
MOST_GRAPHS = 64
"""Shapes a function is recorded for; others are run as they are. Each holds memory of the GPU for good."""


class Recorder(Protocol):
    """What records a piece of work on a GPU."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Something that does the work again, on the same memory, and the tensor that then holds its result."""
        ...


class CudaGraphs:
    """Records CUDA graphs that share their memory: one is replayed at a time, and results are copied out at once."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """See Recorder."""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                work()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = work()
        return graph.replay, result


class Runner:
    """A function of tensors -> a tensor, run by an execution; inputs may be anywhere, the result is on its device.

    The function may not depend on anything but its inputs, and its result not on what ran before.

    Args:
        function: forward pass; its result is given as float32, whatever it computes in.
        execution: where and how.
        recorder: records for an execution with graphs; several runners of a process may share one.
    """

    def __init__(self, function: Callable[..., Tensor], execution: Execution, recorder: Recorder | None = None) -> None:
        self._function = function
        self._execution = execution
        self._recorder = (recorder or CudaGraphs()) if execution.graphs else None
        self._recorded: dict[tuple[object, ...], tuple[list[Tensor], Callable[[], None], Tensor]] = {}

    @torch.inference_mode()
    def __call__(self, *inputs: Tensor) -> Tensor:
        """The function of the inputs. On a GPU it is only queued: nothing waits for the result but who reads it."""
        shapes = tuple((item.shape, item.dtype) for item in inputs)
        if self._recorder is None or (shapes not in self._recorded and len(self._recorded) >= MOST_GRAPHS):
            return self._run([to_device(item, self._execution.device) for item in inputs])
        if shapes not in self._recorded:
            held = [to_device(item, self._execution.device).clone() for item in inputs]
            self._recorded[shapes] = (held, *self._recorder.record(lambda: self._run(held)))
        held, replay, result = self._recorded[shapes]
        for place, item in zip(held, inputs, strict=True):
            place.copy_(to_device(item, self._execution.device))
        replay()
        return result.clone()

    def _run(self, inputs: list[Tensor]) -> Tensor:
        with self._execution.autocast():
            result = self._function(*inputs)
        return result.float()
