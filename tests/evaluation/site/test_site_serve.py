from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from site_samples import write_lines, write_training

from srl_swe.errors import ConfigError
from srl_swe.evaluation.site.build import Sources
from srl_swe.evaluation.site.serve import LiveSite, make_server


@pytest.fixture
def serve(tmp_path):
    (tmp_path / "run").mkdir()
    errors = []
    site = LiveSite(Sources(runs=(tmp_path / "run",)), tmp_path / "site", on_error=errors.append)
    server = make_server(site, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port, site, errors
    server.shutdown()
    thread.join()
    server.server_close()


def get(port, path, host=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def wait_for_news(port, version):
    for _ in range(2000):
        if (now := get(port, "/version.txt")[1]) != version:
            return now
        threading.Event().wait(0.02)
    raise AssertionError("no news")


def test_the_site_follows_the_run(serve, tmp_path):
    port, _, errors = serve
    assert "nothing to report yet" in get(port, "/")[1]
    version = get(port, "/version.txt?x=1")[1]
    write_training(tmp_path / "run", updates=3)
    version = wait_for_news(port, version)
    assert "3 of 20" in get(port, "/index.html")[1]
    assert 'name="srl-live"' in get(port, "/training.html")[1]
    write_training(tmp_path / "run", updates=4)
    version = wait_for_news(port, version)
    assert "4 of 20" in get(port, "/index.html")[1]
    assert get(port, "/version.txt")[1] == version
    assert errors == []


def test_a_file_that_is_broken_for_a_while(serve, tmp_path):
    port, site, errors = serve
    version = get(port, "/version.txt")[1]
    (tmp_path / "run" / "metrics.jsonl").write_text("{\n")
    while not errors:
        site._next = 0.0
        assert get(port, "/version.txt")[1] == version
    assert "metrics.jsonl:1" in errors[0]
    write_lines(tmp_path / "run" / "metrics.jsonl", [{"update": 1, "loss": 1.0}])
    wait_for_news(port, version)


def test_only_for_this_machine(serve, tmp_path):
    port, _, _ = serve
    (tmp_path / "secret.txt").write_text("secret")
    assert get(port, "/", host="evil.example:80")[0] == 403
    assert get(port, "/version.txt", host="evil.example")[0] == 403
    assert get(port, "/", host=f"localhost:{port}")[0] == 200
    for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/data/", "/static"):
        status, text = get(port, path)
        assert status in (301, 404)
        assert "secret" not in text.replace("secret.txt", "")
    with pytest.raises(ConfigError, match="cannot be served on"):
        make_server(None, port)


def test_the_command_ends_cleanly(tmp_path):
    write_training(tmp_path / "run")
    line = [sys.executable, "-u", "-m", "srl_swe.cli", "report", str(tmp_path / "run"), "--serve", "--port", "0"]
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())[1])
        assert get(port, "/training.html")[0] == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "ended\n", "")
    assert list(temporary.iterdir()) == []
