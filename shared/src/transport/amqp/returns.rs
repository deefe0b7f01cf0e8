//! Which message of a batch came back. A returned message is reported together with whichever message of its channel is
//! confirmed next, so that it has to be recognised by its id. Never talks to the broker.

use std::collections::{HashMap, HashSet};

/// Those of `ids` that cannot be recognised, because they are missing or there are two of them.
pub(super) fn unrecognisable<'a>(ids: impl Iterator<Item = Option<&'a str>> + Clone) -> Vec<bool> {
    let mut seen = HashSet::new();
    let mut twice = HashSet::new();
    for id in ids.clone().flatten() {
        if !seen.insert(id) {
            twice.insert(id);
        }
    }
    ids.map(|id| id.is_none_or(|id| twice.contains(id))).collect()
}

/// The places in `ids` of the messages that came back; `Err` names one that is not there.
pub(super) fn places<'a>(
    ids: impl Iterator<Item = Option<&'a str>>,
    returned: &[Option<String>],
) -> Result<Vec<usize>, String> {
    if returned.is_empty() {
        return Ok(Vec::new());
    }
    let places: HashMap<&str, usize> =
        ids.enumerate().filter_map(|(place, id)| id.map(|id| (id, place))).collect();
    let place = |id: &Option<String>| {
        let known = id.as_deref().and_then(|id| places.get(id));
        known.copied().ok_or_else(|| id.clone().unwrap_or_else(|| "a message without an id".to_owned()))
    };
    returned.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_an_id_or_with_anothers_cannot_be_recognised() {
        let ids = [Some("a"), None, Some("b"), Some("c"), Some("b")];
        assert_eq!(unrecognisable(ids.into_iter()), [false, true, true, false, true]);
    }

    #[test]
    fn a_returned_message_is_found_whatever_it_came_with() {
        let ids = || [Some("a"), Some("b"), Some("c")].into_iter();
        assert_eq!(places(ids(), &[Some("c".into()), Some("a".into())]), Ok(vec![2, 0]));
        assert_eq!(places(ids(), &[]), Ok(vec![]));
    }

    #[test]
    fn a_stranger_is_named() {
        let ids = || [Some("a")].into_iter();
        assert_eq!(places(ids(), &[Some("z".into())]), Err("z".into()));
        assert_eq!(places(ids(), &[None]), Err("a message without an id".into()));
    }
}
