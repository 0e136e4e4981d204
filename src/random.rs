//! Random numbers that are the same in every run: for weights and prompts whose speed is measured, and for tests.

/// The xorshift generator (Marsaglia, 2003), which is good enough for lengths and tokens.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A random number from 0 up to `end`, without it.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize * end) >> 31
    }
}
