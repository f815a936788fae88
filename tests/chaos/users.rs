//! The users of this Label Studio, and what they sign in with.

use std::collections::BTreeMap;

use crate::postgres::Postgres;

/// Who takes part: as many for each engine as log in at once. Users with even numbers belong to one
/// session engine, the others to the other.
pub const USERS: usize = 2_000;
/// Accounts that only make the table as large as a big installation's.
const BYSTANDERS: usize = 100_000;
/// The administrator's legacy API token.
pub const ADMIN_KEY: &str = "0123456789abcdef0123456789abcdef01234567";

/// The address of a user.
pub fn address(number: usize) -> String {
    format!("user-{number}@chaos.test")
}

/// Users by number: IDs, and the password columns that sessions depend on.
pub struct Users {
    ids: Vec<i32>,
    pub passwords: BTreeMap<String, String>,
}

impl Users {
    /// Fills the tables that `tests/schema` describes.
    pub fn create(postgres: &Postgres) -> Self {
        postgres.sql(&format!(
            "INSERT INTO organization (title, created_at, updated_at) VALUES ('o', now(), now());
             INSERT INTO jwt_auth_jwtsettings (organization_id, api_tokens_enabled, api_token_ttl_days, legacy_api_tokens_enabled, created_at, updated_at)
             SELECT id, true, 73000, true, now(), now() FROM organization;
             INSERT INTO htx_user (password, is_superuser, username, email, first_name, last_name, is_staff, is_active, date_joined,
                                   last_activity, activity_at, phone, avatar, active_organization_id)
             SELECT '!' || md5(who), who = 'admin', who, who || '@chaos.test', '', '', who = 'admin', true, now(), now(), now(), '', '', organization.id
               FROM organization, (SELECT 'admin' AS who
                                   UNION ALL SELECT 'user-' || n FROM generate_series(0, {USERS} - 1) AS n
                                   UNION ALL SELECT 'bystander-' || n FROM generate_series(1, {BYSTANDERS}) AS n) AS everybody;
             INSERT INTO organizations_organizationmember (created_at, updated_at, organization_id, user_id)
             SELECT now(), now(), active_organization_id, id FROM htx_user WHERE username NOT LIKE 'bystander-%';
             INSERT INTO authtoken_token (key, created, user_id) SELECT '{ADMIN_KEY}', now(), id FROM htx_user WHERE username = 'admin';
             ANALYZE"
        ));
        let listed = postgres.sql(
            "SELECT id || ' ' || password FROM htx_user WHERE username LIKE 'user-%' ORDER BY substr(username, 6)::int",
        );
        let mut users = Self {
            ids: Vec::new(),
            passwords: BTreeMap::new(),
        };
        for line in listed.lines() {
            let (id, password) = line.split_once(' ').expect("two columns");
            users.ids.push(id.parse().expect("a number"));
            users.passwords.insert(id.to_owned(), password.to_owned());
        }
        assert_eq!(users.ids.len(), USERS);
        users
    }

    pub fn id(&self, number: usize) -> i32 {
        self.ids[number]
    }
}
