//! The documents, compared with the code and with each other.

use std::path::{Path, PathBuf};

use crate::commands::{gate_with, said};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn file(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The codes in docs/reasons.md, which is generated from the code.
fn reasons() -> Vec<String> {
    let codes = file("docs/reasons.md");
    let codes = codes
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    codes.map(str::to_owned).collect()
}

#[test]
fn the_openapi_document_has_every_route_and_every_reason() {
    let document = file("docs/openapi.yaml");
    let code = file("src/http/mod.rs") + &file("src/http/health.rs");
    let mut routes: Vec<String> = code
        .split(['(', ')', ',', ' ', '\n'])
        .filter_map(|word| word.strip_prefix("\"/")?.strip_suffix('"'))
        .map(|path| format!("/{}", path.replace(":.*", "")))
        .collect();
    routes.sort();
    let mut documented: Vec<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("  /")?.strip_suffix(':'))
        .map(|path| format!("/{path}"))
        .collect();
    documented.sort();
    assert_eq!(documented, routes);

    let (_, listed) = document
        .split_once("See reasons.md.\n      enum:\n")
        .unwrap();
    let listed: Vec<&str> = listed
        .lines()
        .map(|line| line.trim().trim_start_matches("- "))
        .collect();
    assert_eq!(listed, reasons());
}

/// The name stands in Cargo.toml, and the tag is the version.
#[test]
fn compose_kustomize_helm_and_the_dockerfile_name_the_same_image() {
    let manifest = file("Cargo.toml");
    let (_, section) = manifest
        .split_once("[package.metadata.image]\nname = \"")
        .unwrap();
    let name = section.split('"').next().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for (path, expected) in [
        (
            "deploy/compose.yaml",
            format!("\n    image: {name}:{version}\n"),
        ),
        ("deploy/Dockerfile", format!(" -t {name}:{version} .\n")),
        ("deploy/Dockerfile", format!("\nARG VERSION={version}\n")),
        (
            "deploy/kubernetes/base/kustomization.yaml",
            format!("\n    newName: {name}\n    newTag: {version}\n"),
        ),
        (
            "deploy/kubernetes/README.md",
            format!(" -t {name}:{version} .\n"),
        ),
        (
            "deploy/helm/label-studio-gate/values.yaml",
            format!("image:\n  repository: {name}\n"),
        ),
        (
            "deploy/helm/label-studio-gate/Chart.yaml",
            format!("\nversion: {version}\nappVersion: {version}\n"),
        ),
    ] {
        assert!(file(path).contains(&expected), "{path}: {expected:?}");
    }
}

#[test]
fn every_reason_has_advice() {
    let text = file("docs/troubleshooting.md");
    let (_, advice) = text.split_once("## By reason").unwrap();
    for reason in reasons() {
        assert!(advice.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn the_settings_in_the_documents_are_valid() {
    label_studio_gate::startup::install_crypto();
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    let key = rcgen::KeyPair::generate().unwrap().public_key_pem();
    std::fs::write(path("partner.pem"), key).unwrap();
    for secret in ["company.secret", "partner.secret"] {
        std::fs::write(path(secret), "a client secret").unwrap();
    }
    let pages = std::fs::read_dir(root().join("docs/identity-providers")).unwrap();
    let pages = pages.map(|page| page.unwrap().path());
    let mut tried = 0;
    let further = [
        "docs/methods.md",
        "docs/groups.md",
        "docs/sign-in.md",
        "docs/identity-aware-proxies.md",
        "docs/embedding.md",
        "docs/traces.md",
    ];
    for page in pages.chain(further.map(|page| root().join(page))) {
        let text = std::fs::read_to_string(&page).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let settings = block.split("```").next().unwrap();
            let settings =
                settings.replace("/etc/label-studio-gate", &home.path().display().to_string());
            let settings = settings.replace('…', &"0".repeat(64));
            std::fs::write(path("gate.toml"), &settings).unwrap();
            // Settings without a key are about the shared secret, which is set in the environment.
            let has_key = ["discovery", "jwks_url", "public_key", "proxy_headers"];
            let secret = [("JWT_SSO_SECRET", "a-shared-secret-of-thirty-two-bytes")];
            let variables = match has_key.iter().any(|name| settings.contains(name)) {
                true => &[][..],
                false => &secret,
            };
            let output = gate_with(&["check-config", "--config", &path("gate.toml")], variables);
            assert!(
                output.status.success(),
                "{}: {settings}{output:?}",
                page.display()
            );
            assert!(said(&output).contains("external.email_claim"));
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried}");
}

fn documents(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            found.extend(documents(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_link_has_a_target() {
    let mut followed = 0;
    for document in documents(root()) {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            if target.starts_with("http") {
                continue;
            }
            let to = match target {
                "" => document.clone(),
                target => document.parent().unwrap().join(target),
            };
            assert!(to.exists(), "{}: {link}", document.display());
            if !anchor.is_empty() {
                // GitHub's anchors: lower case, spaces become dashes, other punctuation is dropped.
                let text = std::fs::read_to_string(&to).unwrap();
                let anchors = text
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .map(|line| {
                        let heading = line.trim_start_matches('#').trim().to_lowercase();
                        let kept = heading
                            .chars()
                            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                        kept.collect::<String>().replace(' ', "-")
                    });
                assert!(
                    anchors.into_iter().any(|it| it == anchor),
                    "{}: {link}",
                    document.display()
                );
            }
            followed += 1;
        }
    }
    assert!(followed > 50, "{followed}");
}

#[test]
fn security_names_tests_that_exist() {
    let tests = root().join("tests");
    let text = file("SECURITY.md");
    let names = text.split('`').filter(|name| {
        let (place, _) = name.split_once('/').unwrap_or_default();
        matches!(place, "api" | "e2e") && name.is_ascii() && !name.contains([' ', '…'])
    });
    let mut found = 0;
    for name in names {
        let path = tests.join(name);
        assert!(
            path.is_dir() || path.with_extension("rs").is_file(),
            "SECURITY.md names {name}, which is not in tests/"
        );
        found += 1;
    }
    assert!(found >= 15, "{found} tests are named");
}
