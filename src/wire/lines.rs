//! Cuts a byte stream into lines, holding no more than a bound. No I/O: the rooms that read feed it.

/// Collects bytes until a line is whole.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
    /// Everything before this was given out.
    taken: usize,
    /// Up to here there is known to be no newline.
    searched: usize,
}

/// A line grew longer than allowed; the stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// The bound, in bytes.
    pub limit: usize,
}

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a line of more than {} bytes", self.limit)
    }
}

impl std::error::Error for TooLong {}

/// What is kept allocated while idle, in bytes: a plan's line is long and rare, and its room is given back.
const IDLE: usize = 4 * 1024;

impl Lines {
    /// Adds what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.held.drain(..self.taken);
            self.searched -= self.taken;
            self.taken = 0;
            if self.held.len() < IDLE && self.held.capacity() > 2 * IDLE {
                self.held.shrink_to(IDLE);
            }
        }
        self.held.extend_from_slice(bytes);
    }

    /// Whether a whole line is there.
    ///
    /// # Errors
    /// As [`Lines::next`] has them.
    pub fn is_whole(&mut self, limit: usize) -> Result<bool, TooLong> {
        let newline = self.held[self.searched..].iter().position(|byte| *byte == b'\n');
        let end = newline.map_or(self.held.len(), |offset| self.searched + offset);
        // An unfinished line must leave room for its newline, which is one byte more.
        if end - self.taken >= limit {
            return Err(TooLong { limit });
        }
        // Found or not: everything before was looked at, and a newline found is found again at once.
        self.searched = end;
        Ok(newline.is_some())
    }

    /// The next whole line, without its newline; none until more is fed.
    ///
    /// # Errors
    /// When the line, whole or not, has more than `limit` bytes with its newline.
    pub fn next(&mut self, limit: usize) -> Result<Option<&[u8]>, TooLong> {
        if !self.is_whole(limit)? {
            return Ok(None);
        }
        let end = self.searched;
        let start = self.taken;
        self.taken = end + 1;
        self.searched = self.taken;
        Ok(Some(&self.held[start..end]))
    }

    /// Bytes held that are not yet a whole line.
    pub fn pending(&self) -> usize {
        self.held.len() - self.taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(lines: &mut Lines, limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut out = Vec::new();
        while let Some(line) = lines.next(limit)? {
            out.push(line.to_vec());
        }
        Ok(out)
    }

    #[test]
    fn a_line_may_have_as_many_bytes_as_the_bound_with_its_newline() {
        let mut lines = Lines::default();
        lines.feed(b"123\n");
        assert_eq!(lines.next(4), Ok(Some(b"123".as_slice())));
        lines.feed(b"1234\n");
        assert_eq!(lines.next(4), Err(TooLong { limit: 4 }));
    }

    #[test]
    fn an_endless_line_is_refused_before_its_end_comes() {
        let mut lines = Lines::default();
        lines.feed(b"1234");
        assert_eq!(lines.next(4), Err(TooLong { limit: 4 }));
    }

    #[test]
    fn the_room_of_a_long_line_is_given_back() {
        let mut lines = Lines::default();
        lines.feed(&vec![b'x'; 1 << 20]);
        lines.feed(b"\n");
        assert!(lines.next(2 << 20).unwrap().is_some());
        lines.feed(b"y\n");
        assert!(lines.held.capacity() <= 2 * IDLE, "{} bytes are still held", lines.held.capacity());
        assert_eq!(lines.next(10), Ok(Some(b"y".as_slice())));
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_lines_are_the_same(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..10),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut lines = Lines::default();
            let mut got = Vec::new();
            for pair in cuts.windows(2) {
                lines.feed(&bytes[pair[0]..pair[1]]);
                got.extend(drain(&mut lines, 1000).unwrap());
            }
            let mut whole: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let rest = whole.pop().unwrap();
            prop_assert_eq!(got, whole);
            prop_assert_eq!(lines.pending(), rest.len());
        }
    }
}
