# Postgres in a container with Label Studio's tables, the gate's role and a user. Sourced, not run.
# shellcheck shell=bash

POSTGRES_PASSWORD=$(openssl rand -hex 16)
GATE_PASSWORD=$(openssl rand -hex 16)
SECRET_KEY=$(openssl rand -hex 32)
USER_EMAIL=ann@example.com

# The server listens on TCP only after the first start has made the cluster.
database_is_up() { podman exec postgres pg_isready --host 127.0.0.1 --username labelstudio --dbname labelstudio; }

owner_psql() { podman exec --interactive postgres psql --quiet --username labelstudio --dbname labelstudio --set ON_ERROR_STOP=1 "$@"; }

# start_database NETWORK: starts the container "postgres".
start_database() {
    podman run --detach --name postgres --network "$1" --env POSTGRES_DB=labelstudio --env POSTGRES_USER=labelstudio \
        --env "POSTGRES_PASSWORD=$POSTGRES_PASSWORD" --volume "$root/sql:/sql:ro" --volume "$root/tests/schema:/schema:ro" \
        "docker.io/library/$(compose_image postgres)" >/dev/null
    wait_for 120 database_is_up || die "Postgres did not start: $(podman logs postgres 2>&1 | tail -n 20)"
    owner_psql --file "/schema/$LABEL_STUDIO_VERSION.sql" >/dev/null
    # The dump leaves out the list of migrations, of which the gate reads these.
    owner_psql >/dev/null <<SQL
CREATE TABLE django_migrations (id serial PRIMARY KEY, app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL);
INSERT INTO django_migrations (app, name, applied)
VALUES ('tasks', '0040_auto_20230628_1101', now()), ('jwt_auth', '0002_alter_jwtsettings_api_tokens_enabled_and_more', now());
SQL
    owner_psql --set role=label_studio_gate --file /sql/role.sql
    owner_psql >/dev/null <<SQL
ALTER ROLE label_studio_gate LOGIN PASSWORD '$GATE_PASSWORD';
WITH organization AS (
    INSERT INTO organization (title, created_at, updated_at) VALUES ('Example', now(), now()) RETURNING id
), ann AS (
    INSERT INTO htx_user (password, is_superuser, username, email, first_name, last_name, is_staff, is_active, date_joined,
                          last_activity, activity_at, phone, avatar, active_organization_id)
    SELECT '!unusable', false, 'ann', '$USER_EMAIL', '', '', false, true, now(), now(), now(), '', '', id FROM organization
    RETURNING id
)
INSERT INTO organizations_organizationmember (created_at, updated_at, organization_id, user_id)
SELECT now(), now(), organization.id, ann.id FROM organization, ann;
SQL
}
