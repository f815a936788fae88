//! Settings that nothing reads: those of a method that is off, and those beside tables.

use super::*;

const SHARED: &str = "a-secret-of-the-tests-that-two-services-share";
const PROVIDERS: &str = "[label_studio]\nurl = \"https://ls.example.com\"\n[[sign_in.providers]]\nname = \"one\"\n\
                         issuer = \"https://op.example.com\"\nclient_id = \"gate\"\nclient_secret = \"x\"\n";

fn issuers() -> String {
    format!("[[external.issuers]]\nname = \"one\"\nsecret = \"{SHARED}\"\n")
}

/// The settings of this file and of these variables.
fn read(text: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let file = written(text);
    let read = Settings::load(Some(file.path()), &environment(variables));
    read.map_err(|errors| errors.to_string())
}

/// An operator would believe that they keep somebody out.
#[test]
fn settings_of_one_provider_are_refused_beside_tables_of_providers() {
    let told = "has no effect beside sign_in.providers: write it in each table";
    let allowed = read(PROVIDERS, &[]).expect("tables");
    assert!(allowed.warnings().is_empty(), "{:?}", allowed.warnings());
    for (setting, value) in [
        ("groups_claim", "\"groups\""),
        ("allowed_groups", "[\"annotators\"]"),
        ("required_claims", "[\"tenant=a\"]"),
        ("allow_privileged", "false"),
        ("create_users", "true"),
        ("max_age_seconds", "60"),
        ("scopes", "[]"),
        ("client_secret", "\"hunter2\""),
    ] {
        let flat = format!("[sign_in]\n{setting} = {value}\n{PROVIDERS}");
        let in_file = read(&flat, &[]).expect_err(setting);
        let variable = format!("GATE_SIGN_IN_{}", setting.to_uppercase());
        let value = value.trim_matches(['[', ']', '"']);
        // Empty text is how compose files pass on a variable that is not set.
        if !value.is_empty() {
            let in_variable = read(PROVIDERS, &[(&variable, value)]).expect_err(setting);
            let expected = format!("sign_in.{setting}: {told} (set in {variable})");
            assert!(in_variable.contains(&expected), "{in_variable}");
            assert_eq!(in_variable.lines().count(), 1, "{in_variable}");
        }
        assert!(
            in_file.contains(&format!("sign_in.{setting}: {told} (set in /")),
            "{in_file}"
        );
        assert!(!in_file.contains("hunter2"), "{in_file}");
    }
    // Settings of the section as a whole, and what the copy of config/default.toml says.
    let whole = format!(
        "[sign_in]\nprovider_logout = false\nstarts_per_minute = 5\nallow_privileged = true\n\
         groups_claim = \"\"\nscopes = [\"email\", \"profile\"]\n{PROVIDERS}"
    );
    let settings = read(&whole, &[("GATE_SIGN_IN_ISSUER", "")]).expect("tables");
    assert!(!settings.sign_in.expect("it is on").provider_logout);
}

#[test]
fn settings_of_one_issuer_are_refused_beside_tables_unless_it_has_a_key() {
    let told = "has no effect beside external.issuers: write it in each table";
    for (setting, value) in [
        ("allow_privileged", "false"),
        ("required_claims", "[\"tenant=a\"]"),
        ("audience", "\"label-studio\""),
        ("algorithms", "\"HS512\""),
        ("previous_secret", "\"hunter2\""),
    ] {
        let flat = format!("[external]\n{setting} = {value}\n{}", issuers());
        let in_file = read(&flat, &[]).expect_err(setting);
        assert!(
            in_file.contains(&format!("external.{setting}: {told}")),
            "{in_file}"
        );
        let variable = format!("GATE_EXTERNAL_{}", setting.to_uppercase());
        let value = value.trim_matches(['[', ']', '"']);
        let in_variable = read(&issuers(), &[(&variable, value)]).expect_err(setting);
        assert!(
            in_variable.contains(&format!("external.{setting}: {told}")),
            "{in_variable}"
        );
        assert!(!format!("{in_file}{in_variable}").contains("hunter2"));
        // The tables are further issuers then.
        let with_key = [(variable.as_str(), value), ("JWT_SSO_SECRET", SHARED)];
        if setting != "previous_secret" {
            assert_eq!(
                read(&issuers(), &with_key)
                    .expect("two")
                    .external
                    .issuers
                    .len(),
                2
            );
        }
    }
}

/// One `.env` serves the gate, Label Studio and the plugin.
#[test]
fn variables_of_the_plugin_for_a_method_that_is_off_are_warned_about() {
    for (name, setting) in [
        ("JWT_SSO_ALGORITHM", "external.algorithms"),
        ("JWT_SSO_EMAIL_CLAIM", "external.email_claim"),
    ] {
        let variables = [(name, "RS256")];
        let off = warnings(&variables);
        let expected = format!(
            "{setting}: has no effect without a key: secret, public_key, jwks_url or discovery (set in {name})"
        );
        assert_eq!(off, [expected]);
        let beside = read(&issuers(), &variables).expect("a warning");
        let expected = format!(
            "{setting}: has no effect beside external.issuers: write it in each table (set in {name})"
        );
        let beside: Vec<String> = beside.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(beside, [expected]);
    }
    let off = warnings(&[("JWT_SSO_SESSION_VERIFY_SECRET", "hunter2")]);
    let expected = "client_session.verify_secret: has no effect without client_session.verify_url (set in JWT_SSO_SESSION_VERIFY_SECRET)";
    assert_eq!(off, [expected]);
    // What label-studio-gate-import writes for settings of a settings.py.
    let imported = read("[external]\nalgorithms = \"HS512\"\n", &[]).expect("a warning");
    assert_eq!(imported.warnings().len(), 1);
}

#[test]
fn settings_of_a_method_that_is_off_are_refused() {
    let key = "has no effect without a key: secret, public_key, jwks_url or discovery";
    for (variable, value, expected) in [
        ("GATE_EXTERNAL_ISSUER", "https://id.test", format!("external.issuer: {key}")),
        ("GATE_EXTERNAL_AUDIENCE", "a", format!("external.audience: {key}")),
        ("GATE_EXTERNAL_ALLOWED_GROUPS", "a", format!("external.allowed_groups: {key}")),
        ("GATE_EXTERNAL_PREVIOUS_SECRET", SHARED, format!("external.previous_secret: {key}")),
        (
            "GATE_SIGN_IN_CLIENT_SECRET",
            "hunter2",
            "sign_in.client_secret: has no effect without sign_in.issuer".to_owned(),
        ),
        (
            "GATE_SIGN_IN_CLIENT_ID",
            "gate",
            "sign_in.client_id: has no effect without sign_in.issuer".to_owned(),
        ),
        (
            "GATE_SIGN_IN_ALLOWED_GROUPS",
            "a",
            "sign_in.allowed_groups: has no effect without sign_in.issuer".to_owned(),
        ),
        (
            "GATE_PROXY_HEADERS_SECRET",
            SHARED,
            "proxy_headers.secret: has no effect without a header: proxy_headers.email or proxy_headers.username".to_owned(),
        ),
        (
            "GATE_PROXY_HEADERS_CREATE_USERS",
            "true",
            "proxy_headers.create_users: has no effect without a header".to_owned(),
        ),
        (
            "GATE_CLIENT_SESSION_ALLOW_PRIVILEGED",
            "false",
            "client_session.allow_privileged: has no effect without client_session.verify_url".to_owned(),
        ),
        (
            "GATE_TRACES_HEADERS",
            "authorization=hunter2",
            "traces.headers: has no effect without traces.endpoint".to_owned(),
        ),
        (
            "GATE_TRACES_SAMPLE_RATIO",
            "0.5",
            "traces.sample_ratio: has no effect without traces.endpoint".to_owned(),
        ),
    ] {
        let told = errors(&[(variable, value)]);
        assert!(told.contains(&expected), "{expected}\nis not in\n{told}");
        assert!(told.contains(&format!("(set in {variable})")), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(!told.contains(SHARED) && !told.contains("hunter2"), "{told}");
    }
    let in_file = read("[sign_in]\nclient_id = \"gate\"\n", &[]).expect_err("no issuer");
    assert!(
        in_file.contains("sign_in.client_id: has no effect"),
        "{in_file}"
    );
}

/// What deploy/compose.yaml passes to the gate if the operator sets nothing: `${NAME:-default}`, or nothing for
/// `${NAME:+value}`.
fn passed_by_compose() -> Vec<(&'static str, &'static str)> {
    let compose = include_str!("../../../deploy/compose.yaml");
    let (_, gate) = compose.split_once("\n  gate:\n").expect("a service");
    let (gate, _) = gate.split_once("\n  nginx:\n").expect("the next one");
    let lines = gate.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once(": ${")?;
        let (_, default) = value.strip_suffix('}')?.split_once(':')?;
        match default.split_at_checked(1)? {
            ("-", default) => Some((name, default)),
            ("+", _) => Some((name, "")),
            _ => None,
        }
    });
    lines.collect()
}

/// They may be in a file, or in an override of compose's.
#[test]
fn several_providers_go_with_what_compose_passes() {
    let passed = passed_by_compose();
    let names: Vec<&str> = passed.iter().map(|(name, _)| *name).collect();
    assert!(names.contains(&"GATE_SIGN_IN_CLIENT_ID") && names.contains(&"JWT_SSO_SECRET"));
    let without = read("", &passed).expect("no provider");
    assert!(without.sign_in.is_none());
    let public_url = ("GATE_LABEL_STUDIO_URL", "https://ls.example.com");
    let several = read(PROVIDERS, &[&passed[..], &[public_url]].concat()).expect("tables");
    assert!(several.sign_in.is_some());
    assert!(several.warnings().is_empty(), "{:?}", several.warnings());
}

/// The key may be there, and only its file not be readable.
#[test]
fn a_key_that_cannot_be_read_is_the_only_error() {
    for (variables, name) in [
        (
            &[
                ("GATE_EXTERNAL_SECRET_FILE", "/nowhere"),
                ("GATE_EXTERNAL_ISSUER", "https://id.test"),
                ("GATE_TOKEN_HEADER", "X-Proxy-Token"),
            ][..],
            "external.secret",
        ),
        (
            &[("SECRET_KEY", ""), ("SECRET_KEY_FILE", "/nowhere")],
            "label_studio.secret_key",
        ),
    ] {
        let told = errors(variables);
        assert!(told.contains(&format!("{name}: ")), "{told}");
        assert!(told.contains("cannot read /nowhere"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
