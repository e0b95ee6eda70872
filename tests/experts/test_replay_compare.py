"""What a replay takes for the same observation, and what for drift."""

from __future__ import annotations

import pytest

from srl_swe.experts.observations import compare, normalise


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
        ("real\t0m0.412s", "real\t1m2.100s"),
        ("id is 140234567891234", "id is 139999967891230"),
        ("run 550e8400-e29b-41d4-a716-446655440000", "run 123e4567-e89b-12d3-a456-426614174000"),
        ("made tmpab3_x9kq in .", "made tmpz81_aaaa in ."),
        ("serving on 127.0.0.1:43671", "serving on 127.0.0.1:51234"),
        ("started (pid 4711)", "started (pid 12)"),
        ("Exception in thread Thread-7 (locked)", "Exception in thread Thread-12 (locked)"),
        ("now 1764120000.25", "now 1732000000.5"),
        ("0:00:03.51 elapsed", "0:01:13.02 elapsed"),
        ("3f2a91c Base state", "a01b2c3 Base state"),
        ("HEAD is now at 3f2a91c Base", "HEAD is now at a01b2c3 Base"),
        ("[main 3f2a91c] fix", "[main a01b2c3] fix"),
        ("[main (root-commit) 3f2a91c] fix", "[main (root-commit) a01b2c3] fix"),
        ("{'a', 'b', 'c'}", "{'c', 'a', 'b'}"),
        ("total 12\na.py", "total 48\na.py"),
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
        ("{'a', 'b', 'c'}", "{'a', 'b', 'd'}"),
        ("['a', 'b']", "['b', 'a']"),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"),
        ("total: 12", "total: 13"),
        ("1234567 rows", "7654321 rows"),
        ("effaced text", "defaced text"),
        ("HTTP 127.0.0.1", "HTTP 127.0.0.2"),
    ],
)
def test_anything_else_is_drift(recorded: str, observed: str) -> None:
    ratio, drift = compare(recorded, observed)
    assert drift
    assert 0 < ratio < 1


def test_code_is_left_as_it_is() -> None:
    code = "    23\tkm = metres / 1000  # 10:30, version 1.2.3, id deadbeef, mayor 12"
    assert normalise(code) == code
