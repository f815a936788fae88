//! The names of the checks, for scripts that read `doctor --json`.

use serde::Serialize;

/// Declares the checks with their names, which are stable, and what each looks at.
macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $check:ident = $name:literal;)*) => {
        /// What a finding is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub enum Check {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $name)]
                $check,
            )*
        }

        impl Check {
            /// Every check, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$check),*];

            /// Its name in `doctor --json`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$check => $name),* }
            }

            /// What it looks at, in one sentence.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$check => concat!($($doc),+).trim()),* }
            }
        }
    };
}

checks! {
    /// The settings, and the warnings about them.
    Settings = "settings";
    /// Postgres answers.
    DatabaseConnection = "database.connection";
    /// The clock of this machine agrees with Postgres'.
    DatabaseClock = "database.clock";
    /// The database is that of a Label Studio that the gate supports.
    DatabaseTables = "database.tables";
    /// The role may run each statement.
    DatabasePrivileges = "database.privileges";
    /// `POST /api/sso/revoke` can end sessions and tokens.
    DatabaseRevocation = "database.revocation";
    /// Stored sessions are signed with the same `SECRET_KEY`.
    DatabaseSecretKey = "database.secret_key";
    /// The gate's own tables exist, and the role may use them.
    DatabaseOwnTables = "database.own_tables";
    /// Accounts can be created, if the settings ask for it.
    DatabaseAccounts = "database.accounts";
    /// The role may change who is staff, if the settings ask for it.
    DatabaseStaff = "database.staff";
    /// The role may write the audit table, if the settings ask for it.
    DatabaseAudit = "database.audit";
    /// How long it takes to look up an email address that no account has.
    DatabaseAddresses = "database.addresses";
    /// The keys of each issuer can be read.
    IssuerKeys = "issuer.keys";
    /// Each OpenID provider publishes its metadata, and names the configured issuer in it.
    OpenIdProvider = "openid.provider";
    /// The host application's API refuses a made-up session.
    ApplicationSession = "application.session";
    /// The host application's API tells a wrong secret from the configured one.
    ApplicationSecret = "application.secret";
    /// The public URL answers.
    PublicUrl = "public.url";
    /// The proxy asks the gate, and sends it the cookies and the original URI.
    PublicGate = "public.gate";
    /// The proxy passes the gate's own routes on to it.
    PublicRoutes = "public.routes";
    /// With `policy.anonymous = "require"`, the proxy asks about requests without a credential too.
    PublicAnonymous = "public.anonymous";
    /// Whether anybody can sign up to Label Studio.
    PublicSignUp = "public.sign_up";
    /// Label Studio runs with the same session engine.
    PublicSessionEngine = "public.session_engine";
    /// Label Studio signs its sessions with the same `SECRET_KEY`.
    PublicSecretKey = "public.secret_key";
    /// Label Studio's session cookie has the same name and attributes.
    PublicSessionCookie = "public.session_cookie";
    /// Label Studio's pages load their scripts from the public URL (`LABEL_STUDIO_HOST`).
    PublicAddress = "public.address";
    /// The user of `--email` is logged in through the proxy.
    PublicLogin = "public.login";
    /// The browser gets the cookies of a login, and the session lasts.
    PublicCookies = "public.cookies";
    /// Signing out ends the session.
    PublicSignOut = "public.sign_out";
}
