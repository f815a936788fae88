//! The userinfo endpoint (OpenID Connect Core §5.3).

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::SecretString;

use super::error::{ProviderError, refusal};
use super::measures::Request;
use super::{OpenIdProvider, authentication};
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
            let content_type = answer.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            read_userinfo(content_type, answer.body)
        };
        let found = self.timed(Request::Userinfo, asked).await?;
        found.map_err(|error| {
            self.outage("userinfo request", &error);
            // The client is known: it has just exchanged a code.
            Outage::ProviderUnavailable
        })
    }
}

/// Reads the body of a successful response.
pub fn read_userinfo(
    content_type: Option<&[u8]>,
    body: Vec<u8>,
) -> Result<Userinfo, ProviderError> {
    if is_jwt(content_type) {
        let token = String::from_utf8(body);
        return Ok(Userinfo::Signed(
            token.map_err(|_| ProviderError::NotText("the userinfo response"))?,
        ));
    }
    let claims = serde_json::from_slice(&body);
    let claims = claims.map_err(|source| ProviderError::Unusable {
        what: "a userinfo response",
        source,
    })?;
    Ok(Userinfo::Plain(claims))
}

/// Whether the response is `application/jwt`, with or without parameters.
fn is_jwt(content_type: Option<&[u8]>) -> bool {
    let essence = content_type.and_then(|value| value.split(|byte| *byte == b';').next());
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/jwt")
    })
}
