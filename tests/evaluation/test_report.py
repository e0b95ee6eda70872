from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser

import pytest

from srl_swe.environments.actions import format_answer
from srl_swe.errors import ConfigError
from srl_swe.evaluation.chosen import choose, mark
from srl_swe.evaluation.plots import Curve, curve_svg, curves
from srl_swe.evaluation.report import write_report
from srl_swe.records import Ending, EpisodeResult
from srl_swe.rewards.similarity import similarity

EVIL = "<script>alert(1)</script> & \"quotes\" 'x' {{ 7 * 7 }} </details>"
VOID = {"meta", "input", "br", "use", "path", "rect", "img", "link"}


class Checker(HTMLParser):
    """Well nested, and nothing fetched from anywhere."""

    def __init__(self):
        super().__init__()
        self.stack, self.scripts, self.ids, self.marks = [], 0, [], 0

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        assert not {"src", "srcset"} & set(values)
        for key in ("href", "xlink:href"):
            assert values.get(key, "#").startswith("#")
        self.ids += [values["id"]] if "id" in values else []
        self.scripts += tag == "script"
        self.marks += tag == "mark"
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag


def check(text):
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert not checker.stack
    assert checker.scripts == 1
    assert len(set(checker.ids)) == len(checker.ids)
    assert "url(http" not in text
    assert "@import" not in text
    assert "<script>alert" not in text
    return checker


def write_lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_phase(folder, *, gain, solved):
    results, transcripts, steps = [], [], []
    for k in range(6):
        result = EpisodeResult(
            task_id=f"suite/t{k}",
            repository=f"repo{k % 2}",
            split="heldout",
            policy=EVIL,
            solved=None if k == 5 else k < solved,
            ending=Ending.SUBMITTED,
            steps=1,
            error=EVIL if k == 5 else None,
        )
        results.append(dataclasses.asdict(result))
        step = {"answer": EVIL, "thought": EVIL, "action": None, "observation": EVIL * 50}
        transcript = {**results[-1], "problem": EVIL, "tests": {EVIL: "passed"}, "transcript": [step]}
        transcripts.append({key: value for key, value in transcript.items() if key != "patch"})
        for number in range(3):
            expert = f"grep -rn '{EVIL}' src{k}"
            good = format_answer(EVIL, expert[: 5 + gain * (k + number)])
            command = expert[: 5 + gain * (k + number)]
            close = similarity(command, expert)
            samples = [
                {"text": good, "reward": close, "similarity": close, "well_formed": True},
                {"text": EVIL, "reward": -1.0, "similarity": 0.0, "well_formed": False},
            ]
            steps.append(
                {
                    "instance_id": f"tr{k}#{number}",
                    "task_id": f"suite/t{k}",
                    "step": number,
                    "expert_action": expert,
                    "context": EVIL,
                    "samples": samples,
                    "greedy": samples[0] if number else None,
                }
            )
    write_lines(folder / "results.jsonl", results)
    write_lines(folder / "transcripts.jsonl", transcripts)
    write_lines(folder / "steps.jsonl", steps)


def metrics():
    sft = [{"stage": "sft", "update": k, "loss": 3 - k / 5, "seconds": 2.0, "lr": 1e-4} for k in range(10)]
    srl = [
        {
            "stage": "srl",
            "update": k,
            "loss": 0.01,
            "reward_mean": 0.2 + k / 50,
            "kept_groups": 4,
            "sampled_groups": 6,
            "response_tokens": 40.0,
            "grad_norm": None,
            "well_formed": float("nan"),
        }
        for k in range(12)
    ]
    return sft + srl


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / EVIL.replace("/", "_")
    write_phase(folder / "before", gain=0, solved=0)
    write_phase(folder / "warm", gain=3, solved=1)
    write_phase(folder / "after", gain=5, solved=3)
    write_lines(folder / "metrics.jsonl", metrics())
    (folder / "summary.json").write_text(json.dumps({"model": EVIL, "sft": {"updates": 10}, "notes": ["a", "b"]}))
    return folder


def test_the_whole_page(run):
    page = write_report(run).read_text()
    checker = check(page)
    assert checker.marks > 20
    assert page.count("<svg") == 2 + 5
    for expected in (
        "3 of 5",
        '60.0%<br><span class="muted">[23.1%, 88.2%]</span>',
        "warm to after: step similarity",
        "The intervals overlap: no difference is shown.",
        "no fault of the policy, and in no rate: 1 episodes.",
        "10 of sft",
        "12 of srl",
        "sft.updates",
        "prefers-color-scheme: dark",
    ):
        assert expected in page
    assert "{{ 7 * 7 }}" in page
    assert not list(run.glob(".*tmp"))


@pytest.mark.parametrize("kept", [["metrics.jsonl"], ["after"], ["before", "after"], ["warm", "metrics.jsonl"]])
def test_missing_pieces_are_said(run, tmp_path, kept):
    part = tmp_path / "part"
    part.mkdir()
    for name in kept:
        (run / name).rename(part / name)
    page = write_report(part).read_text()
    check(page)
    assert "What is not here" in page
    assert ("nothing was trained" in page) == ("metrics.jsonl" not in kept)
    assert "No summary.json" in page


def test_one_evaluation_alone_and_another_place(run, tmp_path):
    out = tmp_path / "elsewhere" / "page.html"
    assert write_report(run / "after", out) == out
    check(out.read_text())
    (run / "after" / "steps.jsonl").unlink()
    (run / "after" / "transcripts.jsonl").unlink()
    check(write_report(run / "after").read_text())


def test_unfinished_and_cut_off(run):
    with (run / "after" / "results.jsonl").open("a") as file:
        file.write('{"task_id": "suite/t9", "sol')
    meta = {"episodes": {"tasks": {f"t{k}": "hash" for k in range(9)}}}
    (run / "after" / "meta.json").write_text(json.dumps(meta))
    assert "“after” is not finished: 6 of 9 episodes." in write_report(run).read_text()


def test_nothing_to_report(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        write_report(tmp_path / "none")
    with pytest.raises(ConfigError, match="nothing to report"):
        write_report(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("{\n{}\n")
    with pytest.raises(ConfigError, match=r"metrics\.jsonl:1"):
        write_report(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_marked_blocks_are_what_the_similarity_counts():
    student, expert = "grep -n round src/x.py", "grep -rn 'round_half' src"
    left, right = mark(student, expert)
    assert "".join(s.text for s in left) == student
    assert "".join(s.text for s in right) == expert
    matched = sum(len(s.text) for s in left if s.matches)
    assert matched == sum(len(s.text) for s in right if s.matches)
    assert 2 * matched / (len(student) + len(expert)) == pytest.approx(similarity(student, expert))


def test_chosen_steps_hold_gains_and_losses():
    def records(values):
        return [
            {
                "instance_id": f"i{k:03}",
                "task_id": "t",
                "step": 0,
                "expert_action": "ls",
                "samples": [{"text": "x", "similarity": v, "reward": v, "well_formed": True}],
            }
            for k, v in enumerate(values)
        ]

    before = records([0.5] * 200)
    after = records([0.9] * 3 + [0.5] * 194 + [0.1] * 3)
    chosen = choose({"warm": before, "after": after, "empty": []})
    assert [c.instance_id for c in chosen[:3]] == ["i002", "i001", "i000"]
    assert {c.instance_id for c in chosen[3:6]} == {"i197", "i198", "i199"}
    assert 20 <= len(chosen) - 6 <= 24
    assert len({c.instance_id for c in chosen}) == len(chosen)
    assert choose({"a": []}) == []


def test_curves_skip_what_is_no_number():
    found = {curve.title: curve for curve in curves(metrics())}
    assert "Gradient norm" not in found
    assert "Well-formed answers (fraction)" not in found
    kept = found["Kept groups (fraction of sampled)"]
    assert kept.points[0] == (11, pytest.approx(2 / 3), "srl")
    assert curves([{"loss": True}, {"loss": "x"}, {"sampled_groups": 0, "kept_groups": 0}]) == []


def test_a_plot_is_the_same_every_time():
    curve = Curve(title="Loss <b>", points=((1, 0.5, "srl"), (2, 0.25, "srl")))
    picture = curve_svg(curve, prefix="a", updates=2)
    assert picture == curve_svg(curve, prefix="a", updates=2)
    assert "#0a0b0c" not in picture
    assert "var(--srl)" in picture
    assert "<b>" not in picture
