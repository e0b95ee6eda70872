"""Folders as runs leave them, full of what a hostile model or repository could write."""

from __future__ import annotations

import json

from srl_swe.environments.actions import format_answer
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.records import Step, ToolCall, Trajectory
from srl_swe.rewards.similarity import similarity

EVIL = "<script>alert(1)</script> & \"quotes\" 'x' {{ 7 * 7 }} </details><img src=x onerror=alert(2)>"
BROKEN = "half a pair \ud83d, a zero \x00, bytes \ufffd\x1b[31m, \u202eturned around, 𝔘𝔫𝔦𝔠𝔬𝔡𝔢"
LONG = "x" * 60_000


def write_lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_evaluation(folder, *, gain, solved, new=False, tasks=6):
    """Tasks in two repositories, the sixth not judged; ``new``: lines of later versions, two samples a task."""
    results, transcripts, steps = [], [], []
    for k in range(tasks):
        for sample in range(2 if new else 1):
            result = {
                "task_id": f"suite/t{k}",
                "repository": f"repo{k % 2}",
                "split": "heldout",
                "policy": EVIL,
                "solved": None if k == 5 else k < solved,
                "ending": "submitted" if k % 2 else "step_limit",
                "steps": 2,
                "malformed": 1,
                "error": EVIL if k == 5 else None,
            }
            if new:
                result |= {"sample": sample, "greedy": False, "completion_tokens": 100 + k, "unheard_of": [1]}
            results.append(result)
            said = [
                {"answer": EVIL, "thought": "", "action": None, "observation": BROKEN},
                {
                    "answer": EVIL,
                    "thought": f"First, I check. Wait, {EVIL}",
                    "action": EVIL,
                    "observation": EVIL * 50 + LONG,
                },
            ]
            transcripts.append(result | {"problem": EVIL, "tests": {EVIL: "passed"}, "transcript": said})
        steps += [_step(k, number, gain) for number in range(3)]
    write_lines(folder / "results.jsonl", results)
    write_lines(folder / "transcripts.jsonl", transcripts)
    write_lines(folder / "steps.jsonl", steps)


def _step(k, number, gain):
    expert = f"grep -rn '{EVIL}' 𝔖src{k}"
    command = expert[: 5 + gain * (k + number)] + "𝔖"
    close = similarity(command, expert)
    samples = [
        {
            "text": format_answer(f"Let me check {EVIL}", command),
            "reward": close,
            "similarity": close,
            "well_formed": True,
        },
        {"text": BROKEN, "reward": -1.0, "similarity": 0.0, "well_formed": False},
    ]
    return {
        "instance_id": f"suite/t{k}@oracle-0#{number}",
        "task_id": f"suite/t{k}",
        "step": number,
        "expert_action": expert,
        "context": EVIL,
        "samples": samples,
        "greedy": samples[0] if number else None,
    }


def write_training(folder, *, seed=0, updates=12, objective="srl", trajectories=()):
    metrics, rollouts = [], []
    for update in range(1, updates + 1):
        record = {
            "stage": objective,
            "update": update,
            "loss": 0.01 * update,
            "seconds": 2.0,
            "lr": 1e-4,
            "novelty": update,
        }
        if objective == "srl":
            record |= {
                "reward_mean": 0.2 + update / 50 + seed / 20,
                "kept_groups": 4,
                "sampled_groups": 6,
                "response_tokens": 40.0,
                "grad_norm": None,
                "well_formed": float("nan"),
            }
            rollouts += [_rollout(update, group, answer) for group in range(2) for answer in range(4)]
        metrics.append(record)
    write_lines(folder / "metrics.jsonl", metrics)
    if rollouts:
        write_lines(folder / "rollouts.jsonl", rollouts)
    config = {
        "objective": objective,
        "updates": 20,
        "seed": seed,
        "model": EVIL,
        "trajectories": [str(p) for p in trajectories],
    }
    (folder / "config.json").write_text(json.dumps({"config": config, "versions": {}}))


def _rollout(update, group, answer):
    text = BROKEN if answer == 3 else format_answer("I verify this. " * update, f"ls {EVIL}" + "a" * answer)
    return {
        "update": update,
        "instance_id": f"suite/t{group}@oracle-0#1",
        "group": group,
        "text": text,
        "reward": -1.0 if answer == 3 else 0.1 * answer * group,
        "parts": {"well_formed": float(answer != 3), "odd": float("inf")},
        "tokens": 10 * update + answer,
        "ending": "submitted",
        "weight_version": update - 1,
    }


def write_experts(path):
    """Six trajectories: solved, not solved, not verified; one replayed, one with rewards, one that cannot run."""
    trajectories = []
    for k, resolved in enumerate((True, False, None, True, True, True)):
        steps = tuple(
            Step(
                thought=EVIL if number else "",
                action=f"grep -rn '{EVIL}' 𝔖src{k}" if number < 2 else "submit",
                observation=EVIL * 20,
                reward=0.25 * number if k == 3 else None,
                runnable=not (k == 4 and number == 1),
                call=ToolCall(name=EVIL, arguments=EVIL) if k == 4 else None,
            )
            for number in range(3)
        )
        provenance = {"replay": {"drifted": [1], "stale": False}, "mistakes": [0]} if k == 0 else {}
        trajectories.append(
            Trajectory(
                trajectory_id=f"suite/t{k}@oracle-0",
                task_id=f"suite/t{k}",
                split="train" if k else "heldout",
                problem_statement=EVIL,
                steps=steps,
                source="oracle",
                resolved=resolved,
                provenance=provenance,
            )
        )
    write_trajectories(path, trajectories)
    replay = {"ratios": [1.0, 0.5], "drifted": [1]}
    rejected = [{"trajectory_id": "suite/t1@oracle-0", "reasons": [f"not solved {EVIL}"], "replay": replay}]
    write_lines(path.with_suffix(".rejected.jsonl"), rejected)
    return path


def write_run(folder):
    """A run with three evaluations, a warm-up, and two seeds."""
    write_evaluation(folder / "before", gain=0, solved=0)
    write_evaluation(folder / "warm", gain=3, solved=1)
    write_training(folder / "warmup", objective="sft", updates=5)
    for seed in (0, 1):
        write_evaluation(folder / f"seed-{seed}" / "after", gain=5 + seed, solved=3, new=True)
        write_training(folder / f"seed-{seed}", seed=seed)
        (folder / f"seed-{seed}" / "before").symlink_to("../before")
    (folder / "summary.json").write_text(json.dumps({"model": EVIL, "sft": {"updates": 10}, "notes": ["a", "b"]}))
    return folder


def experiment_table():
    """What ``srl-swe experiment`` writes."""
    cost = {"updates": 3, "trained_tokens": 12345.5, "sampled_tokens": 0, "seconds": 61.2}
    arms = [
        {
            "arm": name,
            "runs": runs,
            "cost": cost,
            "notes": [f"ended {EVIL}"] if runs == 2 else [],
            "cells": {"steps.similarity": cell, f"issues.{EVIL}": [0.0, None, None]},
        }
        for name, runs, cell in (("base", 1, [0.1, 0.05, 0.2]), (EVIL, 2, [0.3, 0.2, 0.4]))
    ]
    claim = {"text": EVIL, "better": EVIL, "than": "base", "measure": "steps.similarity", "margin": None}
    return {
        "title": EVIL,
        "seeds": [0, 1],
        "arms": arms,
        "claims": [claim | {"difference": [0.2, 0.05, 0.35], "verdict": "holds"}],
        "missing": ["RLVR"],
    }  # fmt: skip
