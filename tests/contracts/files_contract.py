"""What every sandbox backend promises about files and snapshots."""

from __future__ import annotations

import time

import pytest
from contracts.sandbox_boxes import Boxes, OpenBox

from srl_swe.errors import SandboxError
from srl_swe.sandbox import Sandbox, remove_snapshot


class FileContract(Boxes):
    """Files in and out, and snapshots."""

    @pytest.mark.parametrize(
        "data", [b"", b"text\n", bytes(range(256)) * 5, b"x" * 5_000_000], ids=["empty", "text", "bytes", "large"]
    )
    def test_bytes_come_back(self, box: Sandbox, data: bytes) -> None:
        box.write_file("file", data)
        assert box.read_file("file") == data
        assert box.run("stat -c '%U %s' file; id -un").output.split() == [
            *[box.run("id -un").output.strip(), str(len(data))],
            box.run("id -un").output.strip(),
        ]

    @pytest.mark.parametrize(
        "name",
        ["with space", "ünï-漢😀", "it's", '"$x"', "-n", "new\nline", "*", "a/b/c/deep", "./x/../y", "back\\slash"],
    )
    def test_any_name(self, box: Sandbox, name: str) -> None:
        box.run("mkdir -p x")
        box.write_file(name, b"1")
        assert box.read_file(name) == b"1"
        assert box.run(f"cat -- {_quoted(name)}").output == "1"

    def test_paths_start_at_the_working_directory(self, box: Sandbox) -> None:
        where = box.run("mkdir sub; cd sub; pwd").output.strip()
        box.write_file("file", b"1")
        box.write_file("../above", b"2")
        assert box.read_file(f"{where}/file") == b"1"
        assert box.run("cat ../above").output == "2"

    def test_a_file_is_replaced_and_the_shell_can_change_it(self, box: Sandbox) -> None:
        box.write_file("file", b"long content")
        box.write_file("file", b"new")
        assert box.run("echo er >> file; cat file").output == "newer\n"
        assert box.read_file("file") == b"newer\n"

    def test_writing_leaves_the_shell_alone(self, box: Sandbox) -> None:
        box.run("x=1; sh -c 'exit 3'")
        box.write_file("new/file", b"1")
        assert box.run("echo $? $x").output == "3 1\n"

    @pytest.mark.parametrize(
        "name", ["nothing", "folder", "fifo", "loop", "dangling", "folder/", "file/below", "/dev/zero", "/proc/version"]
    )
    def test_what_is_no_file_is_refused_at_once(self, box: Sandbox, name: str) -> None:
        box.run("echo 1 > file; mkdir folder; mkfifo fifo; ln -s loop loop; ln -s nowhere dangling")
        start = time.monotonic()
        with pytest.raises(SandboxError):
            box.read_file(name)
        assert time.monotonic() - start < 5
        assert box.run("echo on").output == "on\n"

    @pytest.mark.parametrize("name", ["folder", "folder/", ".", "file/below", "/proc/new", "/dev/shm/new"])
    def test_what_cannot_be_written_is_refused(self, box: Sandbox, name: str) -> None:
        box.run("echo 1 > file; mkdir folder; echo 2 > folder/kept")
        with pytest.raises(SandboxError):
            box.write_file(name, b"1")
        assert box.run("cat file folder/kept").output == "1\n2\n"

    def test_links_are_read_through(self, box: Sandbox) -> None:
        box.run("mkdir a; echo 1 > a/file; ln -s a/file one; ln -s one two; ln -s a folder; ln -s $PWD/two three")
        assert [box.read_file(name) for name in ("one", "two", "three", "folder/file")] == [b"1\n"] * 4

    def test_links_lead_nowhere_outside(self, box: Sandbox) -> None:
        box.run("ln -s ../../../../../../../../../../etc/hostname up; ln -s /proc/1/root/etc/shadow root")
        assert box.read_file("up").decode() == box.run("cat /etc/hostname").output
        with pytest.raises(SandboxError):
            box.read_file("root")

    def test_a_snapshot_keeps_files_directory_and_variables(self, box: Sandbox, open_box: OpenBox) -> None:
        folder = box.run("mkdir -p 'a b'; cd 'a b'; echo 1 > file; export V='x\n\"y'\\'; plain=1; pwd").output
        image = box.snapshot()
        try:
            box.run("echo 2 > file; cd /; export V=changed")
            for _ in range(2):
                with open_box(image=image) as again:
                    assert again.run('pwd; cat file; echo "$V$plain"').output == f"{folder}1\nx\n\"y'\n"
                    again.run("echo 3 > file")
            assert box.run('cat "$OLDPWD/file"').output == "2\n"
        finally:
            remove_snapshot(image, backend=self.backend)

    def test_a_snapshot_of_a_snapshot(self, open_box: OpenBox) -> None:
        with open_box() as first:
            first.run("cd /tmp; echo 1 > one; export ONE=1")
            parent = first.snapshot()
        with open_box(image=parent) as second:
            second.run("echo 2 > two; export TWO=2; mkdir sub; cd sub")
            child = second.snapshot()
        remove_snapshot(parent, backend=self.backend)
        with open_box(image=child) as third:
            assert third.run("pwd; cat ../one ../two; echo $ONE $TWO").output == "/tmp/sub\n1\n2\n1 2\n"
        remove_snapshot(child, backend=self.backend)
        remove_snapshot(child, backend=self.backend)
        with pytest.raises(SandboxError):
            open_box(image=child)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
