"""Searches a task's image for its own fix: another release among the packages, a build folder, a forgotten patch."""

from __future__ import annotations

import json
import re
from pathlib import Path

from srl_swe.errors import SandboxError
from srl_swe.grading.patches import ROOT
from srl_swe.records import PreparedTask
from srl_swe.sandbox import open_sandbox

_SHORTEST = 25
"""Characters of a line that says which code it belongs to."""
_TELLING = 50
"""Characters of all such lines together, for them to say so in a file of a common name."""
_SHARE = 0.8
"""Of the fix's lines that a file holds."""
# Reads file names; prints those that hold enough of the lines.
_COUNT = """
import json, sys
lines, share = json.load(open("/tmp/lines.json"))
for path in sys.stdin.read().split("\\0"):
    try:
        text = {line.strip() for line in open(path, encoding="utf-8", errors="replace")}
    except OSError:
        continue
    if sum(line in text for line in lines) >= share * len(lines):
        print(path)
"""


def leaks(prepared: PreparedTask, *, backend: str = "docker") -> list[str]:
    """Return the files of the image that hold the fix: other copies of the files that it changes, and patches.

    A fix is known by its added lines; one that has none of at least 25 characters is not looked for.

    Raises:
        SandboxError: the image cannot be searched.
    """
    removed = _lines(prepared.gold_patch, "-")
    lines = sorted(line for line in _lines(prepared.gold_patch, "+") - removed if len(line) >= _SHORTEST)
    if not lines:
        return []
    with open_sandbox(prepared.image, backend=backend, workdir="/") as sandbox:
        sandbox.write_file("/tmp/lines", "\n".join(lines).encode())
        sandbox.write_file("/tmp/lines.json", json.dumps([lines, _SHARE]).encode())
        sandbox.write_file("/tmp/count.py", _COUNT.encode())
        found = sandbox.run(
            "grep -rlZF -f /tmp/lines --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev / 2>/dev/null"
            " | python /tmp/count.py",
            timeout_s=120,
        )
        if found.exit_code != 0:
            raise SandboxError(f"the image cannot be searched for the fix: {found.output.strip()[-300:]}")
    changed = re.findall(r"^\+\+\+ b/(.+)$", prepared.gold_patch, re.MULTILINE)
    # The files to be fixed may have such lines in other places; that they are not fixed, the tests say.
    own = {"/tmp/lines", "/tmp/lines.json", "/tmp/count.py", *(f"{ROOT}/{path}" for path in changed)}
    names = {Path(path).name for path in changed}
    if sum(map(len, lines)) < _TELLING:  # what many a file may have
        names.discard("__init__.py")
    return sorted(
        path
        for path in set(found.output.splitlines()) - own
        if Path(path).name in names or path.endswith((".patch", ".diff", ".orig", ".rej"))
    )


def _lines(patch: str, sign: str) -> set[str]:
    return {line[1:].strip() for line in patch.splitlines() if line.startswith(sign) and not line.startswith(sign * 3)}
