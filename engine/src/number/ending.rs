//! The shortest ways to end a number.

use super::Spellings;
use super::language::{NumberLanguage, NumberState, State};
use super::magnitude::{Magnitude, Trace, Window};
use super::mantissa::Mantissa;

/// Digits of texts beyond which the shortest is not looked for, and the same for each goal.
const MANY_DIGITS: i32 = 100;
const MANY_DIGITS_OF_ALL: usize = 1 << 12;

impl NumberLanguage {
    /// The fewest bytes that end the text as a member; just few where looking for them takes long.
    pub fn shortest_from(&self, state: &NumberState) -> Vec<u8> {
        if self.is_long() {
            return self.short_from(state);
        }
        match &state.0 {
            State::FreeDecimals { open: true, .. } => b"1".to_vec(),
            State::FreeWhole { .. } | State::FreeDecimals { .. } => Vec::new(),
            State::Exponent(exponent) => exponent.shortest(),
            State::Mantissa(mantissa) => self.shortest_mantissa(mantissa),
            State::Start | State::Minus => self.shortest_through_step(state),
        }
    }

    fn is_long(&self) -> bool {
        let (positive, negative) = (self.magnitudes(false), self.magnitudes(true));
        let digits = self.extent.digits;
        let all = digits.unsigned_abs() as usize * (positive.len() + negative.len());
        digits > MANY_DIGITS || all > MANY_DIGITS_OF_ALL
    }

    /// Bytes that end the text as a member: the fewest of those that each next byte leads to, or,
    /// where there are many digits, that the first does.
    fn short_from(&self, state: &NumberState) -> Vec<u8> {
        if self.is_accepting(state) {
            return Vec::new();
        }
        if self.extent.digits > MANY_DIGITS {
            return self.some_ending(state.clone());
        }
        let ways = NEXT.iter().filter_map(|&byte| {
            let next = self.step(state, byte)?;
            Some([&[byte], &self.some_ending(next)[..]].concat())
        });
        ways.min_by_key(Vec::len).unwrap_or_default()
    }

    /// The first bytes that can be read, until the text may end: no step leads into a dead end.
    fn some_ending(&self, mut state: NumberState) -> Vec<u8> {
        let mut ending = Vec::new();
        while !self.is_accepting(&state) {
            let mut steps = NEXT.iter().map(|&byte| (byte, self.step(&state, byte)));
            let Some((byte, Some(next))) = steps.find(|(_, next)| next.is_some()) else {
                break;
            };
            ending.push(byte);
            state = next;
        }
        ending
    }

    fn shortest_through_step(&self, state: &NumberState) -> Vec<u8> {
        let mut endings: Vec<_> = b"0123456789-"
            .iter()
            .filter_map(|&byte| {
                let rest = self.shortest_from(&self.step(state, byte)?);
                Some([&[byte], &rest[..]].concat())
            })
            .collect();
        endings.sort_by_key(Vec::len);
        endings.into_iter().next().unwrap_or_default()
    }

    fn shortest_mantissa(&self, mantissa: &Mantissa) -> Vec<u8> {
        if self.is_member(mantissa) {
            return Vec::new();
        }
        if self.spells_zero(mantissa) {
            let point = mantissa.place.point;
            return if point { b"0".to_vec() } else { b"e0".to_vec() };
        }
        let unscaled = self.unscaled_ending(mantissa);
        let length = unscaled.as_ref().map_or(usize::MAX, Vec::len);
        let scaled = match self.spellings {
            Spellings::Canonical => None,
            Spellings::All => self.scaled_ending(mantissa, length),
        };
        scaled.or(unscaled).unwrap_or_default()
    }

    /// The shortest ending without an exponent.
    fn unscaled_ending(&self, mantissa: &Mantissa) -> Option<Vec<u8>> {
        let place = &mantissa.place;
        let mut best: Option<Vec<u8>> = None;
        for whole in 0..=place.more_whole(&self.extent) {
            if !self.has_whole(mantissa, whole) {
                continue;
            }
            for decimals in self.decimals_after(mantissa, whole) {
                let length = ending_length(mantissa, whole, decimals);
                if best.as_ref().is_some_and(|b| b.len() <= length) {
                    break;
                }
                if let Some(text) = self.ending(mantissa, whole, decimals) {
                    best = Some(text);
                    break;
                }
            }
        }
        best
    }

    /// Whether some member goes on with so many whole digits; a hint where there are none yet.
    fn has_whole(&self, mantissa: &Mantissa, whole: i32) -> bool {
        let room = mantissa.place.room(&self.extent);
        let window = self.window(&mantissa.place, room);
        let window = Window {
            scale: window.scale + whole,
            ..window
        };
        mantissa.place.digits == 0 || self.least(mantissa, &window, |_| true).is_some()
    }

    /// The numbers of decimals that the grammar and the extent allow after so many whole digits.
    fn decimals_after(&self, mantissa: &Mantissa, whole: i32) -> std::ops::RangeInclusive<i32> {
        let place = &mantissa.place;
        let fewest = i32::from(place.point && place.decimals == 0);
        let most = match place.digits {
            0 => self.extent.decimals - place.decimals,
            _ => place.room(&self.extent) - whole,
        };
        fewest..=most.max(0)
    }

    /// The digits of the smallest number in the window that satisfies some goal that fits, as text.
    fn least(
        &self,
        mantissa: &Mantissa,
        window: &Window,
        fits: impl Fn(&Magnitude) -> bool,
    ) -> Option<Vec<u8>> {
        let goals = self.magnitudes(mantissa.negative);
        let goal_of = |t: &Trace| &goals[t.goal as usize];
        let mut traces = mantissa.traces.iter().filter(|t| fits(goal_of(t)));
        let digits = traces.find_map(|t| goal_of(t).least_member(t, window))?;
        Some(digits.iter().map(|d| b'0' + d).collect())
    }

    /// An ending with so many whole digits and decimals.
    fn ending(&self, mantissa: &Mantissa, whole: i32, decimals: i32) -> Option<Vec<u8>> {
        let place = &mantissa.place;
        let length = (whole + decimals) as usize;
        let width = (whole + decimals).min(place.room(&self.extent));
        let scale = if decimals > 0 {
            -decimals
        } else {
            whole - width
        } - place.decimals;
        let window = Window {
            scale,
            ..self.window(place, width)
        };
        let marked = decimals > 0 || place.point;
        let mut text = self.least(mantissa, &window, |goal| goal.fits(marked))?;
        if decimals > 0 {
            text.splice(..0, std::iter::repeat_n(b'0', length - width as usize));
        }
        text.resize(length, b'0');
        if decimals > 0 && !place.point {
            text.insert(whole as usize, b'.');
        }
        Some(text)
    }

    /// The shortest ending with an exponent, if it is shorter than `length`.
    fn scaled_ending(&self, mantissa: &Mantissa, mut length: usize) -> Option<Vec<u8>> {
        let place = &mantissa.place;
        let goals = self.magnitudes(mantissa.negative);
        let point = usize::from(place.is_lone_zero());
        let mut best = None;
        for width in 0..=place.room(&self.extent) {
            let decimals = if place.point || point > 0 { width } else { 0 };
            let scale = -place.decimals - decimals;
            let window = Window {
                scale,
                ..self.window(place, width)
            };
            if point + width as usize + 2 >= length {
                break;
            }
            if width == 0 && (point > 0 || !place.is_complete(self.spellings)) {
                continue;
            }
            for trace in &mantissa.traces {
                let goal = &goals[trace.goal as usize];
                if !goal.fits(true) {
                    continue;
                }
                let shorter = length.saturating_sub(point);
                if let Some(ending) = goal.shortest_scaled(trace, &window, shorter) {
                    length = point + ending.len();
                    best = Some([&b"."[..point], &ending].concat());
                }
            }
        }
        best
    }
}

/// Bytes of numbers, in the order in which they are tried.
const NEXT: &[u8] = b"0123456789-.e+";

/// The bytes that so many whole digits and decimals take.
fn ending_length(mantissa: &Mantissa, whole: i32, decimals: i32) -> usize {
    let point = decimals > 0 && !mantissa.place.point;
    (whole + decimals) as usize + usize::from(point)
}
