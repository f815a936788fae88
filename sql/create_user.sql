-- Used by: UserDirectory (src/postgres/users.rs), for a user of methods 1 and 3 without an account.
-- Does what a sign-up of Label Studio does (label_studio/users/functions/common.py), all or
-- nothing: creates the user in an organization, the membership, and an API token, without
-- which Label Studio's account page fails. The password is unusable in Django's format
-- (django/contrib/auth/hashers.py, make_password), so no form accepts it.
-- Returns: whether there is an organization to join, and whether an account was created. Two
-- concurrent first requests create one user: the second conflicts with the unique address.
--
-- $1: email address with its ASCII letters in lower case, $2: username, $3: first name,
-- $4: last name, $5: the organization to join; NULL: the first.
-- The gate replaces the comments "further" with columns that only some versions of Label Studio
-- have (src/postgres/accounts.rs). gen_random_uuid() uses Postgres's strong random source; two
-- UUIDs hold 244 random bits.
WITH home AS (
    SELECT min(id) AS id FROM organization WHERE $5::integer IS NULL OR id = $5::integer
), person AS (
    INSERT INTO htx_user (password, is_superuser, username, email, first_name, last_name, is_staff, is_active, date_joined, last_activity,
                          activity_at, phone, avatar, active_organization_id /* further columns */)
    SELECT '!' || left(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 40),
           false, left($2::text, 256), $1::text, left($3::text, 256), left($4::text, 256), false, true, now(), now(), now(), '', '', home.id /* further values */
      FROM home
     WHERE home.id IS NOT NULL
       AND NOT EXISTS (SELECT FROM htx_user WHERE lower(email COLLATE "C") = lower($1::text COLLATE "C"))
        ON CONFLICT (email) DO NOTHING
    RETURNING id, active_organization_id
), member AS (
    INSERT INTO organizations_organizationmember (user_id, organization_id, created_at, updated_at)
    SELECT id, active_organization_id, now(), now() FROM person
), key AS (
    INSERT INTO authtoken_token (key, created, user_id)
    SELECT left(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 40), now(), id FROM person
)
SELECT home.id IS NOT NULL AS has_organization, (SELECT id FROM person) AS created
  FROM home
