"""``srl-swe results``: what evaluations say, alone and against each other, and their patches for others to grade."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from srl_swe.commands.output import console, number, percent, print_table, verdict
from srl_swe.errors import ConfigError
from srl_swe.evaluation.statistics import Interval
from srl_swe.evaluation.summary import Cluster, Series, Summary, summarise, write_summary
from srl_swe.evaluation.votes import SameAnswers
from srl_swe.records import EpisodeResult


def summary(run: Positional[Path], *, cluster: Cluster = "task", seed: int = 0) -> int:
    """Print an evaluation's rates with intervals, and write them to evaluation.json. Exits with 1 if there are none.

    Args:
        run: An evaluation's folder.
        cluster: What intervals resample: tasks, or whole repositories, whose tasks may be alike.
        seed: Of the bootstraps.
    """
    from srl_swe.evaluation.runner import read_results

    results = read_results(run)
    if not results:
        raise ConfigError(f"{run}: no results.jsonl with episodes in it")
    same = SameAnswers()
    found = summarise(results, seed=seed, cluster=cluster, same=same)
    print_summary(found)
    tell_failures(same)
    console().print(f"written: {write_summary(run, found, seed=seed, cluster=cluster)}", markup=False)
    return 0 if any(series.tasks for series in found.series.values()) else 1


def compare(first: Positional[Path], second: Positional[Path], *, cluster: Cluster = "task", seed: int = 0) -> int:
    """Compare two evaluations of the same tasks, pair by pair, and say in a sentence what is found.

    Args:
        first: An evaluation's folder.
        second: Another's.
        cluster: What is resampled together: tasks, or whole repositories, whose tasks may be alike.
        seed: Of the bootstraps.
    """
    from srl_swe.evaluation.comparison import compare_runs, p_value

    same = SameAnswers()
    found = compare_runs(first, second, seed=seed, cluster=cluster, same=same)
    tell_failures(same)
    rows = [
        (d.name, *_both(d.first, d.second, rates=d.rate), _change(d.change, rates=d.rate), p_value(d.p))
        for d in (found.solve_rate, *found.others)
    ]
    print_table(
        ["quantity", *found.names, "difference and 95% interval", "p"],
        rows,
        title=f"{found.tasks} tasks, {found.series} episodes; {found.test}",
    )
    one, other = found.names
    say = console().print
    say(f"solved in one only: {found.only_first} tasks by {one}, {found.only_second} by {other}", markup=False)
    for line in found.left_out:
        say(f"left out: {line}", markup=False)
    say(found.verdict, markup=False)
    return 0


def predictions(
    run: Positional[Path],
    *,
    to: Path,
    choose: Annotated[str, tyro.conf.arg(metavar="greedy|best|NUMBER")] = "",
) -> int:
    """Write an evaluation's patches as SWE-bench predictions, for others to grade. Exits with 1 if there are none.

    Args:
        run: An evaluation's folder.
        to: The file, JSON Lines.
        choose: Which episode of each task: the greedy one, the one with the best log-probability a token, or a sample's
            number. By default the greedy one, or sample 0 where there is none.
    """
    from srl_swe.evaluation.runner import read_results
    from srl_swe.evaluation.submissions import choose_episodes, submissions
    from srl_swe.tasks.formats.predictions import write_predictions

    results = read_results(run)
    if not results:
        raise ConfigError(f"{run}: no results.jsonl with episodes in it")
    chosen = choose_episodes(results, choose)
    lost = sum(result.solved is None for result in chosen)
    found = submissions(chosen)
    write_predictions(to, found)
    empty = sum(not prediction.patch.strip() for prediction in found)
    console().print(f"{len(found)} predictions, {empty} of them without a change, written to {to}", markup=False)
    if lost:
        console(stderr=True).print(f"{lost} failed for no fault of the policy, and are left out", style="yellow")
    return 0 if found else 1


def print_episodes(results: Sequence[EpisodeResult]) -> None:
    """A row a task: its episode, or what its episodes came to."""
    groups = [list(group) for _, group in itertools.groupby(results, key=lambda result: result.task_id)]
    if all(len(group) == 1 for group in groups):
        _print_single([group[0] for group in groups])
        return
    rows = []
    for group in groups:
        greedy = [result.solved for result in group if result.greedy]
        drawn = [result for result in group if not result.greedy]
        judged = [result for result in drawn if result.solved is not None]
        rows.append(
            (
                group[0].task_id,
                _word(greedy[0]) if greedy else "",
                f"{sum(bool(result.solved) for result in judged)} of {len(judged)}" if drawn else "",
                len(drawn) - len(judged) or "",
                f"{sum(result.steps for result in group) / len(group):.1f}",
                f"{sum(result.seconds for result in group) / len(group):.1f}",
            )
        )
    print_table(["task", "greedy", "sampled", "not judged", "steps", "seconds"], rows)


def print_summary(found: Summary) -> None:
    """The rates by k, by repository and by ending."""
    for name, series in found.series.items():
        print_table(["quantity", "mean and 95% interval", "tasks"], _quantities(series), title=f"{name} episodes")
        if len(series.repositories) > 1:
            print_table(
                ["repository", "tasks", "solved", "solve rate"],
                [(r.repository, r.tasks, r.solved_tasks, percent(r.rate)) for r in series.repositories],
            )
        endings = ", ".join(f"{count} {ending}" for ending, count in series.endings.items())
        say = console().print
        say(f"ended by: {endings}", markup=False)
        judged = series.episodes - series.lost
        of = f"{series.solved} of {judged}" if judged == series.tasks else f"{series.solved} of {judged} episodes"
        say(f"solved {of}: {percent(series.rate)} (95% interval)", markup=False)


def _quantities(series: Series) -> list[tuple[object, ...]]:
    most = max((row.k for row in series.pass_at), default=1)
    rows: list[tuple[object, ...]] = [
        ("solve rate" if most == 1 else f"avg@{most}", percent(series.rate), series.tasks)
    ]
    for name, found in (
        ("pass", series.pass_at),
        ("majority", series.majority_at),
        ("best by log-probability a token", series.best_by_mean),
        ("best by log-probability", series.best_by_sum),
    ):
        # One drawn episode is what avg@k says already.
        rows += [(f"{name}@{row.k}", percent(row.rate), row.tasks) for row in found if row.k > 1]
    rows += [("steps", _plain(series.steps), "")]
    if series.prompt_tokens:
        rows += [
            ("tokens read", f"{_plain(series.prompt_tokens)}; {series.total_prompt_tokens:,} in all", ""),
            ("tokens written", f"{_plain(series.completion_tokens)}; {series.total_completion_tokens:,} in all", ""),
        ]
    if series.cost is not None:
        rows += [("cost, in all", f"{series.cost:.4f}", "")]
    if series.lost:
        rows += [("not judged, in no rate", f"{series.lost} of {series.episodes} episodes", "")]
    return rows


def _print_single(results: Sequence[EpisodeResult]) -> None:
    print_table(
        ["task", "result", "ended by", "steps", "malformed", "seconds", "note"],
        [
            (
                result.task_id,
                _word(result.solved),
                result.ending,
                result.steps,
                result.malformed,
                f"{result.seconds:.1f}",
                result.error or "; ".join(result.tampering),
            )
            for result in results
        ],
    )


def _word(solved: bool | None) -> object:
    return verdict(solved, yes="solved", no="not solved", unknown="not judged")


def _plain(interval: Interval) -> str:
    """A mean that is no rate."""
    if not interval or abs(interval.low) == float("inf"):
        return f"{interval.value:,.1f}" if interval else "no data"
    return f"{interval.value:,.1f} [{interval.low:,.1f}, {interval.high:,.1f}]"


def tell_failures(same: SameAnswers) -> None:
    """Say how many answers could not be compared, if any."""
    if same.failures:
        text = f"{same.failures} pairs of answers could not be compared: in votes they count as different"
        console(stderr=True).print(text, style="yellow")


def _both(first: float, second: float, *, rates: bool) -> tuple[str, str]:
    form = ".1%" if rates else ",.1f"
    return format(first, form), format(second, form)


def _change(interval: Interval, *, rates: bool = False) -> str:
    if abs(interval.low) == float("inf"):
        return number(interval)
    if rates:
        return f"{interval.value:+.1%} [{interval.low:+.1%}, {interval.high:+.1%}]"
    return f"{interval.value:+,.1f} [{interval.low:+,.1f}, {interval.high:+,.1f}]"
