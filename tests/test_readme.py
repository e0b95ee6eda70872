"""The README's layout section names every tracked file and folder of the top two levels, and nothing else."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [path.split("/") for path in listed.stdout.split("\0") if path and (ROOT / path).exists()]
    top = {parts[0] + ("/" if len(parts) > 1 else "") for parts in paths}
    second = {"/".join(parts[:2]) + ("/" if len(parts) > 2 else "") for parts in paths if len(parts) > 1}
    return top | second


def documented() -> set[str]:
    text = (ROOT / "README.md").read_text()
    block = re.search(r"## Layout\n+```\n(.*?)```", text, re.DOTALL)
    assert block is not None
    found, folder = set(), ""
    for line in block[1].splitlines():
        name, *rest = line.split(maxsplit=1)
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
            found.add(name)
        elif name.endswith(","):  # a line that lists several folders
            found |= {f"{folder}{part.strip()}/" for part in " ".join([name, *rest]).split(",")}
        else:
            found.add(folder + name)
    return found


def test_the_layout_names_what_is_there() -> None:
    there, said = tracked(), documented()
    assert there - said == set(), "not in the README's layout section"
    assert said - there == set(), "in the README's layout section but not there"
