//! Decorator: Postgres with a cache of a few seconds.
//!
//! It caches the users, sessions and API credentials that it finds for `database.cache_seconds`. It
//! does not cache that something was not found, except that a session has no recorded end. Writes
//! through it update or invalidate the cache, and what was read meanwhile is not kept. It also
//! remembers the owner of each session, so that session and user are read in one round trip.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::Postgres;
use crate::cache::Cache;
use crate::gate::groups::Staff;
use crate::gate::identity::{Identity, Profile};
use crate::gate::reason::Outage;
use crate::gate::session::{
    LoginRecord, ProviderPlace, Recorded, SessionEnd, SessionMark, SessionStore, StoredData,
    StoredSession, TokenUse,
};
use crate::gate::user::{Created, NewUser, StaffChange, UserDirectory, UserRow};
use crate::gate::verify::{ApiTokens, JwtOwner, TokenOwner};
use crate::metrics::{Page, Source};
use crate::settings::Database;

/// How long a session's owner is remembered after the session was read. It only tells which user to
/// read along with the session, so it may be stale.
const OWNER_TTL: Duration = Duration::from_secs(3600);

/// The primary key of the user whose session this is.
pub type OwnerOf = Box<dyn Fn(&StoredData) -> Option<i32> + Send + Sync>;

/// Postgres with a cache of a few seconds.
pub struct CachedPostgres {
    postgres: Postgres,
    owner_of: OwnerOf,
    users: Cache<Identity, Arc<UserRow>>,
    /// By the digest of the key, because the key itself is a credential.
    sessions: Cache<[u8; 32], Arc<StoredData>>,
    /// The owners of sessions, by the digest of the key.
    owners: Cache<[u8; 32], i32>,
    /// When the session in a signed cookie ended; `None`: it has not.
    ends: Cache<SessionMark, Option<SystemTime>>,
    key_owners: Cache<[u8; 32], TokenOwner>,
    jwt_owners: Cache<[u8; 32], JwtOwner>,
}

impl CachedPostgres {
    /// A cache in front of `postgres`. It is disabled if `database.cache_seconds` is zero.
    pub fn new(postgres: Postgres, settings: &Database, owner_of: OwnerOf) -> Self {
        let capacity = settings.limits.cached_rows();
        let keep = *settings.limits.cache_seconds;
        Self {
            postgres,
            owner_of,
            users: Cache::new("users", capacity, keep),
            sessions: Cache::new("sessions", capacity, keep),
            owners: Cache::new("session_owners", capacity, OWNER_TTL),
            ends: Cache::new("session_ends", capacity, keep),
            key_owners: Cache::new("api_keys", capacity, keep),
            jwt_owners: Cache::new("api_jwts", capacity, keep),
        }
    }

    /// Invalidates all users, because a changed user may be cached under several identities.
    fn forget_users(&self) {
        self.users.invalidate_all();
    }
}

impl Source for CachedPostgres {
    fn report(&self, page: &mut Page) {
        let caches: [&dyn Source; 6] = [
            &self.users,
            &self.sessions,
            &self.owners,
            &self.ends,
            &self.key_owners,
            &self.jwt_owners,
        ];
        for cache in caches {
            cache.report(page);
        }
    }
}

#[async_trait]
impl UserDirectory for CachedPostgres {
    async fn find(&self, identity: &Identity) -> Result<Option<Arc<UserRow>>, Outage> {
        if let Some(row) = self.users.get(identity) {
            return Ok(Some(row));
        }
        let before = self.users.before_reading();
        let found = self.postgres.find(identity).await?;
        if let Some(row) = &found {
            self.users.insert(identity.clone(), row.clone(), before);
        }
        Ok(found)
    }

    async fn create(&self, user: &NewUser) -> Result<Created, Outage> {
        self.postgres.create(user).await
    }

    async fn rename(
        &self,
        user: &UserRow,
        identity: &Identity,
        profile: &Profile,
    ) -> Result<(), Outage> {
        let renamed = self.postgres.rename(user, identity, profile).await;
        self.users.invalidate(identity);
        renamed
    }

    async fn set_staff(&self, user: &UserRow, staff: Staff) -> Result<StaffChange, Outage> {
        let change = self.postgres.set_staff(user, staff).await;
        self.forget_users();
        change
    }

    async fn renew_unusable_password(&self, user_id: i32) -> Result<bool, Outage> {
        let renewed = self.postgres.renew_unusable_password(user_id).await;
        self.forget_users();
        renewed
    }

    async fn revoke(&self, user_id: i32) -> Result<Option<SystemTime>, Outage> {
        let revoked = self.postgres.revoke(user_id).await;
        self.forget_users();
        revoked
    }
}

#[async_trait]
impl SessionStore for CachedPostgres {
    async fn load(&self, key: &str, now: SystemTime) -> Result<Option<Arc<StoredData>>, Outage> {
        let digest = digest(key);
        if let Some(data) = self.sessions.get(&digest) {
            return Ok(Some(data));
        }
        let owner = self.owners.get(&digest);
        let before = self.users.before_reading();
        let session_before = self.sessions.before_reading();
        let found = self.postgres.load_with_owner(key, now, owner).await?;
        if let Some((_, Some(user))) = &found {
            let id = Identity::Id(user.id);
            self.users.insert(id, user.clone(), before);
        }
        let data = found.map(|(data, _)| data);
        if let Some(data) = &data {
            self.sessions.insert(digest, data.clone(), session_before);
            if let Some(owner) = (self.owner_of)(data) {
                let before = self.owners.before_reading();
                self.owners.insert(digest, owner, before);
            }
        }
        Ok(data)
    }

    async fn await_logins(&self) -> Result<(), Outage> {
        self.postgres.await_logins().await
    }

    async fn page(&self, after: &str, now: SystemTime) -> Result<Vec<StoredSession>, Outage> {
        self.postgres.page(after, now).await
    }

    async fn end(&self, keys: &[String]) -> Result<Vec<String>, Outage> {
        let ended = self.postgres.end(keys).await;
        for key in keys {
            self.sessions.invalidate(&digest(key));
        }
        ended
    }

    async fn keys_at_provider(&self, place: &ProviderPlace) -> Result<Vec<String>, Outage> {
        self.postgres.keys_at_provider(place).await
    }

    async fn use_token(&self, token: &TokenUse<'_>) -> Result<bool, Outage> {
        self.postgres.use_token(token).await
    }

    async fn record(&self, login: &LoginRecord<'_>) -> Result<Recorded, Outage> {
        let recorded = self.postgres.record(login).await;
        if let Some(ended) = login.replaces {
            self.sessions.invalidate(&digest(ended));
        }
        recorded
    }

    async fn note_end(&self, end: &SessionEnd) -> Result<(), Outage> {
        let noted = self.postgres.note_end(end).await;
        self.ends.invalidate(&end.mark);
        noted
    }

    async fn ended_at(&self, mark: &SessionMark) -> Result<Option<SystemTime>, Outage> {
        if let Some(ended) = self.ends.get(mark) {
            return Ok(ended);
        }
        let before = self.ends.before_reading();
        let ended = self.postgres.ended_at(mark).await?;
        self.ends.insert(*mark, ended, before);
        Ok(ended)
    }
}

#[async_trait]
impl ApiTokens for CachedPostgres {
    async fn owner_of_key(&self, key: &str) -> Result<Option<TokenOwner>, Outage> {
        let digest = digest(key);
        if let Some(owner) = self.key_owners.get(&digest) {
            return Ok(Some(owner));
        }
        let before = self.key_owners.before_reading();
        let found = self.postgres.owner_of_key(key).await?;
        if let Some(owner) = &found {
            self.key_owners.insert(digest, owner.clone(), before);
        }
        Ok(found)
    }

    async fn owner_of_jwt(&self, user_id: i32, jti: &str) -> Result<Option<JwtOwner>, Outage> {
        let digest = digest(&format!("{user_id} {jti}"));
        if let Some(owner) = self.jwt_owners.get(&digest) {
            return Ok(Some(owner));
        }
        let before = self.jwt_owners.before_reading();
        let found = self.postgres.owner_of_jwt(user_id, jti).await?;
        if let Some(owner) = &found {
            self.jwt_owners.insert(digest, owner.clone(), before);
        }
        Ok(found)
    }
}

/// The cache key of a credential.
fn digest(credential: &str) -> [u8; 32] {
    Sha256::digest(credential.as_bytes()).into()
}
