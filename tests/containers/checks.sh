# What a test of containers expects. The first unmet expectation ends the run. Sourced, not run.
# shellcheck shell=bash

# expect TEXT COMMAND…: the command succeeds.
expect() {
    local text=$1 output
    shift
    output=$("$@" 2>&1) || die "$text: $* failed: $output"
    say "ok    $text"
}

# refuse TEXT STATUS REASON COMMAND…: the command fails with this exit status, and says this.
refuse() {
    local text=$1 expected=$2 reason=$3 output status=0
    shift 3
    output=$("$@" 2>&1) || status=$?
    [ "$status" != 0 ] || die "$text: $* succeeded"
    [ "$status" = "$expected" ] || die "$text: $* failed with $status instead of $expected: $output"
    [[ $output == *"$reason"* ]] || die "$text: $* does not say '$reason': $output"
    say "ok    $text"
}

# eventually SECONDS TEXT COMMAND…: the command succeeds within that time.
eventually() {
    local limit=$1 text=$2
    shift 2
    wait_for "$limit" "$@" || die "$text: $* failed for $limit seconds: $("$@" 2>&1)"
    say "ok    $text"
}

# equal TEXT FOUND EXPECTED
equal() {
    [ "$2" = "$3" ] || die "$1: found '$2', expected '$3'"
    say "ok    $1"
}

# answers STATUS URL [OPTION…]: whether the URL answers with this status.
answers() {
    local status=$1 url=$2
    shift 2
    [ "$(curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' "$@" "$url")" = "$status" ]
}

# address_of CONTAINER NETWORK: its address, from this machine.
address_of() {
    podman inspect --format "{{ (index .NetworkSettings.Networks \"$2\").IPAddress }}" "$1"
}

# confined CONTAINER: the process runs as 65532 on a read-only root, without capabilities or a way to get more.
confined() {
    local pid status
    pid=$(podman inspect --format '{{ .State.Pid }}' "$1")
    status=$(cat "/proc/$pid/status")
    equal "$1 runs as user and group 65532" \
        "$(awk '/^(Uid|Gid):/ { print $2, $3, $4, $5 }' <<<"$status" | sort -u)" "65532 65532 65532 65532"
    equal "$1 has no capabilities" "$(awk '/^Cap(Inh|Prm|Eff|Bnd|Amb):/ { print $2 }' <<<"$status" | sort -u)" 0000000000000000
    equal "$1 cannot gain privileges" "$(awk '/^NoNewPrivs:/ { print $2 }' <<<"$status")" 1
    equal "$1 has a read-only root" "$(awk '$5 == "/" { print substr($6, 1, 2) }' "/proc/$pid/mountinfo")" ro
}

# login GATE TOKEN [PROXY]: the reason of the check of a page with this token, as the proxy would ask.
login() {
    local proxy=${3:-nginx} original
    case $proxy in
        nginx) original=("X-Original-URI: /projects" "X-Original-Method: GET") ;;
        ingress-nginx) original=("X-Original-URL: http://label-studio.example.com/projects" "X-Original-Method: GET") ;;
        traefik) original=("X-Forwarded-Uri: /projects" "X-Forwarded-Method: GET" "X-Forwarded-Host: label-studio.example.com" "X-Forwarded-Proto: http") ;;
    esac
    curl --silent --max-time 10 --output /dev/null --dump-header - "${original[@]/#/-H}" --cookie "ls_auth_token=$2" \
        "http://$1:8090/auth/$proxy" | tr -d '\r' | awk 'tolower($1) == "x-gate-reason:" { print $2 }'
}
