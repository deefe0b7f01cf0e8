//! Who gets a free slot when several queues have work. Pure.
//!
//! Two rules. While others have work, a queue takes no more slots than its share by weight: long tasks of a light queue
//! cannot creep into all slots. Among queues below their share, turns go round by weight (stride scheduling, as
//! Waldspurger and Weihl describe it): every queue with work has its turn.

/// What a turn costs a queue of weight 1.
const STRIDE: u64 = 1 << 20;

/// One queue's claim on the slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    weight: u32,
    /// Slots that it holds.
    pub(super) running: u32,
    /// Turns taken, weighted: the lowest has the next turn.
    pass: u64,
}

impl Share {
    pub(super) fn new(weight: u32) -> Self {
        Self { weight, running: 0, pass: 0 }
    }

    /// Whether it holds fewer slots than its share among queues that weigh so much together.
    fn is_below(&self, slots: u32, weights: u64) -> bool {
        u64::from(self.running) < (u64::from(slots) * u64::from(self.weight)).div_ceil(weights)
    }
}

/// Gives the next turn to the queue whose turn it is; `None` if nobody has work. `slots` is how many there are in all.
pub(super) fn grant(shares: &mut [Share], slots: u32, has_work: impl Fn(usize) -> bool) -> Option<usize> {
    let line = pick(shares, slots, has_work)?;
    let turn = shares[line].pass;
    for share in &mut *shares {
        // Whoever was passed over had no work or holds its share already: turns that it could not use are not saved.
        share.pass = share.pass.max(turn);
    }
    let taken = &mut shares[line];
    taken.running += 1;
    taken.pass += STRIDE / u64::from(taken.weight);
    Some(line)
}

/// Whether a queue holds less than its share would be if all of them had work.
pub(super) fn is_below(shares: &[Share], line: usize, slots: u32) -> bool {
    let weights = shares.iter().map(|share| u64::from(share.weight)).sum();
    shares[line].is_below(slots, weights)
}

fn pick(shares: &[Share], slots: u32, has_work: impl Fn(usize) -> bool) -> Option<usize> {
    let contenders = shares.iter().enumerate().filter(|(line, _)| has_work(*line));
    let weights: u64 = contenders.clone().map(|(_, share)| u64::from(share.weight)).sum();
    // Shares are rounded up, so that while a slot is free somebody is below his.
    let next = contenders.min_by_key(|(_, share)| (!share.is_below(slots, weights), share.pass));
    next.map(|(line, _)| line)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Queues {
        shares: Vec<Share>,
        slots: u32,
    }

    impl Queues {
        fn new(weights: &[u32], slots: u32) -> Self {
            Self { shares: weights.iter().map(|weight| Share::new(*weight)).collect(), slots }
        }

        fn grant(&mut self, with_work: &[usize]) -> usize {
            let line = grant(&mut self.shares, self.slots, |line| with_work.contains(&line));
            line.expect("somebody has work")
        }

        fn free(&mut self, line: usize) {
            self.shares[line].running -= 1;
        }
    }

    #[test]
    fn one_slot_goes_round_by_weight() {
        let mut queues = Queues::new(&[6, 3, 1], 1);
        let mut grants = [0; 3];
        for _ in 0..1000 {
            let line = queues.grant(&[0, 1, 2]);
            grants[line] += 1;
            queues.free(line);
        }
        assert_eq!(grants, [600, 300, 100]);
    }

    #[test]
    fn many_slots_are_held_by_weight() {
        let mut queues = Queues::new(&[6, 3, 1], 20);
        for _ in 0..20 {
            queues.grant(&[0, 1, 2]);
        }
        assert_eq!(queues.shares.iter().map(|share| share.running).collect::<Vec<_>>(), [12, 6, 2]);
    }

    #[test]
    fn a_lone_busy_queue_may_use_all_slots() {
        let mut queues = Queues::new(&[6, 1], 10);
        (0..10).for_each(|_| assert_eq!(queues.grant(&[1]), 1));
    }

    #[test]
    fn long_tasks_of_a_light_queue_do_not_creep_into_all_slots() {
        let mut queues = Queues::new(&[9, 1], 10);
        let mut long = 0;
        for _ in 0..1000 {
            // Tasks of the heavy queue end at once, those of the light one never.
            match queues.grant(&[0, 1]) {
                0 => queues.free(0),
                _ => long += 1,
            }
        }
        assert_eq!(long, 1);
    }

    #[test]
    fn long_tasks_of_a_heavy_queue_leave_the_light_one_its_turns() {
        let mut queues = Queues::new(&[9, 1], 10);
        let light = (0..100).filter(|_| {
            let line = queues.grant(&[0, 1]);
            if line == 1 {
                queues.free(1);
            }
            line == 1
        });
        assert_eq!(light.count(), 91);
    }

    #[test]
    fn a_queue_saves_no_turns_while_it_is_empty() {
        let mut queues = Queues::new(&[1, 1], 1);
        for _ in 0..1000 {
            queues.grant(&[0]);
            queues.free(0);
        }
        let grants: Vec<_> = (0..6)
            .map(|_| {
                let line = queues.grant(&[0, 1]);
                queues.free(line);
                line
            })
            .collect();
        assert_eq!(grants.iter().filter(|line| **line == 0).count(), 3, "{grants:?}");
    }

    #[test]
    fn a_queue_saves_no_turns_while_it_holds_its_share() {
        let mut queues = Queues::new(&[1, 1], 2);
        assert_eq!(queues.grant(&[0]), 0);
        for _ in 0..1000 {
            // The other queue has its one slot of two: the turns are not its to use.
            assert_eq!(queues.grant(&[0, 1]), 1);
            queues.free(1);
        }
        queues.free(0);
        let first = (0..100).filter(|_| {
            let line = queues.grant(&[0, 1]);
            queues.free(line);
            line == 0
        });
        assert!((49..=51).contains(&first.count()));
    }
}
