"""What a replay takes for the same observation, and what for drift."""

from __future__ import annotations

import pytest

from srl_swe.experts.replay import compare, normalise


@pytest.mark.parametrize(
    ("recorded", "observed"),
    [
        ("21 passed in 0.05s", "21 passed in 0.11s"),
        ("21 passed in 65.05s (0:01:05)", "21 passed in 3.00s"),
        ("<object at 0x7f00aa12>", "<object at 0x55FF01>"),
        ("wrote /tmp/tmpab_3x/out", "wrote /tmp/tmpzz91q/out"),
        ("/tmp/pytest-of-agent/pytest-0/t0", "/tmp/pytest-of-agent/pytest-17/t0"),
        ("-rw-r--r-- 1 agent 10 Nov 25 13:27 a.py", "-rw-r--r-- 1 agent 10 Feb  3 09:00 a.py"),
        ("-rw-r--r-- 1 agent 10 Nov 25  2024 a.py", "-rw-r--r-- 1 agent 10 Feb  3 09:00 a.py"),
        ("at 2024-01-02T10:11:12.5Z done", "at 2025-11-12 01:02:03 done"),
        ("Date:   Tue Nov 25 13:27:01 2025 +0000", "Date:   Mon Feb 3 09:00:00 2026 +0000"),
        ("commit " + "a1" * 20, "commit " + "0f" * 20),
        ("exit code: 0\nb.py:1:x\na.py:2:x", "exit code: 0\na.py:2:x\nb.py:1:x"),
        ("line \n", "line"),
    ],
)
def test_what_may_vary_is_no_drift(recorded: str, observed: str) -> None:
    assert compare(recorded, observed) == (1.0, False)


@pytest.mark.parametrize(
    ("recorded", "observed"),
    [
        ("21 passed in 0.05s", "20 passed, 1 failed in 0.05s"),
        ("exit code: 0", "exit code: 1"),
        ("a = 10", "a = 11"),
        ("x\ny", "x"),
        ("index c1f41d4..ea3287a", "index c1f41d4..ea3287b"),
    ],
)
def test_anything_else_is_drift(recorded: str, observed: str) -> None:
    ratio, drift = compare(recorded, observed)
    assert drift
    assert 0 < ratio < 1


def test_code_is_left_as_it_is() -> None:
    code = "    23\tkm = metres / 1000  # 10:30, version 1.2.3, id deadbeef, mayor 12"
    assert normalise(code) == code
