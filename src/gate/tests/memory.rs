//! Label Studio's database, in memory: the ports of the gate.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use super::*;
use crate::gate::groups::Staff;
use crate::gate::identity::{Identity, Profile};
use crate::gate::session::{
    LoginRecord, Mismatch, Mismatches, NewSession, ProviderPlace, Recorded, SessionEnd,
    SessionMark, SessionStore, StoredData, StoredSession, TokenUse,
};
use crate::gate::user::{Created, NewUser, StaffChange, UserDirectory};
use crate::gate::verify::{ApiTokens, JwtOwner, TokenOwner};

/// Label Studio's database, in memory.
#[derive(Default)]
pub(super) struct Stored {
    /// The cached rows. A login is checked against `users`.
    pub(super) recent_users: Mutex<HashMap<i32, UserRow>>,
    pub(super) users: Mutex<HashMap<i32, UserRow>>,
    /// How often a current row changes as soon as it has been read.
    pub(super) changes: AtomicUsize,
    pub(super) sessions: Mutex<HashMap<String, String>>,
    pub(super) ends: Mutex<HashMap<SessionMark, SystemTime>>,
    pub(super) used: Mutex<HashSet<([u8; 32], [u8; 32])>>,
    pub(super) logins: AtomicUsize,
    pub(super) mismatches: Mutex<Vec<Mismatch>>,
    pub(super) down: Mutex<bool>,
    /// The database's clock, in seconds after [`NOW`].
    pub(super) seconds: AtomicU64,
}

impl Stored {
    /// The time of a revocation or an end: the database's, and later than the one before.
    fn after(&self, before: Option<SystemTime>) -> SystemTime {
        let seconds = NOW + self.seconds.load(Ordering::Relaxed);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        before.map_or(now, |before| now.max(before + Duration::from_micros(1)))
    }
}

impl Mismatches for Stored {
    fn suspect(&self, mismatch: Mismatch) {
        self.mismatches.lock().expect("lock").push(mismatch);
    }
}

/// A view of the database, cached or current. What a decision waits for yields, so that parallel
/// decisions interleave.
#[derive(Clone)]
pub(super) struct Memory {
    pub(super) stored: Arc<Stored>,
    pub(super) freshness: Freshness,
}

impl Memory {
    fn outage(&self) -> Result<(), Outage> {
        match *self.stored.down.lock().expect("lock") {
            true => Err(Outage::DatabaseUnavailable),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl UserDirectory for Memory {
    async fn find(&self, identity: &Identity) -> Result<Option<Arc<UserRow>>, Outage> {
        tokio::task::yield_now().await;
        self.outage()?;
        let users = match self.freshness {
            Freshness::Recent => &self.stored.recent_users,
            Freshness::Current => &self.stored.users,
        };
        let mut users = users.lock().expect("lock");
        let found = match identity {
            Identity::Id(id) => users.get(id),
            Identity::Email(email) => users.values().find(|user| user.email == *email),
            Identity::Username(name) => users
                .values()
                .find(|user| *name == format!("name-of-{}", user.id)),
        };
        let found = found.cloned().map(Arc::new);
        let left = |changes: usize| changes.checked_sub(1);
        if let (Freshness::Current, Some(found)) = (self.freshness, &found)
            && let changes = &self.stored.changes
            && changes
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
                .is_ok()
            && let Some(user) = users.get_mut(&found.id)
        {
            user.password.push('x');
        }
        Ok(found)
    }

    async fn create(&self, new_user: &NewUser) -> Result<Created, Outage> {
        self.outage()?;
        let mut users = self.stored.users.lock().expect("lock");
        if users.values().any(|user| user.email == new_user.email) {
            return Ok(Created::Before);
        }
        let user_id = {
            let id = 100 + i32::try_from(users.len()).expect("a few users");
            let row = UserRow {
                email: new_user.email.clone(),
                first_name: new_user.profile.first_name.clone(),
                last_name: new_user.profile.last_name.clone(),
                ..user(id)
            };
            users.insert(id, row);
            id
        };
        Ok(Created::Now { user_id })
    }

    async fn rename(
        &self,
        user: &UserRow,
        _identity: &Identity,
        profile: &Profile,
    ) -> Result<(), Outage> {
        let mut users = self.stored.users.lock().expect("lock");
        if let Some(row) = users.get_mut(&user.id) {
            row.first_name.clone_from(&profile.first_name);
            row.last_name.clone_from(&profile.last_name);
        }
        Ok(())
    }

    async fn set_staff(&self, user: &UserRow, staff: Staff) -> Result<StaffChange, Outage> {
        let row = user.as_staff(staff.is_staff);
        for users in [&self.stored.users, &self.stored.recent_users] {
            users.lock().expect("lock").insert(row.id, row.clone());
        }
        Ok(StaffChange::Now(Arc::new(row)))
    }

    async fn renew_unusable_password(&self, user_id: i32) -> Result<bool, Outage> {
        let mut users = self.stored.users.lock().expect("lock");
        let user = users
            .get_mut(&user_id)
            .filter(|user| user.password.starts_with('!'));
        let found = user.is_some();
        if let Some(user) = user {
            user.password.push('x');
        }
        Ok(found)
    }

    async fn revoke(&self, user_id: i32) -> Result<Option<SystemTime>, Outage> {
        let before = self.stored.users.lock().expect("lock")[&user_id].revoked_at;
        let at = self.stored.after(before);
        for users in [&self.stored.users, &self.stored.recent_users] {
            if let Some(user) = users.lock().expect("lock").get_mut(&user_id) {
                user.revoked_at = Some(at);
            }
        }
        Ok(Some(at))
    }
}

/// Every user has a legacy token, `key-<id>`, and access tokens.
#[async_trait]
impl ApiTokens for Memory {
    async fn owner_of_key(&self, key: &str) -> Result<Option<TokenOwner>, Outage> {
        self.outage()?;
        let id = key.strip_prefix("key-").and_then(|id| id.parse().ok());
        Ok(id.map(owner))
    }

    async fn owner_of_jwt(&self, user: i32, _jti: &str) -> Result<Option<JwtOwner>, Outage> {
        self.outage()?;
        Ok(Some(JwtOwner {
            owner: owner(user),
            revoked: false,
        }))
    }
}

fn owner(user_id: i32) -> TokenOwner {
    TokenOwner {
        user_id,
        is_active: true,
        is_admin: true,
        is_superuser: false,
        legacy_tokens_enabled: true,
        jwt_tokens_enabled: true,
    }
}

#[async_trait]
impl SessionStore for Memory {
    async fn load(&self, key: &str, _now: SystemTime) -> Result<Option<Arc<StoredData>>, Outage> {
        tokio::task::yield_now().await;
        self.outage()?;
        let sessions = self.stored.sessions.lock().expect("lock");
        Ok(sessions
            .get(key)
            .map(|data| Arc::new(StoredData::new(data))))
    }

    async fn await_logins(&self) -> Result<(), Outage> {
        self.outage()
    }

    async fn page(&self, after: &str, _now: SystemTime) -> Result<Vec<StoredSession>, Outage> {
        let sessions = self.stored.sessions.lock().expect("lock");
        let mut page: Vec<_> = sessions
            .iter()
            .filter(|(key, _)| key.as_str() > after)
            .map(|(key, data)| StoredSession {
                key: key.clone(),
                data: data.clone(),
            })
            .collect();
        page.sort_by(|a, b| a.key.cmp(&b.key));
        page.truncate(2);
        Ok(page)
    }

    async fn end(&self, keys: &[String]) -> Result<Vec<String>, Outage> {
        let mut sessions = self.stored.sessions.lock().expect("lock");
        Ok(keys.iter().filter_map(|key| sessions.remove(key)).collect())
    }

    async fn keys_at_provider(&self, place: &ProviderPlace) -> Result<Vec<String>, Outage> {
        let is_there = |key: &str| match place {
            ProviderPlace::Session(prefix) => key.starts_with(prefix),
            ProviderPlace::Subject(half) => key.get(8..16) == Some(half),
        };
        let sessions = self.stored.sessions.lock().expect("lock");
        Ok(sessions
            .keys()
            .filter(|key| is_there(key))
            .cloned()
            .collect())
    }

    async fn use_token(&self, token: &TokenUse<'_>) -> Result<bool, Outage> {
        let mut used = self.stored.used.lock().expect("lock");
        let first = used.iter().all(|(token_, _)| token_ != token.fingerprint);
        Ok(first && used.insert((*token.fingerprint, *token.peer))
            || used.contains(&(*token.fingerprint, *token.peer)))
    }

    async fn record(&self, login: &LoginRecord<'_>) -> Result<Recorded, Outage> {
        tokio::task::yield_now().await;
        self.outage()?;
        let users = self.stored.users.lock().expect("lock");
        let unchanged = users.get(&login.user_id).is_some_and(|user| {
            user.is_active && user.password == login.password && user.revoked_at == login.revoked_at
        });
        if !unchanged {
            return Ok(Recorded::UserChanged);
        }
        let mut sessions = self.stored.sessions.lock().expect("lock");
        if let Some(old) = login.replaces {
            sessions.remove(old);
        }
        if let NewSession::Row(row) = &login.session {
            let met = sessions.iter().find(|(key, _)| key.starts_with(row.place));
            if let Some((key, data)) = met {
                return Ok(Recorded::Met(StoredSession {
                    key: key.clone(),
                    data: data.clone(),
                }));
            }
            sessions.insert(row.key.to_owned(), row.data.to_owned());
        }
        self.stored.logins.fetch_add(1, Ordering::Relaxed);
        let ended_at = match login.session {
            NewSession::Cookie(mark) => {
                let ends = self.stored.ends.lock().expect("lock");
                ends.get(mark).copied()
            }
            NewSession::Row(_) => None,
        };
        Ok(Recorded::Opened { ended_at })
    }

    async fn note_end(&self, end: &SessionEnd) -> Result<(), Outage> {
        let mut ends = self.stored.ends.lock().expect("lock");
        let before = ends.get(&end.mark).copied();
        let at = self.stored.after(before).max(end.not_before);
        ends.insert(end.mark, at);
        Ok(())
    }

    async fn ended_at(&self, mark: &SessionMark) -> Result<Option<SystemTime>, Outage> {
        Ok(self.stored.ends.lock().expect("lock").get(mark).copied())
    }
}
