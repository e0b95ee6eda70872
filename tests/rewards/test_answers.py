"""Maths answers: what is right, and that nothing an answer holds takes this process down."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srl_swe.errors import ConfigError
from srl_swe.records import AnswerKey
from srl_swe.rewards.answers import final_answer, stated_answer, whole_number
from srl_swe.rewards.mathematics import AnswerChecker

_SHARED = Path(os.environ.get("SRL_SWE_SHARED_DATA") or Path(__file__).resolve().parents[2] / "../shared/data") / "math"
HALF = "\\frac{1}{2}"
HARD = "\\boxed{\\sum_{n=1}^{1000000000} n^n}"


@pytest.fixture(scope="module")
def checker() -> Iterator[AnswerChecker]:
    made = AnswerChecker()
    yield made
    made.close()


def children() -> set[int]:
    """Worker processes of this process."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes()
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"answer_worker" in arguments and parent == os.getpid():
            found.add(int(path.parent.name))
    return found


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{\\frac{1}{2}} it is", "\\frac{1}{2}"),
        ("\\boxed{1} and then \\boxed{2}", "2"),
        ("\\boxed{1}, not \\boxed{2", "1"),
        ("\\boxed 7$", "7"),
        ("we get $\\framebox{204}$", "204"),
        ("a\nb\n#### 1,234", "1,234"),
        ("#### Conclusion\nThe answer is **18**.", "18"),
        ("The answer is: 3\nThe final answer is 4.", "4"),
        ("72", "72"),
        ("first line\n\n last line \n", "last line"),
        ("", ""),
        ("\\boxed{}", ""),
        ("\\boxed{" + "1" * 3000 + "}", ""),
    ],
)
def test_final_answers_are_found(text: str, answer: str) -> None:
    assert final_answer(text) == answer


def test_a_solution_states_its_answer_or_does_not() -> None:
    assert [stated_answer(text) for text in ("\\boxed{x}", "a\n#### 3", "#### 3\nb", "It is 3.")] == ["x", "3", "", ""]


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,234", 1234), ("1{,}234", 1234), ("27.0", 27), ("$18", 18), ("\\$-5", -5), ("\\textbf{(073)}", 73)]
    + [(text, None) for text in ("1,23", "1.5", "1/2", "", "18x", "1" * 2000, "(1,2)")],
)
def test_whole_numbers(text: str, number: int | None) -> None:
    assert whole_number(text) == number


RIGHT = [
    *((text, HALF) for text in ("\\boxed{\\frac{1}{2}}", "1/2", "0.5", "\\boxed{x = \\frac12}", "\\boxed{50\\%}")),
    *((text, HALF) for text in ("#### 1/2", "**Answer:** 1/2", "it is $\\boxed{\\dfrac{1}{2}}$ units", "\\boxed 0.5")),
    *(
        (text, "18")
        for text in ("#### 18", "$18", "**18**", "Answer: 18 dollars", "\\boxed{18\\text{ dollars}}", "18.0")
    ),
    *((text, "18") for text in ("She makes 9 * 2 = $18 every day.", "x=18", "Therefore, she makes 18 dollars a day.")),
    ("1,234", "1234"),
    ("\\boxed{\\{1,2\\}}", "1,2"),
    ("\\boxed{2,1}", "1, 2"),
    ("\\boxed{(x+1)^2}", "x^2+2x+1"),
    ("\\boxed{A}", "\\text{(A)}"),
    ("\\boxed{2\\sqrt2}", "\\sqrt{8}"),
    ("\\boxed{106}", "106^\\circ"),
    ("\\boxed{\\begin{pmatrix}1\\\\2\\end{pmatrix}}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"),
    ("\\boxed{4.5\\times 10^{33}}", "4.5e33"),
    ("\\boxed{Monday}", "\\text{Monday}"),
]
WRONG = [
    *((text, HALF) for text in ("1/2 or 3", "\\boxed{1/2, 3}", "\\boxed{1/2 = 3}", "\\boxed{1/2;1/3}", "1/3 1/2")),
    *((text, HALF) for text in ("\\boxed{}}1/2", "\\boxed{[0,1]}", "\\boxed{x}", "The answer is 1/2 or 1/3", "")),
    *((text, "18") for text in ("19", "1.8", "18, 19", "17 and 18 and 19", "-18", "18x", "\\boxed{18}\n\\boxed{19}")),
    ("\\boxed{(2,1)}", "(1,2)"),
    ("\\boxed{(0,1)}", "[0,1)"),
    ("\\boxed{1,2,3}", "1,2"),
    ("\\boxed{\\text{B}}", "A"),
    ("\\boxed{Tuesday}", "\\text{Monday}"),
    ("\ud800\0(((", "5"),
]


def test_right_answers_are_right_and_wrong_ones_wrong(checker: AnswerChecker) -> None:
    """Also: an answer that names several, and hopes, is wrong."""
    assert [pair for pair in RIGHT if checker.score(pair[0], AnswerKey(answer=pair[1])).value != 1.0] == []
    assert [pair for pair in WRONG if checker.score(pair[0], AnswerKey(answer=pair[1])).value != 0.0] == []
    assert checker.score("", AnswerKey(answer="5")).parts == {"answered": 0.0}
    assert (checker.failures, checker.limits) == (0, 0)


def test_a_tolerance_is_absolute(checker: AnswerChecker) -> None:
    key = AnswerKey(answer="\\pi", tolerance=0.01)
    assert [checker.score(text, key).value for text in ("3.14", "3.1", "22/7", "x")] == [1.0, 0.0, 1.0, 0.0]
    assert checker.score("19", AnswerKey(answer="18", tolerance=1)).value == 1.0


def test_votes_can_be_compared(checker: AnswerChecker) -> None:
    assert (checker.equal("0.5", HALF), checker.equal("7", "8")) == (True, False)


def test_what_takes_too_long_or_too_much_is_wrong_and_the_next_is_judged() -> None:
    small = AnswerChecker(seconds=0.5)
    for text in (HARD, "\\boxed{9^{9^{9^9}}}"):
        score = small.score(text, AnswerKey(answer=HALF))
        assert (score.value, score.parts) == (0.0, {"answered": 1.0, "limit": 1.0})
    assert small.score("0.5", AnswerKey(answer=HALF)).value == 1.0
    assert (small.failures, small.limits) == (0, 2)
    small.close()
    assert small.score("0.5", AnswerKey(answer=HALF)).value == 1.0, "after close, a worker starts anew"
    small.close()


def test_a_killed_worker_is_replaced(checker: AnswerChecker) -> None:
    checker.score("0.5", AnswerKey(answer=HALF))
    failures = checker.failures
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    assert checker.score("0.5", AnswerKey(answer=HALF)).value == 1.0
    assert checker.failures == failures


def test_a_worker_that_cannot_start_scores_nothing_and_is_counted() -> None:
    """32 MiB do not hold the verifier; a failure of the world is never a reward."""
    poor = AnswerChecker(memory_mb=32)
    score = poor.score("0.5", AnswerKey(answer="\\sqrt{2}"))
    poor.close()
    assert (score.value, poor.failures) == (None, 1)


def test_a_worker_that_does_not_reply_is_given_up() -> None:
    hasty = AnswerChecker(seconds=30, patience_s=0.01)
    assert hasty.score(HARD, AnswerKey(answer=HALF)).value is None
    hasty.close()
    assert hasty.failures == 1


def test_threads_share_the_workers() -> None:
    two = AnswerChecker(workers=2)
    texts = [f"{n}/2" for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda text: two.score(text, AnswerKey(answer="\\frac{7}{2}")).value, texts))
    two.close()
    assert values == [float(text == "7/2") for text in texts]


def test_workers_end_with_their_owner() -> None:
    """By `close`, and also where the owner is killed in the middle of a comparison."""
    program = (
        "import sys; from srl_swe.rewards.mathematics import AnswerChecker; from srl_swe.records import AnswerKey;"
        "c = AnswerChecker(seconds=600); c.score('0.5', AnswerKey(answer='1/2'));"
        "print('asking', flush=True); c.score(sys.argv[1], AnswerKey(answer='1/2'))"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, HARD], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"asking\n"
    mine = children()
    theirs = Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split()
    assert theirs
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in theirs) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in theirs if Path(f"/proc/{pid}").exists()]
    assert children() == mine


def test_a_fork_gets_workers_of_its_own() -> None:
    program = (
        "import os; from srl_swe.rewards.mathematics import shared_checker; from srl_swe.records import AnswerKey;"
        "key = AnswerKey(answer='1/2'); ask = lambda: shared_checker().score('0.5', key).value;"
        "assert ask() == 1.0; pid = os.fork();\n"
        "if pid == 0: os._exit(int(ask() != 1.0))\n"
        "assert os.waitpid(pid, 0)[1] == 0; assert ask() == 1.0"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize("options", [{"workers": 0}, {"seconds": 0}, {"memory_mb": 0}, {"patience_s": -1}])
def test_arguments_out_of_range_are_named(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        AnswerChecker(**options)  # type: ignore[arg-type]


# Pieces of answers, well-formed and not; some of them would never end.
PIECES = [
    *("\\frac{1}{2}", "\\frac12", "\\sqrt{", "}", "{", "\\boxed{", "####", "9^{9^{9^9}}", "100000!"),
    *("\\int_0^\\infty", "\\sum_{n=1}^{\\infty}", "\\infty", "\\pi", "x", "y", "=", "<", "\\le", "\\cup"),
    *("[0,1)", "(", "(1,2,3)", ")", "\\{1,2\\}", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\text{", "or"),
    *("\\log_{", "-", "+", "*", "/", "^", "_", "%", "$", "1e999", "0.1", "1/0", "\\div 0", "i", "e^{i\\pi}"),
    *("\\binom{1000000}{500000}", "mod", "\n", "\t", "\0", "\\prod_{k=1}^{10^9} k", "é", "中", "🙂", "\ud800"),
    *("the answer is", "1,234,567", "2^{2^{2^{2^{2^2}}}}", "\\gcd(", "\\lim_{x\\to0}", "a" * 300, "(((("),
    *("\\left(", "\\right)", "<think>", "</think>", "'", '"', "\\", "import os", "__import__('os').abort()"),
    *("\\tan^{-1}", "\\zeta(3)", "|", "\\lfloor x\\rfloor"),
]
KEYS = ["72", HALF, "2\\sqrt{3}", "(1,2)", "x^2+1", "[0,1)", "\\text{even}", "4.5e33", "\\{1,2\\}", "\\pi/4"]


def fuzz(seed: int) -> tuple[str, AnswerKey]:
    draw = random.Random(seed)
    text = "".join(draw.choice(PIECES) + draw.choice(("", "", " ")) for _ in range(draw.randint(1, 12)))
    key = AnswerKey(answer=draw.choice(KEYS), tolerance=draw.choice((0, 0, 0, 0.1)))
    return (f"\\boxed{{{text}}}" if draw.random() < 0.6 else text), key


def survive(seeds: range) -> None:
    checker = AnswerChecker(workers=2, seconds=0.3)
    with ThreadPoolExecutor(2) as pool:
        values = list(pool.map(lambda seed: checker.score(*fuzz(seed)).value, seeds))
    assert checker.score("0.5", AnswerKey(answer=HALF)).value == 1.0
    checker.close()
    assert len(values) == len(seeds)
    assert checker.failures == values.count(None) == 0
    assert values.count(0.0) > 0.95 * len(values)
    assert threading.active_count() < 50


def test_fuzzed_answers_are_survived() -> None:
    survive(range(300))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_fuzzed_answers_are_survived() -> None:
    survive(range(10_000))


@pytest.mark.skipif(not _SHARED.is_dir(), reason=f"{_SHARED} is not here")
@pytest.mark.parametrize(("name", "rows"), [("gsm8k_train", 7473), ("gsm8k_test", 1319)])
def test_agrees_with_gsm8ks_labels(name: str, rows: int, checker: AnswerChecker) -> None:
    """As its own solutions have them, in other forms, and not for another number."""
    found = [json.loads(line) for line in (_SHARED / f"{name}.jsonl").read_text().splitlines()]
    assert len(found) == rows
    for number, row in enumerate(found):
        label = row["answer"].rpartition("#### ")[2]
        key = AnswerKey(answer=stated_answer(row["answer"]))
        forms = [row["answer"], f"\\boxed{{{label}}}", f"The answer is {label}."]
        if number % 20 == 0:  # these take the verifier
            forms += [f"It is ${label} in all.", f"\\boxed{{x = {label.replace(',', '')}}}"]
        for text in forms:
            assert checker.score(text, key).value == 1.0, (row, text)
        other = str(int(label.replace(",", "")) + 1)
        assert checker.score(f"\\boxed{{{other}}}", key).value == 0.0, row
