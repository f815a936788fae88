//! [`AuditTable`] over `label_studio_gate.audit`.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::Postgres;
use super::parameter::Parameter;
use super::row::columns;
use super::statement::sql;
use crate::audit::{AuditEvent, AuditTable};
use crate::gate::reason::Outage;

/// Pause between two batches of a purge, so that other statements are not held up.
const PAUSE: Duration = Duration::from_millis(50);

#[async_trait]
impl AuditTable for Postgres {
    /// Sends one array per column.
    async fn append(&self, events: &[AuditEvent]) -> Result<(), Outage> {
        let ids: Vec<String> = column(events, |event| hexadecimal(event.id));
        let times: Vec<SystemTime> = column(events, |event| event.at);
        let names: Vec<&str> = column(events, |event| event.event);
        let requests: Vec<&str> = column(events, |event| event.request_id.as_str());
        let peers: Vec<String> = column(events, |event| event.peer.to_string());
        let methods: Vec<Option<&str>> = column(events, |event| event.method);
        let users: Vec<Option<i32>> = column(events, |event| event.user_id);
        let identities: Vec<Option<&str>> = column(events, |event| event.identity.as_deref());
        let callers: Vec<Option<i32>> = column(events, |event| event.caller_id);
        let reasons: Vec<Option<&str>> = column(events, |event| event.reason);
        let paths: Vec<Option<&str>> = column(events, |event| event.path.as_deref());
        let providers: Vec<Option<&str>> = column(events, |event| event.provider.as_deref());
        let parameters: [&dyn Parameter; 12] = [
            &ids,
            &times,
            &names,
            &requests,
            &peers,
            &methods,
            &users,
            &identities,
            &callers,
            &reasons,
            &paths,
            &providers,
        ];
        // With a Label Studio that the gate refuses, the table is taken for a current one.
        let schema = self.schema().await;
        let appended = match schema.is_ok_and(|schema| !schema.audit_has_provider) {
            true => self.query(sql!("append_audit_without_provider"), &parameters[..11]),
            false => self.query(sql!("append_audit"), &parameters),
        };
        appended.await.map(drop)
    }
}

fn column<'e, T>(events: &'e [AuditEvent], field: impl Fn(&'e AuditEvent) -> T) -> Vec<T> {
    events.iter().map(field).collect()
}

/// A UUID's digits.
fn hexadecimal(id: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(id))
}

impl Postgres {
    /// The columns that the table lacks. Events are written without them.
    pub async fn missing_audit_columns(&self) -> Result<Vec<String>, Outage> {
        let rows = self.query(sql!("missing_audit_columns"), &[]).await?;
        columns(&rows, "name")
    }

    /// Deletes audit events from before `from`, in small batches. Returns their number.
    pub async fn purge_audit(&self, from: SystemTime) -> Result<u64, Outage> {
        let mut deleted = 0;
        loop {
            let rows = self.query(sql!("purge_audit"), &[&from]).await?;
            match rows.len() {
                0 => return Ok(deleted),
                batch => deleted += u64::try_from(batch).unwrap_or(u64::MAX),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
