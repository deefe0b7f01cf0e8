//! Which code may mention what: the layers inside the packages, and the homes of the libraries that we wrap.

use super::files;
use super::none;
use super::source::{self, Source};

/// Libraries that only the code in `homes` may mention, so that replacing one touches one folder.
struct Confined {
    libraries: &'static [&'static str],
    /// Beginnings of paths: `src/ledger/redis` is both the file and the folder of that name.
    homes: &'static [&'static str],
}

const CONFINED: &[Confined] = &[
    Confined { libraries: &["lapin"], homes: &["shared/src/transport/amqp"] },
    Confined {
        libraries: &["rusqlite"],
        homes: &["shared/src/sqlite", "shared/src/ledger/embedded", "shared/src/transport/embedded"],
    },
    Confined { libraries: &["redis", "deadpool_redis"], homes: &["shared/src/ledger/redis"] },
    Confined {
        libraries: &["tokio_postgres", "postgres_types", "deadpool_postgres"],
        homes: &["shared/src/ledger/postgres"],
    },
    Confined { libraries: &["axum"], homes: &["broker/src/api", "broker/src/dashboard", "src/ops"] },
    Confined { libraries: &["clap", "anyhow"], homes: &["src/"] },
];

/// Paths that the code in a folder never mentions.
struct Blind {
    folder: &'static str,
    to: &'static [&'static str],
    why: &'static str,
}

const BLIND: &[Blind] = &[
    Blind {
        folder: "shared/src/transport",
        to: &["crate::ledger"],
        why: "transport and ledger never see each other",
    },
    Blind {
        folder: "shared/src/ledger",
        to: &["crate::transport"],
        why: "transport and ledger never see each other",
    },
    Blind { folder: "broker/src/", to: &["upbeat_worker"], why: "broker and worker never import each other" },
    Blind { folder: "worker/src/", to: &["upbeat_broker"], why: "broker and worker never import each other" },
    Blind {
        folder: "shared/schedule/src/",
        to: &[
            "tokio",
            "std::fs",
            "std::env",
            "std::net",
            "std::process",
            "std::thread",
            "std::time::SystemTime",
            "std::time::Instant",
            "jiff::Timestamp::now",
            "jiff::Zoned::now",
        ],
        why: "schedules are pure: no I/O, no async, no clock",
    },
];

fn strays(file: &str, source: &Source) -> Vec<String> {
    let rules = CONFINED.iter().filter(|rule| !rule.homes.iter().any(|home| file.starts_with(home)));
    let libraries = rules.flat_map(|rule| rule.libraries.iter().map(move |library| (library, rule.homes)));
    libraries
        .flat_map(|(library, homes)| {
            source
                .mentions(library)
                .map(move |path| format!("{file}: `{path}`; {library} is only for {}", homes.join(", ")))
        })
        .collect()
}

fn glances(file: &str, source: &Source) -> Vec<String> {
    let rules = BLIND.iter().filter(|rule| file.starts_with(rule.folder));
    let forbidden = rules.flat_map(|rule| rule.to.iter().map(move |path| (path, rule.why)));
    forbidden
        .flat_map(|(forbidden, why)| {
            source.mentions(forbidden).map(move |path| format!("{file}: `{path}`; {why}"))
        })
        .collect()
}

fn parse(file: &str, text: &str) -> Source {
    Source::parse(&source::module(file), text)
}

fn of_the_program(rule: fn(&str, &Source) -> Vec<String>) -> Vec<String> {
    files::program().iter().flat_map(|file| rule(file, &parse(file, &files::read(file)))).collect()
}

#[test]
fn each_wrapped_library_is_mentioned_only_in_its_home() {
    none(&of_the_program(strays));
}

#[test]
fn layers_that_must_not_see_each_other_do_not() {
    none(&of_the_program(glances));
}

#[test]
fn a_library_outside_its_home_is_found() {
    let planted = [
        ("shared/src/client/mod.rs", "use lapin::Channel;"),
        ("shared/src/ledger/redis/mod.rs", "type A = rusqlite::Connection;"),
        ("shared/src/ledger/postgres/mod.rs", "use redis::Client;"),
        ("shared/src/ledger/embedded/mod.rs", "use tokio_postgres as pg;"),
        ("worker/src/lib.rs", "use {axum::Router};"),
        ("src/cli/dev.rs", "fn f() -> axum::Router {}"),
        ("broker/src/lib.rs", "fn f() -> anyhow::Result<()> {}"),
        ("worker/src/lib.rs", "#[derive(clap::Parser)] struct A;"),
    ];
    for (file, text) in planted {
        assert_eq!(strays(file, &parse(file, text)).len(), 1, "{file}: {text}");
    }
}

#[test]
fn a_library_in_its_home_is_left_alone() {
    let homely = [
        ("shared/src/transport/amqp/supervisor.rs", "use lapin::Channel;"),
        ("shared/src/transport/embedded.rs", "use rusqlite::Connection;"),
        ("shared/src/ledger/mod.rs", "mod redis; fn f() { redis::connect(); }"),
        ("src/ops/mod.rs", "use axum::Router;"),
        ("src/main.rs", "fn main() -> anyhow::Result<()> {}"),
    ];
    for (file, text) in homely {
        none(&strays(file, &parse(file, text)));
    }
}

#[test]
fn a_glance_at_a_forbidden_layer_is_found() {
    let planted = [
        ("shared/src/transport/embedded.rs", "use crate::ledger::Ledger;"),
        ("shared/src/transport/amqp/mod.rs", "use super::super::ledger;"),
        ("shared/src/ledger/embedded/mod.rs", "use crate::{id, transport};"),
        ("broker/src/beat/plan.rs", "use upbeat_worker::Runtime;"),
        ("worker/src/lib.rs", "fn f() { upbeat_broker::beat::run() }"),
        ("shared/schedule/src/next.rs", "use std::{fs};"),
        ("shared/schedule/src/next.rs", "use std::time::{Duration, Instant};"),
        ("shared/schedule/src/next.rs", "use std::time; fn f(_: time::SystemTime) {}"),
        ("shared/schedule/src/next.rs", "use jiff::Timestamp; fn f() { Timestamp::now() }"),
        ("shared/schedule/src/next.rs", "#[tokio::test] async fn f() {}"),
    ];
    for (file, text) in planted {
        assert_eq!(glances(file, &parse(file, text)).len(), 1, "{file}: {text}");
    }
}
