//! The licences of everything that we build on, against the rules in `deny.toml`.

use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use super::{files, none, packages};

#[derive(Deserialize)]
struct DenyToml {
    licenses: Licences,
}

/// The part of `deny.toml` that says what is allowed.
#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// What is allowed for one package, besides.
#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    package: String,
    allow: Vec<String>,
}

impl Licences {
    fn read() -> Self {
        let rules: DenyToml =
            toml::from_str(&files::read("deny.toml")).expect("deny.toml has a list of licences");
        rules.licenses
    }

    fn allowed_for(&self, package: &str) -> Vec<Licensee> {
        let exceptions = self.exceptions.iter().filter(|exception| exception.package == package);
        let names = self.allow.iter().chain(exceptions.flat_map(|exception| &exception.allow));
        names.map(|name| Licensee::parse(name).expect("deny.toml names licences by their SPDX id")).collect()
    }

    /// What is wrong with a package under this licence, if anything.
    fn objection(&self, package: &str, licence: Option<&str>) -> Option<String> {
        let Some(licence) = licence else { return Some(format!("{package} states no licence")) };
        // Older packages write `MIT/Apache-2.0`.
        let expression = match Expression::parse_mode(licence, ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => {
                return Some(format!("{package}: cannot read the licence `{licence}`: {}", error.reason));
            }
        };
        let allowed = self.allowed_for(package);
        let satisfied =
            expression.evaluate(|required| allowed.iter().any(|licence| licence.satisfies(required)));
        (!satisfied).then(|| format!("{package}: `{licence}` is not allowed by deny.toml"))
    }
}

#[test]
fn every_dependency_has_a_licence_that_we_allow() {
    let rules = Licences::read();
    let packages = packages::all();
    let objections: Vec<String> = packages
        .iter()
        .filter_map(|package| rules.objection(&package.name, package.license.as_deref()))
        .collect();

    assert!(packages.len() > 100, "the rule looks at too little: {} packages", packages.len());
    none(&objections);
}

#[test]
fn a_licence_that_we_do_not_allow_is_found() {
    let rules = Licences::read();

    for licence in [
        "GPL-3.0-only",
        "GPL-2.0",
        "MIT AND LGPL-2.1-or-later",
        "AGPL-3.0-or-later",
        "MPL-2.0",
        "no licence at all",
    ] {
        assert!(rules.objection("planted", Some(licence)).is_some(), "{licence}");
    }
    assert!(rules.objection("planted", None).is_some());
}

#[test]
fn one_permissive_choice_is_enough() {
    let rules = Licences::read();

    assert_eq!(rules.objection("planted", Some("MIT OR GPL-3.0-only")), None);
    assert_eq!(rules.objection("planted", Some("MIT/Apache-2.0")), None);
}

#[test]
fn an_exception_holds_for_its_package_only() {
    let rules: DenyToml = toml::from_str(
        "[licenses]\nallow = ['MIT']\nexceptions = [{ crate = 'roots', allow = ['CDLA-Permissive-2.0'] }]",
    )
    .unwrap();

    assert_eq!(rules.licenses.objection("roots", Some("CDLA-Permissive-2.0")), None);
    assert!(rules.licenses.objection("planted", Some("CDLA-Permissive-2.0")).is_some());
}

#[test]
fn every_exception_is_needed() {
    let idle: Vec<String> = Licences::read()
        .exceptions
        .iter()
        .filter(|exception| !packages::all().iter().any(|package| package.name.as_str() == exception.package))
        .map(|exception| format!("deny.toml: nothing depends on {} any more", exception.package))
        .collect();

    none(&idle);
}
