# The image: what is in it, how confined it runs, and when an engine finds it unhealthy. Sourced, not run.
# shellcheck shell=bash

# health_becomes STATUS: whether it is this after another health check, as the engine judges it. Failures count after the start
# period only, and from the third in a row.
health_becomes() {
    podman healthcheck run gate >/dev/null 2>&1 || true
    [ "$(podman inspect --format '{{ .State.Health.Status }}' gate)" = "$1" ]
}

image_contents() {
    local size documented container
    equal "the image's user is 65532" "$(podman image inspect --format '{{ .Config.User }}' "$IMAGE")" 65532:65532
    equal "the image's version is the crate's" \
        "$(podman image inspect --format '{{ index .Config.Labels "org.opencontainers.image.version" }}' "$IMAGE")" "$VERSION"
    # 127: the engine has not found the program.
    refuse "the image has no shell" 127 "no such file or directory" podman run --rm --entrypoint /bin/sh "$IMAGE" -c true
    expect "the image has the program that imports the plugin's settings" \
        podman run --rm --entrypoint /usr/bin/label-studio-gate-import "$IMAGE" --help

    container=$(podman create "$IMAGE")
    podman cp "$container:$(podman image inspect --format '{{ index .Config.Labels "label-studio-gate.sbom" }}' "$IMAGE")" "$work/sbom.json"
    podman rm "$container" >/dev/null
    expect "the SBOM lists the gate and its crates" python3 - "$work/sbom.json" "$VERSION" <<'PYTHON'
import json, sys
sbom = json.load(open(sys.argv[1]))
assert sbom["bomFormat"] == "CycloneDX", sbom["bomFormat"]
gate = sbom["metadata"]["component"]
assert (gate["name"], gate["version"]) == ("label-studio-gate", sys.argv[2]), gate
names = {component["name"] for component in sbom["components"]}
assert {"actix-web", "ring", "tokio-postgres", "jsonwebtoken"} <= names, names
PYTHON

    size=$(($(podman image inspect --format '{{ .Size }}' "$IMAGE") / 1000000))
    documented=$(sed -n 's/.*about \([0-9]*\) MB.*/\1/p' "$root/deploy/README.md" | head -n 1)
    [ $((size * 10)) -gt $((documented * 9)) ] && [ $((size * 10)) -lt $((documented * 11)) ] \
        || die "the image has $size MB, and deploy/README.md says about $documented MB"
    say "ok    the image has $size MB, about as documented"
}

start_gate() {
    podman run --detach --name gate --network "$1" --read-only --read-only-tmpfs=false --cap-drop=ALL \
        --security-opt=no-new-privileges --env POSTGRE_HOST=postgres --env POSTGRE_NAME=labelstudio --env POSTGRE_USER=label_studio_gate \
        --env "POSTGRE_PASSWORD=$GATE_PASSWORD" --env "SECRET_KEY=$SECRET_KEY" \
        --env SESSION_ENGINE=django.contrib.sessions.backends.signed_cookies "$IMAGE" >/dev/null
}

image_running() {
    local gate token
    podman network create image >/dev/null
    start_database image
    start_gate image
    gate=$(address_of gate image)
    eventually 30 "the gate is ready" answers 200 "http://$gate:8090/health/ready"
    confined gate
    token=$(podman exec gate label-studio-gate token --email "$USER_EMAIL")
    equal "a token logs its user in" "$(login "$gate" "$token")" session_opened

    expect "the health check passes" health_becomes healthy
    podman stop --time 10 postgres >/dev/null
    eventually 30 "without Postgres the gate is not ready" answers 503 "http://$gate:8090/health/ready"
    expect "without Postgres the health check passes" podman healthcheck run gate
    podman start postgres >/dev/null
    eventually 60 "the gate finds Postgres again" answers 200 "http://$gate:8090/health/ready"
    podman kill --signal STOP gate >/dev/null
    eventually 120 "a process that hangs becomes unhealthy" health_becomes unhealthy
    podman kill --signal CONT gate >/dev/null
    eventually 60 "a process that runs again becomes healthy" health_becomes healthy

    # An idle connection must not keep the process.
    exec {idle}<>"/dev/tcp/$gate/8090"
    printf 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n' >&"$idle"
    head -n 1 <&"$idle" >/dev/null
    # Docker and compose kill after 10 seconds.
    podman stop --time 10 gate >/dev/null
    exec {idle}>&-
    equal "SIGTERM ends the process within the grace period" "$(podman inspect --format '{{ .State.ExitCode }}' gate)" 0
    podman rm --force --time 0 gate postgres >/dev/null
    podman network rm image >/dev/null
}

test_image() {
    step "The image"
    image_contents
    image_running
}
