"""The bubblewrap backend, beyond what every backend promises."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from srl_swe.errors import ConfigError, SandboxError, SandboxLostError
from srl_swe.sandbox import SandboxLimits, SandboxSpec
from srl_swe.sandbox.bubblewrap import BubblewrapBackend
from srl_swe.sandbox.bubblewrap.control_groups import ControlGroups, parent_groups
from srl_swe.sandbox.bubblewrap.private_files import remove_tree, size_mb
from srl_swe.sandbox.bubblewrap.roots import find_root, import_root, pack_root
from srl_swe.sandbox.bubblewrap.seccomp import filter_program

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    """A store that the sandbox's user can reach; a test's own temporary folder is closed to others."""
    folder = Path(f"/var/tmp/srl-swe-test-{os.getpid()}")
    yield folder
    left = [name for name in ("boxes", "snapshots") for _ in (folder / name).glob("*")]
    remove_tree(folder)
    assert not left


@pytest.fixture
def backend(store: Path) -> BubblewrapBackend:
    return BubblewrapBackend(store=store)


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.02)


def test_there_are_no_variants() -> None:
    with pytest.raises(ConfigError, match="crun"):
        BubblewrapBackend("crun")


def test_host(backend: BubblewrapBackend) -> None:
    with backend.open(SandboxSpec(image="host")) as box:
        assert box.run("pwd; ls -A; whoami; echo ~").output == "/testbed\nagent\n/home/agent\n"
        assert box.run("echo 1 > file; cat file").output == "1\n"
        assert box.run("command -v submit").exit_code == 0
        assert box.run("touch /x /usr/x /etc/x /var/x").exit_code == 1
        assert box.run("ls -A /root /home /var /sys /mnt 2>/dev/null").output.split() == [
            "/home:", "agent", "/root:", "/sys:", "/var:", "tmp",
        ]  # fmt: skip


def test_host_folder(backend: BubblewrapBackend, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n")
    (tmp_path / "out").symlink_to("/etc/shadow")
    with backend.open(SandboxSpec(image=f"host:{tmp_path}")) as box:
        assert box.run("cat a; echo 2 > a; stat -c %U a; readlink out").output == "1\nagent\n/etc/shadow\n"
        again = box.fork(1)[0]
    assert again.run("cat a").output == "2\n"
    again.close()
    assert (tmp_path / "a").read_text() == "1\n"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("host:/nope", "/nope"),
        ("bubblewrap-snapshot:../../etc", "no snapshot"),
        ("bubblewrap-snapshot:nope", "no snapshot"),
        ("srl-swe/no:no", "no root file system of the image 'srl-swe/no:no'"),
    ],
)
def test_what_is_not_there(backend: BubblewrapBackend, image: str, message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        backend.open(SandboxSpec(image=image))


def test_users(backend: BubblewrapBackend) -> None:
    for user in ("root", "nobody-here"):
        with pytest.raises(SandboxError, match=user):
            backend.open(SandboxSpec(image="host", user=user))


def test_the_system_calls_that_are_refused(backend: BubblewrapBackend) -> None:
    program = textwrap.dedent(
        """
        import ctypes, errno, os, platform, socket
        libc = ctypes.CDLL(None, use_errno=True)
        arm = platform.machine() == "aarch64"
        def call(name, *numbers):
            result = libc.syscall(numbers[arm], *[0] * 6)
            print(name, result, errno.errorcode.get(ctypes.get_errno()))
        call("mount", 165, 40); call("unshare", 272, 97); call("keyctl", 250, 219); call("bpf", 321, 280)
        call("io_uring_setup", 425, 425); call("clone3", 435, 435); call("open_by_handle_at", 304, 265)
        libc.clone.restype = int
        print("clone", libc.syscall((56, 220)[arm], 0x10000000 | 17, 0, 0, 0, 0), ctypes.get_errno())
        for family in (40, 38):
            try: socket.socket(family, socket.SOCK_STREAM)
            except OSError as error: print(errno.errorcode[error.errno])
        import fcntl
        try: fcntl.ioctl(0, 0x5412, b"x")
        except OSError as error: print(errno.errorcode[error.errno])
        """
    )
    with backend.open(SandboxSpec(image="host")) as box:
        box.write_file("calls.py", program.encode())
        got = box.run("python3 calls.py").output.split("\n")
    names = ["mount", "unshare", "keyctl", "bpf", "io_uring_setup", "clone3", "open_by_handle_at"]
    assert got[:7] == [f"{name} -1 {'ENOSYS' if name == 'clone3' else 'EPERM'}" for name in names]
    assert got[7:-1] == ["clone -1 1", "EAFNOSUPPORT", "EAFNOSUPPORT", "EPERM"]


def test_filters() -> None:
    for machine in ("x86_64", "aarch64"):
        program = filter_program(machine)
        assert program is not None
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096
    assert filter_program("riscv64") is None


def test_nothing_is_left(backend: BubblewrapBackend, store: Path) -> None:
    with backend.open(SandboxSpec(image="host")) as box:
        # Folders that may not be entered, and some deeper than any path.
        box.run("mkdir -p a/b; touch a/b/c; chmod 000 a/b a; chmod 500 .")
        box.run("(setsid sleep 1000 &)")
        place = next((store / "boxes").iterdir())
        groups = [group / f"srl-swe-{place.name.partition('@')[0]}" for group in parent_groups().values()]
        snapshot = box.snapshot()
        with backend.open(SandboxSpec(image=snapshot)) as again:
            assert again.run("stat -c %a /testbed /testbed/a").output == "500\n0\n"
        box.run("cd /tmp; for i in $(seq 60); do mkdir $(printf %0200d 0); cd $(printf %0200d 0); done; cd /")
        with box.fork(1)[0] as deep:
            assert deep.run("cd /tmp; while cd 0* 2>/dev/null; do ((depth++)); done; echo $depth").output == "60\n"
    assert backend.remove_snapshot(snapshot)
    assert not list((store / "boxes").iterdir())
    assert not any(group.exists() for group in groups)
    box.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_runs_after_the_owners_death(backend: BubblewrapBackend, store: Path, how: signal.Signals) -> None:
    program = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        from srl_swe.sandbox import SandboxSpec
        from srl_swe.sandbox.bubblewrap import BubblewrapBackend
        box = BubblewrapBackend(store=Path({str(store)!r})).open(SandboxSpec(image="host"))
        box.snapshot()
        print(box.enclosure._launched.first, flush=True)
        box.run("trap '' TERM HUP; setsid sleep 1000", timeout_s=1000)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        first = int(owner.stdout.readline())
        time.sleep(0.3)
        owner.send_signal(how)
    _wait_for_end(first)
    assert backend.sweep() >= 2
    assert not list((store / "boxes").iterdir())
    assert not list((store / "snapshots").iterdir())


def test_a_sandbox_outlives_the_thread_that_opened_it(backend: BubblewrapBackend) -> None:
    boxes = []
    thread = threading.Thread(target=lambda: boxes.append(backend.open(SandboxSpec(image="host"))))
    thread.start()
    thread.join()
    time.sleep(0.2)
    with boxes[0] as box:
        assert box.run("echo on").output == "on\n"


def test_the_loss_of_the_first_process_is_reported(backend: BubblewrapBackend) -> None:
    with backend.open(SandboxSpec(image="host")) as box:
        first = box.enclosure._launched.first  # type: ignore[attr-defined]
        os.kill(first, signal.SIGKILL)
        _wait_for_end(first)
        with pytest.raises(SandboxLostError, match="first process"):
            box.run("true")


def test_what_is_removed_and_still_open_counts(backend: BubblewrapBackend) -> None:
    with backend.open(SandboxSpec(image="host", limits=SandboxLimits(disk_mb=20))) as box:
        before = box.enclosure.written_mb()
        box.run("exec 7>big; rm big; head -c 10000000 /dev/zero >&7")
        after = box.enclosure.written_mb()
        assert before is not None
        assert after is not None
        assert 9 < after - before < 11


def test_size_of_what_is_nested_too_deep(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(200):
        folder /= "d"
    folder.mkdir(parents=True)
    assert size_mb(tmp_path) == float("inf")


def _archive(path: Path, *members: tuple[str, bytes, str]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = content
                tar.addfile(member)
            else:
                member.mode = 0o4755
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content.encode()))
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("../out", tarfile.REGTYPE, "x")],
        [("a/../../out", tarfile.REGTYPE, "x")],
        [("link", tarfile.SYMTYPE, "/"), ("link/out", tarfile.REGTYPE, "x")],
        [("link", tarfile.SYMTYPE, ".."), ("link/out", tarfile.REGTYPE, "x")],
        [("hard", tarfile.LNKTYPE, "../../../../../../../../../../etc/passwd")],
    ],
)
def test_an_archive_cannot_lead_out(store: Path, tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    with pytest.raises(SandboxError, match="archive"):
        import_root(_archive(tmp_path / "a.tar", *members), "hostile", store)
    assert not list((store / "roots").glob("*.partial"))


def test_an_archive_without_dangers(store: Path, tmp_path: Path) -> None:
    archive = _archive(
        tmp_path / "a.tar",
        ("program", tarfile.REGTYPE, "x"),
        ("/absolute", tarfile.REGTYPE, "x"),
        ("device", tarfile.BLKTYPE, ""),
        ("etc/link", tarfile.SYMTYPE, "/etc/shadow"),
        ("again", tarfile.LNKTYPE, "program"),
    )
    folder = import_root(archive, "harmless", store)
    assert (folder / "program").stat().st_mode & 0o7777 == 0o755
    assert (folder / "absolute").read_text() == "x"
    assert not (folder / "device").exists()
    assert (folder / "etc/link").readlink() == Path("/etc/shadow")
    assert (folder / "program").samefile(folder / "again")
    assert "localhost" in (folder / "etc/hosts").read_text()


@pytest.mark.docker
def test_an_image_is_carried_to_a_machine_without_an_engine(
    tiny_image: str, store: Path, backend: BubblewrapBackend, tmp_path: Path
) -> None:
    pack_root(tiny_image, tmp_path / "root.tar", store)
    import_root(tmp_path / "root.tar", "carried", store)
    assert dict(find_root("carried", store).environment)["PATH"].startswith("/opt/venv/bin")
    with backend.open(SandboxSpec(image="carried")) as box:
        assert box.run("python -m pytest -q test_adder.py 2>&1 | tail -n 1").output.startswith("1 failed, 1 passed")
        assert box.run("git status --short").output == ""


def test_control_groups_of_the_second_version(tmp_path: Path) -> None:
    """A tree of files stands for a kernel that has them: which are written to, and with what."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/user/app\n")
    tree = tmp_path / "tree"
    (tree / "user/app").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text(f"cgroup2 {tree} cgroup2 rw,nosuid 0 0\n")
    for folder, offered, handed_on in (
        ("", "cpu memory pids", "cpu memory pids"),
        ("user", "memory pids", "memory pids"),
    ):
        (tree / folder / "cgroup.controllers").write_text(offered)
        (tree / folder / "cgroup.subtree_control").write_text(handed_on)
        (tree / folder / "cgroup.procs").write_text("")
    parents = parent_groups(tmp_path / "proc")
    assert parents["memory"] == tree / "user"
    groups = ControlGroups("x", SandboxLimits(memory_mb=10, processes=5, cpus=0.5), parents)
    (folder,) = groups.folders
    assert (folder / "memory.max").read_text() == str(10 << 20)
