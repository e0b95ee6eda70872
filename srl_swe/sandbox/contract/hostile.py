"""Commands that attack the sandbox: it goes on, or says that it is lost; its neighbours notice nothing."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from srl_swe.sandbox.contract.bench import Bench
from srl_swe.sandbox.contract.checks import Group
from srl_swe.sandbox.contract.expectations import answers, expect, expect_below, expect_that, run_after, says
from srl_swe.sandbox.protocol import TIMEOUT_EXIT_CODE

checks = Group("hostile", watched=True)

# Each of them fails.
NOT_ALLOWED = {
    "mount": "mount -t tmpfs none /mnt",
    "bind mount": "mount --bind /tmp /usr",
    "remount": "mount -o remount,rw /proc/sys",
    "umount": "umount /proc",
    "device node": "mknod /tmp/disk b 8 0",
    "the memory device": "head -c 1 /dev/mem",
    "a disk": "cat /dev/sda || cat /dev/vda || cat /dev/nvme0n1",
    "the kernel's log": "cat /dev/kmsg",
    "kernel settings": "echo 1 > /proc/sys/kernel/panic",
    "settings of the network": "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "where cores go": "echo '|/tmp/x' > /proc/sys/kernel/core_pattern",
    "the kernel's switch": "echo b > /proc/sysrq-trigger",
    "kernel profiling": "echo 1 > /sys/kernel/profiling",
    "control groups": "echo max > /sys/fs/cgroup/pids/pids.max || echo max > /sys/fs/cgroup/pids.max",
    "a control group of its own": "mkdir /sys/fs/cgroup/x || mkdir /sys/fs/cgroup/memory/x",
    "a way out of the memory killer": "echo -1000 > /proc/self/oom_score_adj",
    "a user namespace": "unshare -r true",
    "a mount namespace": "unshare -m true",
    "another's namespaces": "nsenter -t 1 -a true",
    "another user": "su -c true",
    "chroot": "chroot / true",
    "chown": "touch file && chown root file",
    "the system's programs": "touch /usr/bin/mine",
    "the system's users": "echo x::0:0::/:/bin/sh >> /etc/passwd",
    "the system's passwords": "cat /etc/shadow",
    "through the first process's root": "cat /proc/1/root/etc/shadow",
    "host name": "hostname elsewhere",
    "clock": "date -s 2001-01-01",
    "more open files": "ulimit -Hn 1000000",
    "another limit of open files": "ulimit -Sn $(($(ulimit -Hn) + 1))",
    "larger cores": "ulimit -c 1000",
    "real-time priority": "chrt -f 50 true",
    "modules": "insmod /tmp/x.ko || modprobe loop",
    "raw sockets": "python -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'",
    "packets": "python -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
    "priority": "python -c 'import os; os.nice(-5)'",
    "root by setuid": "python -c 'import os; os.setuid(0)'",
}

# Each of them may fail, or do nothing, or cost the sandbox its life.
WITHOUT_EFFECT = {
    "kill the first process": "kill -9 1",
    "kill everything": "kill -9 -1",
    "stop everything": "kill -STOP -1",
    "terminate everything": "kill -TERM -1; kill -HUP -1; kill -INT -1; kill -USR1 -1",
    "kill the group": "kill -9 0",
    "the first process's memory": "head -c 1 /proc/1/mem",
    "write the first process's memory": "echo x > /proc/1/mem",
    "the first process's descriptors": "ls -l /proc/1/fd; for f in /proc/1/fd/*; do echo x > $f; done",
    "the first process's folder": "ls /proc/1/root/ /proc/1/cwd/",
    "remove everything": "rm -rf --no-preserve-root / 2>/dev/null",
    "hide the programs": "mv ~ ~x; rm -rf /tmp/* /var/tmp/*; chmod 000 ~ .",
    "write all of /proc": "for f in $(find /proc -maxdepth 2 -writable -type f 2>/dev/null); do echo 1 > $f; done",
    "write all of /sys": "for f in $(find /sys -writable -type f 2>/dev/null); do echo 1 > $f; done",
    "read all of /proc": "timeout 5 cat $(find /proc -maxdepth 2 -type f 2>/dev/null) | head -c 100000000 | wc -c",
}

# Python programs; each prints "refused", or leaves the sandbox to be asked.
PROGRAMS = {
    "ptrace of the first process": "import ctypes; print(ctypes.CDLL(None).ptrace(16, 1, 0, 0))",
    "a debugger for the shell": "import ctypes, os; print(ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0))",
    "io_uring": "import ctypes; print(ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(120)))",
    "bpf": "import ctypes; print(ctypes.CDLL(None).syscall(321, 0, ctypes.create_string_buffer(120), 120))",
    "userfaultfd": "import ctypes; print(ctypes.CDLL(None).syscall(323, 0))",
    "many keys": "import ctypes\nl = ctypes.CDLL(None)\n"
    "for i in range(1000): l.syscall(248, b'user', b'k%d' % i, b'x', 1, -4)",
    "many sockets": "import socket\nall = []\ntry:\n  while True: all.append(socket.socketpair())\n"
    "except OSError as e: print(e)",
    "many files": "all = []\ntry:\n  while True: all.append(open('/dev/null'))\nexcept OSError as e: print(e)",
    "many timers": "import ctypes\nl = ctypes.CDLL(None)\nfor i in range(10000): l.timerfd_create(0, 0)",
}

ESCAPES = {
    "archive": "tar -cPf a.tar --transform=s,^,../../../../../../../../tmp/, {name}; tar -xPf a.tar",
    "link": "ln -s ../../../../../../../../../tmp up; cp {name} up/",
    "through the first process": "cp {name} /proc/1/root/tmp/; cp {name} /proc/1/cwd/tmp/",
    "through its own root": "cp {name} /proc/self/root/../../../tmp/",
}


@checks.add()
def there_is_no_network(bench: Bench) -> None:
    names = bench.box.run("sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' '").output.split()
    expect_that(set(names) <= {"lo"}, "there is no interface but lo", names)


@checks.add(
    cases=["socket.AF_INET, '192.0.2.1'", "socket.AF_INET6, '2001:db8::1'", "socket.AF_INET, '169.254.169.254'"]
)
def no_address_is_reached(bench: Bench, place: str) -> None:
    bench.need("python")
    family, address = place.split(", ")
    connect = f"import socket; s = socket.socket({family}); s.settimeout(3); s.connect(({address}, 80))"
    result = bench.box.run(f'python -c "{connect}"', timeout_s=20)
    expect_that("nreachable" in result.output or "annot assign" in result.output, "it is unreachable", result.output)


@checks.add()
def there_are_no_privileges(bench: Bench) -> None:
    status = dict(re.findall(r"(\w+):\s+(.*)", bench.box.run("cat /proc/self/status").output))
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        expect(int(status[name], 16), 0, name)
    expect(status["NoNewPrivs"], "1", "NoNewPrivs")
    expect(bench.box.run("id -u").output == "0\n", False, "whether commands run as root")


@checks.add(cases=NOT_ALLOWED)
def what_is_not_allowed_fails(bench: Bench, command: str) -> None:
    if command.startswith("python"):
        bench.need("python")
    box = bench.box
    result = box.run(command, timeout_s=20)
    expect_that(result.exit_code not in (0, TIMEOUT_EXIT_CODE), f"{command!r} fails", result)
    answers(box)


@checks.add(cases=WITHOUT_EFFECT)
def what_attacks_the_sandbox_is_survived_or_its_loss_reported(bench: Bench, command: str) -> None:
    box = bench.open()
    with bench.survival_or_loss():
        box.run(command, timeout_s=20)
        answers(box)
        result = run_after(box, "ls /usr/bin/env /etc/passwd /bin/sh", timeout_s=30)
        expect(result.output, "/bin/sh\n/etc/passwd\n/usr/bin/env\n", "output of `ls` of the system's files")


@checks.add(cases=PROGRAMS)
def a_hostile_program_is_survived_or_its_loss_reported(bench: Bench, program: str) -> None:
    bench.need("python")
    box = bench.open()
    box.write_file("/tmp/hostile.py", program.encode())
    with bench.survival_or_loss():
        box.run("python /tmp/hostile.py", timeout_s=6)
        answers(box)


@checks.add(cases=ESCAPES)
def nothing_lands_on_the_host(bench: Bench, command: str) -> None:
    box, name = bench.box, f"srl-swe-{secrets.token_hex(8)}"
    box.run(f"echo 1 > {name}; {command.format(name=name)}", timeout_s=20)
    expect(Path("/tmp", name).exists(), False, "whether the host's /tmp has it")
    says(bench.sibling, f"ls /tmp/{name} 2>/dev/null", "")


@checks.add()
def the_fork_bomb_is_stopped_by_the_time_limit(bench: Bench) -> None:
    box = bench.small_box
    box.run(":(){ :|:& };:; sleep 60", timeout_s=2)
    result = box.run("echo back", timeout_s=20)
    expect_that(result.output.endswith("back\n"), "the output ends with 'back'", result.output)
    box.run("sleep 60", timeout_s=0.5)  # kills what may be left
    says(box, "cat /dev/null && echo free", "free\n", timeout_s=5)


@checks.add()
def a_sibling_answers_while_the_fork_bomb_goes_off(bench: Bench) -> None:
    box = bench.small_box
    box.run("bomb() { bomb | bomb & }; (sleep 0.5; bomb) & ", timeout_s=5)
    for _ in range(20):
        result = bench.sibling.run("cat /dev/null && echo on", timeout_s=20)
        expect(result.output, "on\n", "output of the sibling")
        expect_below(result.seconds, 5, "seconds that the sibling took")


@checks.add()
def processes_are_limited(bench: Bench) -> None:
    box = bench.small_box
    result = box.run("for i in $(seq 200); do sleep 30 & done", timeout_s=2)
    expect_that("Resource temporarily unavailable" in result.output, "fork is refused", result.output)
    says(box, "cat /dev/null && echo free", "free\n", timeout_s=5)


@checks.add()
def threads_are_limited(bench: Bench) -> None:
    bench.need("python")
    box = bench.small_box
    program = "import threading, time\nfor i in range(200): threading.Thread(target=time.sleep, args=(30,)).start()"
    result = box.run(f'python -c "{program}"', timeout_s=5)
    expect_that("can't start new thread" in result.output, "a thread is refused", result.output)
    says(box, "cat /dev/null && echo free", "free\n", timeout_s=5)
