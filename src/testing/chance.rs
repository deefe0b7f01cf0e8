//! Chance that is the same in every run.

/// `SplitMix64`, as Steele, Lea and Flood describe it: any seed will do, 0 too.
#[derive(Clone, Debug)]
pub(in crate::testing) struct Dice(u64);

impl Dice {
    pub(in crate::testing) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::testing) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Any number below the bound; 0 if that is 0.
    pub(in crate::testing) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Any number of these, the last included.
    pub(in crate::testing) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// Whether it happens that happens so many times in a thousand.
    pub(in crate::testing) fn permille(&mut self, odds: u64) -> bool {
        odds > 0 && self.below(1000) < odds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_the_numbers_of_its_description() {
        let mut dice = Dice::new(1_234_567);
        assert_eq!([dice.next(), dice.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
