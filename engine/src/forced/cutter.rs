//! Which tokens a run is cut to, whatever follows it.

use super::MAX_PENDING;
use super::open_pieces::OpenPiece;
use crate::machine::Configuration;
use crate::reader::Reader;
use crate::tokenisation::Tokenisation;
use crate::vocabulary::Vocabulary;

/// A run at a place.
pub(super) struct Cutter<'a> {
    pub tokenisation: &'a Tokenisation,
    pub vocabulary: &'a Vocabulary,
    /// The tokens since the last place where every text is split.
    pub pending: &'a [u32],
    /// What may follow the run, if that is known.
    pub follows: Option<(&'a mut dyn Reader, Configuration)>,
}

/// What all ways to go on have in common.
#[derive(Default)]
struct Common(Option<Vec<u32>>);

impl Common {
    /// One way more.
    fn add(&mut self, tokens: &[u32]) {
        let length = self.shared(tokens);
        match &mut self.0 {
            Some(common) => common.truncate(length),
            None => self.0 = Some(tokens.to_vec()),
        }
    }

    fn shared(&self, tokens: &[u32]) -> usize {
        let common = self.0.as_deref().unwrap_or(tokens);
        common
            .iter()
            .zip(tokens)
            .take_while(|(a, b)| a == b)
            .count()
    }

    /// Whether one way more would change nothing.
    fn has(&self, tokens: &[u32]) -> bool {
        self.0
            .as_ref()
            .is_some_and(|common| tokens.starts_with(common))
    }

    fn is_empty(&self) -> bool {
        self.0.as_ref().is_some_and(Vec::is_empty)
    }
}

impl Cutter<'_> {
    /// The tokens that are forced where a run comes next; None where none is.
    pub fn forced(&mut self, run: &[u8], is_final: bool) -> Option<Vec<u32>> {
        let held = self.vocabulary.bytes_of(self.pending);
        let text = [&held[..], run].concat();
        let certain = self.certain(&text, is_final)?;
        let mut forced = certain.strip_prefix(self.pending)?.to_vec();
        let mut end = held.len();
        let fits = forced.iter().take_while(|id| {
            let bytes = self.vocabulary.token_bytes(**id);
            let is_read = !bytes.is_empty() && text[end..].starts_with(bytes);
            end += bytes.len();
            // what is pending must be found again after each of them
            is_read && (end <= MAX_PENDING || !self.tokenisation.splits())
        });
        let count = fits.count();
        forced.truncate(count);
        (count > 0).then_some(forced)
    }

    /// The first tokens of all texts that go on with this one; None where they are not known.
    fn certain(&mut self, text: &[u8], is_final: bool) -> Option<Vec<u32>> {
        let (mut tokens, mut from) = (Vec::new(), 0);
        while from < text.len() {
            let rest = &text[from..];
            let ends = self.tokenisation.piece_ends(rest, is_final)?;
            if let (&[end], false) = (&ends.within[..], ends.is_open) {
                tokens.extend(self.tokenisation.cut_piece(&rest[..end])?);
                from += end;
                continue;
            }
            let taken = match self.pending.get(tokens.len()..) {
                Some(taken) if self.pending.starts_with(&tokens) => taken.to_vec(),
                Some(_) => return None,
                None => Vec::new(),
            };
            let more = self.of_open_piece(rest, &ends.within, ends.is_open, &taken);
            tokens.extend(taken);
            tokens.extend(more.unwrap_or_default());
            break;
        }
        Some(tokens)
    }

    /// The tokens of a piece that may end at some places, or go on, behind those that were taken.
    fn of_open_piece(
        &mut self,
        piece: &[u8],
        ends: &[usize],
        is_open: bool,
        taken: &[u32],
    ) -> Option<Vec<u32>> {
        let begun = self.vocabulary.bytes_of(taken).len();
        let mut common = Common::default();
        for &end in ends {
            if end < begun {
                return None;
            }
            let tokens = self.tokenisation.cut_piece(&piece[..end])?;
            if let Some(more) = tokens.strip_prefix(taken) {
                common.add(more);
            }
        }
        if is_open {
            let open = self.vocabulary.open_pieces().get(piece);
            if open.merged(self.tokenisation, begun)? != taken {
                return common.0;
            }
            for end in begun..=piece.len() {
                if common.is_empty() {
                    return None;
                }
                self.add_ending((piece, &open), end, taken, &mut common)?;
            }
        }
        common.0
    }

    /// The case that a token of the piece ends at a place, and the next one reaches beyond it.
    fn add_ending(
        &mut self,
        (piece, open): (&[u8], &OpenPiece),
        end: usize,
        taken: &[u32],
        common: &mut Common,
    ) -> Option<()> {
        if self.tokenisation.has_characters() && piece.get(end).is_some_and(|b| b & 0xC0 == 0x80) {
            return Some(());
        }
        let tokens = open.merged(self.tokenisation, end)?;
        if let Some(more) = tokens.strip_prefix(taken)
            && !common.has(more)
            && (end == piece.len() || self.may_overhang(open, end))
        {
            common.add(more);
        }
        Some(())
    }

    /// Whether some token may reach beyond a piece so far from one of its places.
    fn may_overhang(&mut self, open: &OpenPiece, from: usize) -> bool {
        let (tokenisation, vocabulary) = (self.tokenisation, self.vocabulary);
        let Some((reader, at)) = &mut self.follows else {
            return true;
        };
        let step = |at, byte| reader.step(at, byte);
        open.some_beyond(vocabulary, tokenisation, from, *at, step)
            || reader.limit_reached().is_some()
    }
}

/// Whether some piece begins so; a character that is not whole may become any.
pub(super) fn may_hold(tokenisation: &Tokenisation, piece: &[u8], more: &[u8]) -> bool {
    let text = [piece, more].concat();
    let ends = tokenisation.piece_ends(&text, false);
    ends.is_none_or(|ends| ends.is_open || ends.within.contains(&text.len()))
}

/// Whether the tokenizer may write a token behind some text of a piece.
pub(super) fn is_written(
    tokenisation: &Tokenisation,
    text: &[u8],
    (id, bytes): (u32, &[u8]),
    before: &[u32],
) -> bool {
    if !may_hold(tokenisation, text, bytes) {
        return false;
    }
    if text.is_empty() && tokenisation.keeps_whole() {
        return true;
    }
    let merged = tokenisation.merge(&[text, bytes].concat());
    merged.is_none_or(|merged| {
        let last = merged.split_last();
        last.is_some_and(|(last, others)| *last == id && others == before)
    })
}
