//! The texts of the pages: a table per language.
//!
//! A text says what happened and what the user can do. "Below" refers to the number of the request,
//! which every page about a problem shows.

mod english;
mod korean;

use super::language::Language;
use super::page::Page;

/// The texts of one page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    /// What happened.
    pub(super) title: &'static str,
    /// Why, and what to do.
    pub(super) advice: &'static str,
}

/// The texts that pages share.
#[derive(Debug)]
pub(super) struct Labels {
    /// The link to the sign-in page, for a user who was not signed in.
    pub(super) sign_in: &'static str,
    /// The same for a user who was.
    pub(super) sign_in_again: &'static str,
    /// The link to the provider, for a user whose account there is the wrong one.
    pub(super) another_account: &'static str,
    /// The link that repeats the request.
    pub(super) try_again: &'static str,
    /// The button that ends the session.
    pub(super) sign_out: &'static str,
    /// The link to the operator's support.
    pub(super) support: &'static str,
    /// Stands before the request ID.
    pub(super) request: &'static str,
    /// Stands before the code of the reason.
    pub(super) reason: &'static str,
}

impl Text {
    const fn new(title: &'static str, advice: &'static str) -> Self {
        Self { title, advice }
    }
}

impl Language {
    /// The texts of `page`.
    pub(super) const fn text(self, page: Page) -> Text {
        match self {
            Self::English => english::text(page),
            Self::Korean => korean::text(page),
        }
    }

    /// The texts that pages share.
    pub(super) const fn labels(self) -> &'static Labels {
        match self {
            Self::English => &english::LABELS,
            Self::Korean => &korean::LABELS,
        }
    }
}
