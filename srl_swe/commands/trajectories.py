"""A trajectory in the terminal."""

from __future__ import annotations

from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from srl_swe.commands.output import console, verdict
from srl_swe.records import Step, Trajectory


def show_trajectory(trajectory: Trajectory, *, lines: int) -> None:
    """Print it step by step; long texts keep their head and tail, ``lines`` lines in all."""
    printer = console()
    solved = verdict(trajectory.resolved, yes="solved", no="not solved", unknown="not verified")
    about = [Text(part) for part in (trajectory.source, trajectory.model, f"{len(trajectory.steps)} steps") if part]
    printer.print(Rule(Text(trajectory.trajectory_id, style="bold"), align="left"))
    printer.print(Text(" · ").join([*about, solved]))
    printer.print(Padding(Text(fold(trajectory.problem_statement, lines), style="dim"), (0, 0, 0, 2)))
    drifted = drifted_steps(trajectory)
    for k, step in enumerate(trajectory.steps):
        _show_step(step, k + 1, lines, drifted=k in drifted)


def drifted_steps(trajectory: Trajectory) -> frozenset[int]:
    """The steps, from 0, at which its replay saw something else; none where it was not replayed."""
    replayed = trajectory.provenance.get("replay")
    listed = replayed.get("drifted") if isinstance(replayed, dict) else None
    return frozenset(k for k in listed if isinstance(k, int)) if isinstance(listed, list) else frozenset()


def _show_step(step: Step, number: int, lines: int, *, drifted: bool) -> None:
    printer = console()
    notes = [] if step.runnable else ["cannot run"]
    notes += ["drifted when it was replayed"] if drifted else []
    if step.reward is not None:
        notes.append(f"reward {step.reward:g}")
    printer.print(Text(f"{number}. {'; '.join(notes)}".rstrip(), style="bold cyan"))
    if step.thought.strip():
        printer.print(Padding(Text(fold(step.thought, lines), style="italic"), (0, 0, 0, 2)))
    printer.print(Padding(Text(f"$ {step.action}" if step.runnable else step.action, style="green"), (0, 0, 0, 2)))
    if step.observation.strip():
        printer.print(Padding(Text(fold(step.observation, lines), style="dim"), (0, 0, 0, 4)))


def fold(text: str, limit: int) -> str:
    """A text in at most ``limit`` lines (and one that says how many were left out): its head and its tail."""
    shown = text.strip("\n").splitlines()
    if len(shown) <= limit or limit < 1:
        return "\n".join(shown)
    tail = limit // 3
    head = limit - tail
    return "\n".join([*shown[:head], f"… {len(shown) - limit} lines …", *shown[len(shown) - tail :]])
