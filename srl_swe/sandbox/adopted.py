"""Makes a task image from one that somebody else built (SWE-smith, R2E-Gym, SWE-rebench, SWE-bench …).

Only a layer is added: the user ``agent``, the repository at its base state in ``/testbed`` as one fresh commit (an
image's own history often holds the fix), and the image's Python environment under ``/opt/venv``, where ours is.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import docker
import requests

from srl_swe.errors import ImageBuildError
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.images import BASE_COMMIT_LABEL, COMMIT_ID_SCRIPT, COMMIT_SCRIPT
from srl_swe.sandbox.layers import Entry, add_layer, exists, image_name
from srl_swe.sandbox.locks import file_lock
from srl_swe.sandbox.owners import KIND_LABEL

_ENVIRONMENT = {"PATH": "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin", "HOME": "/home/agent", "LANG": "C.UTF-8"}


def adopt_image(client: docker.DockerClient, image: str, *, root: str, gold: str, fixed: bool, name: str) -> str:
    """Return the tag of a task image that stands on a foreign one, built if it is not there.

    Args:
        client: Of the engine.
        image: The foreign image; pulled if the engine has none.
        root: Where in it the repository is.
        gold: The gold patch. It must apply to the base state.
        fixed: The image holds the fixed code: the base state is made by applying the gold patch in reverse.
        name: The task's.

    Raises:
        ImageBuildError: there is no such image, it lacks what grading needs, or the gold patch does not fit it.
    """
    _have(client, image)
    script = _SCRIPT.replace("@ROOT@", root).replace("@REVERSE@", "--reverse" if fixed else "")
    script += COMMIT_SCRIPT + _CHECK_SCRIPT + COMMIT_ID_SCRIPT
    parts = [str(client.images.get(image).id), script, gold]
    tag = f"srl-swe/task-{image_name(name)}:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"
    if exists(client, tag):
        return tag
    with file_lock(cache_dir() / "images.lock"), tempfile.TemporaryDirectory(prefix="srl-swe-") as folder:
        if not exists(client, tag):
            patch = Path(folder) / "gold.patch"
            patch.write_text(gold, encoding="utf-8", newline="")
            add_layer(
                client,
                image,
                tag,
                entries=[Entry(target="tmp/gold.patch", source=patch)],
                script=script,
                labels={KIND_LABEL: "task-image"},
                result_label=BASE_COMMIT_LABEL,
                environment=_ENVIRONMENT,
            )
    return tag


def _have(client: docker.DockerClient, image: str) -> None:
    """Pull an image that the engine does not have."""
    if exists(client, image):
        return
    try:
        client.images.pull(image, tag=None if ":" in image.rpartition("/")[2] or "@" in image else "latest")
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise ImageBuildError(
            f"{image}: the engine does not have this image, and it cannot be pulled: {error}"
        ) from None


_SCRIPT = """
for program in /bin/bash /usr/bin/git /usr/bin/setpriv; do
    [ -x "$program" ] || { echo "the image has no $program, which sandboxes need"; exit 3; }
done
[ -d '@ROOT@' ] || { echo "the image has no folder @ROOT@"; exit 3; }
grep -q '^agent:' /etc/passwd || echo 'agent:x:1000:1000::/home/agent:/bin/bash' >>/etc/passwd
grep -q '^agent:' /etc/group || echo 'agent:x:1000:' >>/etc/group
mkdir -p /home/agent && chown 1000:1000 /home/agent
# What was installed in place goes on finding the repository by its old path.
if [ '@ROOT@' != /testbed ]; then rm -rf /testbed; mv '@ROOT@' /testbed; ln -s /testbed '@ROOT@'; fi
cd /testbed
# The environment that the tests were run in: R2E-Gym's, SWE-bench's and SWE-smith's, or the one on the path.
if [ ! -e /opt/venv ]; then
    if [ -e .venv/bin/python ]; then
        found=$(readlink -f .venv)
        case "$found" in /testbed/*) mv "$found" /opt/environment; found=/opt/environment ;; esac
        rm -rf .venv
        ln -s "$found" /opt/venv
    elif [ -x /opt/miniconda3/envs/testbed/bin/python ]; then
        ln -s /opt/miniconda3/envs/testbed /opt/venv
    else
        found=$(command -v python || command -v python3) || { echo "the image has no Python"; exit 3; }
        mkdir -p /opt/venv/bin
        ln -s "$found" /opt/venv/bin/python
    fi
fi
chmod a+rx /root
# R2E-Gym's hidden tests, and the program that runs them.
rm -rf r2e_tests /r2e_tests /root/r2e_tests run_tests.sh .git
git apply --whitespace=nowarn --check @REVERSE@ /tmp/gold.patch \\
    || { echo "the gold patch does not fit @ROOT@"; exit 3; }
if [ -n '@REVERSE@' ]; then git apply --whitespace=nowarn --reverse /tmp/gold.patch; fi
rm /tmp/gold.patch
chown -R 1000:1000 /testbed
"""

_CHECK_SCRIPT = """
/opt/venv/bin/python -P -c 'import pytest' 2>/dev/null \\
    || { echo "the image's Python must be 3.11 or later and have pytest: $(/opt/venv/bin/python -V 2>&1)"; exit 3; }
"""
