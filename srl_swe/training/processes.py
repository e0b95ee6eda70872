"""The processes of one run, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

_PATIENCE = timedelta(days=30)
"""While the first process samples, the others wait; one that has died is noticed at once, by its closed connection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Processes:
    """This process among those of its run; every method is to be called by all of them."""

    rank: int
    """Its number, from 0."""
    size: int
    """How many there are."""
    device: str
    """Type of the device that each has one of: ``cuda`` or ``cpu``."""
    group: ProcessGroup
    """For messages on the CPU."""

    def broadcast(self, value: Any) -> Any:
        """The first process's value."""
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.group)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, by its number."""
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def largest(self, value: int) -> int:
        """The largest of the processes' values."""
        import torch
        import torch.distributed as dist

        box = torch.tensor(value)
        dist.all_reduce(box, op=dist.ReduceOp.MAX, group=self.group)
        return int(box.item())


def started_together() -> bool:
    """Whether `torchrun` has started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Whether this process speaks for the run: it is alone, or the first one."""
    return not started_together() or os.environ.get("RANK", "0") == "0"


@contextmanager
def joined() -> Iterator[Processes]:
    """Meet the other processes, for the length of the block; each has one GPU, or works on the CPU."""
    import torch
    import torch.distributed as dist

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    try:
        group = dist.new_group(backend="gloo", timeout=_PATIENCE)
        yield Processes(rank=dist.get_rank(), size=dist.get_world_size(), device=device, group=group)
    finally:
        dist.destroy_process_group()
