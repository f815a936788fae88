# Shared by the demo and the tests: installing, a private Postgres cluster, a Label Studio. Sourced, not run.
# shellcheck shell=bash

LABEL_STUDIO_VERSION=1.23.2
PLUGIN_VERSION=6.0.8

say() { printf '%s\n' "$*" >&2; }
step() { printf '\n==> %s\n' "$*" >&2; }
die() { printf '\nerror: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install_packages NAME…: installs the Debian packages that are missing.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || die "please install these packages, which only Debian and Ubuntu have under these names: ${missing[*]}"
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "please install as root: apt-get install ${missing[*]}"
    fi
    step "Installing ${missing[*]} (apt-get)"
    # policy-rc.d keeps packages from starting their servers, whose ports may be in use.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy" && made=1
    fi
    local failed=
    as_root apt-get update -qq >&2 || failed=1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || failed=1
    if [ -n "$made" ]; then as_root rm -f "$policy"; fi
    [ -z "$failed" ] || die "apt-get could not install ${missing[*]}"
}

# Prints the directory of initdb and postgres, which Debian keeps out of PATH.
postgres_bin() {
    local directory
    for directory in "${GATE_TEST_POSTGRES_BIN:-}" /usr/lib/postgresql/*/bin "$(dirname "$(command -v initdb || echo /nowhere/initdb)")"; do
        if [ -x "$directory/initdb" ] && [ -x "$directory/postgres" ]; then
            printf '%s\n' "$directory"
            return
        fi
    done
    return 1
}

nginx_bin() {
    command -v nginx || { [ -x /usr/sbin/nginx ] && echo /usr/sbin/nginx; }
}

# install_servers: installs nginx and PostgreSQL.
install_servers() {
    local packages=()
    nginx_bin >/dev/null || packages+=(nginx-light)
    postgres_bin >/dev/null || packages+=(postgresql)
    for tool in curl openssl; do command -v "$tool" >/dev/null || packages+=("$tool"); done
    if [ ${#packages[@]} -gt 0 ]; then install_packages "${packages[@]}"; fi
}

# Prints a Python that Label Studio runs on.
find_python() {
    local python
    for python in python3.12 python3.11 python3.10 python3; do
        if command -v "$python" >/dev/null \
            && "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
            printf '%s\n' "$python"
            return
        fi
    done
    return 1
}

# Where these scripts install what they need, unless a variable names another place.
INSTALLED=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/tests/.cache

# is_replaceable DIRECTORY: whether nothing is in it but what these functions put there.
is_replaceable() {
    [ -z "$(ls -A "$1" 2>/dev/null)" ] || [ -e "$1/.installing" ] || compgen -G "$1/.complete*" >/dev/null \
        || [[ $1 == "$INSTALLED"/* ]]
}

# begin_installing DIRECTORY: refuses a directory with files of somebody else.
begin_installing() {
    is_replaceable "$1" || die "$1 is not empty, and was not made by this script, which would replace what is in it. Name an empty directory, or one that does not exist"
}

# install_python DIRECTORY PACKAGE…: installs PyPI packages in a venv, once per list of packages.
install_python() {
    local venv=$1 python mark
    shift
    mark=$venv/.complete-$(printf '%s ' "$@" | sha256sum | cut -c1-16)
    [ -e "$mark" ] && return
    begin_installing "$venv"
    find_python >/dev/null || install_packages python3
    python=$(find_python) || die "Label Studio needs Python 3.10 to 3.13"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    step "Installing $1 from PyPI into $venv (a minute or two)"
    rm -rf "$venv"
    mkdir -p "$venv"
    touch "$venv/.installing"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" >&2 || die "pip could not install $1"
    mv "$venv/.installing" "$mark"
}

# install_label_studio DIRECTORY: installs Label Studio, and the plugin for the tests.
install_label_studio() {
    install_python "$1" "label-studio==$LABEL_STUDIO_VERSION" "label-studio-sso==$PLUGIN_VERSION"
}

# install_node DIRECTORY SOURCE: installs the npm packages of SOURCE/package-lock.json, once per lock file.
install_node() {
    local directory=$1 source=$2
    command -v node >/dev/null && command -v npm >/dev/null || install_packages nodejs npm
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)' || die "Node.js 18 or later is needed"
    cmp -s "$source/package-lock.json" "$directory/.complete" && return
    begin_installing "$directory"
    step "Installing packages of npm into $directory"
    mkdir -p "$directory"
    touch "$directory/.installing"
    cp "$source/package.json" "$source/package-lock.json" "$directory/"
    (cd "$directory" && npm ci --no-audit --no-fund >&2) || die "npm could not install the tests' packages"
    cp "$source/package-lock.json" "$directory/.complete"
    rm "$directory/.installing"
}

# Prefix for initdb and postgres, which refuse to run as root; empty for other users. Each prefix execs the command, so
# the pid stays the same.
postgres_user() {
    if [ "$(id -u)" = 0 ]; then echo 'setpriv --reuid=postgres --regid=postgres --init-groups'; fi
}

# as_postgres COMMAND…
as_postgres() {
    # shellcheck disable=SC2046 # words
    $(postgres_user) "$@"
}

# postgres_home DIRECTORY: prints DIRECTORY, or another place if the user "postgres" cannot reach it.
postgres_home() {
    local wanted=$1
    mkdir -p "$wanted"
    if [ "$(id -u)" = 0 ]; then
        chown postgres "$wanted"
        if ! as_postgres test -w "$wanted"; then
            rmdir "$wanted"
            wanted=$(mktemp -d /var/tmp/label-studio-gate.XXXXXX)
            chown postgres "$wanted"
        fi
    fi
    printf '%s\n' "$wanted"
}

# started_at PID: prints when the process began, in ticks since the machine's start (proc_pid_stat(5), field 22). The
# second field is its name, which may contain spaces and parentheses.
started_at() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return
    printf '%s\n' "${stat##*) }" | cut -d ' ' -f 20
}

# note_process PID FILE: so that running_process finds it.
note_process() {
    printf '%s %s\n' "$1" "$(started_at "$1")" >"$2"
}

# running_process FILE: prints the number of the noted process if it still runs. After its end, or a restart of the machine,
# another process may have that number.
running_process() {
    local pid='' began=''
    [ -s "$1" ] || return
    read -r pid began <"$1"
    [ -n "$began" ] && [ "$(started_at "$pid")" = "$began" ] && printf '%s\n' "$pid"
}

# port_is_free PORT
port_is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# wait_for SECONDS COMMAND…: retries until the command succeeds.
wait_for() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.2
    done
}
