"""Mining: tasks made from what a project has already fixed, and kept only where a sandbox shows that they are tasks.

A *step* is a release and the next, or a commit and its parent. `candidates` refuses cheaply; `verify` runs the new
tests on the old source, before and after the fix, as the grader does; `statement` drafts the issue from the change log
and from how the tests fail; `run` does many steps at a time and keeps a journal.
"""

from srl_swe.tasks.mining.candidates import Candidate, Limits, RefusedError, Step
from srl_swe.tasks.mining.run import MiningResult, mine

__all__ = ["Candidate", "Limits", "MiningResult", "RefusedError", "Step", "mine"]
