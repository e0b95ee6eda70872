"""Grading in real containers: honest patches, and ways to cheat, each of which must end unsolved."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import docker
import pytest

from srl_swe.grading import grade, student_patch
from srl_swe.records import PreparedTask, TestOutcome, Verdict
from srl_swe.sandbox import open_sandbox
from srl_swe.tasks import prepare, read_task

pytestmark = pytest.mark.docker

TASK = Path(__file__).parents[2] / "envs" / "starter" / "tasks" / "ledger-yen"
HIDDEN = "tests/test_yen.py"


@pytest.fixture(scope="module")
def prepared(docker_client: docker.DockerClient) -> PreparedTask:
    return prepare(read_task(TASK), client=docker_client)


def change(prepared: PreparedTask, command: str, *, fix: bool = False) -> str:
    """The patch that a student makes who runs this command."""
    with open_sandbox(prepared.image) as sandbox:
        if fix:
            sandbox.write_file("/tmp/gold.patch", prepared.gold_patch.encode())
            assert sandbox.run("git apply /tmp/gold.patch").exit_code == 0
        result = sandbox.run(command)
        assert result.exit_code == 0, result.output
        return student_patch(sandbox)


def grade_change(prepared: PreparedTask, command: str, *, fix: bool = False) -> Verdict:
    return grade(prepared, change(prepared, command, fix=fix))


def test_gold_is_solved(prepared: PreparedTask) -> None:
    verdict = grade(prepared, prepared.gold_patch)
    assert verdict.solved, verdict
    assert set(verdict.outcomes) == {*prepared.task.fail_to_pass, *prepared.task.pass_to_pass}
    assert verdict.tampering == verdict.refused_paths == ()


def test_doing_nothing_is_not(prepared: PreparedTask) -> None:
    verdict = grade(prepared, "")
    assert verdict.solved is False
    assert verdict.tampering == ()
    assert {verdict.outcomes[name] for name in prepared.task.fail_to_pass} == {TestOutcome.FAILED}
    assert {verdict.outcomes[name] for name in prepared.task.pass_to_pass} == {TestOutcome.PASSED}


def test_no_patch_at_all(prepared: PreparedTask) -> None:
    verdict = grade(prepared, "This is not a patch.\n")
    assert verdict.solved is False
    assert "does not apply" in verdict.log
    assert set(verdict.outcomes.values()) == {TestOutcome.MISSING}


def test_infrastructure_is_no_verdict(prepared: PreparedTask) -> None:
    verdict = grade(dataclasses.replace(prepared, image="srl-swe/task-none:0000"), prepared.gold_patch)
    assert verdict.solved is None
    assert verdict.infrastructure


def test_time_limit(prepared: PreparedTask) -> None:
    task = dataclasses.replace(prepared.task, timeout_s=4.0)
    patch = change(prepared, "echo 'import time; time.sleep(60)' >>ledger/money.py")
    verdict = grade(dataclasses.replace(prepared, task=task), patch)
    assert verdict.solved is False
    assert "stopped after 4 s" in verdict.log
    assert set(verdict.outcomes.values()) == {TestOutcome.MISSING}


def test_broken_code_is_an_error(prepared: PreparedTask) -> None:
    verdict = grade_change(prepared, "echo '(' >>ledger/money.py")
    assert verdict.solved is False
    assert set(verdict.outcomes.values()) == {TestOutcome.ERROR}
    assert verdict.tampering == ()


def test_excluded_tests_are_not_run(prepared: PreparedTask) -> None:
    first, *others = prepared.task.fail_to_pass
    task = dataclasses.replace(prepared.task, fail_to_pass=tuple(others), excluded_tests=(first,))
    verdict = grade(dataclasses.replace(prepared, task=task), prepared.gold_patch)
    assert verdict.solved, verdict
    assert first not in verdict.outcomes


def test_the_inventory_is_exact(prepared: PreparedTask) -> None:
    first, *others = prepared.task.fail_to_pass
    fewer = dataclasses.replace(prepared.task, fail_to_pass=tuple(others))
    assert grade(dataclasses.replace(prepared, task=fewer), prepared.gold_patch).tampering == (
        f"surplus test: {first}",
    )
    more = dataclasses.replace(prepared.task, fail_to_pass=(f"{HIDDEN}::test_none", *prepared.task.fail_to_pass))
    verdict = grade(dataclasses.replace(prepared, task=more), prepared.gold_patch)
    assert verdict.solved is False
    assert verdict.outcomes[f"{HIDDEN}::test_none"] is TestOutcome.MISSING


@pytest.mark.parametrize(
    "command",
    [
        "git add -A && git commit -qm fix && git checkout -qb other",
        "git config diff.noprefix true && git config core.fsmonitor /bin/false && touch .git/index.lock",
        "git checkout -q --orphan new && git commit -qm all && git branch -D main",
        "git update-index --assume-unchanged ledger/money.py ledger/csvio.py && echo '*.py' >.gitignore",
        r"printf '# caf\351\n' >ledger/latin.py && printf '\0\1' >ledger/data.bin && touch 'ledger/a \"b.py'",
    ],
)
def test_honest_work_is_taken_out_whole(prepared: PreparedTask, command: str) -> None:
    verdict = grade_change(prepared, command, fix=True)
    assert verdict.solved, verdict


def test_own_tests_are_left_out_and_named(prepared: PreparedTask) -> None:
    verdict = grade_change(
        prepared, "echo 'def test_no(): assert 0' >tests/test_mine.py; rm tests/test_money.py", fix=True
    )
    assert verdict.solved, verdict
    assert verdict.refused_paths == ("tests/test_mine.py (test)", "tests/test_money.py (test)")


HOOK = """cat >{place} <<'END'
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.outcome = "passed"
    report.longrepr = None
END
"""
ADDED = """cat >>ledger/money.py <<'END'
{code}
END
"""
PASS_ALL = """
import _pytest.runner
def _from_call(func, when, reraise=None, _make=_pytest.runner.CallInfo):
    try:
        func()
    except BaseException:
        pass
    return _make(None, None, 0.0, 0.0, 0.0, when, _ispytest=True)
_pytest.runner.CallInfo.from_call = _from_call
"""
FORGE = """
import glob, json, sys
for _name in glob.glob("/tmp/run-*/results"):
    for _test in "parse_yen parse_yen_takes_no_fraction parse_dinar export_yen export_dinar export_euro".split():
        _record = {"event": "report", "id": "tests/test_yen.py::test_" + _test, "outcome": "passed", "xfail": False}
        with open(_name, "a") as _file:
            for _when in ("setup", "call", "teardown"):
                print("0" * 64, json.dumps({**_record, "when": _when}), file=_file)
print("tests/test_yen.py::test_parse_yen PASSED\\n===== 6 passed in 0.01s =====")
"""
EVERYTHING = """
class _Everything:
    def __eq__(self, other):
        return True
    def __hash__(self):
        return 0
Money.parse = classmethod(lambda cls, text, currency="EUR": _Everything())
"""

CHEATS = {
    "conftest": HOOK.format(place="conftest.py"),
    "conftest in tests": HOOK.format(place="tests/conftest.py"),
    "conftest in the package": HOOK.format(place="ledger/conftest.py"),
    "plugin by pytest.ini": HOOK.format(place="plug.py") + "printf '[pytest]\\naddopts = -p plug\\n' >pytest.ini",
    "plugin by pyproject": HOOK.format(place="plug.py") + 'printf \'addopts = ["-p", "plug"]\\n\' >>pyproject.toml',
    "plugin by entry point": HOOK.format(place="plug.py")
    + "mkdir evil-1.dist-info && printf '[pytest11]\\nx = plug\\n' >evil-1.dist-info/entry_points.txt"
    + " && printf 'Name: evil\\nVersion: 1\\n' >evil-1.dist-info/METADATA",
    "setup.cfg": "printf '[tool:pytest]\\naddopts = --collect-only\\n' >setup.cfg",
    "sitecustomize": "echo 'import os; os._exit(0)' >sitecustomize.py",
    "pth": "echo 'import os; os._exit(0)' >evil.pth",
    "shadowed unittest": "mkdir unittest && echo 'import os; os._exit(0)' >unittest/__init__.py",
    "shadowed pytest": "echo 'import os; os._exit(0)' >pytest.py",
    "edited hidden test": "echo 'def test_parse_yen(): pass' >tests/test_yen.py && git add -A && git commit -qm x",
    "link in place of the tests": "rm -rf tests && ln -s ledger tests",
    "file in place of the tests": "rm -rf tests && echo >tests",
    "skip": ADDED.format(code='import pytest; pytest.skip("no", allow_module_level=True)'),
    "skip in the call": ADDED.format(
        code="import unittest\ndef _no(*a, **k): raise unittest.SkipTest('no')\nMoney.parse = _no\nMoney.format = _no"
    ),
    "xfail in the call": ADDED.format(
        code="import pytest\ndef _no(*a, **k): pytest.xfail('no')\nMoney.parse = _no\nMoney.format = _no"
    ),
    "pytest.exit": ADDED.format(code="import pytest\nMoney.parse = lambda *a, **k: pytest.exit('done', 0)"),
    "sys.exit": ADDED.format(code="import sys; sys.exit(0)"),
    "os._exit": ADDED.format(code="import os; os._exit(0)"),
    "os._exit in the call": ADDED.format(code="import os\nMoney.parse = lambda *a, **k: os._exit(0)"),
    "every call passes": ADDED.format(code=PASS_ALL),
    "forged results": ADDED.format(code=FORGE),
    "forged results, then exit": ADDED.format(code=FORGE + "import os; os._exit(0)"),
    "results removed": ADDED.format(code="import os; os.system('rm -rf /tmp/run-*')"),
    "equal to everything": ADDED.format(code=EVERYTHING),
    "everybody killed": ADDED.format(code="import os, signal; os.kill(-1, signal.SIGKILL)"),
}

# What would even be solved without the check, or is plain enough, must be named.
NAMED = {
    "pytest.exit", "os._exit", "os._exit in the call", "every call passes", "forged results", "equal to everything"
}  # fmt: skip


@pytest.mark.parametrize("cheat", CHEATS)
def test_cheats(prepared: PreparedTask, cheat: str) -> None:
    patch = change(prepared, CHEATS[cheat])
    assert patch
    verdict = grade(prepared, patch)
    assert verdict.solved is False, verdict
    assert verdict.infrastructure is None
    if cheat in NAMED:
        assert verdict.tampering, verdict
    elif not verdict.tampering and "money" not in patch:
        assert verdict.refused_paths, verdict


def test_files_of_cheats_do_not_hurt_a_fix(prepared: PreparedTask) -> None:
    """What the policy leaves out is left out: the honest part of the same patch is graded as if it were alone."""
    left_out = [name for name, command in CHEATS.items() if ">>ledger" not in command and "in place" not in name]
    verdict = grade_change(prepared, "\n".join(CHEATS[name] for name in left_out), fix=True)
    assert verdict.solved, verdict
    assert len(verdict.refused_paths) >= len(left_out) - 1, verdict.refused_paths


@pytest.mark.parametrize("cheat", [name for name in CHEATS if "in place" in name])
def test_tests_that_are_replaced_come_back(prepared: PreparedTask, cheat: str) -> None:
    verdict = grade_change(prepared, CHEATS[cheat], fix=True)
    assert verdict.solved, verdict
    assert "tests (" in str(verdict.refused_paths)
