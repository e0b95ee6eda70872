"""One update of the learner, every unique token once, against TRL's padded `GRPOTrainer` on the same samples.

    python -m benchmarks.learner --json benchmarks/results/learner.json
    python -m benchmarks.learner --growth --json benchmarks/results/learner_growth.json --plot docs/learner.svg

Samples are those of one update of SRL: the first ``--steps`` steps of a real mini-swe-agent trajectory, G = 8
completions each (`benchmarks.learner_samples` says how they are made), with the full history and with the paper's two
pairs. Each measurement has a process of its own, so that its peak resident memory is its own. Both sides have the same
model, precision, threads and gradient checkpointing (on, as is TRL's default), and end with clipping and AdamW.

TRL's side is its own ``compute_loss`` (hence ``_compute_loss`` and ``_get_per_token_logps_and_entropies``) and
``accelerator.backward``, over all of its micro-batches of 8. They are padded as its trainer pads: prompts on the left,
completions on the right, to the longest of the whole generation batch. Nothing is extrapolated, unless ``--batches``
says how many of those micro-batches, which are all of one shape, are timed.

- ``speedup_vs_trl_padded``: TRL's seconds over ours.
- ``efficiency_vs_token_limit``: our unique tokens a second over TRL's tokens a second, padding counted: 1 means that
  a unique token costs what a padded learner's token does, and samples are (raw / unique) times as fast as there.
- ``memory_vs_padded``: our peak over TRL's.
- ``gradient_error``: of the worst parameter, float32, tree against one plain pass a sample, on ``--error-group``
  completions of each step. Both carry float32's own rounding, which in 30 layers is of this size: on two short
  samples each was 3e-5 from float64's gradient where they were 9e-6 from each other. ``gradient_error_whole`` is of all
  parameters' gradients as one vector.

Headline figures are the worse of the two histories'.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.record import parse, report

TRAJECTORY = "mini-swe-agent-2/pvlib__pvlib-python-1606.traj.json"
MODES = ("full", "paper")


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trajectory", type=Path, default=default_trajectory(), help="or SRL_SWE_LEARNER_TRAJECTORY")
    parser.add_argument("--steps", type=int, default=4, help="its first so many; 0: all")
    parser.add_argument("--observation-chars", type=int, default=300, help="as `srl-swe train` has it")
    parser.add_argument("--batches", type=int, default=0, help="of TRL's micro-batches so many are timed; 0: all")
    parser.add_argument("--error-group", type=int, default=2, help="completions a step where gradients are compared")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--at-once", type=int, default=4096, help="most tokens of a part of a trie")
    parser.add_argument("--no-checkpointing", action="store_true", help="on neither side")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument(
        "--growth", action="store_true", help="time and memory by steps, G and context, and nothing else"
    )
    parser.add_argument("--plot", type=Path, help="with --growth: where its picture goes")
    options = parse(__doc__, parser)
    if options.growth:
        from benchmarks.learner_growth import growth

        growth(options, measure)
        return
    if not options.trajectory.is_file():
        sys.exit(f"{options.trajectory}: no such file; --trajectory or SRL_SWE_LEARNER_TRAJECTORY names one")
    found = {mode: compare(mode, options) for mode in options.modes}
    publish(found, options)


def default_trajectory() -> Path:
    """The environment's, or the one of the data that stands beside the checkout, where it does."""
    named = os.environ.get("SRL_SWE_LEARNER_TRAJECTORY")
    parents = Path(__file__).resolve().parents[2:4]
    folders = [parent / "shared" / "data" / "trajectories" for parent in parents]
    return Path(named) if named else next((f for f in folders if f.is_dir()), folders[0]) / TRAJECTORY


def compare(mode: str, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Ours, TRL's and the gradients' errors, one after the other."""
    samples: dict[str, Any] = {
        "trajectory": str(options.trajectory),
        "mode": mode,
        "observation_chars": options.observation_chars,
        "steps": options.steps or None,
    }
    found = {
        "tree": measure("tree", samples, options),
        "errors": measure("errors", samples | {"group": options.error_group}, options),
        "trl": measure("trl", samples, options, batches=options.batches),
    }
    assert found["tree"]["raw"] == found["trl"]["raw"], "both sides had the same samples"
    return found


def measure(what: str, samples: Mapping[str, Any], options: argparse.Namespace, batches: int = 0) -> dict[str, Any]:
    """One measurement of `benchmarks.learner_worker`, in a process of its own."""
    request = {
        "what": what,
        "samples": dict(samples),
        "dtype": "float32" if what == "errors" else options.dtype,
        "threads": options.threads,
        "checkpointing": not options.no_checkpointing,
        "at_once": options.at_once,
        "batches": batches,
    }
    print(f"{what}: {json.dumps(request['samples'])}", file=sys.stderr)
    command = [sys.executable, "-m", "benchmarks.learner_worker", json.dumps(request)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {found}", file=sys.stderr)
    return found


def mode_figures(found: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The figures of one history."""
    tree, trl = found["tree"], found["trl"]
    rate = trl["tokens"] / trl["seconds"]
    return {
        "speedup_vs_trl_padded": trl["seconds"] / tree["seconds"],
        "efficiency_vs_token_limit": tree["tokens"] / tree["seconds"] / rate,
        "memory_vs_padded": tree["peak_gb"] / trl["peak_gb"],
        "gradient_error": found["errors"]["gradient_error"],
        "gradient_error_whole": found["errors"]["gradient_error_whole"],
        # The same in processor seconds: what a machine that others use as well says of the first two.
        "speedup_in_processor_time": trl["processor_seconds"] / tree["processor_seconds"],
        "efficiency_in_processor_time": tree["tokens"]
        / tree["processor_seconds"]
        / (trl["tokens"] / trl["processor_seconds"]),
        "seconds": tree["seconds"],
        "trl_seconds": trl["seconds"],
        "peak_gb": tree["peak_gb"],
        "trl_peak_gb": trl["peak_gb"],
        "steps": tree["steps"],
        "samples": tree["samples"],
        "raw_tokens": tree["raw"],
        "unique_tokens": tree["tokens"],
        "trained_tokens": tree["trained"],
        "trl_tokens": trl["tokens"],
        "trl_batches_timed": trl["measured_batches"],
    }


WORST = {
    "speedup_vs_trl_padded": min,
    "efficiency_vs_token_limit": min,
    "memory_vs_padded": max,
    "gradient_error": max,
}


def publish(found: Mapping[str, Mapping[str, Mapping[str, Any]]], options: argparse.Namespace) -> None:
    """The table and the figures."""
    each = {mode: mode_figures(own) for mode, own in found.items()}
    names = next(iter(each.values()))
    rows: list[tuple[object, ...]] = [("", *each)]
    rows += [(name, *(figures[name] for figures in each.values())) for name in names]
    figures: dict[str, float] = {name: worse(own[name] for own in each.values()) for name, worse in WORST.items()}
    figures |= {f"{name}_{mode}": value for mode, own in each.items() for name, value in own.items()}
    versions = {"dtype": options.dtype, "trajectory": options.trajectory.name, "threads": str(options.threads or "all")}
    versions["gradient_checkpointing"] = str(not options.no_checkpointing)
    versions |= {package: version(package) for package in ("torch", "transformers", "trl")}
    report(f"One update against TRL's, {options.trajectory.name}, G = 8", rows, figures, versions, options.json)


if __name__ == "__main__":
    main()
