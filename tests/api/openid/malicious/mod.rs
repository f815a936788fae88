//! A provider that is malicious, broken, or in somebody else's hands: a row a line for each check, with
//! the reason that the page, the log and the metric name.

mod callbacks;
mod id_tokens;
mod metadata;
mod token_responses;
