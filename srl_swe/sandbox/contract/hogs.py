"""Commands that take all they can get of memory and disk, and what two sandboxes might share."""

from __future__ import annotations

from srl_swe.sandbox.contract.bench import Bench
from srl_swe.sandbox.contract.checks import Group
from srl_swe.sandbox.contract.expectations import answers, expect, expect_below, expect_that, says
from srl_swe.sandbox.protocol import KILLED_EXIT_CODE, SandboxLimits

checks = Group("hogs", watched=True)

MEMORY = {
    "shell variable": "x=$(head -c 400000000 /dev/zero | tr '\\0' x); echo ${#x}",
    "many processes": "for i in {1..8}; do (x=$(head -c 60000000 /dev/zero | tr '\\0' x); sleep 3) & done; wait",
    "shared memory": "head -c 400000000 /dev/zero > /dev/shm/x; ls -l /dev/shm/x",
    "temporary files": "head -c 400000000 /dev/zero > /tmp/x; ls -l /tmp/x",
    "array": "while :; do list+=(xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{1..10000}); done",
    "recursion": "f() { f; }; f",
}

# Ways in which two sandboxes might meet: what one does, what the other tries, and what it must not say.
MEETINGS = {
    "abstract socket": (
        "python -c \"import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('\\0meet'); s.listen(); "
        'time.sleep(100)" &',
        "python -c \"import socket; socket.socket(socket.AF_UNIX).connect('\\0meet'); print('met')\" 2>&1 | tail -n 1",
        "met",
    ),
    "TCP port": (
        "python -c \"import socket, time; s = socket.create_server(('127.0.0.1', 7654)); time.sleep(100)\" &",
        "python -c \"import socket; socket.create_connection(('127.0.0.1', 7654), 3); print('met')\" 2>&1 | tail -n 1",
        "met",
    ),
    "System V shared memory": ("ipcmk -M 4096", "ipcs -m | grep -c 4096", "1"),
    "POSIX shared memory": ("echo met > /dev/shm/meet", "cat /dev/shm/meet 2>/dev/null", "met"),
    "processes": (
        "exec -a meeting-place sleep 100 &",
        "cat /proc/*/comm /proc/*/cmdline | tr '\\0' ' '",
        "meeting-place",
    ),
    "keys": (
        "python -c \"import ctypes; print(ctypes.CDLL(None).syscall(248, b'user', b'meet', b'met', 3, -4))\"",
        "python -c \"import ctypes; print('met' if ctypes.CDLL(None).syscall(250, 10, -4, b'user', b'meet', 0) > 0 "
        'else 0)"',
        "met",
    ),
    "temporary files": ("echo met > /tmp/meet; echo met > /var/tmp/meet", "cat /tmp/meet /var/tmp/meet", "met"),
}


@checks.add()
def a_memory_hog_is_killed(bench: Bench) -> None:
    bench.need("python")
    box = bench.small_box
    result = box.run("python -c 'x = bytearray(10**9); print(len(x))'", timeout_s=30)
    expect(result.exit_code, KILLED_EXIT_CODE, "exit code")
    answers(box)


@checks.add(cases=MEMORY)
def a_hog_is_killed_or_the_sandbox_lost(bench: Bench, command: str) -> None:
    box = bench.small_box
    with bench.survival_or_loss():
        result = box.run(command, timeout_s=20)
        expect(result.output == "400000000\n", False, "whether it got twice its memory")
        box.run("rm -f /dev/shm/x /tmp/x", timeout_s=20)
        answers(box)


@checks.add()
def swap_is_not_granted_on_top(bench: Bench) -> None:
    bench.need("python")
    box = bench.small_box
    result = box.run("python -c 'x = bytearray(b\"x\") * (250 << 20); print(len(x))'", timeout_s=30)
    expect(result.exit_code, KILLED_EXIT_CODE, "exit code of a program that takes 250 MiB of 200")
    answers(box)


@checks.add()
def one_large_file_is_stopped(bench: Bench) -> None:
    box = bench.open(limits=SandboxLimits(disk_mb=50))
    box.run("head -c 300000000 /dev/zero > big; sleep 6", timeout_s=60)
    size = int(box.run("stat -c %s big").output)
    expect_that(size <= 60 << 20, "no more than 60 MiB are written of 300 MB where 50 are granted", size)
    box.run("rm -f big")
    answers(box)


@checks.add()
def many_files_are_stopped(bench: Bench) -> None:
    """Where no quota can be set, the writer is killed soon after it went beyond: not exactly at the limit."""
    box = bench.open(limits=SandboxLimits(disk_mb=50))
    loop = "for i in $(seq 400); do head -c 10000000 /dev/zero > f$i || exit 1; sleep 0.1; done; sleep 10; echo all"
    result = box.run(loop, timeout_s=50)
    expect_that("all" not in result.output and result.exit_code != 0, "the loop does not come to its end", result)
    expect_that(not result.timed_out, "it is stopped before the time limit", result)
    written = int(box.run("du -sm . | cut -f1").output)
    expect_below(written, 3000, "MiB that were written")
    box.run("rm -f f*")
    answers(box)
    says(box, "head -c 10000000 /dev/zero > small; sleep 5; stat -c %s small", "10000000\n")


@checks.add(cases=MEETINGS)
def two_sandboxes_do_not_meet(bench: Bench, case: tuple[str, str, str]) -> None:
    one, other, secret = case
    if one.startswith("python"):
        bench.need("python")
    box = bench.open()
    box.run(f"{one}\nsleep 0.5", timeout_s=20)
    met = bench.sibling.run(other, timeout_s=20).output
    expect_that(secret not in met.split(), "one finds nothing of the other's", met)
