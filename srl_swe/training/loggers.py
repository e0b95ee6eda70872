"""Where metrics are shown: TensorBoard, Weights & Biases, trackio, or nowhere. ``metrics.jsonl`` is always written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from srl_swe.errors import MissingDependencyError
from srl_swe.training.config import TrainConfig

Numbers = Mapping[str, float]


class Logger(Protocol):
    """Takes the numbers of one update after the other."""

    def log(self, update: int, numbers: Numbers) -> None:
        """Show them."""
        ...

    def close(self) -> None:
        """Flush what is not written yet."""
        ...


def make_logger(config: TrainConfig, settings: Mapping[str, Any], *, done: int) -> Logger:
    """The logger that ``config`` names.

    Args:
        config: The run's.
        settings: The same as JSON, shown with the run where that is possible.
        done: Updates made before; what was logged after them is taken back where that is possible.

    Raises:
        MissingDependencyError: its package is not installed.
    """
    try:
        return _LOGGERS[config.logger](config, settings, done)
    except ImportError as error:
        raise MissingDependencyError(
            f"logger {config.logger!r} is not installed ({error}); run: pip install 'srl-swe[{config.logger}]'"
        ) from error


class _Nowhere:
    def __init__(self, config: TrainConfig, settings: Mapping[str, Any], done: int) -> None:
        del config, settings, done

    def log(self, update: int, numbers: Numbers) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing is open."""


class _TensorBoard:
    def __init__(self, config: TrainConfig, settings: Mapping[str, Any], done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        del settings
        self._writer = SummaryWriter(str(config.out / "tensorboard"), purge_step=done + 1)

    def log(self, update: int, numbers: Numbers) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, update)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    """One run, under the folder's name; it goes on under the same id."""

    def __init__(self, config: TrainConfig, settings: Mapping[str, Any], done: int) -> None:
        import wandb

        del done
        name = config.out.resolve().name
        self._run = wandb.init(
            project="srl-swe", name=name, id=name, dir=str(config.out), config=dict(settings), resume="allow"
        )

    def log(self, update: int, numbers: Numbers) -> None:
        self._run.log(dict(numbers), step=update)

    def close(self) -> None:
        self._run.finish()


class _Trackio:
    """One run, under the folder's name."""

    def __init__(self, config: TrainConfig, settings: Mapping[str, Any], done: int) -> None:
        import trackio

        del done
        self._run = trackio.init(
            project="srl-swe", name=config.out.resolve().name, config=dict(settings), resume="allow"
        )

    def log(self, update: int, numbers: Numbers) -> None:
        self._run.log(dict(numbers), step=update)

    def close(self) -> None:
        self._run.finish()


_LOGGERS: dict[str, Callable[[TrainConfig, Mapping[str, Any], int], Logger]] = {
    "none": _Nowhere,
    "tensorboard": _TensorBoard,
    "wandb": _Wandb,
    "trackio": _Trackio,
}
