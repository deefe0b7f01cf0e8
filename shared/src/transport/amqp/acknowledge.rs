//! Which frames settle a set of deliveries. Knows what the broker still waits for on one channel: a tag that it does not
//! wait for would close the channel. Never talks to the broker.

use std::collections::BTreeSet;

/// Tags on one channel that were handed out and not settled. At most as many as the prefetch.
#[derive(Debug, Default)]
pub(super) struct Outstanding(BTreeSet<u64>);

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settle {
    /// This tag.
    One(u64),
    /// This tag, and every lower one that the broker still waits for.
    UpTo(u64),
}

impl Outstanding {
    /// A delivery is on its way to a worker. Must be called in the order in which deliveries came.
    pub(super) fn hand_out(&mut self, tag: u64) {
        self.0.insert(tag);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The frames that settle those of the tags that are outstanding; they are not from now on, so that the frames must be
    /// sent in the order of these calls.
    ///
    /// One frame names the highest of them below which nothing is left: the broker settles all that is lower with it. A
    /// delivery that was not handed out yet has a higher tag than all that were, so that it is never among those.
    pub(super) fn settle(&mut self, mut tags: Vec<u64>) -> Vec<Settle> {
        tags.retain(|tag| self.0.remove(tag));
        tags.sort_unstable();
        let lowest_left = self.0.first().copied().unwrap_or(u64::MAX);
        let together = tags.partition_point(|tag| *tag < lowest_left);
        let mut frames = Vec::with_capacity(1 + tags.len() - together);
        match tags[..together] {
            [] => {}
            [one] => frames.push(Settle::One(one)),
            [.., highest] => frames.push(Settle::UpTo(highest)),
        }
        frames.extend(tags[together..].iter().copied().map(Settle::One));
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn handed_out(tags: std::ops::RangeInclusive<u64>) -> Outstanding {
        let mut outstanding = Outstanding::default();
        tags.for_each(|tag| outstanding.hand_out(tag));
        outstanding
    }

    #[test]
    fn all_below_the_lowest_that_is_left_go_in_one_frame_and_stragglers_singly() {
        let mut outstanding = handed_out(1..=9);
        assert_eq!(
            outstanding.settle(vec![3, 1, 7, 2, 9]),
            [Settle::UpTo(3), Settle::One(7), Settle::One(9)]
        );
        assert_eq!(outstanding.settle(vec![4, 5]), [Settle::UpTo(5)]);
        assert_eq!(outstanding.settle(vec![8, 6]), [Settle::UpTo(8)]);
        assert!(outstanding.is_empty());
    }

    #[test]
    fn one_alone_is_named_alone() {
        assert_eq!(handed_out(1..=2).settle(vec![1]), [Settle::One(1)]);
        assert_eq!(handed_out(1..=2).settle(vec![2]), [Settle::One(2)]);
    }

    #[test]
    fn a_tag_that_nobody_waits_for_is_never_sent() {
        let mut outstanding = handed_out(1..=3);
        assert_eq!(outstanding.settle(vec![2, 2, 77, 0]), [Settle::One(2)]);
        assert_eq!(outstanding.settle(vec![2]), []);
        assert_eq!(outstanding.settle(vec![]), []);
    }

    /// A broker's side of a channel: what it does with a frame, by the protocol's rules.
    fn receive(waits: &mut BTreeSet<u64>, frame: Settle) -> Result<Vec<u64>, String> {
        let (Settle::One(tag) | Settle::UpTo(tag)) = frame;
        if !waits.remove(&tag) {
            return Err(format!("406: unknown tag {tag}"));
        }
        let mut settled = vec![tag];
        if matches!(frame, Settle::UpTo(_)) {
            let higher = waits.split_off(&tag);
            settled.extend(std::mem::replace(waits, higher));
        }
        Ok(settled)
    }

    proptest! {
        #[test]
        fn the_broker_settles_exactly_what_was_asked(
            batches in proptest::collection::vec(proptest::collection::vec(0_u64..40, 0..12), 0..20),
            ahead in 0_u64..10,
        ) {
            // The broker has sent more than was handed out.
            let mut waits: BTreeSet<u64> = (1..=30 + ahead).collect();
            let mut outstanding = handed_out(1..=30);
            let mut asked = BTreeSet::new();
            let mut settled = BTreeSet::new();
            for batch in batches {
                asked.extend(batch.iter().copied().filter(|tag| (1..=30).contains(tag)));
                for frame in outstanding.settle(batch) {
                    settled.extend(receive(&mut waits, frame).unwrap());
                }
                prop_assert_eq!(&settled, &asked);
            }
        }
    }
}
