//! The page that describes the keys: its tables are written from the reference. `just docs` writes them anew.

use std::fmt::Write as _;

use crate::config::{Described, DescribedTable, reference};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const END: &str = "<!-- end -->\n";

#[test]
fn the_page_says_what_the_types_say() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let written = rewritten(&page);
    if std::env::var_os("UPBEAT_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, written).unwrap();
        return;
    }
    let differs = page.lines().zip(written.lines()).find(|(is, should)| is != should);
    assert!(
        page == written,
        "docs/configuration.md is out of date; `just docs` writes it anew: {differs:#?}"
    );
}

#[test]
fn a_line_that_somebody_changed_by_hand_is_found() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    for (line, instead) in
        [("| `64` |", "| `65` |"), ("`--grace`", "`--graze`"), ("| duration |", "| number |")]
    {
        assert!(page.contains(line), "{line}");
        assert_ne!(rewritten(&page.replace(line, instead)), page.replace(line, instead), "{line}");
    }
}

#[test]
fn every_table_has_its_place_on_the_page() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    for table in reference() {
        assert_eq!(page.matches(&begin(table.table)).count(), 1, "[{}]", table.table);
    }
}

/// The page with every generated part as it should be.
fn rewritten(page: &str) -> String {
    let tables = reference();
    let mut page = replace(page, "<!-- variables and flags -->\n", &outside(&tables));
    for table in &tables {
        page = replace(&page, &begin(table.table), &rows(table));
    }
    page
}

fn begin(table: &str) -> String {
    format!("<!-- keys of [{table}] -->\n")
}

fn replace(page: &str, begin: &str, content: &str) -> String {
    let (before, rest) = page.split_once(begin).unwrap_or_else(|| panic!("the page has no {begin}"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("nothing ends {begin}"));
    format!("{before}{begin}{content}{END}{after}")
}

fn rows(table: &DescribedTable) -> String {
    let mut text = format!("{}\n\n| key | takes | default | meaning |\n|---|---|---|---|\n", table.about);
    for key in &table.keys {
        let default = key.default.as_ref().map_or_else(|| key.unset.to_owned(), |value| format!("`{value}`"));
        writeln!(text, "| `{}` | {} | {default} | {} |", key.key, takes(key), key.meaning).unwrap();
    }
    text
}

/// Tables within the table are described further down.
fn takes(key: &Described) -> String {
    let place = match key.key {
        "retry" => "retry",
        "http" => "http-as-a-table",
        "per_key" => "per_key",
        "fair" => "fair",
        "on" => "oncode",
        "catch_up" => "catch_up",
        _ => return key.takes.clone(),
    };
    key.takes.replacen("table", &format!("[table](#{place})"), 1)
}

fn outside(tables: &[DescribedTable]) -> String {
    let mut text = "| key | variable | flag |\n|---|---|---|\n".to_owned();
    for table in tables {
        for key in &table.keys {
            if let (Some(env), Some(flag)) = (key.env, key.flag) {
                writeln!(text, "| `{}` | `{env}` | `{flag}` |", table.path(key)).unwrap();
            }
        }
    }
    text
}
