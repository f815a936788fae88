//! A provider that is malicious, broken or compromised: one table row for each check, with
//! the reason that the page, the log and the metric name.

mod callbacks;
mod id_tokens;
mod metadata;
mod token_responses;
