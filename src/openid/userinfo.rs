//! The userinfo endpoint (OpenID Connect Core §5.3).

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::SecretString;

use super::error::{ProviderError, refusal};
use super::{OpenIdProvider, WAITING, authentication};
use crate::deadline::wait_for;
use crate::gate::openid::Userinfo;
use crate::gate::reason::Outage;

impl OpenIdProvider {
    pub(super) async fn ask_userinfo(
        &self,
        access_token: &SecretString,
    ) -> Result<Userinfo, Outage> {
        let metadata = self.metadata().await?;
        let Some(endpoint) = metadata.userinfo_endpoint.clone() else {
            return Ok(Userinfo::None);
        };
        let asked = async {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            headers.insert(AUTHORIZATION, authentication::bearer(access_token));
            let answer = self.http.get(endpoint, headers).await?;
            if answer.status != StatusCode::OK {
                return Err(refusal(answer.status, &answer.body));
            }
            if is_jwt(&answer.headers) {
                let token = String::from_utf8(answer.body);
                return Ok(Userinfo::Signed(
                    token.map_err(|_| ProviderError::NotText("the userinfo response"))?,
                ));
            }
            let claims = serde_json::from_slice(&answer.body);
            let claims = claims.map_err(|source| ProviderError::Unusable {
                what: "a userinfo response",
                source,
            })?;
            Ok(Userinfo::Plain(claims))
        };
        let _permit = self.permit()?;
        let found = wait_for(WAITING, asked).await?;
        found.map_err(|error| {
            self.outage("userinfo request", &error);
            // The client is known: it has just exchanged a code.
            Outage::ProviderUnavailable
        })
    }
}

/// Whether the response is `application/jwt`, with or without parameters.
fn is_jwt(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = value.and_then(|value| value.split(|byte| *byte == b';').next());
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/jwt")
    })
}
