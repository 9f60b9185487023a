//! The dependency diagram, as a test: who may know whom.
//!
//! ```text
//! cli --> server --> router --> config --> routing
//!  |        |          |          `------> providers --> money
//!  |        |          +-----> routing, providers
//!  |        `-----> store --> routing, money
//!  `--> config, routing
//!
//! python --> router
//! ```
//!
//! A crate may name everything below it on an arrow's way, and nothing else of ours; but what Python needs
//! has to stand in the SDK's crate, for every other language too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// From the diagram: each crate and everything that its arrows lead to.
const MAY_USE: &[(&str, &[&str])] = &[
    ("tagrail-money", &[]),
    ("tagrail-routing", &[]),
    ("tagrail-providers", &["tagrail-money"]),
    ("tagrail-config", &["tagrail-routing", "tagrail-providers", "tagrail-money"]),
    ("tagrail", &["tagrail-config", "tagrail-routing", "tagrail-providers", "tagrail-money"]),
    ("tagrail-store", &["tagrail-routing", "tagrail-money"]),
    (
        "tagrail-server",
        &[
            "tagrail",
            "tagrail-store",
            "tagrail-config",
            "tagrail-routing",
            "tagrail-providers",
            "tagrail-money",
        ],
    ),
    (
        "tagrail-cli",
        &[
            "tagrail-server",
            "tagrail-store",
            "tagrail",
            "tagrail-config",
            "tagrail-routing",
            "tagrail-providers",
            "tagrail-money",
        ],
    ),
    ("tagrail-python", &["tagrail"]),
    ("tagrail-testkit", &[]),
    ("tagrail-bench", &[]),
    ("tagrail-fuzz", &["tagrail-config", "tagrail-routing", "tagrail-providers", "tagrail-money"]),
];

/// Crates outside the product: they may name each other's subjects in tests and benchmarks.
const FOR_TESTS: &[&str] = &["tagrail-testkit", "tagrail-bench", "tagrail-fuzz"];

/// A crate from outside, and who alone may name it (in tests, everybody may).
const OWNERS: &[(&str, &[&str])] = &[
    ("axum", &["tagrail-server"]),
    ("tower", &["tagrail-server"]),
    ("hyper", &["tagrail-server", "tagrail"]),
    ("hyper-util", &["tagrail-server", "tagrail"]),
    ("tokio-rustls", &["tagrail", "tagrail-testkit"]),
    ("rustls", &["tagrail", "tagrail-cli", "tagrail-testkit"]),
    ("rustls-native-certs", &["tagrail", "tagrail-cli"]),
    ("sqlx", &["tagrail-store"]),
    ("clap", &["tagrail-cli"]),
    ("ureq", &["tagrail-cli"]),
    ("pyo3", &["tagrail-python"]),
];

/// Neither they nor anything below them may wait, open a socket or draw a number.
const PURE: &[&str] = &["tagrail-money", "tagrail-routing", "tagrail-providers", "tagrail-config"];
const IMPURE: &[&str] =
    &["tokio", "hyper", "mio", "socket2", "async-std", "smol", "reqwest", "fastrand", "rand"];

#[test]
fn our_crates_know_each_other_as_the_diagram_says() {
    let workspace = Workspace::read();
    let known: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    for (name, uses) in &workspace.ours {
        let may = known.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not in the diagram"));
        for used in uses.iter().filter(|used| workspace.ours.contains_key(*used)) {
            assert!(may.contains(&used.as_str()), "{name} must not depend on {used}");
        }
    }
    for (name, uses) in &workspace.ours_in_tests {
        for used in uses.iter().filter(|used| workspace.ours.contains_key(*used)) {
            let may = known[name.as_str()].contains(&used.as_str())
                || FOR_TESTS.contains(&used.as_str())
                || FOR_TESTS.contains(&name.as_str());
            assert!(may, "the tests of {name} must not depend on {used}");
        }
    }
}

#[test]
fn libraries_stay_with_their_owners() {
    let workspace = Workspace::read();
    for (library, owners) in OWNERS {
        for (name, uses) in &workspace.ours {
            let may = owners.contains(&name.as_str());
            assert!(may || !uses.contains(*library), "{name} must not name {library}");
        }
    }
}

#[test]
fn decisions_and_formats_have_no_runtime_below_them() {
    let workspace = Workspace::read();
    assert!(workspace.below("tagrail").contains("tokio"), "the metadata is not read rightly any more");
    for name in PURE {
        let below = workspace.below(name);
        assert!(below.contains(name), "{name} has left the workspace");
        for impure in IMPURE {
            assert!(!below.contains(*impure), "{name} brings in {impure}");
        }
    }
}

/// Whoever embeds the SDK gets no server and no database with it.
#[test]
fn the_sdk_brings_no_server_and_no_database() {
    let below = features_below("tagrail");
    assert!(below.contains("hyper feature \"client\""), "the tree is not read rightly any more: {below:?}");
    for brought in &below {
        let name = brought.split(' ').next().unwrap_or_default();
        let unwanted = ["axum", "tower", "sqlx", "prometheus-client", "clap"].contains(&name)
            || name.starts_with("sqlx-")
            || name.starts_with("axum-");
        assert!(!unwanted, "tagrail brings in {brought}");
        assert!(!brought.contains("feature \"server\""), "tagrail brings in {brought}");
    }
}

/// Packages and their features as they are built for one of ours alone. The metadata knows only the
/// features of the whole workspace together.
fn features_below(name: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal,features", "--prefix", "none", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .args(["--package", name, "--target", &host()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

/// What cargo knows, by the names of packages; build dependencies do not count.
struct Workspace {
    ours: BTreeMap<String, BTreeSet<String>>,
    ours_in_tests: BTreeMap<String, BTreeSet<String>>,
    /// The resolved graph of everything, by package id.
    graph: BTreeMap<String, Vec<String>>,
    names: BTreeMap<String, String>,
}

impl Workspace {
    fn read() -> Workspace {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .args(["--filter-platform", &host()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let members: BTreeSet<String> = list(&metadata["workspace_members"]).iter().map(text).collect();
        let mut workspace = Workspace {
            ours: BTreeMap::new(),
            ours_in_tests: BTreeMap::new(),
            graph: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        for package in list(&metadata["packages"]) {
            workspace.names.insert(text(&package["id"]), text(&package["name"]));
            if members.contains(&text(&package["id"])) {
                let named = |kind: Value| {
                    let dependencies = list(&package["dependencies"]).iter();
                    dependencies.filter(|used| used["kind"] == kind).map(|used| text(&used["name"])).collect()
                };
                workspace.ours.insert(text(&package["name"]), named(Value::Null));
                workspace.ours_in_tests.insert(text(&package["name"]), named("dev".into()));
            }
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            let used = list(&node["deps"])
                .iter()
                .filter(|used| list(&used["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()));
            workspace.graph.insert(text(&node["id"]), used.map(|used| text(&used["pkg"])).collect());
        }
        workspace
    }

    /// The names of everything that a crate brings in.
    fn below(&self, name: &str) -> BTreeSet<&str> {
        let mut open: Vec<&String> =
            self.names.iter().filter(|(_, known)| *known == name).map(|(id, _)| id).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.graph.get(id).into_iter().flatten());
            }
        }
        seen.into_iter().map(|id| self.names[id].as_str()).collect()
    }
}

/// This machine's platform: what only others need has not been downloaded.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
