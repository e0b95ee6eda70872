"""What every sandbox backend promises, as checks that can be run on any of them.

::

    srl-swe sandbox check NAME --image IMAGE

or, from a program, ``run_checks(get_backend(name), image, all_checks())``. The image needs bash, GNU's coreutils, a
user ``agent`` and a folder ``/testbed``; a check that needs more, Python or git, is skipped where that is missing.
"""

from __future__ import annotations

from srl_swe.sandbox.contract.bench import Bench
from srl_swe.sandbox.contract.checks import Check, Group
from srl_swe.sandbox.contract.runner import CheckResult, run_check, run_checks, select

__all__ = ["Bench", "Check", "CheckResult", "Group", "all_checks", "run_check", "run_checks", "select"]


def all_checks() -> list[Check]:
    """Return every check, group by group."""
    from srl_swe.sandbox.contract import abuse, commands, files, hogs, hostile, limits, sessions, snapshots

    modules = (commands, abuse, limits, sessions, files, snapshots, hostile, hogs)
    return [check for module in modules for check in module.checks.checks]
