#!/bin/sh
# Runs as root inside the new system, from the Dockerfile or from debootstrap.sh. $1: the folder with requirements.txt
# and wheels/.
set -eu
here=$1

groupadd --gid 1000 agent
useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash agent
install -d -o agent -g agent /testbed

# Root's, so that a command of the student cannot change what runs the tests.
python3 -m venv /opt/venv
/opt/venv/bin/pip install --quiet --no-index --no-cache-dir --find-links "$here/wheels" -r "$here/requirements.txt"

git config --system user.name agent
git config --system user.email agent@localhost
git config --system init.defaultBranch main
git config --system core.pager cat
git config --system advice.detachedHead false
# What running Python leaves behind is no change to the repository.
git config --system core.excludesFile /etc/gitignore
printf '%s\n' __pycache__/ '*.pyc' .pytest_cache/ '*.egg-info/' >/etc/gitignore

rm -rf /var/cache/apt/* /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /var/log/*.log /root/.cache
