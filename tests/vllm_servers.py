"""vLLM's server of OpenAI's interface, in a process of its own; only where vLLM is installed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests

VLLM_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "TORCH_COMPILE_DISABLE": "1",  # a helper that takes 20 s to compile
}


@contextlib.contextmanager
def vllm_server(model: Path, log: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A vLLM server of ``model``, ready to be asked: (its URL, its process).

    Not by the program ``vllm``, which does not start where the distribution is vllm-cpu.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", str(port)]
    line += ["--host", "127.0.0.1", "--enforce-eager", "--disable-uvicorn-access-log", *options]
    environment = os.environ | VLLM_ENVIRONMENT | {"VLLM_SERVER_DEV_MODE": "1"}
    environment.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=output, env=environment, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        while process.poll() is None:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{url}/health", timeout=5).ok:
                    break
            time.sleep(0.5)
        assert process.poll() is None, log.read_text()[-3000:]
        yield url, process
    finally:
        process.terminate()
        process.wait(60)
        with contextlib.suppress(ProcessLookupError):  # its engine, which outlives a server that was killed
            os.killpg(process.pid, signal.SIGKILL)
