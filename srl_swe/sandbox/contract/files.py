"""Files in and out, as the sandbox's user."""

from __future__ import annotations

import posixpath
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from srl_swe.sandbox.contract.bench import Bench
from srl_swe.sandbox.contract.checks import Group
from srl_swe.sandbox.contract.expectations import answers, expect, expect_below, expect_error, expect_that, says

checks = Group("files")

CONTENTS = {"empty": b"", "text": b"text\n", "bytes": bytes(range(256)) * 5, "large": b"x" * 5_000_000}

NAMES = {
    "with space": "with space",
    "unicode": "ünï-漢😀",
    "single quote": "it's",
    "double quote": '"$x"',
    "option": "-n",
    "newline": "new\nline",
    "newline at the end": "new\n",
    "star": "*",
    "deep": "a/b/c/deep",
    "dots": "./x/../y",
    "backslash": "back\\slash",
    "tilde": "~",
    "longest": "n" * 255,
}

# What lies there, as a shell command, and the path.
NO_FILE = {
    "nothing": (":", "nothing"),
    "folder": ("mkdir folder", "folder"),
    "folder with a slash": ("mkdir folder", "folder/"),
    "FIFO": ("mkfifo fifo", "fifo"),
    "link to a FIFO": ("mkfifo fifo; ln -s fifo link", "link"),
    "loop of links": ("ln -s loop loop", "loop"),
    "link to nothing": ("ln -s nowhere dangling", "dangling"),
    "below a file": ("echo 1 > file", "file/below"),
    "below a FIFO": ("mkfifo fifo", "fifo/below"),
    "socket": ("python -c \"import socket; socket.socket(socket.AF_UNIX).bind('socket')\"", "socket"),
    "device": (":", "/dev/zero"),
    "link to a device": ("ln -s /dev/zero zero", "zero"),
    "the kernel's": (":", "/proc/version"),
    "link to the kernel's": ("ln -s /proc/self/environ environ", "environ"),
    "link to a folder of the kernel's": ("ln -s /proc proc", "proc/self/environ"),
    "terminal": (":", "/dev/stdin"),
    "huge": ("truncate -s 5G huge", "huge"),
    "no permission": ("echo 1 > mine; chmod 000 mine", "mine"),
    "in a closed folder": ("mkdir closed; echo 1 > closed/file; chmod 000 closed", "closed/file"),
    "root's": (":", "/etc/shadow"),
    "link to root's": ("ln -s /etc/shadow shadow", "shadow"),
    "through another's root": ("ln -s /proc/1/root/etc/shadow root", "root"),
    "empty": (":", ""),
    "NUL": (":", "a\0b"),
}

NOT_WRITABLE = {
    "folder": ("mkdir folder", "folder"),
    "folder with a slash": ("mkdir folder", "folder/"),
    "here": (":", "."),
    "below a file": ("echo 1 > file", "file/below"),
    "below a FIFO": ("mkfifo fifo", "fifo/below"),
    "in a closed folder": ("mkdir closed; chmod 500 closed", "closed/file"),
    "system file": (":", "/etc/passwd"),
    "program": (":", "/usr/bin/mine"),
    "root": (":", "/mine"),
    "folder of the kernel's": (":", "/proc/new"),
    "devices": (":", "/dev/shm/new"),
    "link to a folder of the kernel's": ("ln -s /proc/self link", "link/comm"),
    "link to a folder of devices": ("ln -s /dev/shm link", "link/new"),
    "link to a system folder": ("ln -s /etc link", "link/new"),
    "name too long": (":", "n" * 256),
    "empty": (":", ""),
    "NUL": (":", "a\0b"),
}

# What may lie where a file is written: it is replaced, and what it points to stays as it was.
REPLACED = {
    "link to a file": "echo kept > target; ln -s target name",
    "link to a system file": "ln -s /etc/passwd name",
    "link to nothing": "ln -s made-by-the-link name",
    "link to a folder of devices": "ln -s /dev/null name",
    "loop of links": "ln -s name name",
    "FIFO": "mkfifo name",
    "hard link": "echo kept > target; ln target name",
    "no permission": "echo 1 > name; chmod 000 name",
}


def at_once(use: Callable[[], object], what: str) -> None:
    """Fail unless it is refused, and soon."""
    start = time.monotonic()
    expect_error(use, what)
    expect_below(time.monotonic() - start, 10, f"seconds until {what} was refused")


@checks.add(cases=CONTENTS)
def bytes_come_back(bench: Bench, data: bytes) -> None:
    box = bench.box
    box.write_file("file", data)
    expect(box.read_file("file") == data, True, "whether what was written is read")
    says(box, "stat -c %s file; [ -O file ] && echo mine", f"{len(data)}\nmine\n")


@checks.add(cases=NAMES)
def any_name(bench: Bench, name: str) -> None:
    box = bench.box
    box.run("mkdir -p x")
    box.write_file(name, b"1")
    expect(box.read_file(name), b"1", "content")
    says(box, f"cat -- {_quoted(name)}", "1")


@checks.add()
def paths_start_at_the_main_sessions_directory(bench: Bench) -> None:
    box = bench.box
    where = box.run("mkdir sub; cd sub; pwd").output.strip()
    box.run("cd /", session="other")
    box.write_file("file", b"1")
    box.write_file("../above", b"2")
    expect(box.read_file(f"{where}/file"), b"1", "content by the absolute path")
    says(box, "cat ../above", "2")


@checks.add()
def a_file_is_replaced_and_the_shell_can_change_it(bench: Bench) -> None:
    box = bench.box
    box.write_file("file", b"long content")
    box.write_file("file", b"new")
    says(box, "echo er >> file; cat file", "newer\n")
    expect(box.read_file("file"), b"newer\n", "content")


@checks.add()
def a_file_keeps_its_mode(bench: Bench) -> None:
    box = bench.box
    box.run("echo 1 > program; chmod 751 program; echo 1 > private; chmod 600 private")
    box.write_file("program", b"2")
    box.write_file("private", b"2")
    says(box, "stat -c %a program private; cat program private", "751\n600\n22")


@checks.add()
def nothing_else_is_left_beside_it(bench: Bench) -> None:
    box = bench.box
    box.run("mkdir folder")
    box.write_file("file", b"1")
    expect_error(lambda: box.write_file("folder", b"1"), "writing a folder")
    says(box, "ls -A", "file\nfolder\n")


@checks.add()
def using_files_leaves_the_shell_alone(bench: Bench) -> None:
    box = bench.worn_box
    box.run("x=1; cat() { echo mine; }; alias head=false; sh -c 'exit 3'")
    box.write_file("new/file", b"1")
    says(box, "echo $? $x", "3 1\n")
    expect(box.read_file("new/file"), b"1", "content")


@checks.add()
def what_the_shell_calls_cat_is_of_no_matter(bench: Bench) -> None:
    box = bench.worn_box
    box.run("mkdir bin; for p in cat head stat mv mktemp bash sh; do printf '#!/bin/true\\n' > bin/$p; done")
    box.run("chmod +x bin/*; export PATH=$PWD/bin BASH_ENV=$PWD/bin/cat; exit 0")
    box.write_file("file", b"1")
    expect(box.read_file("file"), b"1", "content")


@checks.add(cases=NO_FILE)
def what_is_no_file_of_the_users_is_refused_at_once(bench: Bench, case: tuple[str, str]) -> None:
    command, path = case
    if command.startswith("python"):
        bench.need("python")
    box = bench.box
    box.run(command)
    at_once(lambda: box.read_file(path), f"reading {path!r}")
    answers(box)


@checks.add(cases=NOT_WRITABLE)
def what_the_user_may_not_write_is_refused_at_once(bench: Bench, case: tuple[str, str]) -> None:
    command, path = case
    box = bench.box
    look = "ls -lAR .; md5sum /etc/passwd; ls -A /dev/shm /etc | md5sum"
    box.run(command)
    before = box.run(look).output
    at_once(lambda: box.write_file(path, b"1"), f"writing {path[:100]!r}")
    says(box, look, before)


@checks.add(cases=REPLACED)
def a_trap_is_replaced_and_not_followed(bench: Bench, command: str) -> None:
    box = bench.box
    box.run(command)
    look = "cat target 2>/dev/null; md5sum /etc/passwd; stat -c %F /dev/null; ls made-by-the-link 2>&1"
    before = box.run(look).output
    start = time.monotonic()
    box.write_file("name", b"new")
    expect_below(time.monotonic() - start, 10, "seconds")
    says(box, "stat -c %F name; chmod 600 name; cat name", "regular file\nnew")
    says(box, look, before)


@checks.add()
def links_are_read_through(bench: Bench) -> None:
    box = bench.box
    box.run("mkdir a; echo 1 > a/file; ln -s a/file one; ln -s one two; ln -s a folder; ln -s $PWD/two three")
    got = [box.read_file(name) for name in ("one", "two", "three", "folder/file")]
    expect(got, [b"1\n"] * 4, "contents")


@checks.add()
def a_link_to_a_folder_is_written_through(bench: Bench) -> None:
    box = bench.box
    box.run("mkdir a; ln -s a folder")
    box.write_file("folder/file", b"1")
    says(box, "cat a/file; stat -c %F folder", "1symbolic link\n")


@checks.add()
def reading_climbs_no_higher_than_the_sandbox(bench: Bench) -> None:
    box = bench.box
    box.run("ln -s ../../../../../../../../../../etc/hostname up")
    inside = box.run("cat /etc/hostname").output
    expect(box.read_file("up").decode(), inside, "content of a link that climbs")
    climbing = posixpath.join(*[".."] * 20, "etc/hostname")
    expect(box.read_file(climbing).decode(), inside, "content by a path that climbs")


@checks.add()
def writing_climbs_no_higher_than_the_sandbox(bench: Bench) -> None:
    box, name = bench.box, f"srl-swe-{secrets.token_hex(8)}"
    box.write_file(posixpath.join(*[".."] * 20, "tmp", name), b"1")
    says(box, f"cat /tmp/{name}", "1")
    expect(Path("/tmp", name).exists(), False, "whether the host's /tmp has it")


@checks.add()
def a_file_that_grows_is_no_trap(bench: Bench) -> None:
    box = bench.box
    # At some megabytes a second: it must not have become too large before it is read. Disowned: else the shell tells of
    # its death in the output of some later command.
    job = box.run("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done >growing & echo $!; disown").output.strip()
    start = time.monotonic()
    content = box.read_file("growing")
    box.run(f"kill -9 {job}")
    expect_below(time.monotonic() - start, 30, "seconds")
    expect_that(set(content) <= {ord("y"), ord("\n")}, "it holds what is in the file", content[:100])


@checks.add()
def a_file_that_is_exchanged_for_a_trap_is_no_trap(bench: Bench) -> None:
    """Between the look and the reading: the answer is the file, or an error, and comes at once."""
    box = bench.box
    box.run("echo 1 > file; mkfifo fifo; ln -s fifo bad; ln -s file good")
    job = box.run(
        "while :; do cp -P bad new; mv -T new name; cp -P good new; mv -T new name; done & echo $!; disown"
    ).output
    start = time.monotonic()
    for _ in range(20):
        try:
            expect(box.read_file("name"), b"1\n", "content")
        except Exception as error:
            expect(type(error).__name__, "SandboxError", "kind of error")
    box.run(f"kill -9 {job}")
    expect_below(time.monotonic() - start, 40, "seconds that 20 readings took")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
