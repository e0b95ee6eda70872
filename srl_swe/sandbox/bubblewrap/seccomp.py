"""The system calls that a sandbox of the ``bubblewrap`` backend may not make, as a filter for ``bwrap --seccomp``.

What is refused is what Docker's default profile refuses to a process without capabilities, and what looks at files
without their names. Sockets are allowed of the families that ordinary programs use: a virtual machine's AF_VSOCK knows
no namespaces. The filter is assembled here, because libseccomp's Python binding is not on a package registry.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine: its column below, and the kernel's name for it (AUDIT_ARCH_…)."""

# Numbers on x86_64 and aarch64; None: there is no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "acct": (163, 89),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "uselib": (134, None),
    "iopl": (172, None),
    "ioperm": (173, None),
}
_CLONE, _CLONE3, _IOCTL, _SOCKET = (56, 220), (435, 435), (16, 29), (41, 198)
_X32_BIT = 0x40000000
_NEW_NAMESPACES = 0x7E020080
"""CLONE_NEWUSER and all its like."""
_INJECTING = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX type into somebody else's terminal."""
_FAMILIES = (socket.AF_UNSPEC, socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, 16)
"""Of sockets; 16 is AF_NETLINK, with which programs ask for the addresses of ``lo``."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW = 0x7FFF0000


def _refuse(error: int) -> int:
    return 0x00050000 | error


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _when(code: int, value: int, answer: int) -> bytes:
    """Answer if the loaded word compares so; otherwise go on."""
    return _instruction(code, value, 0, 1) + _instruction(_RETURN, answer)


def _call(number: int, body: bytes) -> bytes:
    """Do all of the body, which always answers, for one call."""
    return _instruction(_EQUAL, number, 0, len(body) // 8) + body


def _argument(index: int) -> bytes:
    """Load the lower half of an argument."""
    return _instruction(_LOAD, _ARGUMENTS + 8 * index)


def filter_program(machine: str | None = None) -> bytes | None:
    """Return the filter, as an array of ``struct sock_filter``.

    Args:
        machine: As `platform.machine` names it; this one by default.

    Returns:
        ``None`` where no numbers are known here: the sandbox has no filter then.
    """
    known = _ARCHITECTURES.get(machine or platform.machine())
    if known is None:
        return None
    column, architecture = known
    allow = _instruction(_RETURN, _ALLOW)
    # Programs of another architecture have other numbers: they make no call at all.
    program = _instruction(_LOAD, _ARCHITECTURE) + _instruction(_EQUAL, architecture, 1, 0)
    program += _instruction(_RETURN, _refuse(errno.ENOSYS)) + _instruction(_LOAD, _NUMBER)
    if column == 0:
        program += _when(_AT_LEAST, _X32_BIT, _refuse(errno.ENOSYS))
    # glibc falls back to clone, whose flags can be looked at.
    program += _when(_EQUAL, _CLONE3[column], _refuse(errno.ENOSYS))
    flags = _argument(0) + _when(_ANY_BIT, _NEW_NAMESPACES, _refuse(errno.EPERM)) + allow
    program += _call(_CLONE[column], flags)
    request = _argument(1) + b"".join(_when(_EQUAL, each, _refuse(errno.EPERM)) for each in _INJECTING) + allow
    program += _call(_IOCTL[column], request)
    family = _argument(0) + b"".join(_when(_EQUAL, each, _ALLOW) for each in _FAMILIES)
    program += _call(_SOCKET[column], family + _instruction(_RETURN, _refuse(errno.EAFNOSUPPORT)))
    for numbers in _REFUSED.values():
        number = numbers[column]
        if number is not None:
            program += _when(_EQUAL, number, _refuse(errno.EPERM))
    return program + allow
