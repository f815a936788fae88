# deploy/compose.yaml with the real Label Studio: one command, a first login, restarts. Sourced, not run.
# shellcheck shell=bash

# Compose 2 as Debian 13 packages it; its binary needs nothing but glibc.
COMPOSE_PACKAGE=docker-compose_2.26.1-4_amd64.deb
COMPOSE_SHA256=47681197cb2b1ab88206b42a1a92fc75f50d9530a6322d03494a473eed0408ea
COMPOSE_VARIABLES="SECRET_KEY POSTGRES_PASSWORD GATE_PASSWORD ADMIN_PASSWORD"

install_compose() {
    COMPOSE=$cache/compose/usr/libexec/docker/cli-plugins/docker-compose
    [ -x "$COMPOSE" ] && return
    step "Installing docker-compose from Debian"
    curl --silent --show-error --fail --output "$work/compose.deb" \
        "http://deb.debian.org/debian/pool/main/d/docker-compose/$COMPOSE_PACKAGE" || die "docker-compose could not be downloaded"
    echo "$COMPOSE_SHA256  $work/compose.deb" | sha256sum --check --quiet || die "docker-compose is not what it was"
    mkdir -p "$cache/compose"
    dpkg -x "$work/compose.deb" "$cache/compose"
}

# Compose speaks to podman as it would to Docker.
start_engine() {
    export DOCKER_HOST=unix://$work/engine.sock
    podman system service --time 0 "$DOCKER_HOST" >"$work/engine.log" 2>&1 &
    engine=$!
    wait_for 30 test -S "$work/engine.sock" || die "podman offers no socket: $(cat "$work/engine.log")"
    # podman leaves health checks to systemd's timers. 5 seconds is the longest interval in the file but the gate's.
    while :; do
        for container in $(podman ps --quiet --filter status=running); do
            podman healthcheck run "$container" || true
        done
        sleep 5
    done >/dev/null 2>&1 &
    ticker=$!
}

compose() { "$COMPOSE" --file deploy/compose.yaml "$@"; }

# Called on the way out too, whatever was started.
stop_compose() {
    [ -n "${engine:-}" ] || return 0
    compose --profile keycloak down --volumes --timeout 5 >/dev/null 2>&1 || true
    kill "$ticker" "$engine" 2>/dev/null || true
    wait "$ticker" "$engine" 2>/dev/null || true
    engine=
}

# whoami COOKIES: the address of the user that Label Studio sees through nginx.
whoami() {
    curl --silent --max-time 20 --cookie "$1" "http://$LISTEN/api/current-user/whoami" \
        | sed -n 's/.*"email": *"\([^"]*\)".*/\1/p'
}

is_admin() { [ "$(whoami "$1")" = admin@example.com ]; }

# networks_of SERVICE
networks_of() {
    podman inspect --format '{{ range $name, $_ := .NetworkSettings.Networks }}{{ $name }} {{ end }}' "label-studio-gate-$1-1" \
        | sed 's/label-studio-gate_//g; s/ *$//'
}

nothing_is_set_by_default() {
    local name said
    for name in $COMPOSE_VARIABLES; do
        said=$(env --unset "$name" "$COMPOSE" --file deploy/compose.yaml config 2>&1 >/dev/null) && die "$name has a default"
        [[ $said == *"$name"* ]] || die "the error does not name $name: $said"
        say "ok    without $name, nothing starts: ${said##*: }"
    done
}

first_login() {
    local token
    token=$(compose exec -T gate label-studio-gate token --email admin@example.com) || die "no token: $token"
    equal "the first request with a token is logged in" "$(whoami "ls_auth_token=$token")" admin@example.com
    expect "without a token nobody is logged in" answers 401 "http://$LISTEN/api/current-user/whoami"
    # As a browser follows a link: the token is gone from the address, and the session stays.
    equal "a page with a token in its address opens" \
        "$(curl --silent --max-time 30 --location --header 'Accept: text/html' --cookie-jar "$work/jar" --cookie "$work/jar" --output /dev/null \
            --write-out '%{http_code} %{url_effective}' "http://$LISTEN/projects/?token=$token")" "200 http://$LISTEN/projects/"
    session=$(awk '$6 == "sessionid" { print $7 }' "$work/jar")
    [ -n "$session" ] || die "the browser has no session: $(cat "$work/jar")"
    equal "the session alone is enough" "$(whoami "sessionid=$session")" admin@example.com
}

nobody_else_reaches_the_database_or_the_gate() {
    local service
    equal "nginx listens on loopback only" "$(podman port label-studio-gate-nginx-1)" "80/tcp -> $LISTEN"
    for service in postgres label-studio gate; do
        equal "$service publishes no port" "$(podman port "label-studio-gate-$service-1")" ""
    done
    equal "Postgres meets Label Studio and the gate" "$(networks_of postgres)" "gate-postgres label-studio-postgres"
    equal "Label Studio meets nginx and Postgres" "$(networks_of label-studio)" "label-studio-postgres nginx-label-studio"
    equal "nginx meets Label Studio and the gate" "$(networks_of nginx)" "nginx-gate nginx-label-studio"
    # 2: getent(1) has not found the name.
    expect "nginx finds Label Studio" compose exec -T nginx getent hosts label-studio
    refuse "nginx does not find Postgres" 2 "" compose exec -T nginx getent hosts postgres
    expect "Label Studio finds Postgres" compose exec -T label-studio getent hosts postgres
    refuse "Label Studio does not find the gate" 2 "" compose exec -T label-studio getent hosts gate
    expect "the check cannot be asked from outside" answers 404 "http://$LISTEN/_gate/auth"
}

restarts_lose_no_session() {
    local service
    for service in gate nginx label-studio postgres; do
        compose restart --timeout 15 "$service" >/dev/null 2>&1 || die "$service does not restart"
        eventually 180 "after a restart of $service the session lives" is_admin "sessionid=$session"
    done
}

set_secrets() {
    local name
    for name in $COMPOSE_VARIABLES; do
        declare -gx "$name=$(openssl rand -hex 32)"
    done
}

test_compose() {
    step "Compose"
    local port=18080
    install_compose
    set_secrets
    until port_is_free "$port"; do port=$((port + 1)); done
    export LISTEN=127.0.0.1:$port
    nothing_is_set_by_default
    start_engine
    compose up --detach --no-build >"$work/up.log" 2>&1 || die "compose up failed: $(tail -n 20 "$work/up.log")"
    eventually 60 "nginx answers" answers 200 "http://$LISTEN/user/login/"
    confined label-studio-gate-gate-1
    first_login
    nobody_else_reaches_the_database_or_the_gate
    restarts_lose_no_session
    stop_compose
}
