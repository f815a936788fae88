-- Who: UserDirectory (src/postgres/users.rs), for somebody whom methods 1 and 3 vouch for and who has no account.
-- Does, all or nothing, what a sign-up of Label Studio does (label_studio/users/functions/common.py): the user, in the first organization and
-- as its member, with an API token, without which Label Studio's account page fails. The password is unusable as Django writes it
-- (django/contrib/auth/hashers.py, make_password): no form lets anybody in with it.
-- Returns: whether there is an organization to be in. Two first requests make one user: the second meets the unique address.
--
-- $1: e-mail address with its ASCII letters in lower case, $2: user name, $3: first name, $4: last name.
-- Where the comments "further" stand, the gate puts columns that only some versions of Label Studio have (src/postgres/schema.rs).
-- gen_random_uuid() draws from Postgres' strong random source; two hold 244 random bits.
WITH home AS (
    SELECT min(id) AS id FROM organization
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
SELECT home.id IS NOT NULL AS has_organization, EXISTS (SELECT FROM person) AS created
  FROM home
