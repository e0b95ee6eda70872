#!/bin/bash
# Finds a Podman that serves its Docker API, or starts a private service.
#
#   docker/podman.sh start [RUNTIME]   use the Podman that answers; where none does, install (Debian, Ubuntu; as root) and start one
#   docker/podman.sh stop              remove the private service's containers, and stop it (others are left alone)
#   docker/podman.sh status            say which Podman answers
#
# On success the one line on stdout is CONTAINER_HOST=…; everything else goes to stderr. Exit codes: 0 a Podman answers,
# 1 it failed to start (the log is shown), 2 nothing can be done here (what to do is said).
#
# RUNTIME is the OCI runtime: runc (the default), crun, or runsc (gVisor). Over its Docker API Podman takes no runtime for a
# single container (it ignores what is asked), so that the service has one for all. With a RUNTIME, only the private service is looked at.
#
# The private service keeps to itself: images, containers, socket, configuration, locks and log are its own, it makes no
# network, and neither the user's nor the system's Podman sees any of it. Podman has no daemon: containers outlive a
# service that was killed, and the next one finds them.
#
# Rootless: run by another user than root, it keeps to that user's folders; export the CONTAINER_HOST it prints. That
# takes newuidmap (package uidmap) and a line for the user in /etc/subuid and /etc/subgid. Podman 4.3 then leaves out
# the limits on memory, processor and processes where the host has cgroup v1, and without saying so; with cgroup v2 it
# needs a systemd session of the user to set them.
#
# crun refuses a host where cgroup v1 and v2 are mixed ("hybrid mode") and v2 has a controller: the private service of root
# then runs in a mount namespace of its own without the v2 part.
set -euo pipefail

if [ "$(id -u)" = 0 ]; then
    RUN_DIR=/run/srl-swe
    DATA_DIR=/var/lib/srl-swe/podman
else
    RUN_DIR=${XDG_RUNTIME_DIR:-/tmp/srl-swe-$(id -u)}/srl-swe
    DATA_DIR=${XDG_DATA_HOME:-$HOME/.local/share}/srl-swe/podman
fi
SOCKET=$RUN_DIR/podman.sock
PID_FILE=$RUN_DIR/podman.pid
LOG_FILE=$DATA_DIR/podman.log
RUNTIME_FILE=$RUN_DIR/podman.runtime
INIT=/usr/libexec/podman/catatonit
START_TIMEOUT_S=60

say() { echo "podman: $*" >&2; }

# Asks for /_ping, as docker/engine.sh does; Podman's answer names its own API too.
answers() {
    case "$1" in
    unix://* ) [ -S "${1#unix://}" ] || return 1 ;;
    tcp://* ) ;;
    * ) return 1 ;;
    esac
    python3 - "$1" <<'PYTHON' >/dev/null 2>&1
import socket, sys
scheme, _, place = sys.argv[1].partition("://")
if scheme == "unix":
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(place)
else:
    host, _, port = place.rstrip("/").rpartition(":")
    connection = socket.create_connection((host.strip("[]"), int(port)), timeout=5)
connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: podman\r\n\r\n")
said = b""
while piece := connection.recv(4096):
    said += piece
sys.exit(b" 200 " not in said[:64] or b"libpod-api-version" not in said.lower())
PYTHON
}

# The order is the one of srl_swe/sandbox/engine.py.
candidates() {
    [ -z "${CONTAINER_HOST:-}" ] || echo "$CONTAINER_HOST"
    echo "unix://$SOCKET"
    echo unix:///run/podman/podman.sock
    [ -z "${XDG_RUNTIME_DIR:-}" ] || echo "unix://$XDG_RUNTIME_DIR/podman/podman.sock"
}

find_podman() {
    local host
    while read -r host; do
        if answers "$host"; then echo "$host"; return 0; fi
    done < <(candidates)
    return 1
}

what_to_do() {
    say "no Podman answers, and none can be started here: $1"
    say "do one of these, then try again:"
    say "  - start Podman's socket: systemctl --user start podman.socket (or, as root: systemctl start podman.socket)"
    say "  - point CONTAINER_HOST at a Podman's socket, such as CONTAINER_HOST=unix:///run/podman/podman.sock"
    say "  - as root on Debian or Ubuntu, run this script: it installs Podman and starts a private service"
    exit 2
}

private_pid() {
    local pid
    pid=$(cat "$PID_FILE" 2>/dev/null) || return 1
    # After a crash or a reboot the number may belong to another program.
    [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = podman ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "$SOCKET" && echo "$pid"
}

install_packages() {
    local runtime=$1 missing=()
    command -v podman >/dev/null || missing+=(podman)
    command -v "$runtime" >/dev/null || missing+=("$runtime")
    [ -x "$INIT" ] || [ -x /usr/bin/catatonit ] || missing+=(catatonit)
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || what_to_do "missing here: ${missing[*]}"
    command -v apt-get >/dev/null || what_to_do "missing here: ${missing[*]}, and this is neither Debian nor Ubuntu"
    say "installing ${missing[*]} (log: $LOG_FILE)"
    export DEBIAN_FRONTEND=noninteractive
    # The package enables a socket and a service that restarts containers, but neither does anything before it is used.
    if ! { apt-get update -qq || true; apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}"; } >>"$LOG_FILE" 2>&1 </dev/null 9>&-; then
        tail -n 20 "$LOG_FILE" >&2
        say "could not install ${missing[*]}"
        exit 1
    fi
}

check_rootless() {
    [ "$(id -u)" != 0 ] || return 0
    command -v newuidmap >/dev/null || what_to_do "newuidmap is missing (package uidmap)"
    local file
    for file in /etc/subuid /etc/subgid; do
        grep -qE "^($(id -un)|$(id -u)):" "$file" 2>/dev/null || what_to_do "$file has no line for $(id -un) (as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un))"
    done
    if ! [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        say "warning: rootless with cgroup v1: sandboxes get no limits on memory, processor and processes"
    fi
}

# Only systemd hands a user a part of the cgroup tree.
cgroup_manager() {
    if [ "$(id -u)" != 0 ] && [ -f /sys/fs/cgroup/cgroup.controllers ] && [ -S "${XDG_RUNTIME_DIR:-/nowhere}/systemd/private" ]; then
        echo systemd
    else
        echo cgroupfs
    fi
}

write_configuration() {
    local init=$INIT
    [ -x "$init" ] || init=/usr/bin/catatonit
    # Locks in files: those in shared memory would be the same as those of the system's Podman. What watches a program
    # would stay for five minutes after its end.
    cat >"$DATA_DIR/containers.conf" <<CONF
[containers]
netns = "none"
default_ulimits = []
[engine]
runtime = "$1"
cgroup_manager = "$(cgroup_manager)"
events_logger = "none"
lock_type = "file"
init_path = "$init"
exit_command_delay = 10
CONF
    cat >"$DATA_DIR/storage.conf" <<CONF
[storage]
driver = "overlay"
graphroot = "$DATA_DIR/storage"
runroot = "$RUN_DIR/podman/storage"
CONF
}

start_private() {
    local runtime=$1
    mkdir -p "$RUN_DIR/podman" "$DATA_DIR"
    local service="" options=()
    # gVisor's own network, which no sandbox has a use for, does not start on newer kernels in Debian's version.
    [ "$runtime" != runsc ] || options=(--runtime-flag network=none)
    local enter=()
    if [ "$runtime" = crun ] && [ -n "$(cat /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null)" ]; then
        [ "$(id -u)" = 0 ] || what_to_do "crun does not run on a host with mixed cgroups; runc does"
        enter=(unshare --mount --propagation slave -- sh -c 'umount /sys/fs/cgroup/unified && exec "$@"' sh)
    fi
    if ! private_pid >/dev/null; then
        rm -f "$PID_FILE" "$SOCKET"
        write_configuration "$runtime"
        ulimit -n "$(ulimit -H -n)"
        # 9>&-: the lock must not live on in the service. unshare, sh and setsid become podman: the number stays.
        # -C: conmon leaves a file `oom` in the folder it was started in when a container runs out of memory.
        CONTAINERS_CONF="$DATA_DIR/containers.conf" CONTAINERS_STORAGE_CONF="$DATA_DIR/storage.conf" \
            env -C "$DATA_DIR" setsid nohup "${enter[@]}" podman --tmpdir "$RUN_DIR/podman/libpod" "${options[@]}" \
            system service --time 0 "unix://$SOCKET" >>"$LOG_FILE" 2>&1 </dev/null 9>&- &
        service=$!
        echo "$service" >"$PID_FILE"
        echo "$runtime" >"$RUNTIME_FILE"
    fi
    local waited
    for ((waited = 0; waited < START_TIMEOUT_S * 5; waited++)); do
        if answers "unix://$SOCKET"; then return 0; fi
        [ -z "$service" ] || kill -0 "$service" 2>/dev/null || break
        sleep 0.2
    done
    say "the private service does not answer; the end of $LOG_FILE:"
    tail -n 20 "$LOG_FILE" >&2
    exit 1
}

start() {
    local wanted=${1:-} host=""
    case "$wanted" in "" | runc | crun | runsc) ;; *) say "RUNTIME is one of runc, crun, runsc, not $wanted"; exit 2 ;; esac
    if [ -z "$wanted" ] && host=$(find_podman); then say "using $host"; echo "CONTAINER_HOST=$host"; return 0; fi
    [ -z "${CONTAINER_HOST:-}" ] || [ -n "$wanted" ] || say "CONTAINER_HOST=$CONTAINER_HOST does not answer"
    mkdir -p "$RUN_DIR" "$DATA_DIR"
    [ "$(id -u)" = 0 ] || chmod 700 "$RUN_DIR"
    exec 9>"$RUN_DIR/podman.lock"
    flock 9
    # Another start may have held the lock: ask again.
    if answers "unix://$SOCKET"; then
        local runs
        runs=$(cat "$RUNTIME_FILE" 2>/dev/null || echo runc)
        if [ -n "$wanted" ] && [ "$wanted" != "$runs" ]; then
            say "the private service runs with $runs; stop it first: docker/podman.sh stop"
            exit 1
        fi
        say "using unix://$SOCKET"
    else
        install_packages "${wanted:-runc}"
        check_rootless
        start_private "${wanted:-runc}"
        say "started a private service with ${wanted:-runc} (data in $DATA_DIR, log in $LOG_FILE)"
    fi
    echo "CONTAINER_HOST=unix://$SOCKET"
}

stop() {
    local pid waited
    if ! pid=$(private_pid); then say "the private service is not running"; rm -f "$PID_FILE" "$SOCKET" 2>/dev/null || true; return 0; fi
    podman --url "unix://$SOCKET" rm --all --force --volumes --time 0 >/dev/null 2>>"$LOG_FILE" || say "not all of its containers could be removed (log: $LOG_FILE)"
    kill "$pid"
    for ((waited = 0; waited < 150; waited++)); do
        if ! private_pid >/dev/null; then rm -f "$PID_FILE" "$SOCKET" "$RUNTIME_FILE"; say "stopped"; return 0; fi
        sleep 0.2
    done
    say "the private service (pid $pid) did not stop within 30 s"
    exit 1
}

status() {
    local host
    if host=$(find_podman); then
        if pid=$(private_pid) && [ "$host" = "unix://$SOCKET" ]; then say "private service, pid $pid, with $(cat "$RUNTIME_FILE" 2>/dev/null || echo runc)"; fi
        echo "CONTAINER_HOST=$host"
    else
        say "no Podman answers; run: docker/podman.sh start"
        exit 2
    fi
}

case "${1:-}" in
start | stop | status) "$@" ;;
*) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
