"""The ``bubblewrap`` backend: sandboxes without a container engine, for machines that have none.

A sandbox's image is one of

- an image reference such as the ``docker`` backend takes: its root file system is exported once from an engine, or put
  into the store by `roots.import_root`;
- ``host``: the machine's own programs (``/usr``, ``/etc``, ``/opt`` …) and an empty ``/testbed``;
- ``host:FOLDER``: the same, with a copy of a folder as ``/testbed``.

The root file system is mounted read-only. The working directory, the user's home, ``/tmp`` and ``/var/tmp`` are private
copies; ``/run`` and ``/dev/shm`` are in memory. What else an image lets its user write to is read-only here.

Protected: no network; no capabilities, no new privileges; a system-call filter (x86_64 and aarch64; elsewhere none); a
user, mount, process, IPC, host name and control-group namespace of its own; limits on open files, file sizes and cores,
and, where control groups can be made (by root, or below a delegated group), on memory, swap, processes and processor.
Run by root, everything runs as the sandbox's user, also on the host.

Not protected: the kernel is shared with the host. Without control groups the memory limit holds for each process and
not for all together, the processor is not limited, and processes are not limited before Linux 5.14. Disk is watched
every two seconds and not held exactly. With ``host``, all may be read that every user may read in ``/usr``, ``/etc``
and ``/opt``. Run by a user who is not root, the sandbox has that user's rights on what is mounted into it. A program
can bring its sandbox's first process to an end, for example by ptrace; the sandbox is then lost, and says so.
"""

from __future__ import annotations

from srl_swe.sandbox.bubblewrap.backend import BubblewrapBackend

__all__ = ["BubblewrapBackend"]
