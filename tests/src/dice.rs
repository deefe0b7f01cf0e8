//! Chance that can be had again.

/// Numbers that look random and are the same in every run: a failure can be repeated.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of a seed, which must not be 0.
    pub fn new(seed: u64) -> Self {
        assert_ne!(seed, 0, "from 0 nothing but 0 comes");
        Self(seed)
    }

    /// Any number below the bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("it is below the bound")
    }

    /// Any of these; `None` if there are none.
    pub fn pick<T: Clone>(&mut self, among: &[T]) -> Option<T> {
        if among.is_empty() { None } else { Some(among[self.below(among.len())].clone()) }
    }

    /// So many of these, the same perhaps several times; none if there are none.
    pub fn picks<T: Clone>(&mut self, among: &[T], count: usize) -> Vec<T> {
        (0..count).filter_map(|_| self.pick(among)).collect()
    }
}
