//! A table of bits turned on its side.

/// Rows of bits made of columns of bits: row `r` has bit `c` where column `c` had bit `r`. Each row is a whole number
/// of words.
#[derive(Debug)]
pub(in crate::oracle) struct Transposed {
    words: Vec<u64>,
    words_per_row: usize,
}

impl Transposed {
    /// Turns columns of `words_per_column` words each. Works on squares of 64 by 64 bits, which costs a few operations
    /// a bit-row instead of one a bit.
    pub(in crate::oracle) fn of(columns: &[&[u64]], words_per_column: usize) -> Self {
        let words_per_row = columns.len().div_ceil(64);
        let mut words = vec![0; words_per_row * words_per_column * 64];
        let mut square = [0; 64];
        for (across, sixty_four) in columns.chunks(64).enumerate() {
            for down in 0..words_per_column {
                for (line, column) in square.iter_mut().zip(sixty_four.iter().map(Some).chain(std::iter::repeat(None)))
                {
                    *line = column.and_then(|c| c.get(down)).copied().unwrap_or(0);
                }
                turn(&mut square);
                for (line, bits) in square.iter().enumerate() {
                    if let Some(word) = words.get_mut((down * 64 + line) * words_per_row + across) {
                        *word = *bits;
                    }
                }
            }
        }
        Self { words, words_per_row }
    }

    /// One row; empty where there is none of that number.
    pub(in crate::oracle) fn row(&self, number: usize) -> &[u64] {
        let start = number * self.words_per_row;
        self.words.get(start..start + self.words_per_row).unwrap_or_default()
    }
}

/// Turns a square: swaps its upper right and lower left quarters, then does the same within every quarter, and so on
/// down to single bits. All quarters of one size are done in one go.
fn turn(square: &mut [u64; 64]) {
    let mut half = 32;
    let mut low = u64::from(u32::MAX);
    while half > 0 {
        for line in (0..64).filter(|line| line & half == 0) {
            let swapped = ((square[line] >> half) ^ square[line + half]) & low;
            square[line] ^= swapped << half;
            square[line + half] ^= swapped;
        }
        half /= 2;
        low ^= low << half;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_lands_where_row_and_column_change_places() {
        let shapes = [(1, 1), (3, 2), (64, 1), (65, 3), (200, 5)];
        for (count, words) in shapes {
            let columns: Vec<Vec<u64>> = (0..count as u64)
                .map(|c| (0..words as u64).map(|w| (c * 31 + w + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect())
                .collect();
            let turned = Transposed::of(&columns.iter().map(Vec::as_slice).collect::<Vec<_>>(), words);
            for row in 0..words * 64 {
                let bits = turned.row(row);
                for (place, column) in columns.iter().enumerate() {
                    let before = column[row / 64] >> (row % 64) & 1;
                    let after = bits[place / 64] >> (place % 64) & 1;
                    assert_eq!(after, before, "{count} columns of {words} words: row {row}, column {place}");
                }
            }
        }
        assert_eq!(Transposed::of(&[], 2).row(5), [0; 0], "no columns make empty rows");
    }
}
