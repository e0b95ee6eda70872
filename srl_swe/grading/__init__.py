"""A patch and a task in, a `srl_swe.records.Verdict` out.

How a verdict is kept honest:

- a fresh container from the task's own image; of the student only the patch gets in;
- `paths`: changes to tests, test configuration, interpreter start-up files and build hooks are left out, and named;
- the hidden tests are laid on top, over whatever is there;
- `fenced_run`: pytest runs without the repository's configuration; every record of the run is signed with a key that
  exists for this run alone and is deleted from disk before any of the student's code is imported;
- `reports`: the collected tests must be exactly the expected ones, canary tests must fail, a control test must pass,
  and the run must have come to its end.

What is *not* kept out: the code under test runs in the process that runs pytest. Code written to look for the reporter
inside its own process can find it; the canaries catch such code only if it does not single out the hidden tests.
"""

from srl_swe.grading.grade import grade
from srl_swe.grading.patches import student_patch

__all__ = ["grade", "student_patch"]
