"""Runs SWE-bench's harness in the peers' own virtual environment: its ``run_instance``, as it is, on our images.

A request is a line of JSON on standard input: ``{"instances": [dataset rows, with timeout_s], "patches":
{instance id: patch}, "workers": n}``. The answer is a line on standard output: ``{"seconds": s, "results":
{instance id: {"resolved": bool, "statuses": {node id: status} or null, "seconds": s, "cleanup_s": s}}}``; ``statuses``
is what its log parser made of its log.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

logging.disable(logging.CRITICAL)


def run(row: dict[str, Any], patch: str, client: Any, timeout_s: int) -> dict[str, Any]:
    """One instance, from its container to its report."""
    from swebench.harness import run_evaluation
    from swebench.harness.constants import LOG_TEST_OUTPUT, RUN_EVALUATION_LOG_DIR
    from swebench.harness.grading import get_logs_eval
    from swebench.harness.utils import make_test_spec

    identity = row["instance_id"]
    spec = make_test_spec(row)
    prediction = {"instance_id": identity, "model_name_or_path": "student", "model_patch": patch}
    run_id = f"run-{os.getpid()}-{time.monotonic_ns()}"
    start = time.perf_counter()
    answer = run_evaluation.run_instance(spec, prediction, client, run_id, timeout_s)
    seconds = time.perf_counter() - start
    log = RUN_EVALUATION_LOG_DIR / run_id / "student" / identity / LOG_TEST_OUTPUT
    statuses = get_logs_eval(spec, str(log))[0] if log.exists() else None
    # Its cleanup waits for a process that does not listen; what comes before is what counts for a fair comparison.
    graded = log.with_name("report.json")
    written = graded.stat().st_mtime if graded.exists() else time.time()
    return {
        "resolved": bool(answer and answer[1][identity]["resolved"]),
        "statuses": statuses,
        "seconds": seconds,
        "cleanup_s": max(0.0, time.time() - written),
    }


def main() -> None:
    """Answer requests until the input ends."""
    import docker

    answers, sys.stdout = sys.stdout, sys.stderr  # the harness prints
    client = docker.from_env(timeout=600)
    with tempfile.TemporaryDirectory(prefix="swebench-") as folder:
        os.chdir(folder)  # it writes its logs where it is
        for line in sys.stdin:
            request = json.loads(line)
            rows, patches = request["instances"], request["patches"]
            limits = [row["timeout_s"] for row in rows]
            start = time.perf_counter()
            with ThreadPoolExecutor(request["workers"]) as pool:
                found = list(
                    pool.map(run, rows, [patches[row["instance_id"]] for row in rows], [client] * len(rows), limits)
                )
            results = {row["instance_id"]: result for row, result in zip(rows, found, strict=True)}
            print(json.dumps({"seconds": time.perf_counter() - start, "results": results}), file=answers, flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
