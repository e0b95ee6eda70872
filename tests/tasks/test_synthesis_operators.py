"""Every operator on small sources; all of them on the standard library; the declaration's errors."""

from __future__ import annotations

import dataclasses
import io
import random
import sysconfig
import tarfile
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srl_swe.errors import TaskError
from srl_swe.records import Mutation
from srl_swe.tasks import prepare, read_task
from srl_swe.tasks.synthesis.operators import OPERATORS, MutationError, apply, sites
from srl_swe.tasks.synthesis.source_text import compiles

HEAD = "def f(a, b, c=None):\n"
CASES = {
    "arithmetic": ("    return a + b\n", ["return a - b"]),
    "boundary": ("    return [b[i] for i in range(a)]\n", ["b[i - 1]", "b[i + 1]", "range(a - 1)", "range(1, a)"]),
    "caught_exception": (
        "    try:\n        return a\n    except (KeyError, ValueError):\n        raise TypeError(b)\n",
        ["except KeyError:", "except ValueError:", "raise ValueError(b)"],
    ),
    "chosen_value": ("    return (a.x if c else b.y)\n", ["(b.y if c else a.x)", "return (a.x)", "return (b.y)"]),
    "comparison": ("    return a <= (  # why\n        b)\n", ["a < (  # why", "a >= (  # why"]),
    "condition": ("    while not a:\n        if b or c: return 1\n", ["while a:", "if not (b or c): return"]),
    "connective": ("    return (a) and b and c\n", ["(a) or b and c", "(a) and b or c"]),
    "constant": ("    return a[-1], 10\n", ["a[0], 10", "a[-2], 10", "a[-1], 11", "a[-1], 9"]),
    "default_value": (
        "    def g(x=True, y=0, *, z=''):\n        return x\n    return g\n",
        ["x=False", "y=1", 'z=" "'],
    ),
    "dropped_argument": ("    return g((a), (b), key=(c))\n", ["g((a), key=(c))", "g((a), (b))"]),
    "dropped_call": ("    return str(a) + b.strip()\n", ["return a + b.strip()", "str(a) + b\n"]),
    "dropped_condition": ("    return a and (b) and c\n", ["return (b) and c", "a and c", "a and (b)\n"]),
    "loop_exit": ("    for x in a:\n        break\n", ["        continue\n"]),
    "removed_branch": (
        "    if a:\n        return 1\n    if b:\n        x = 1\n    elif c:\n        x = 2\n    else:\n        x = 3\n"
        "    return x\n",
        [HEAD + "    if b:", "        x = 1\n    else:\n        x = 3\n", "        x = 2\n    return x\n"],
    ),
    "removed_statement": (
        "    a.append(b)\n    a += b  # more\n    d = 1\n    return a\n",
        [HEAD + "    a +=", "(b)\n    d"],
    ),
    "returned_value": ("    return g(b)\n", ["return None", "return a"]),
    "slice_bound": ("    return a[1:b]\n", ["a[:b]", "a[1:b + 1]", "a[1:b - 1]", "a[1:]"]),
    "swapped_arguments": ("    return g(a, (b), *c)\n", ["g(b, (a), *c)"]),
    "truth": ("    return g(a, True)\n", ["g(a, False)"]),
    "twin_call": ("    return a.startswith(min(b))\n", ["a.endswith(min(b))", "a.startswith(max(b))"]),
    "wrong_name": ("    return g(a)\n", ["g(b)", "g(c)"]),
    "wrong_target": ("    a //= b\n    return a\n", ["    a = b\n"]),
}


def mutants(source: str, operator: str = "") -> list[Mutation]:
    found = [mutation for mutations in sites(source, path="x.py").values() for mutation in mutations]
    return [mutation for mutation in found if operator in ("", mutation.operator)]


def check(source: str, mutation: Mutation) -> str:
    """It compiles, differs, and leaves the lines before the first and after the last change alone."""
    changed = apply(source, mutation)
    assert changed != source
    assert compiles(changed)
    assert apply(source, [mutation]) == changed
    before, after = source.encode().splitlines(True), changed.encode().splitlines(True)
    assert before[: mutation.line - 1] == after[: mutation.line - 1]
    assert len(source.encode()) - len(changed.encode()) < 1500
    return changed


def test_every_operator_has_a_case() -> None:
    assert set(CASES) == set(OPERATORS)


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator(operator: str) -> None:
    body, expected = CASES[operator]
    # Around it: what must not change, in bytes that are easily lost.
    source = f"# grüße\nx = 1\t\f\n\n{HEAD}{body}\n\ny = 'ä'  \n"
    made = [check(source, mutation) for mutation in mutants(source, operator)]
    for text in expected:
        assert sum(text in one for one in made) >= 1, (text, made)
    assert len(made) == len(set(made))
    for one in made:
        assert one.startswith("# grüße\nx = 1\t\f\n\n") and one.endswith("\n\ny = 'ä'  \n")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_are_kept(end: str) -> None:
    source = (HEAD + CASES["removed_branch"][0] + HEAD.replace("f", "g", 1) + CASES["removed_branch"][0]).replace(
        "\n", end
    )
    for mutation in mutants(source):
        changed = check(source, mutation)
        assert changed.count("\r") == (changed.count("\n") if end == "\r\n" else 0)


def test_what_is_left_alone() -> None:
    source = '@g(1)\ndef f(a: x[1]) -> y[2]:\n    "3 + 4"\n    assert a == 5\n    return f"{a + 6}"\nz = 1 + 2\n'
    assert {mutation.operator for mutation in mutants(source)} <= {"returned_value"}
    assert mutants("def f(:\n") == [] and mutants("\ufeffx") == [] and mutants("(" * 500) == []


def test_lines_and_functions() -> None:
    source = "class A:\n    def f(self, a):\n        return a + 1\n\n    def g(self, b):\n        return b + 2\n"
    found = sites(source, path="x.py", lines={6})
    assert list(found) == ["A.g"]
    assert {mutation.line for mutation in found["A.g"]} == {6}


def test_several_at_once() -> None:
    source = "def f(a, b):\n    if a > 1:\n        return b + 1\n    return b - 1\n"
    one = next(m for m in mutants(source, "comparison"))
    other = next(m for m in mutants(source, "arithmetic") if m.line == 4)
    both = apply(source, (one, other))
    assert both == apply(source, (other, one)) == source.replace(">", ">=").replace("b - 1", "b + 1")
    with pytest.raises(MutationError, match="do not touch each other"):
        apply(source, (one, one))


@lru_cache
def standard_library() -> list[Path]:
    folder = Path(sysconfig.get_path("stdlib"))
    found = [*folder.glob("*.py"), *(folder / "json").glob("*.py"), *(folder / "email").glob("*.py")]
    return sorted(path for path in found if path.stat().st_size < 60_000)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_standard_library(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(standard_library()))
    source = path.read_bytes().decode()
    found = mutants(source)
    for mutation in random.Random(data.draw(st.integers(0, 99))).sample(found, min(6, len(found))):
        check(source, mutation)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80) | st.text("():,\n\t abif+-<>=[]'#\\", max_size=80))
def test_any_text(text: str) -> None:
    for source in (text, f"def f(a):\n    return {text}\n"):
        for mutation in mutants(source):
            assert apply(source, mutation) != source


CODE = "def add(a, b):\n    if a is None:\n        return b\n    return a + b\n"
TASK = """\
schema = 1
repository = "abacus"
split = "train"

[source]
kind = "pypi"
package = "abacus"
version = "1.0"

[[source.mutations]]
path = "abacus/__init__.py"
operator = "arithmetic"
line = 4
column = 13
before = "{before}"
after = "{after}"

[tests]
paths = ["tests/test_add.py"]
FAIL_TO_PASS = ["tests/test_add.py::test_add"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task of a release that is in the cache."""
    monkeypatch.setenv("SRL_SWE_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "cache" / "sdists" / "abacus-1.0.tar.gz"
    place.parent.mkdir(parents=True)
    with tarfile.open(place, "w:gz") as archive:
        for name, text in {
            "abacus/__init__.py": CODE,
            "tests/test_add.py": "def test_add(): pass\n",
            "README": "",
        }.items():
            info = tarfile.TarInfo(f"abacus-1.0/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    place.with_name(place.name + ".sha256").write_text(sha256(place.read_bytes()).hexdigest())
    task = tmp_path / "suite" / "tasks" / "a"
    task.mkdir(parents=True)
    (tmp_path / "suite" / "suite.toml").write_text('name = "suite"\n')
    (task / "problem.md").write_text("Sums are wrong.\n")
    made = mutants(CODE, "arithmetic")[0]
    assert (made.line, made.column, made.variant) == (4, 13, 0)
    (task / "task.toml").write_text(TASK.format(before=made.before, after=made.after))
    return task


def test_read(folder: Path) -> None:
    task = read_task(folder)
    made = dataclasses.replace(mutants(CODE, "arithmetic")[0], path="abacus/__init__.py")
    assert task.source.mutations == (made,)
    assert (task.source.version, task.source.fixed_version) == ("1.0", "")


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        (('"arithmetic"', '"magic"'), "operator", "expected one of arithmetic, boundary"),
        (("line = 4", "line = 0"), "line", "a whole number from 1 on, got 0"),
        (("line = 4", 'line = "4"'), "line", "a whole number from 1 on, got '4'"),
        (("column = 13\n", ""), "column", "missing"),
        (("column = 13", "column = true"), "column", "a whole number"),
        (("abacus/__init__", "../abacus/__init__"), "path", "without empty parts"),
        (("column = 13", "column = 13\nrow = 1"), "row", "unknown field"),
    ],
)
def test_reader_errors(folder: Path, change: tuple[str, str], field: str, expected: str) -> None:
    file = folder / "task.toml"
    file.write_text(file.read_text().replace(*change))
    with pytest.raises(TaskError) as caught:
        read_task(folder)
    assert f"{file}: source.mutations[0].{field}: " in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        (("line = 4", "line = 3"), "before", "is it another release?"),
        (("line = 4", "line = 40"), "line", "it has no line 40"),
        (("column = 13", "column = 12"), "variant", "no variant 0 at line 4, column 12"),
        (("column = 13", "column = 13\nvariant = 1"), "variant", "no variant 1"),
        (('after = "', 'after = "0'), "after", "to have the hash '0"),
        (("abacus/__init__.py", "abacus/sums.py"), "path", "it has no abacus/sums.py"),
        (("abacus/__init__.py", "tests/test_add.py"), "path", "none that a patch may change"),
        (("abacus/__init__.py", "README"), "line", "it has no line 4"),
    ],
)
def test_errors_of_preparation(folder: Path, change: tuple[str, str], field: str, expected: str) -> None:
    file = folder / "task.toml"
    text = file.read_text()
    head, _, rest = text.partition("[[source.mutations]]")
    file.write_text(head + "[[source.mutations]]" + rest.replace(*change, 1))
    with pytest.raises(TaskError) as caught:
        prepare(read_task(folder))
    assert f"{file}: source.mutations[0].{field}: " in str(caught.value)
    assert expected in str(caught.value)


def test_fixed_version_and_mutations_exclude_each_other(folder: Path) -> None:
    file = folder / "task.toml"
    file.write_text(file.read_text().replace('version = "1.0"', 'version = "1.0"\nfixed_version = "1.1"'))
    with pytest.raises(TaskError, match=r"source\.fixed_version: unknown field"):
        read_task(folder)
