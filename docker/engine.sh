#!/bin/bash
# Finds a container engine that speaks the Docker API, or starts a private one.
#
#   docker/engine.sh start    use the engine that answers; where none does, install (Debian, Ubuntu; as root) and start a private one
#   docker/engine.sh stop     stop the private engine (others are left alone)
#   docker/engine.sh status   say which engine answers
#
# On success the one line on stdout is DOCKER_HOST=…; everything else goes to stderr. Exit codes: 0 an engine answers,
# 1 it failed to start (the log is shown), 2 nothing can be done here (what to do is said).
#
# The private engine keeps to itself: its data, socket, pid file and log are its own, it makes no bridge and no firewall
# rule (so its containers have no network, which is what the sandboxes want), and the package's system-wide daemon is
# neither started nor enabled.
set -euo pipefail

RUN_DIR=/run/srl-swe
DATA_DIR=/var/lib/srl-swe
SOCKET=$RUN_DIR/docker.sock
PID_FILE=$RUN_DIR/docker.pid
LOG_FILE=$DATA_DIR/dockerd.log
START_TIMEOUT_S=60

say() { echo "engine: $*" >&2; }

# Asks for /_ping. Python, because neither curl nor a docker client can be taken for granted, and the package needs it anyway.
answers() {
    case "$1" in
    ssh://* ) command -v docker >/dev/null && DOCKER_HOST="$1" docker version >/dev/null 2>&1; return ;;
    tcp://* ) [ -z "${DOCKER_TLS_VERIFY:-}" ] || { command -v docker >/dev/null && DOCKER_HOST="$1" docker version >/dev/null 2>&1; return; } ;;
    unix://* ) [ -S "${1#unix://}" ] || return 1 ;;
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
connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
sys.exit(b" 200 " not in connection.recv(64))
PYTHON
}

# The order is the one of srl_swe/sandbox/engine.py.
candidates() {
    [ -z "${DOCKER_HOST:-}" ] || echo "$DOCKER_HOST"
    echo "unix://$SOCKET"
    echo unix:///var/run/docker.sock
    [ -z "${XDG_RUNTIME_DIR:-}" ] || echo "unix://$XDG_RUNTIME_DIR/docker.sock"
    echo "unix://${HOME:-/root}/.docker/run/docker.sock"
    echo unix:///run/podman/podman.sock
    [ -z "${XDG_RUNTIME_DIR:-}" ] || echo "unix://$XDG_RUNTIME_DIR/podman/podman.sock"
}

find_engine() {
    local host
    while read -r host; do
        if answers "$host"; then echo "$host"; return 0; fi
    done < <(candidates)
    return 1
}

what_to_do() {
    say "no container engine answers, and none can be started here: $1"
    say "do one of these, then try again:"
    say "  - start Docker (Docker Desktop, or: systemctl start docker), and see that this user may use its socket"
    say "  - start Podman's socket: systemctl --user start podman.socket"
    say "  - point DOCKER_HOST at an engine on another machine, such as DOCKER_HOST=ssh://me@there"
    say "  - as root on Debian or Ubuntu, run this script: it installs and starts a private engine"
    exit 2
}

private_pid() {
    local pid
    pid=$(cat "$PID_FILE" 2>/dev/null) || return 1
    # After a crash or a reboot the number may belong to another program.
    [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "$SOCKET" && echo "$pid"
}

install_packages() {
    local missing=()
    command -v dockerd >/dev/null || missing+=(docker.io)
    command -v debootstrap >/dev/null || missing+=(debootstrap)
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]} (log: $LOG_FILE)"
    # The package would start a system-wide daemon, which changes the host's firewall: policy-rc.d forbids it meanwhile.
    local policy=/usr/sbin/policy-rc.d saved=/usr/sbin/policy-rc.d.srl-swe-saved
    # A run that was killed half-way leaves the saved file behind: that one is the original.
    [ -e "$saved" ] || [ ! -e "$policy" ] || mv "$policy" "$saved"
    trap 'rm -f '"$policy"'; [ ! -e '"$saved"' ] || mv '"$saved $policy" EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    export DEBIAN_FRONTEND=noninteractive
    local failed=0
    { dpkg --configure -a || true; apt-get update -qq || true; apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}"; } >>"$LOG_FILE" 2>&1 </dev/null 9>&- || failed=1
    rm -f "$policy"
    [ ! -e "$saved" ] || mv "$saved" "$policy"
    trap - EXIT INT TERM
    if [ $failed = 1 ]; then
        tail -n 20 "$LOG_FILE" >&2
        say "could not install ${missing[*]}"
        exit 1
    fi
    if [[ " ${missing[*]} " == *" docker.io "* ]] && command -v systemctl >/dev/null; then
        systemctl disable --quiet docker.service docker.socket containerd.service >>"$LOG_FILE" 2>&1 || true
    fi
}

# The OCI runtimes besides runc, where they are installed: docker:crun, docker:runsc.
runtimes() {
    local found=()
    ! command -v crun >/dev/null || found+=("\"crun\": {\"path\": \"$(command -v crun)\"}")
    # gVisor's own network, which no sandbox has a use for, does not start on newer kernels in Debian's version.
    ! command -v runsc >/dev/null || found+=("\"runsc\": {\"path\": \"$(command -v runsc)\", \"runtimeArgs\": [\"--network=none\"]}")
    local IFS=,
    echo "{\"runtimes\": {${found[*]}}}"
}

start_private() {
    mkdir -p "$RUN_DIR" "$DATA_DIR/docker"
    local daemon=""
    if ! private_pid >/dev/null; then
        rm -f "$PID_FILE" "$SOCKET"
        runtimes >"$DATA_DIR/daemon.json" # not /etc/docker/daemon.json, which may say anything
        # crun refuses a host where cgroup v1 and v2 are mixed and v2 has a controller: the daemon then does not see v2.
        local enter=()
        if command -v crun >/dev/null && [ -n "$(cat /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null)" ]; then
            enter=(unshare --mount --propagation slave -- sh -c 'umount /sys/fs/cgroup/unified; exec "$@"' sh)
        fi
        # 9>&-: the lock must not live on in the daemon.
        setsid nohup "${enter[@]}" dockerd --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --bridge=none \
            --data-root="$DATA_DIR/docker" --exec-root="$RUN_DIR/exec" --pidfile="$PID_FILE" --host="unix://$SOCKET" \
            --config-file="$DATA_DIR/daemon.json" --log-level=warn >>"$LOG_FILE" 2>&1 </dev/null 9>&- &
        daemon=$!
    fi
    local waited
    for ((waited = 0; waited < START_TIMEOUT_S * 5; waited++)); do
        if answers "unix://$SOCKET"; then return 0; fi
        [ -z "$daemon" ] || kill -0 "$daemon" 2>/dev/null || break
        sleep 0.2
    done
    say "the private engine does not answer; the end of $LOG_FILE:"
    tail -n 20 "$LOG_FILE" >&2
    exit 1
}

start() {
    local host
    if host=$(find_engine); then say "using $host"; echo "DOCKER_HOST=$host"; return 0; fi
    [ -z "${DOCKER_HOST:-}" ] || say "DOCKER_HOST=$DOCKER_HOST does not answer"
    [ "$(id -u)" = 0 ] || what_to_do "this is not root"
    command -v dockerd >/dev/null || command -v apt-get >/dev/null || what_to_do "this is neither Debian nor Ubuntu"
    mkdir -p "$RUN_DIR" "$DATA_DIR"
    exec 9>"$RUN_DIR/engine.lock"
    flock 9
    # Another start may have held the lock: ask again.
    if ! host=$(find_engine); then
        install_packages
        start_private
        host=unix://$SOCKET
        say "started a private engine (data in $DATA_DIR/docker, log in $LOG_FILE)"
    fi
    echo "DOCKER_HOST=$host"
}

stop() {
    local pid waited
    if ! pid=$(private_pid); then say "the private engine is not running"; rm -f "$PID_FILE" "$SOCKET" 2>/dev/null || true; return 0; fi
    kill "$pid"
    for ((waited = 0; waited < 150; waited++)); do
        if ! private_pid >/dev/null; then say "stopped"; return 0; fi
        sleep 0.2
    done
    say "the private engine (pid $pid) did not stop within 30 s"
    exit 1
}

status() {
    local host
    if host=$(find_engine); then
        if pid=$(private_pid) && [ "$host" = "unix://$SOCKET" ]; then say "private engine, pid $pid"; fi
        echo "DOCKER_HOST=$host"
    else
        say "no engine answers; run: docker/engine.sh start"
        exit 2
    fi
}

case "${1:-}" in
start | stop | status) "$1" ;;
*) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
