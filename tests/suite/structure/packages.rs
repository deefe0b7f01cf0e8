//! Which package may depend on which, and where packages come from, as cargo sees it.

use std::sync::LazyLock;

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package};

use super::{files, none};

/// Every package of the workspace, and what it may depend on in it: `schedule ← shared ← broker, worker ← src ← tests`.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("upbeat-schedule", &[]),
    ("upbeat-derive", &[]),
    ("upbeat-shared", &["upbeat-schedule", "upbeat-derive"]),
    ("upbeat-broker", &["upbeat-schedule", "upbeat-shared"]),
    ("upbeat-worker", &["upbeat-schedule", "upbeat-shared"]),
    ("upbeat", &["upbeat-schedule", "upbeat-derive", "upbeat-shared", "upbeat-broker", "upbeat-worker"]),
    (
        "upbeat-tests",
        &["upbeat-schedule", "upbeat-derive", "upbeat-shared", "upbeat-broker", "upbeat-worker", "upbeat"],
    ),
];

/// The whole tree: all features, all platforms.
static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
    MetadataCommand::new()
        .manifest_path(files::root().join("Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(["--locked".to_owned()])
        .exec()
        .expect("cargo describes the workspace")
});

pub(super) fn all() -> &'static [Package] {
    &METADATA.packages
}

/// One dependency between packages of the workspace.
struct Edge {
    from: String,
    to: String,
    kind: DependencyKind,
}

fn edges() -> Vec<Edge> {
    let members = METADATA.workspace_packages();
    let names: Vec<&str> = members.iter().map(|package| package.name.as_str()).collect();
    members
        .iter()
        .flat_map(|package| {
            package.dependencies.iter().map(|dependency| (package.name.to_string(), dependency))
        })
        .filter(|(_, dependency)| names.contains(&dependency.name.as_str()))
        .map(|(from, dependency)| Edge { from, to: dependency.name.clone(), kind: dependency.kind })
        .collect()
}

fn forbidden(edges: &[Edge]) -> Vec<String> {
    edges
        .iter()
        .filter(|edge| !is_allowed(edge))
        .map(|edge| format!("{} must not depend on {}", edge.from, edge.to))
        .collect()
}

fn is_allowed(edge: &Edge) -> bool {
    // The suite is the root package's test binary, and stands above everything; the derive's tests are users of the facade.
    let tests = [("upbeat", "upbeat-tests"), ("upbeat-derive", "upbeat")];
    let of_tests =
        edge.kind == DependencyKind::Development && tests.contains(&(edge.from.as_str(), edge.to.as_str()));
    of_tests || MAY_DEPEND_ON.iter().any(|(from, to)| *from == edge.from && to.contains(&edge.to.as_str()))
}

#[test]
fn packages_depend_only_downwards() {
    let edges = edges();

    assert!(edges.len() >= 8, "the rule looks at too little: {} dependencies", edges.len());
    none(&forbidden(&edges));
}

#[test]
fn broker_and_worker_never_import_each_other() {
    let between: Vec<String> = edges()
        .iter()
        .filter(|edge| {
            ["upbeat-broker", "upbeat-worker"] == [&*edge.from, &*edge.to]
                || ["upbeat-worker", "upbeat-broker"] == [&*edge.from, &*edge.to]
        })
        .map(|edge| format!("{} must not depend on {}", edge.from, edge.to))
        .collect();

    none(&between);
}

#[test]
fn a_dependency_that_points_upwards_is_found() {
    let planted = |from: &str, to: &str, kind| vec![Edge { from: from.to_owned(), to: to.to_owned(), kind }];

    assert_eq!(forbidden(&planted("upbeat-broker", "upbeat-worker", DependencyKind::Normal)).len(), 1);
    assert_eq!(forbidden(&planted("upbeat-worker", "upbeat-broker", DependencyKind::Development)).len(), 1);
    assert_eq!(forbidden(&planted("upbeat-schedule", "upbeat-shared", DependencyKind::Normal)).len(), 1);
    assert_eq!(forbidden(&planted("upbeat", "upbeat-tests", DependencyKind::Normal)).len(), 1);
    assert_eq!(forbidden(&planted("upbeat", "upbeat-tests", DependencyKind::Development)).len(), 0);
}

#[test]
fn every_package_of_the_workspace_has_its_place() {
    let placeless: Vec<String> = METADATA
        .workspace_packages()
        .iter()
        .filter(|package| !MAY_DEPEND_ON.iter().any(|(name, _)| *name == package.name.as_str()))
        .map(|package| format!("{} is new: give it a place in MAY_DEPEND_ON", package.name))
        .collect();

    none(&placeless);
}

#[test]
fn every_dependency_comes_from_the_default_registry() {
    let strangers: Vec<String> = all()
        .iter()
        .filter(|package| package.source.as_ref().is_some_and(|source| !source.is_crates_io()))
        .map(|package| format!("{} comes from elsewhere", package.name))
        .collect();

    none(&strangers);
}
