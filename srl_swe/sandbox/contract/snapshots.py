"""Snapshots and forks."""

from __future__ import annotations

import secrets

from srl_swe.sandbox.contract.bench import Bench
from srl_swe.sandbox.contract.checks import Group
from srl_swe.sandbox.contract.expectations import expect, expect_below, expect_error, expect_that, says
from srl_swe.sandbox.contract.sessions import begun
from srl_swe.sandbox.protocol import SandboxLimits

checks = Group("snapshots")

# What a snapshot has to keep as it is: command that makes it, command that looks at it.
KEPT = {
    "links": ("ln -s / root; ln -s /etc/passwd file; ln -s ../../../../x up; ln -s no where", "ls -l | cut -d' ' -f9-"),
    "hard links": ("echo 1 > a; ln a b; echo 2 >> b", "cat a; stat -c %h a b"),
    "modes": ("mkdir d; touch a; chmod 4751 a; chmod 1700 d", "stat -c %a a d"),
    "times": ("touch -d 2001-02-03T04:05:06Z a", "stat -c %Y a"),
    "closed folders": (
        "mkdir a; echo 1 > a/b; chmod 000 a/b a; mkdir c; echo 2 > c/d; chmod 500 c",
        "stat -c %a a c; chmod 700 a; stat -c %a a/b; chmod 600 a/b; cat a/b c/d; chmod 000 a/b a",
    ),
    "names": ("touch 'new\nline' ' ' -- -n $'\\xff\\xfe' '*' .hidden", "ls -A | od -c"),
    "empty folders": ("mkdir -p a/b/c", "find . | sort"),
    "FIFOs": ("mkfifo fifo", "stat -c %F fifo"),
    "binary": ("head -c 100000 /dev/urandom > a; md5sum a > sum", "md5sum -c sum"),
    "sparse": ("truncate -s 1M a; echo 1 >> a", "stat -c %s a; md5sum a"),
}


@checks.add()
def a_snapshot_keeps_files_directory_and_exports(bench: Bench) -> None:
    box = bench.worn_box
    folder = box.run("mkdir -p 'a b'; cd 'a b'; echo 1 > file; export V='x\n\"y'\\'; plain=1; pwd").output
    snapshot = bench.snapshot(box)
    box.run("echo 2 > file; cd /; export V=changed")
    for _ in range(2):  # what one sandbox does to it, another does not see
        with bench.open(snapshot) as again:
            says(again, 'pwd; cat file; echo "$V$plain"', f"{folder}1\nx\n\"y'\n")
            again.run("echo 3 > file")
    says(box, 'cat "$OLDPWD/file"', "2\n")


@checks.add(cases=KEPT)
def a_snapshot_keeps_everything_as_it_is(bench: Bench, case: tuple[str, str]) -> None:
    command, look = case
    box = bench.worn_box
    box.run(f"mkdir kept; cd kept; {command}")
    before = box.run(look)
    with bench.open(bench.snapshot(box)) as again:
        says(again, look, before.output)
        expect(again.run(look).exit_code, before.exit_code, "exit code of looking at it")


@checks.add()
def a_snapshot_keeps_changes_of_the_images_own_files(bench: Bench) -> None:
    box = bench.open()
    box.run("cd ~; echo 1 > .profile; rm -f .bashrc .bash_logout")
    with bench.open(bench.snapshot(box)) as again:
        says(again, "cat .profile; ls -A", "1\n.profile\n")


@checks.add()
def a_snapshot_keeps_no_processes(bench: Bench) -> None:
    box = bench.worn_box
    box.run("sleep 4321 & job=$!")
    with bench.open(bench.snapshot(box)) as again:
        says(again, "cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' ' | grep '[4]321'; echo $job", "\n")
    says(box, "kill -0 $job && echo runs", "runs\n")


@checks.add()
def a_snapshot_keeps_the_main_session(bench: Bench) -> None:
    box = bench.open()
    where = box.run("pwd").output
    box.run("cd /usr; export V=other", session="other")
    box.run("cd /etc; export V=main")
    with bench.open(bench.snapshot(box)) as again:
        says(again, "pwd; echo $V", "/etc\nmain\n")
        says(again, "pwd", where, session="other")


@checks.add()
def a_snapshot_keeps_the_state_of_a_shell_that_has_ended(bench: Bench) -> None:
    box = bench.worn_box
    box.run("export V=1; cd /usr; exit 3")
    with bench.open(bench.snapshot(box)) as again:
        says(again, "pwd; echo $V", "/usr\n1\n")


@checks.add()
def a_snapshot_does_not_disturb_what_runs(bench: Bench) -> None:
    box = bench.open()
    running = begun(box, "sleep 2; echo through", "other")
    bench.snapshot(box)
    expect(running().output, "through\n", "output of a command that ran meanwhile")


@checks.add()
def a_snapshot_of_a_snapshot(bench: Bench) -> None:
    with bench.open() as first:
        first.run("cd /tmp; echo 1 > one; export ONE=1")
        parent = bench.snapshot(first)
    with bench.open(parent) as second:
        second.run("echo 2 > two; export TWO=2; mkdir sub; cd sub")
        child = bench.snapshot(second)
    bench.backend.remove_snapshot(parent)
    with bench.open(child) as third:
        says(third, "pwd; cat ../one ../two; echo $ONE $TWO", "/tmp/sub\n1\n2\n1 2\n")


@checks.add()
def what_was_removed_stays_removed(bench: Bench) -> None:
    with bench.open() as first:
        first.run("cd /tmp; mkdir d; echo 1 > d/a; echo 1 > d/b; echo 1 > c")
        parent = bench.snapshot(first)
    with bench.open(parent) as second:
        second.run("rm d/a c; mkdir c; echo 2 > c/new; rm -r d; mkdir d; echo 2 > d/new")
        child = bench.snapshot(second)
    with bench.open(child) as third:
        says(third, "find c d | sort", "c\nc/new\nd\nd/new\n")


@checks.add(limit_s=120)
def a_long_chain_of_snapshots(bench: Bench) -> None:
    snapshot = bench.image
    for k in range(6):
        with bench.open(snapshot) as box:
            box.run(f"cd /tmp; echo {k} > file{k}; export COUNT={k}")
            snapshot = bench.snapshot(box)
    with bench.open(snapshot) as box:
        says(box, "cat file?; echo $COUNT", "0\n1\n2\n3\n4\n5\n5\n")


@checks.add()
def a_snapshot_has_a_size_and_can_be_removed(bench: Bench) -> None:
    box, backend = bench.box, bench.backend
    box.run("head -c 5000000 /dev/urandom > file")
    snapshot = bench.snapshot(box)
    expect_that(backend.snapshot_mb(snapshot) > 4, "a snapshot with 5 MB of new files has more than 4 MiB", snapshot)
    expect(backend.remove_snapshot(snapshot), True, "whether it was removed")
    expect(backend.snapshot_mb(snapshot), 0, "size of a removed snapshot")
    expect(backend.remove_snapshot(snapshot), True, "whether it is gone, when asked again")
    expect_error(lambda: bench.open(snapshot), "opening a removed snapshot")


@checks.add()
def a_snapshot_that_is_in_use_stays(bench: Bench) -> None:
    box, backend = bench.box, bench.backend
    box.run("echo 1 > /tmp/kept")
    snapshot = bench.snapshot(box)
    user = bench.open(snapshot)
    expect(backend.remove_snapshot(snapshot), False, "whether it is gone")
    says(user, "cat /tmp/kept", "1\n")
    user.close()
    expect(backend.remove_snapshot(snapshot), True, "whether it is gone once nobody uses it")
    expect(backend.snapshot_mb(snapshot), 0, "its size then")


@checks.add()
def forks_begin_in_the_same_state_and_are_independent(bench: Bench) -> None:
    origin = bench.worn_box
    folder = origin.run("mkdir here; cd here; echo 0 > file; export V=0; plain=1; pwd").output
    forks = bench.fork(origin, 3)
    expect(len(forks), 3, "number of forks")
    for number, fork in enumerate(forks, start=1):
        says(fork, 'pwd; cat file; echo "$V"', f"{folder}0\n0\n")
        fork.run(f"echo {number} > file; export V={number}; cd /")
    origin.run("echo origin > file")
    for number, fork in enumerate(forks, start=1):
        says(fork, f"cat {folder.strip()}/file; echo $V", f"{number}\n{number}\n")
    says(origin, "cat file; echo $V$plain; pwd", f"origin\n01\n{folder}")


@checks.add()
def a_fork_outlives_its_origin_and_can_be_forked(bench: Bench) -> None:
    origin = bench.open()
    origin.run("cd /tmp; echo 1 > one; export A=1")
    first = bench.fork(origin, 1)[0]
    origin.close()
    first.run("echo 2 > two; export B=2")
    second, third = bench.fork(first, 2)
    first.close()
    second.close()
    says(third, "pwd; cat one two; echo $A$B", "/tmp\n1\n2\n12\n")
    third.close()


@checks.add()
def forks_are_opened_with_the_same_options(bench: Bench) -> None:
    origin = bench.open(stateless=True, limits=SandboxLimits(output_chars=100, open_files=77))
    fork = bench.fork(origin, 1)[0]
    says(fork, "cd /usr; ulimit -n", "77\n")
    expect(fork.run("seq 1000; pwd").output.endswith("/usr\n"), False, "whether a stateless fork keeps its directory")
    expect_below(len(fork.run("seq 1000").output), 200, "characters of output")
    expect(bench.fork(origin, 0), [], "no forks")


@checks.add()
def a_read_only_system_is_writable_where_work_is_done(bench: Bench) -> None:
    usual = bench.open().run("ls -A /testbed ~").output
    box = bench.open(read_only=True)
    says(box, "ls -A /testbed ~", usual)
    name = secrets.token_hex(4)
    says(box, f"for d in /testbed ~ /tmp; do echo 1 > $d/{name} && cat $d/{name}; done", "1\n1\n1\n")
    box.write_file(name, b"2")
    expect(box.read_file(name), b"2", "content")
    says(box, "awk '$2 == \"/\" { print $4 }' /proc/mounts | tail -n 1 | cut -d, -f1", "ro\n")
    expect_error(box.snapshot, "a snapshot of a sandbox with a read-only system")
    expect(box.run("cd /tmp; exit 3").exit_code, 3, "exit code")
    says(box, "pwd", "/tmp\n")
