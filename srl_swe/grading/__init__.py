"""A patch and a task in, a `srl_swe.records.Verdict` out.

How a verdict is kept honest:

- a fresh container from the task's own image; of the student only the patch gets in;
- `paths`: changes to tests, test configuration, interpreter start-up files and build hooks are left out, and named;
- the hidden tests are laid on top, over whatever is there;
- `hidden_run`, `fenced_run`: pytest runs without the repository's configuration; every record of the run is signed
  with a key that exists for this run alone and is deleted from disk before any of the student's code is imported;
- `reports`: the collected tests must be exactly the expected ones, canary tests must fail, a control test must pass,
  and the run must have come to its end.
- `blind`, `changed_tests`: what passes is run once more, in another container, with changed expectations, and must
  fail: code that reads what a test expects, or makes every comparison or report come out well, passes those too;
- `judging`: a verdict is reached from the evidence alone, and can be reached again from its record.

What is *not* kept out: the code under test runs in the process that runs pytest. Code written to look for the reporter
inside its own process can find it; the canaries and the blind run catch such code only if it cannot tell them from the
hidden tests, for example by what it remembers of their text.
"""

from srl_swe.grading.grade import grade
from srl_swe.grading.judging import regrade
from srl_swe.grading.patches import student_patch

__all__ = ["grade", "regrade", "student_patch"]
