# deploy/compose.yaml with its profile "keycloak": the provider under one name for browsers and for the gate. Sourced, not run.
# shellcheck shell=bash

# Where the realm registers Label Studio, and where the file says that Keycloak is.
PUBLIC_URL=http://localhost:8080
KEYCLOAK=http://keycloak.localhost:8180

# As a browser: with cookies, following redirects, and with *.localhost on this machine. Prints status and URL at the end.
browse() {
    curl --silent --max-time 30 --location --resolve keycloak.localhost:8180:127.0.0.1 --header 'Accept: text/html' \
        --cookie-jar "$work/browser" --cookie "$work/browser" --output "$work/page" --write-out '%{http_code} %{url_effective}' "$@"
}

# location URL: where it redirects to, if a page of the same site leads there.
location() {
    curl --silent --max-time 30 --cookie "$work/browser" --header 'Accept: text/html' --header 'Sec-Fetch-Site: same-origin' --output /dev/null --write-out '%{redirect_url}' "$1"
}

# The user of the realm is Label Studio's administrator.
no_password_is_set_by_default() {
    local said
    # Compose exits with 0 here: podman's API doesn't tell it how the container ended.
    said=$(compose --profile keycloak run --rm --no-deps keycloak 2>&1) || true
    [[ $said == *"set KEYCLOAK_USER_PASSWORD"* ]] || die "without a password for its user, Keycloak says: $said"
    say "ok    Keycloak does not start without a password for its user"
}

sign_in_as_the_comment_says() {
    local form
    [[ $(location "$PUBLIC_URL/user/login/") == "$PUBLIC_URL/sso/start"* ]] || die "Label Studio's login page does not lead to the provider"
    form=$(browse "$PUBLIC_URL/user/login/?next=/projects/")
    [[ $form == "200 $KEYCLOAK/realms/label-studio/"* ]] || die "the login page leads to $form: $(head -c 1000 "$work/page")"
    say "ok    Label Studio's login page leads to the provider's form"
    # The stand-in's form asks who it is, and then for consent.
    form=$(browse --data "prompt=login&login=admin&password=$KEYCLOAK_USER_PASSWORD" "${form#* }")
    equal "its user comes back to the page" "$(browse --data "prompt=consent" "${form#* }")" "200 $PUBLIC_URL/projects/"
    equal "and is Label Studio's administrator" "$(whoami "sessionid=$(awk '$6 == "sessionid" { print $7 }' "$work/browser")")" admin@example.com
}

sign_out_at_the_provider() {
    local page
    page=$(location "$PUBLIC_URL/sso/logout")
    [[ $page == "$KEYCLOAK/realms/label-studio/protocol/openid-connect/logout?"*post_logout_redirect_uri=* ]] || die "signing out leads to $page"
    say "ok    signing out leads to the provider"
}

test_sign_in() {
    step "Compose with the profile keycloak"
    install_compose
    set_secrets
    port_is_free 8080 && port_is_free 8180 || die "the ports 8080 and 8180 of deploy/keycloak/realm.json are in use"
    export PUBLIC_URL LISTEN=127.0.0.1:8080 SIGN_IN_ISSUER=$KEYCLOAK/realms/label-studio SIGN_IN_ALLOW_HTTP=true
    KEYCLOAK_PASSWORD=$(openssl rand -hex 16)
    export KEYCLOAK_PASSWORD
    start_engine
    no_password_is_set_by_default
    KEYCLOAK_USER_PASSWORD=$(openssl rand -hex 16)
    export KEYCLOAK_USER_PASSWORD
    compose --profile keycloak up --detach --no-build >"$work/up.log" 2>&1 || die "compose up failed: $(tail -n 20 "$work/up.log")"
    eventually 60 "nginx answers" answers 303 "$PUBLIC_URL/user/login/"
    equal "Keycloak listens on loopback only" "$(podman port label-studio-gate-keycloak-1)" "8180/tcp -> 127.0.0.1:8180"
    equal "and meets the gate only" "$(networks_of keycloak)" gate-keycloak
    eventually 60 "the gate knows the provider" answers 303 "$PUBLIC_URL/sso/start" --header 'Accept: text/html'
    sign_in_as_the_comment_says
    sign_out_at_the_provider
    stop_compose
    export -n PUBLIC_URL SIGN_IN_ISSUER SIGN_IN_ALLOW_HTTP
}
