# Where podman and buildah keep images and containers for these tests, apart from the machine's own. Sourced, not run.
# shellcheck shell=bash

# engine_settings DIRECTORY: writes the engine's configuration there and points podman and buildah to it.
#
# runc, because crun fails on machines that mount cgroups in both versions; limits no higher than this shell's, which
# may not be raised.
engine_settings() {
    local home=$1
    mkdir -p "$home"
    cat >"$home/containers.conf" <<TOML
[containers]
default_ulimits = ["nofile=$(ulimit -Sn):$(ulimit -Hn)", "nproc=1000:1000"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"

[network]
network_backend = "netavark"
network_config_dir = "$home/networks"
TOML
    cat >"$home/storage.conf" <<TOML
[storage]
driver = "overlay"
graphroot = "$home/images"
runroot = "$home/run"
TOML
    cat >"$home/registries.conf" <<TOML
unqualified-search-registries = ["docker.io"]
short-name-mode = "permissive"
TOML
    export CONTAINERS_CONF=$home/containers.conf
    export CONTAINERS_STORAGE_CONF=$home/storage.conf
    export CONTAINERS_REGISTRIES_CONF=$home/registries.conf
}

# build_image NAME ARGUMENT…: builds deploy/Dockerfile as it stands. The crates that this machine has are not downloaded again;
# what is written to their directory meanwhile, or beside the certificates, is dropped.
build_image() {
    local registry=${CARGO_HOME:-$HOME/.cargo}/registry
    mkdir -p "$registry"
    buildah bud --isolation=chroot --network=host --format docker --layers --pull-never \
        --volume /etc/ssl/certs:/etc/ssl/certs:O --volume "$registry:/usr/local/cargo/registry:O" \
        --ignorefile deploy/Dockerfile.dockerignore --file deploy/Dockerfile --tag "$@" . >&2
}

# compose_image NAME: the image with this name, with its tag, as deploy/compose.yaml writes it.
compose_image() {
    sed -n "s#^ *image: \\($1:.*\\)#\\1#p" "$root/deploy/compose.yaml" | head -n 1
}
