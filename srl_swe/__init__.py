"""Train language-model agents on code repositories in containers, by Supervised Reinforcement Learning (SRL).

The method is that of arXiv 2510.25992. ``import srl_swe`` registers the gymnasium environments ``srl_swe/Repo-v0``,
``srl_swe/Math-v0`` and ``srl_swe/ExpertReplay-v0``; the public names are imported when used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import gymnasium

if TYPE_CHECKING:
    from srl_swe.environments.batch import EnvironmentBatch
    from srl_swe.environments.expert_replay import ExpertReplay
    from srl_swe.environments.mathematics import MathEnv
    from srl_swe.environments.repo import RepoEnv
    from srl_swe.errors import SrlSweError
    from srl_swe.records import PreparedTask, Score, Step, Task, Trajectory, Verdict

__version__ = "0.1.0"

_PUBLIC = {
    "EnvironmentBatch": "srl_swe.environments.batch",
    "ExpertReplay": "srl_swe.environments.expert_replay",
    "MathEnv": "srl_swe.environments.mathematics",
    "PreparedTask": "srl_swe.records",
    "RepoEnv": "srl_swe.environments.repo",
    "Score": "srl_swe.records",
    "SrlSweError": "srl_swe.errors",
    "Step": "srl_swe.records",
    "Task": "srl_swe.records",
    "Trajectory": "srl_swe.records",
    "Verdict": "srl_swe.records",
}

__all__ = [
    "EnvironmentBatch",
    "ExpertReplay",
    "MathEnv",
    "PreparedTask",
    "RepoEnv",
    "Score",
    "SrlSweError",
    "Step",
    "Task",
    "Trajectory",
    "Verdict",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


for _id, _entry_point in {
    "srl_swe/Repo-v0": "srl_swe.environments.repo:RepoEnv",
    "srl_swe/Math-v0": "srl_swe.environments.mathematics:MathEnv",
    "srl_swe/ExpertReplay-v0": "srl_swe.experts.environment:make_expert_replay",
}.items():
    if _id not in gymnasium.registry:
        gymnasium.register(id=_id, entry_point=_entry_point)
