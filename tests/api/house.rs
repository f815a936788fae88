//! Which module may use which: the directions that ARCHITECTURE.md describes.
//!
//! [`ALLOWED`] is the truth. The test parses the code, resolves every path in it (nested `use`
//! trees, `super::super`, paths in expressions and in macros), and refuses what is not in the list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A place in `src`, the modules of the crate that it may use, and the crates that it may use.
///
/// `std` is free, except that `std::fs`, `std::net`, `std::process` and `SystemTime::now` count as
/// crates.
const ALLOWED: &[(&str, &[&str], &[&str])] = &[
    (
        "django",
        &[],
        &[
            "base64",
            "flate2",
            "hex",
            "hmac",
            "httpdate",
            "secrecy",
            "serde",
            "serde_json",
            "sha2",
            "subtle",
        ],
    ),
    (
        "gate",
        &["django"],
        &[
            "async_trait",
            "base64",
            "jsonwebtoken",
            "memchr",
            "pem",
            "percent_encoding",
            "pkcs1",
            "psl2",
            "quick_cache",
            "ring",
            "secrecy",
            "serde",
            "serde_json",
            "sha2",
            "spki",
            "std::net",
            "subtle",
            "url",
            "uuid",
        ],
    ),
    (
        "postgres",
        &[
            "audit",
            "cache",
            "deadline",
            "gate",
            "metrics",
            "settings",
            "single_flight",
            "traces",
            "trust",
        ],
        &[
            "arc_swap",
            "async_trait",
            "deadpool",
            "rustls",
            "sha2",
            "socket2",
            "std::net",
            "subtle",
            "tokio",
            "tokio_postgres",
            "tokio_postgres_rustls",
            "tracing",
        ],
    ),
    (
        "keys",
        &[
            "deadline",
            "gate",
            "http_client",
            "metrics",
            "settings",
            "traces",
        ],
        &[
            "arc_swap",
            "async_trait",
            "jsonwebtoken",
            "reqwest",
            "serde",
            "serde_json",
            "tokio",
            "tracing",
            "uuid",
        ],
    ),
    (
        "application_api",
        &[
            "cache",
            "deadline",
            "gate",
            "http_client",
            "metrics",
            "single_flight",
            "traces",
        ],
        &[
            "async_trait",
            "reqwest",
            "secrecy",
            "serde_json",
            "sha2",
            "tokio",
            "tracing",
        ],
    ),
    (
        "openid",
        &["deadline", "gate", "http_client", "metrics"],
        &[
            "arc_swap",
            "async_trait",
            "base64",
            "jsonwebtoken",
            "oauth2",
            "reqwest",
            "secrecy",
            "serde",
            "serde_json",
            "tokio",
            "tracing",
            "url",
        ],
    ),
    (
        "audit",
        &["gate", "metrics"],
        &["async_trait", "std::net", "tokio", "tracing"],
    ),
    (
        "http_client",
        &["traces", "trust"],
        &["http", "hyper", "reqwest", "rustls"],
    ),
    (
        "traces",
        &[],
        &["async_trait", "opentelemetry", "opentelemetry_sdk"],
    ),
    ("trust", &[], &["rustls", "rustls_native_certs"]),
    (
        "http",
        &["audit", "deadline", "gate", "metrics", "traces"],
        &[
            "actix_http",
            "actix_service",
            "actix_web",
            "arc_swap",
            "askama",
            "base64",
            "futures_core",
            "governor",
            "ipnet",
            "serde",
            "serde_json",
            "sha2",
            "std::net",
            "tokio",
            "tracing",
            "url",
        ],
    ),
    (
        "settings",
        &["django", "gate", "http_client", "trust"],
        &[
            "ipnet",
            "jsonwebtoken",
            "percent_encoding",
            "schemars",
            "secrecy",
            "serde",
            "serde_json",
            "sha2",
            "std::fs",
            "std::net",
            "strsim",
            "tokio_postgres",
            "toml",
            "tracing",
            "tracing_subscriber",
            "url",
        ],
    ),
    (
        "telemetry",
        &["http_client", "metrics", "traces"],
        &[
            "async_trait",
            "opentelemetry",
            "opentelemetry_proto",
            "opentelemetry_sdk",
            "prost",
            "reqwest",
            "tokio",
            "tracing",
            "tracing_appender",
            "tracing_subscriber",
        ],
    ),
    ("metrics", &["gate"], &[]),
    ("deadline", &["gate"], &["tokio", "tracing"]),
    ("cache", &["metrics"], &["quick_cache"]),
    ("single_flight", &[], &["tokio"]),
];

/// These put the service together, and may use everything.
const COMPOSITION: [&str; 7] = [
    "cli",
    "commands",
    "doctor",
    "documents",
    "lib",
    "main",
    "startup",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files below a directory that have this extension.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found
}

/// A file of `src` that is not a test.
struct Module {
    file: PathBuf,
    /// `["gate", "verify", "native"]`.
    path: Vec<String>,
    text: String,
}

impl Module {
    /// The top-level module that the file belongs to.
    fn place(&self) -> &str {
        &self.path[0]
    }
}

fn modules() -> Vec<Module> {
    let mut modules = Vec::new();
    for file in files(&source(), "rs") {
        let relative = file.strip_prefix(source()).unwrap().with_extension("");
        let mut path: Vec<String> = relative
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        path.retain(|part| part != "mod");
        if path.iter().all(|part| part != "tests") {
            let text = std::fs::read_to_string(&file).unwrap();
            modules.push(Module { file, path, text });
        }
    }
    assert!(modules.len() > 50, "{} modules", modules.len());
    modules
}

/// What a file uses.
struct Uses<'a> {
    /// The crate's dependencies.
    crates: &'a BTreeSet<String>,
    /// The path of the module that is being visited.
    module: Vec<String>,
    /// Top-level modules of this crate.
    modules: BTreeSet<String>,
    /// Other crates, and the parts of `std` that count as crates.
    others: BTreeSet<String>,
}

impl Uses<'_> {
    fn path(&mut self, segments: &[String]) {
        let [first, rest @ ..] = segments else { return };
        if segments.ends_with(&["SystemTime".to_owned(), "now".to_owned()]) {
            self.others.insert("SystemTime::now".to_owned());
        }
        let mut absolute = match first.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            "std" => {
                let part = rest.first().map_or("", String::as_str);
                if ["fs", "net", "process"].contains(&part) {
                    self.others.insert(format!("std::{part}"));
                }
                return;
            }
            name if self.crates.contains(name) => {
                self.others.insert(name.to_owned());
                return;
            }
            // A path into the module itself, or one that begins with an imported name.
            _ => return,
        };
        for segment in segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => _ = absolute.pop(),
                name => absolute.push(name.to_owned()),
            }
        }
        let module = absolute.first().map_or("the whole crate", String::as_str);
        self.modules.insert(module.to_owned());
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.path(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.path(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.path(before),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.tree(before, tree));
            }
        }
    }

    /// The paths in the arguments of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end_of_path(&mut path);
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.end_of_path(&mut path);
                    self.tokens(group.stream());
                }
                _ => self.end_of_path(&mut path),
            }
        }
        self.end_of_path(&mut path);
    }

    fn end_of_path(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.path(path);
        }
        path.clear();
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let test = |list: &syn::MetaList| list.tokens.to_string() == "test";
        attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(test)
    })
}

impl<'ast> Visit<'ast> for Uses<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        let segments: Vec<String> = segments.map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.path(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

/// The crate's dependencies, in the spelling of Rust paths.
fn dependencies() -> BTreeSet<String> {
    let manifest = source().with_file_name("Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let names = manifest["dependencies"].as_table().unwrap().keys();
    names.map(|name| name.replace('-', "_")).collect()
}

fn uses<'a>(crates: &'a BTreeSet<String>, path: &[String], text: &str) -> Uses<'a> {
    let mut uses = Uses {
        crates,
        module: path.to_vec(),
        modules: BTreeSet::new(),
        others: BTreeSet::new(),
    };
    uses.visit_file(&syn::parse_file(text).unwrap());
    uses
}

#[test]
fn modules_use_only_what_they_may() {
    let crates = dependencies();
    let allowed: BTreeMap<&str, (&[&str], &[&str])> = ALLOWED
        .iter()
        .map(|(place, modules, others)| (*place, (*modules, *others)))
        .collect();
    let mut errors = Vec::new();
    let mut used = BTreeSet::new();
    for module in modules() {
        let place = module.place();
        if COMPOSITION.contains(&place) {
            continue;
        }
        let (modules, others) = allowed
            .get(place)
            .unwrap_or_else(|| panic!("{place} is not in the list"));
        let uses = uses(&crates, &module.path, &module.text);
        for name in &uses.modules {
            used.insert((place.to_owned(), name.clone()));
            if name != place && !modules.contains(&name.as_str()) {
                errors.push(format!("{} uses crate::{name}", module.file.display()));
            }
        }
        for name in &uses.others {
            used.insert((place.to_owned(), name.clone()));
            if !others.contains(&name.as_str()) {
                errors.push(format!("{} uses {name}", module.file.display()));
            }
        }
    }
    for (place, modules, others) in ALLOWED {
        for name in modules.iter().chain(*others) {
            if !used.contains(&((*place).to_owned(), (*name).to_owned())) {
                errors.push(format!("{place} may use {name}, but does not"));
            }
        }
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn every_spelling_of_a_path_is_seen() {
    let crates = BTreeSet::from(["tokio".to_owned()]);
    let path = ["gate".to_owned(), "verify".to_owned()];
    for (code, expected) in [
        ("use crate::http::page;", "http"),
        ("use crate::{a, b::{c, d::*}};", "a b"),
        ("use crate::{gate::{self as g}, http as h};", "gate http"),
        ("use super::super::postgres::Pool;", "postgres"),
        ("use super::session;", "gate"),
        ("use self::keys::Key;", "gate"),
        ("mod inner { use super::super::super::http; }", "http"),
        (
            "fn f() -> crate::metrics::M { super::super::cli::g() }",
            "cli metrics",
        ),
        (
            "fn f() { format!(\"{}\", crate::settings::x(crate::keys::Y)) }",
            "keys settings",
        ),
        ("pub use crate::*;", "the whole crate"),
        ("use tokio::{net, sync::Mutex};", "tokio"),
        (
            "fn f() { tokio::spawn(std::fs::read(x)); }",
            "std::fs tokio",
        ),
        ("use std::{collections::BTreeMap, net::IpAddr};", "std::net"),
        (
            "fn f() { let now = std::time::SystemTime::now(); }",
            "SystemTime::now",
        ),
        ("#[cfg(test)] mod tests { use crate::http::x; }", ""),
        ("use child::Thing; fn f(tokio: u8) -> u8 { tokio }", ""),
    ] {
        let uses = uses(&crates, &path, code);
        let found: Vec<&str> = uses
            .modules
            .iter()
            .chain(&uses.others)
            .map(String::as_str)
            .collect();
        assert_eq!(found.join(" "), expected, "{code}");
    }
}

/// The text without its tests and comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn sql_is_in_its_own_files() {
    let adapter = || modules().into_iter().filter(|it| it.place() == "postgres");
    for module in adapter() {
        for word in ["SELECT ", "INSERT ", "UPDATE ", "DELETE "] {
            let file = module.file.display();
            assert!(!code(&module.text).contains(word), "{file} contains SQL");
        }
    }
    let sql = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let used: String = adapter().map(|module| module.text).collect();
    for path in files(&sql, "sql") {
        let name = path.strip_prefix(&sql).unwrap().with_extension("");
        let name = name.to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("-- "),
            "{name}.sql doesn't start with its purpose"
        );
        assert!(
            !text.contains("SELECT *"),
            "{name}.sql doesn't name its columns"
        );
        assert!(
            ["role", "indexes"].contains(&name) || used.contains(&format!("sql!(\"{name}\")")),
            "{name}.sql is not used"
        );
    }
}

#[test]
fn only_the_call_of_malloc_trim_is_unsafe() {
    let unsafe_code = |module: &Module| code(&module.text).contains("unsafe_code");
    let modules = modules().into_iter().filter(unsafe_code);
    let places: Vec<Vec<String>> = modules.map(|module| module.path).collect();
    assert_eq!(places, [["startup", "memory"]]);
}

#[test]
fn no_work_is_left_for_later() {
    for module in modules() {
        let text = code(&module.text);
        for word in ["TODO", "FIXME", "todo!(", "unimplemented!("] {
            assert!(
                !text.contains(word),
                "{} contains {word}",
                module.file.display()
            );
        }
    }
}
