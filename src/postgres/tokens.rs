//! [`ApiTokens`] over `authtoken_token`, `jwt_auth_jwtsettings` and `token_blacklist_*`.

use async_trait::async_trait;
use subtle::ConstantTimeEq as _;
use tokio_postgres::Row;

use super::Postgres;
use super::row::column;
use super::statement::sql;
use crate::gate::reason::Outage;
use crate::gate::verify::{ApiTokens, JwtOwner, TokenOwner};

/// How many characters of a key are looked up in the index. The duration of the lookup may leak
/// them; the rest, 32 hexadecimal digits of a usual key, is compared in constant time.
const INDEXED: usize = 8;

/// Maximum length of `authtoken_token.key`, in characters. Label Studio generates keys of this
/// length and accepts others from `LABEL_STUDIO_USER_TOKEN`.
const MAX_KEY: usize = 40;

#[async_trait]
impl ApiTokens for Postgres {
    async fn owner_of_key(&self, key: &str) -> Result<Option<TokenOwner>, Outage> {
        let length = key.chars().count();
        if length == 0 || length > MAX_KEY || key.contains('\0') {
            return Ok(None);
        }
        let schema = self.schema().await?;
        let statement = if schema.has_jwt_tokens {
            sql!("owner_of_key")
        } else {
            sql!("owner_of_key_before_1_17")
        };
        let from: String = key.chars().take(INDEXED).collect();
        // The highest code point sorts after every key with the prefix.
        let to = format!("{from}\u{10ffff}");
        let legacy = schema.legacy_tokens_by_default;
        let rows = self
            .query(statement, &[&from, &to, &legacy, &!legacy])
            .await?;
        let mut found = None;
        for row in &rows {
            let candidate: &str = column(row, "key")?;
            if bool::from(candidate.as_bytes().ct_eq(key.as_bytes())) {
                found = Some(owner(row)?);
            }
        }
        Ok(found)
    }

    async fn owner_of_jwt(&self, user_id: i32, jti: &str) -> Result<Option<JwtOwner>, Outage> {
        let schema = self.schema().await?;
        if !schema.has_jwt_tokens || jti.contains('\0') {
            return Ok(None);
        }
        let statement = sql!("owner_of_jwt");
        let legacy = schema.legacy_tokens_by_default;
        let rows = self
            .query(statement, &[&user_id, &jti, &legacy, &!legacy])
            .await?;
        rows.first()
            .map(|row| {
                Ok(JwtOwner {
                    owner: owner(row)?,
                    revoked: column(row, "revoked")?,
                })
            })
            .transpose()
    }
}

fn owner(row: &Row) -> Result<TokenOwner, Outage> {
    Ok(TokenOwner {
        user_id: column(row, "id")?,
        is_active: column(row, "is_active")?,
        is_admin: column(row, "is_admin")?,
        is_superuser: column(row, "is_superuser")?,
        legacy_tokens_enabled: column(row, "legacy_tokens_enabled")?,
        jwt_tokens_enabled: column(row, "jwt_tokens_enabled")?,
    })
}
