//! Which faults a seed has, how often, and when. Drawn before anything runs.

use super::options::{Fault, SimulateOptions};
use crate::testing::chance::Dice;

/// How often faults happen, in a thousand calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wind {
    pub(super) crash: u64,
    pub(super) lost_request: u64,
    pub(super) lost_reply: u64,
    pub(super) slow: u64,
    pub(super) duplicate: u64,
    pub(super) overtaken: u64,
}

/// What happens at a certain time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strike {
    /// Milliseconds of the simulation.
    pub(super) at: u64,
    pub(super) fault: Fault,
    /// For how long, where that makes sense.
    pub(super) lasts: u64,
    /// Whom it hits, of those whom it can.
    pub(super) whom: u64,
}

/// The faults of one seed.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) wind: Wind,
    pub(super) strikes: Vec<Strike>,
    /// Whether members' wall clocks are wrong.
    pub(super) wrong_clocks: bool,
}

impl Weather {
    pub(super) fn draw(options: &SimulateOptions, dice: &mut Dice) -> Self {
        let mut present = Vec::new();
        for fault in Fault::ALL {
            // Always drawn, so that leaving out one kind of fault leaves the others as they were.
            let drawn = dice.permille(550);
            if drawn && options.faults.contains(&fault) {
                present.push(fault);
            }
        }
        let has = |fault| present.contains(&fault);
        let mut often = |fault, most: u64| if has(fault) { dice.between(1, most) } else { 0 };
        let wind = Wind {
            crash: often(Fault::Crash, 6),
            lost_request: often(Fault::LostRequest, 40),
            lost_reply: often(Fault::LostReply, 60),
            slow: often(Fault::Slow, 30),
            duplicate: often(Fault::Duplicate, 300),
            overtaken: often(Fault::Overtaking, 400),
        };
        let mut strikes = Vec::new();
        let storm = millis(options.storm);
        for fault in present.iter().copied() {
            let longest = match fault {
                Fault::Pause => 3 * millis(options.config.ledger.lease),
                Fault::LedgerAway | Fault::BrokerAway => storm / 2,
                Fault::Returned | Fault::Stop | Fault::Purge | Fault::Cancel | Fault::Edit => 0,
                _ => continue,
            };
            for _ in 0..dice.between(1, 3) {
                let (at, lasts) = (dice.below(storm), dice.between(50, longest.max(50)));
                strikes.push(Strike { at, fault, lasts, whom: dice.next() });
            }
        }
        let wrong_clocks = has(Fault::WrongClock);
        Self { wind, strikes, wrong_clocks }
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
