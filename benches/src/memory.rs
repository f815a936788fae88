//! The ports of the gate: one user and one session, in memory, and a clock that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use label_studio_gate::gate::clock::Clock;
use label_studio_gate::gate::entropy::Entropy;
use label_studio_gate::gate::groups::Staff;
use label_studio_gate::gate::identity::{Identity, Profile};
use label_studio_gate::gate::reason::Outage;
use label_studio_gate::gate::session::{
    LoginRecord, Mismatch, Mismatches, ProviderPlace, Recorded, SessionEnd, SessionMark,
    SessionStore, StoredData, StoredSession, TokenUse,
};
use label_studio_gate::gate::user::{Created, NewUser, StaffChange, UserDirectory, UserRow};
use label_studio_gate::gate::verify::{ApiTokens, JwtOwner, TokenOwner};

use crate::{PASSWORD, now};

/// One user and one session.
pub(crate) struct Memory {
    user: Arc<UserRow>,
    session: Arc<StoredData>,
}

impl Memory {
    pub(crate) fn new(session: &str) -> Self {
        let user = UserRow {
            id: 7,
            email: "user7@example.com".to_owned(),
            password: PASSWORD.to_owned(),
            is_active: true,
            is_privileged: false,
            is_superuser: false,
            first_name: "Ann".to_owned(),
            last_name: "Example".to_owned(),
            active_organization_id: Some(1),
            removed_from_organization: false,
            max_session_age: None,
            revoked_at: None,
        };
        Self {
            user: Arc::new(user),
            session: Arc::new(StoredData::new(session)),
        }
    }
}

impl Clock for Memory {
    fn now(&self) -> SystemTime {
        now()
    }
}

impl Mismatches for Memory {
    fn suspect(&self, _: Mismatch) {}
}

/// Counts instead of being random.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Entropy for Counter {
    fn sixteen(&self) -> [u8; 16] {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
    }
}

/// What no stage asks for.
fn not_here<T>() -> Result<T, Outage> {
    Err(Outage::DatabaseUnavailable)
}

#[async_trait]
impl UserDirectory for Memory {
    async fn find(&self, _: &Identity) -> Result<Option<Arc<UserRow>>, Outage> {
        Ok(Some(self.user.clone()))
    }

    async fn create(&self, _: &NewUser) -> Result<Created, Outage> {
        not_here()
    }

    async fn rename(&self, _: &UserRow, _: &Identity, _: &Profile) -> Result<(), Outage> {
        not_here()
    }

    async fn set_staff(&self, _: &UserRow, _: Staff) -> Result<StaffChange, Outage> {
        not_here()
    }

    async fn renew_unusable_password(&self, _: i32) -> Result<bool, Outage> {
        not_here()
    }

    async fn revoke(&self, _: i32) -> Result<Option<SystemTime>, Outage> {
        not_here()
    }
}

#[async_trait]
impl SessionStore for Memory {
    async fn await_logins(&self) -> Result<(), Outage> {
        Ok(())
    }

    async fn load(&self, _: &str, _: SystemTime) -> Result<Option<Arc<StoredData>>, Outage> {
        Ok(Some(self.session.clone()))
    }

    async fn page(&self, _: &str, _: SystemTime) -> Result<Vec<StoredSession>, Outage> {
        not_here()
    }

    async fn end(&self, _: &[String]) -> Result<Vec<String>, Outage> {
        not_here()
    }

    async fn keys_at_provider(&self, _: &ProviderPlace) -> Result<Vec<String>, Outage> {
        not_here()
    }

    async fn use_token(&self, _: &TokenUse<'_>) -> Result<bool, Outage> {
        not_here()
    }

    async fn record(&self, _: &LoginRecord<'_>) -> Result<Recorded, Outage> {
        Ok(Recorded::Opened { ended_at: None })
    }

    async fn note_end(&self, _: &SessionEnd) -> Result<(), Outage> {
        not_here()
    }

    async fn ended_at(&self, _: &SessionMark) -> Result<Option<SystemTime>, Outage> {
        Ok(None)
    }
}

#[async_trait]
impl ApiTokens for Memory {
    async fn owner_of_key(&self, _: &str) -> Result<Option<TokenOwner>, Outage> {
        not_here()
    }

    async fn owner_of_jwt(&self, _: i32, _: &str) -> Result<Option<JwtOwner>, Outage> {
        not_here()
    }
}
