//! The pods that the same policies isolate: one reading of those policies does for all of them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::bits::Bits;
use super::speakers::{Speaker, Strand};
use super::transposed::Transposed;
use crate::model::prediction::ReasonId;
use crate::model::reasons::{GroupPlace, Reasons};

/// The policies of one group, read so that every flow is answered by one look.
#[derive(Debug)]
pub(in crate::oracle) struct Group {
    place: GroupPlace,
    isolated: ReasonId,
    /// One row a peer: a bit for each strand that takes it.
    by_peer: Transposed,
    /// One row an aim: a bit for each strand that takes it.
    by_aim: Transposed,
    /// Answers given, for each aim that came up and each peer; not kept where they would not come up again.
    given: Vec<Vec<ReasonId>>,
    columns: usize,
    /// Answers by the strands that take a flow.
    by_strands: HashMap<Box<[u64]>, ReasonId, BuildHasherDefault<Mixer>>,
    scratch: Vec<u64>,
}

/// Stands for an answer that was not given yet.
const NOT_YET: ReasonId = ReasonId(u32::MAX);

impl Group {
    /// Reads the policies on one list. `columns` and `aims` are the sizes of the sets in their strands, `cells` the number
    /// of flows that will be asked about.
    pub(in crate::oracle) fn of<'s>(
        speakers: impl Iterator<Item = &'s Speaker>,
        columns: usize,
        aims: usize,
        cells: usize,
        reasons: &mut Reasons,
    ) -> Self {
        let speakers: Vec<_> = speakers.collect();
        let strands: Vec<&Strand> = speakers.iter().flat_map(|speaker| &speaker.strands).collect();
        let place = reasons.add_group(
            speakers.iter().map(|speaker| speaker.policy).collect(),
            strands.iter().map(|strand| strand.rule).collect(),
        );
        let turned = |of: fn(&Strand) -> &Bits, size: usize| {
            let words: Vec<&[u64]> = strands.iter().map(|strand| of(strand).words()).collect();
            Transposed::of(&words, size.div_ceil(64))
        };
        Self {
            place,
            isolated: reasons.keep_isolated(place),
            by_peer: turned(|strand| &strand.peers, columns),
            by_aim: turned(|strand| &strand.aims, aims),
            // Worth its memory where cells share answers, because several pods are in the group.
            given: if columns * aims <= cells { vec![Vec::new(); aims] } else { Vec::new() },
            columns,
            by_strands: HashMap::default(),
            scratch: Vec::new(),
        }
    }

    /// Why a flow between one of the group's pods and a peer, at an aim, is let through or not.
    pub(in crate::oracle) fn reason(&mut self, column: usize, aim: usize, reasons: &mut Reasons) -> ReasonId {
        if let Some(given) = self.given.get(aim).and_then(|given| given.get(column))
            && *given != NOT_YET
        {
            return *given;
        }
        let both = self.by_peer.row(column).iter().zip(self.by_aim.row(aim)).map(|(peer, aim)| peer & aim);
        self.scratch.clear();
        self.scratch.extend(both);
        let answer = if self.scratch.iter().all(|word| *word == 0) {
            self.isolated
        } else if let Some(known) = self.by_strands.get(self.scratch.as_slice()) {
            *known
        } else {
            let new = reasons.keep_allowed(self.place, &self.scratch);
            self.by_strands.insert(self.scratch.as_slice().into(), new);
            new
        };
        if let Some(given) = self.given.get_mut(aim) {
            if given.is_empty() {
                given.resize(self.columns, NOT_YET);
            }
            if let Some(slot) = given.get_mut(column) {
                *slot = answer;
            }
        }
        answer
    }
}

/// Hashes words of bits: quick, since there is a row to hash for each different peer of each group. Nobody gains by making
/// rows collide: it would only slow their own scenario down.
#[derive(Debug, Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // Both halves of the product, so that every bit of the word reaches every bit of the hash.
        let wide = u128::from(self.0 ^ word) * u128::from(0x9E37_79B9_7F4A_7C15_u64);
        self.0 = (wide >> 64) as u64 ^ wide as u64 ^ word.rotate_left(23);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
