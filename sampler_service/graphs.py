"""CUDA graphs: the launches of some work, recorded once and replayed in one."""

from collections.abc import Callable

import torch

Work = Callable[[], None]


class Graphs:
    """Captures work of one thread; what it captures shares memory, and is replayed one by one."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def capture(self, work: Work) -> Work:
        """Return what does the work again, with the same tensors.

        It is done once before: kernels are compiled then, and libraries take their memory.
        """
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call] # torch has no type for it
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            work()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            work()
        return graph.replay
