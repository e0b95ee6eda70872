"""What every sandbox backend withstands."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from contracts.sandbox_boxes import Boxes, OpenBox

from srl_swe.errors import SandboxLostError
from srl_swe.sandbox import Sandbox, SandboxLimits
from srl_swe.sandbox.protocol import TIMEOUT_EXIT_CODE


class HostileContract(Boxes):
    """Commands that attack the sandbox: it goes on, or says that it is lost."""

    SMALL = SandboxLimits(memory_mb=200, processes=60)

    @pytest.fixture
    def small_box(self, open_box: OpenBox) -> Iterator[Sandbox]:
        with open_box(limits=self.SMALL) as box:
            yield box

    def test_no_network(self, box: Sandbox) -> None:
        names = box.run("sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' '").output.split()
        assert set(names) <= {"lo"}
        connect = "import socket; socket.create_connection(('192.0.2.1', 80), 3)"
        assert "unreachable" in box.run(f'python -c "{connect}"', timeout_s=20).output

    def test_no_privileges(self, box: Sandbox) -> None:
        status = dict(re.findall(r"(\w+):\s+(.*)", box.run("cat /proc/self/status").output))
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert box.run("id -u").output != "0\n"

    @pytest.mark.parametrize(
        "command",
        [
            "mount -t tmpfs none /mnt",
            "mknod /tmp/disk b 8 0",
            "echo 1 > /proc/sys/kernel/panic",
            "echo b > /proc/sysrq-trigger",
            "echo 1 > /sys/kernel/profiling",
            "unshare -r true",
            "su -c true",
            "kill -9 1",
            "chroot / true",
            "touch /usr/bin/mine",
            "head -c 1 /proc/1/mem",
            "hostname elsewhere",
        ],
    )
    def test_what_is_not_allowed_fails(self, box: Sandbox, command: str) -> None:
        assert box.run(command, timeout_s=20).exit_code not in (0, TIMEOUT_EXIT_CODE)
        assert box.run("echo on").output == "on\n"

    def test_a_fork_bomb_is_stopped_by_the_time_limit(self, small_box: Sandbox) -> None:
        small_box.run(":(){ :|:& };:; sleep 60", timeout_s=2)
        result = small_box.run("echo back", timeout_s=20)
        assert result.output.endswith("back\n")
        small_box.run("sleep 60", timeout_s=0.5)  # kills what may be left
        assert small_box.run("cat /dev/null && echo free", timeout_s=5).output == "free\n"

    def test_processes_are_limited(self, small_box: Sandbox) -> None:
        result = small_box.run("for i in $(seq 200); do sleep 30 & done", timeout_s=2)
        assert "Resource temporarily unavailable" in result.output
        assert small_box.run("cat /dev/null && echo free", timeout_s=5).output == "free\n"

    def test_a_memory_hog_is_killed(self, small_box: Sandbox) -> None:
        result = small_box.run("python -c 'x = bytearray(10**9); print(len(x))'", timeout_s=30)
        assert result.exit_code == 137
        assert small_box.run("echo on").output == "on\n"

    def test_a_shell_that_hogs_memory_is_replaced_or_the_sandbox_lost(self, small_box: Sandbox) -> None:
        try:
            result = small_box.run("x=$(head -c 400000000 /dev/zero | tr '\\0' x); echo ${#x}", timeout_s=60)
            assert result.output != "400000000\n"
            assert small_box.run("echo on").output == "on\n"
        except SandboxLostError:
            pass

    def test_endless_output_is_stopped(self, box: Sandbox) -> None:
        result = box.run("yes", timeout_s=1)
        assert (result.timed_out, result.truncated) == (True, True)
        assert box.run("echo on").output == "on\n"
