//! A set of small numbers, one bit each.

/// A set of numbers below a size fixed when it was made. Sets that meet in an operation have the same size.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::oracle) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// The empty set, with room for numbers below `size`.
    pub(in crate::oracle) fn none(size: usize) -> Self {
        Self { words: vec![0; size.div_ceil(64)] }
    }

    /// The set of all numbers below `size`.
    pub(in crate::oracle) fn all(size: usize) -> Self {
        let mut words = vec![u64::MAX; size.div_ceil(64)];
        if let Some(last) = words.last_mut()
            && size % 64 != 0
        {
            *last = (1 << (size % 64)) - 1;
        }
        Self { words }
    }

    /// Adds a number; one that the set has no room for is not added.
    pub(in crate::oracle) fn insert(&mut self, number: usize) {
        if let Some(word) = self.words.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// The same set so many times over, each time from the next whole word on.
    pub(in crate::oracle) fn repeated(&self, times: usize) -> Self {
        Self { words: self.words.repeat(times) }
    }

    /// Keeps what is in both.
    pub(in crate::oracle) fn keep(&mut self, other: &Self) {
        self.combine(other, |mine, its| mine & its);
    }

    /// Adds what is in the other.
    pub(in crate::oracle) fn add(&mut self, other: &Self) {
        self.combine(other, |mine, its| mine | its);
    }

    /// Takes away what is in the other.
    pub(in crate::oracle) fn drop_all_of(&mut self, other: &Self) {
        self.combine(other, |mine, its| mine & !its);
    }

    /// The numbers in it, in order.
    pub(in crate::oracle) fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(place, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let low = left.trailing_zeros() as usize;
                    left &= left - 1;
                    place * 64 + low
                })
            })
        })
    }

    /// The bits themselves: number `n` is bit `n % 64` of word `n / 64`.
    pub(in crate::oracle) fn words(&self) -> &[u64] {
        &self.words
    }

    fn combine(&mut self, other: &Self, by: impl Fn(u64, u64) -> u64) {
        for (mine, its) in self.words.iter_mut().zip(&other.words) {
            *mine = by(*mine, *its);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(size: usize, numbers: &[usize]) -> Bits {
        let mut bits = Bits::none(size);
        numbers.iter().for_each(|n| bits.insert(*n));
        bits
    }

    #[test]
    fn sets_behave_as_sets_across_words() {
        let numbers = |bits: &Bits| bits.iter().collect::<Vec<_>>();
        assert_eq!(numbers(&set(200, &[0, 63, 64, 199])), [0, 63, 64, 199], "the edges of words are kept");
        for size in [0, 1, 63, 64, 65, 128] {
            assert_eq!(numbers(&Bits::all(size)), (0..size).collect::<Vec<_>>(), "all below {size}");
        }
        let (a, b) = (set(130, &[1, 64, 129]), set(130, &[1, 2, 129]));
        let changed = |by: fn(&mut Bits, &Bits)| {
            let mut mine = a.clone();
            by(&mut mine, &b);
            numbers(&mine)
        };
        assert_eq!(changed(Bits::keep), [1, 129], "what is in both");
        assert_eq!(changed(Bits::add), [1, 2, 64, 129], "what is in either");
        assert_eq!(changed(Bits::drop_all_of), [64], "what is in the first alone");
        assert_eq!(numbers(&set(70, &[1, 69]).repeated(2)), [1, 69, 129, 197], "each time from a whole word on");
        assert_eq!(numbers(&set(10, &[700])), [0; 0], "a number there is no room for is not added");
    }
}
