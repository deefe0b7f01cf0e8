//! Rows of the printed table.

/// A rate, and what part of the baseline it is.
pub(crate) fn rate(what: &str, per_second: f64, raw: f64) {
    println!("{what:<52} {per_second:>10.0} /s {:>7.2} of raw", per_second / raw);
}

/// A quantity with its target.
pub(crate) fn against(what: &str, value: f64, unit: &str, target: f64) {
    let verdict = if value < target { "within" } else { "MISSES" };
    println!("{what:<52} {value:>10.2} {unit} {verdict} the target of {target} {unit}");
}
