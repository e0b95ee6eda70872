"""Tensors on the disk, written by as many processes as hold a part of each, and read by as many others.

The format is PyTorch's own (`torch.distributed.checkpoint`): a folder with one file a process and ``.metadata``, which
says what is where.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from srl_swe.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup


def write_tensors(tensors: dict[str, Tensor], folder: Path, *, group: ProcessGroup | None) -> None:
    """Write tensors, or each process's parts of them.

    Args:
        tensors: By name; in several processes those that are not `DTensor` are the same in each.
        folder: Is made.
        group: All processes that write; ``None``: this one alone.

    Raises:
        StorageError: they cannot be written; in every process.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    try:
        with _quiet():
            writer = FileSystemWriter(folder)
            save(dict(tensors), storage_writer=writer, process_group=group, no_dist=group is None)
    except CheckpointException as error:  # not an Exception
        raise StorageError(f"{folder}: cannot be written: {_reason(error)}") from error


def read_tensors(tensors: dict[str, Tensor], folder: Path, *, group: ProcessGroup | None) -> None:
    """Read into ``tensors``, in place, what `write_tensors` wrote.

    Args:
        tensors: By name, with the shapes that are expected.
        folder: What was written.
        group: All processes that read; ``None``: this one alone.

    Raises:
        ConfigError: a file is missing or damaged, or a tensor has another shape; in every process.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.state_dict_loader import load

    try:
        with _quiet():
            reader = FileSystemReader(folder)
            load(dict(tensors), storage_reader=reader, process_group=group, no_dist=group is None)
    except CheckpointException as error:
        raise ConfigError(f"{folder}: cannot be read: {_reason(error)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # One process alone is what is meant.
        warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
        # PyTorch's own use of what it has deprecated.
        warnings.filterwarnings("ignore", message="TypedStorage is deprecated", category=UserWarning)
        yield


def _reason(error: BaseException) -> str:
    failures = getattr(error, "failures", {})
    return "; ".join(f"process {rank}: {failure[0]}" for rank, failure in sorted(failures.items())) or str(error)
