//! What somebody probably meant.

/// The name most like `text`, if one is alike enough to be meant.
pub(crate) fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.8;
    let alike = |name| (strsim::jaro_winkler(text, name), name);
    let best = names.map(alike).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_stranger_is_not() {
        let names = || ["hello", "report.load"].into_iter();
        assert_eq!(nearest("helo", names()), Some("hello"));
        assert_eq!(nearest("billing.invoice", names()), None);
        assert_eq!(nearest("x", std::iter::empty()), None);
    }
}
