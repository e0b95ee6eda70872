"""Problems that reasoning-gym (Apache-2.0) makes by the seed, and scores itself: endless, of any difficulty."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError, MissingDependencyError
from srl_swe.records import AnswerKey, Split, Task
from srl_swe.tasks.mathematics.problems import make_task


def dataset_names() -> list[str]:
    """The names of reasoning-gym's data sets.

    Raises:
        MissingDependencyError: it is not installed.
    """
    return sorted(_library()[1])


def generate_problems(
    datasets: Sequence[str],
    folder: Path,
    *,
    size: int = 100,
    seed: int = 0,
    split: Split = "train",
    config: Mapping[str, Any] | None = None,
) -> Iterator[Task]:
    """Make problems; the same arguments make the same ones.

    Args:
        datasets: Names of reasoning-gym's data sets, such as ``basic_arithmetic``.
        folder: The suite's.
        size: Problems of each data set.
        seed: Of all of them. Give what is held out another seed, far from the one trained on: problem i of a data set
            is made of seed + i.
        split: Of all of them.
        config: Further arguments of the data sets, as JSON has them.

    Raises:
        ConfigError: there is no such data set, or it does not take these arguments.
        MissingDependencyError: reasoning-gym is not installed.
    """
    create, known = _library()
    if size < 1 or seed < 0:
        raise ConfigError(f"--size must be at least 1 and --seed at least 0, got {size} and {seed}")
    for name in datasets:
        if name not in known:
            raise ConfigError(f"{name}: no data set of reasoning-gym; there are {', '.join(sorted(known))}")
        try:
            made = create(name, seed=seed, size=size, **(config or {}))
            entries = [made[index] for index in range(size)]
        except (AssertionError, TypeError, ValueError) as error:
            raise ConfigError(f"{name}: reasoning-gym refuses these arguments: {error}") from error
        for index, entry in enumerate(entries):
            recipe = {"dataset": name, "seed": seed, "size": size, "index": index, "config": dict(config or {})}
            yield make_task(
                folder.resolve().name,
                folder,
                name=f"{re.sub(r'[^a-z0-9_]+', '-', name)}-{seed + index:06d}",
                group=name,
                split=split,
                problem=str(entry["question"]),
                answer=AnswerKey(
                    answer=str(entry["answer"]), scorer="reasoning-gym", recipe=json.dumps(recipe, sort_keys=True)
                ),
            )


def _library() -> tuple[Any, Mapping[str, Any]]:
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise MissingDependencyError(
            "reasoning-gym is not installed; install the extra: pip install 'srl-swe[reasoning-gym]'"
        ) from None
    return reasoning_gym.create_dataset, DATASETS
