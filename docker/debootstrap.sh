#!/bin/bash
# Makes the base system without a registry: debootstrap.sh CONTEXT CACHE TARBALL
# CONTEXT holds this folder's files and wheels/; CACHE keeps downloaded Debian packages; TARBALL is what `docker import` takes.
set -euo pipefail
context=$1 cache=$2 tarball=$3
suite=bookworm
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

[ "$(id -u)" = 0 ] || { echo "debootstrap needs root" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "debootstrap is not installed: apt-get install debootstrap (docker/engine.sh start does it)" >&2; exit 2; }
[ -e $keyring ] || { echo "$keyring is missing: apt-get install debian-archive-keyring" >&2; exit 2; }

# The mirror that this machine's apt uses, where that is a Debian mirror.
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null | tr -d ' ' | head -n 1 || true)
mirror=${mirror:-http://deb.debian.org/debian}

work=$(mktemp -d "$(dirname "$tarball")/rootfs.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache"
include=$(grep -v '^#' "$context/packages.txt" | paste -sd, -)
debootstrap --variant=minbase --cache-dir="$cache" --keyring="$keyring" --include="$include" "$suite" "$work" "$mirror"
mkdir "$work/tmp/context"
cp -r "$context/requirements.txt" "$context/setup.sh" "$context/wheels" "$work/tmp/context/"
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 chroot "$work" sh /tmp/context/setup.sh /tmp/context
rm -rf "$work/tmp/context" "$work/etc/resolv.conf" "$work/etc/hostname"
# The engine brings its own /dev.
tar -C "$work" --numeric-owner --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -cf "$tarball" .
