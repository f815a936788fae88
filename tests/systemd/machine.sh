# A Debian with systemd as its process 1, in namespaces of its own on this kernel. Sourced, not run; needs root.
# shellcheck shell=bash

# debian_root DIRECTORY: makes a Debian with systemd, PostgreSQL and nginx, once.
debian_root() {
    local root=$1 suite=bookworm
    [ -e "$root/.complete" ] && return
    command -v debootstrap >/dev/null || install_packages debootstrap
    step "Building a Debian root with systemd in $root (some minutes)"
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase \
        --include=ca-certificates,systemd,systemd-sysv,dbus,postgresql,nginx-light,curl,python3,procps,iproute2 \
        "$suite" "$root" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; die "debootstrap failed"; }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    touch "$root/.complete"
}

# The part that runs in the new namespaces, as their process 1. $1 is the root, $2 the directory for the run.
BOOT='
set -e
root=$1 work=$2
mount --make-rprivate /
mkdir -p "$work/upper" "$work/work" "$work/machine"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" "$work/machine"
cd "$work/machine"
echo gate-systemd >etc/hostname
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r name major minor <<<"$device"
    mknod -m 666 "dev/$name" c "$major" "$minor"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
for link in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s "/proc/self/${link#*:}" "dev/${link%%:*}"; done
mount -t tmpfs tmpfs dev/shm
mkdir -p shared
mount --bind "$work/shared" shared
mkdir -p .old
pivot_root . .old
umount -l /.old
cd /
# In a container, systemd leaves this to whoever made it. It mounts credentials in a namespace of their own and counts on
# seeing them here.
mount --make-rshared /
# What tells systemd that it runs in a container (its CONTAINER_INTERFACE document).
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 /lib/systemd/systemd --log-target=journal
'

# boot ROOT WORK: starts the machine; its process 1 is then in $machine.
boot() {
    local root=$1 work=$2 unified
    unified=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
    [ -n "$unified" ] || die "cgroups of version 2 are not mounted"
    cgroup=$unified/gate-systemd-$$
    mkdir "$cgroup"
    mkdir -p "$work/shared"
    # The namespace of cgroups begins where its first process is.
    bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' enter "$cgroup" \
        unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child bash -c "$BOOT" boot "$root" "$work" \
        >"$work/console.log" 2>&1 </dev/null &
    holder=$!
    machine=
    wait_for 10 has_child "$holder" || { cat "$work/console.log" >&2; die "the namespaces could not be made"; }
    machine=$(cat "/proc/$holder/task/$holder/children")
    machine=${machine%% *}
}

has_child() { [ -n "$(cat "/proc/$1/task/$1/children")" ]; }

# inside COMMAND…: runs it in the machine.
inside() {
    nsenter --target "$machine" --mount --pid --net --uts --ipc --cgroup --root --wd=/ \
        env --chdir=/ -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root "$@"
}

# Ends the machine and everything in it.
power_off() {
    [ -z "${machine:-}" ] || kill -KILL "$machine" 2>/dev/null || true
    [ -z "${holder:-}" ] || wait "$holder" 2>/dev/null || true
    [ -z "${cgroup:-}" ] || find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null || true
}
