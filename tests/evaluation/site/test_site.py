from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from site_samples import EVIL, write_evaluation, write_experts, write_lines, write_run, write_training

from srl_swe.errors import ConfigError
from srl_swe.evaluation.site.build import Sources, write_site
from srl_swe.evaluation.site.entries import marked_part, read_answer
from srl_swe.evaluation.site.numbers import arm_numbers, findings, solve_rate
from srl_swe.evaluation.site.runs import find
from srl_swe.experts.dataset import format_instance
from srl_swe.experts.instances import step_instances
from srl_swe.experts.trajectories import read_trajectories
from srl_swe.rewards.similarity import similarity

VOID = {"meta", "input", "br", "img", "link"}


class Checker(HTMLParser):
    """Well nested, nothing fetched from elsewhere, no script in the page itself, every id once."""

    def __init__(self):
        super().__init__()
        self.stack, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        assert not any(name.startswith("on") or name == "style" for name in values)
        for key in ("href", "src"):
            assert not re.match(r"[a-z]+:|//", values.get(key, "")) or values[key] == "data:,"
        assert tag != "script" or values["src"].endswith(".js")
        assert tag != "img"
        self.ids += [values["id"]] if "id" in values else []
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag


def pages(out):
    found = {}
    for path in sorted(out.glob("*.html")):
        found[path.stem] = path.read_text()
        checker = Checker()
        checker.feed(found[path.stem])
        checker.close()
        assert not checker.stack
        assert len(set(checker.ids)) == len(checker.ids)
    for path in out.glob("data/*.js"):
        assert path.read_bytes().isascii()
    return found


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / EVIL.replace("/", "_"))


def test_the_whole_site(run, tmp_path):
    experts = write_experts(tmp_path / "experts.jsonl")
    steps = [i for t in read_trajectories(experts) if t.split == "train" for i in step_instances(t)]
    (tmp_path / "steps.jsonl").write_bytes(b"".join(map(format_instance, steps)))
    sources = Sources(runs=(run,), trajectories=(experts,), instances=(tmp_path / "steps.jsonl",))
    assert write_site(sources, tmp_path / "site") == tmp_path / "site" / "index.html"
    found = pages(tmp_path / "site")
    assert set(found) == {
        "index", "training", "reasoning", "steps", "episodes", "rollouts", "trajectories", "instances",
    }  # fmt: skip
    for expected in (
        "0 of 5",
        "after SRL, 2 seeds",
        "before to warm: step similarity",
        "The intervals overlap: no difference is shown.",
        "no fault of the policy, and in no rate: 1 episodes.",
        "sft.updates",
        "{{ 7 * 7 }}",
    ):
        assert expected in found["index"]
    assert "Groups kept" in found["training"]
    assert "novelty" in found["training"]
    assert "Gradient norm" not in found["training"]
    assert "<polygon" in found["training"]
    assert "<q>on second thought</q>" in found["reasoning"]
    assert "characters an answer" in found["reasoning"]
    assert "tokens an episode" in found["reasoning"]
    assert not list((tmp_path / "site").rglob("*.tmp"))


def test_what_a_page_leaves_out_is_said(run, tmp_path):
    experts = write_experts(tmp_path / "experts.jsonl")
    trajectories = read_trajectories(experts)
    steps = [i for t in trajectories if t.split == "train" for i in step_instances(t)]
    (tmp_path / "steps.jsonl").write_bytes(b"".join(map(format_instance, steps)))
    sources = Sources(runs=(run,), trajectories=(experts,), instances=(tmp_path / "steps.jsonl",))
    write_site(sources, tmp_path / "whole")
    shown = ("steps", "episodes", "rollouts", "trajectories", "instances")
    whole = pages(tmp_path / "whole")
    assert not any("are left out." in whole[name] for name in shown)
    write_site(sources, tmp_path / "site", most=1)
    found = pages(tmp_path / "site")
    assert f"{len(trajectories) - 1} more trajectories are left out." in found["trajectories"]
    assert f"{len(steps) - 1} more instances are left out." in found["instances"]
    assert "more groups are left out." in found["rollouts"]
    assert not any("are left out." in found[name] for name in ("steps", "episodes"))


def test_one_evaluation_and_old_and_new_lines(run, tmp_path):
    write_site(Sources(runs=(run / "warm",)), tmp_path / "one")
    assert set(pages(tmp_path / "one")) == {"index", "reasoning", "steps", "episodes"}
    old, new = find([run / "warm", run / "seed-0" / "after"]).evaluations
    assert (old.label, new.label) == ("warm", "after")
    assert [arm.tokens.value for arm in arm_numbers([new])] == [pytest.approx(102.0)]
    assert not arm_numbers([old])[0].tokens
    assert solve_rate(new.episodes).value == pytest.approx(3 / 5)


def test_arms_and_labels(run, tmp_path):
    found = find([run])
    assert [(e.label, e.arm) for e in found.evaluations] == [
        ("before", "before"), ("warm", "warm"), ("seed-0/after", "after"), ("seed-1/after", "after"),
    ]  # fmt: skip
    assert [(t.label, t.arm) for t in found.trainings][-1] == ("warmup", "warmup")
    assert {t.arm for t in found.trainings if t.label.startswith("seed")} == {run.name}
    write_evaluation(tmp_path / "b" / "after", gain=1, solved=1)
    two = find([run / "seed-0" / "after", tmp_path / "b" / "after"])
    assert [e.label for e in two.evaluations] == ["seed-0/after", "b/after"]
    alone = find([run / "seed-1"])
    assert [e.label for e in alone.evaluations] == ["before", "after"]


def test_what_is_stale_goes_and_what_is_not_ours_stays(run, tmp_path):
    out = tmp_path / "site"
    write_site(Sources(runs=(run,)), out)
    write_site(Sources(runs=(run / "warmup",)), out)
    assert set(pages(out)) == {"index", "training", "reasoning"}
    assert not list((out / "data").iterdir())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    with pytest.raises(ConfigError, match="not empty, and not a report"):
        write_site(Sources(runs=(run,)), tmp_path / "mine")
    with pytest.raises(ConfigError, match="a file is there"):
        write_site(Sources(runs=(run,)), tmp_path / "mine" / "index.html")


def test_nothing_to_report(tmp_path):
    with pytest.raises(ConfigError, match="name the folder of a run"):
        write_site(Sources(), tmp_path / "site")
    with pytest.raises(ConfigError, match="no such folder"):
        write_site(Sources(runs=(tmp_path / "none",)), tmp_path / "site")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="nothing to report"):
        write_site(Sources(runs=(tmp_path / "empty",)), tmp_path / "site")
    (tmp_path / "empty" / "metrics.jsonl").write_text("{\n{}\n")
    with pytest.raises(ConfigError, match=r"metrics\.jsonl:1"):
        write_site(Sources(runs=(tmp_path / "empty",)), tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("results.jsonl", {"task_id": 7, "solved": True}),
        ("results.jsonl", {"task_id": "t", "solved": "yes"}),
        ("steps.jsonl", {"instance_id": "i"}),
    ],
)
def test_lines_of_something_else_are_refused(tmp_path, name, line):
    write_lines(tmp_path / "run" / name, [line])
    with pytest.raises(ConfigError, match=re.escape(name)):
        write_site(Sources(runs=(tmp_path / "run",)), tmp_path / "site")


def test_unfinished_and_cut_off(run, tmp_path):
    with (run / "warm" / "results.jsonl").open("a") as file:
        file.write('{"task_id": "suite/t9", "sol')
    meta = {"episodes": {"tasks": {f"t{k}": "hash" for k in range(9)}}}
    (run / "warm" / "meta.json").write_text(json.dumps(meta))
    write_site(Sources(runs=(run,)), tmp_path / "site")
    assert "“warm” is not finished: 6 of 9 tasks." in pages(tmp_path / "site")["index"]


def test_any_fields_may_be_missing_or_odd(tmp_path):
    run = tmp_path / "run"
    write_lines(run / "results.jsonl", [{"task_id": "t", "solved": None, "steps": "three", "ending": None}])
    write_lines(run / "transcripts.jsonl", [{"transcript": [{}, 7, {"thought": None}]}, {"transcript": "none"}, {}])
    write_lines(run / "metrics.jsonl", [{}, {"update": "x", "loss": 1e308}, {"loss": True}, {"loss": 2, "stage": None}])
    write_lines(run / "rollouts.jsonl", [{}, {"update": 1}, {"update": 1, "text": None, "reward": None, "parts": [1]}])
    (run / "config.json").write_text('{"config": {"trajectories": ["/nowhere.jsonl", 3], "model": null}}')
    write_site(Sources(runs=(run,)), tmp_path / "site")
    assert set(pages(tmp_path / "site")) == {"index", "training", "reasoning", "episodes", "rollouts"}


def test_marked_blocks_are_what_the_similarity_counts():
    student, expert = "grep -n 𝔖round src/x.py", "grep -rn '𝔖round_half' src"
    part = marked_part("x", f"<think>\nI look.\n</think>\n```bash\n{student}\n```", expert)
    blocks = [part.blocks[i : i + 3] for i in range(0, len(part.blocks), 3)]
    assert all(student[a : a + n] == expert[b : b + n] for a, b, n in blocks)
    assert 2 * sum(n for _, _, n in blocks) / (len(student) + len(expert)) == similarity(student, expert)
    assert part.thought == "I look."
    malformed = marked_part("x", "no form", expert)
    assert malformed.blocks == ()
    assert malformed.tags[0][0].startswith("malformed: ")


def test_a_run_that_is_trained_on_named_trajectories_shows_the_experts_actions(tmp_path):
    experts = write_experts(tmp_path / "experts.jsonl")
    write_training(tmp_path / "run", trajectories=[experts])
    write_site(Sources(runs=(tmp_path / "run",)), tmp_path / "site")
    assert '"expert":"grep' in (tmp_path / "site" / "data" / "rollouts-1.js").read_text()


def test_answers_of_another_domain_are_read_where_they_are_well_formed():
    answer = "<think>\nHalve it.\n</think>\nSo x = 3."
    assert read_answer(answer, well_formed=True) == ("Halve it.", "So x = 3.", None)
    assert read_answer(answer, well_formed=False)[1] == answer
    assert marked_part("x", answer, "So x = 2.", well_formed=True).blocks == (0, 0, 7, 8, 8, 1)


def test_only_what_was_measured_on_the_same_is_compared(tmp_path):
    for arm, name, tasks in (("base", "a", 4), ("base", "b", 3), ("srl", "a", 4), ("srl", "b", 3)):
        folder = tmp_path / "run" / arm / "seed-0" / "measures" / name
        write_evaluation(folder, gain=1, solved=1, tasks=tasks)
        if name == "b":
            (folder / "steps.jsonl").unlink()
    found = find([tmp_path / "run"])
    arms = arm_numbers(found.evaluations)
    assert [arm.name for arm in arms] == ["base/a", "base/b", "srl/a", "srl/b"]
    said = [sentence.partition(":")[0] for sentence in findings(arms)]
    assert said == ["base/a to srl/a", "base/a to srl/a", "base/b to srl/b"]
