//! The language of number texts, its states and its steps.

use super::exponent::Exponent;
use super::goal::{Bound, NumberGoal};
use super::magnitude::{Magnitude, Trace, Window};
use super::mantissa::Mantissa;
use super::place::{Extent, Place};
use super::{NumberLimitError, Spellings};
use crate::decimal::Decimal;

/// Digits of a mantissa in all spellings, unless the goals ask for more.
const SPELT_DIGITS: i32 = 36;

/// The texts of the numbers that satisfy at least one of some goals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NumberLanguage {
    pub(super) spellings: Spellings,
    pub(super) extent: Extent,
    /// How 0 may be written.
    pub(super) zero: Zero,
    positive: Vec<Magnitude>,
    /// The goals of the negated negative values.
    negative: Vec<Magnitude>,
}

/// The texts of 0 that are members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Zero {
    /// Without a fraction or exponent part.
    pub plain: bool,
    /// With one, where all spellings are members.
    pub marked: bool,
}

/// A place in the text of a number; equal states have equal futures.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NumberState(pub(super) State);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum State {
    Start,
    /// After "-".
    Minus,
    /// After digits that any canonical text of up to so many decimals may continue.
    FreeWhole {
        digits: i16,
        decimals: i16,
    },
    /// The same after the point; `open` if the text cannot end here.
    FreeDecimals {
        left: i16,
        open: bool,
    },
    Mantissa(Box<Mantissa>),
    Exponent(Box<Exponent>),
}

impl NumberLanguage {
    /// The language of a disjunction of goals.
    pub fn new(goals: Vec<NumberGoal>, spellings: Spellings) -> Result<Self, NumberLimitError> {
        let spelt = goals.into_iter().filter_map(|goal| goal.spelt(spellings));
        let goals: Vec<_> = spelt.collect();
        let zero = Zero::of(&goals, spellings);
        let mut extent = Extent::for_goals(&goals);
        let range = DoubleRange::new(spellings);
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        for goal in &goals {
            let plus = Magnitude::of(goal)?.map(|m| range.limit(m));
            let minus = Magnitude::of(&goal.mirrored())?.map(|m| range.limit(m));
            if !goal.contains(&Decimal::zero()) {
                extent = widened(extent, goal, plus.iter().chain(&minus));
            }
            positive.extend(plus);
            negative.extend(minus);
        }
        if spellings == Spellings::All {
            extent = extent.spelt(SPELT_DIGITS);
        }
        Ok(Self {
            spellings,
            extent,
            zero,
            positive,
            negative,
        })
    }

    /// Whether the language has no member.
    pub fn is_empty(&self) -> bool {
        let start = self.start();
        !b"-0123456789"
            .iter()
            .any(|&byte| self.step(&start, byte).is_some())
    }

    /// The state before the first byte.
    pub fn start(&self) -> NumberState {
        NumberState(State::Start)
    }

    /// The state after one more byte; `None` exactly if no member continues so.
    #[inline]
    pub fn step(&self, state: &NumberState, byte: u8) -> Option<NumberState> {
        match state.0 {
            State::FreeWhole { digits, decimals } => self.step_free_whole(digits, decimals, byte),
            State::FreeDecimals { left, .. } => step_free_decimals(left, byte),
            _ => self.step_tracked(&state.0, byte).map(NumberState),
        }
    }

    #[inline]
    fn step_free_whole(&self, digits: i16, decimals: i16, byte: u8) -> Option<NumberState> {
        let Extent {
            whole,
            digits: most,
            ..
        } = self.extent;
        let room = i32::from(digits) < most;
        match byte {
            b'0'..=b'9' if (room || byte == b'0') && i32::from(digits) < whole => {
                Some(NumberState(State::FreeWhole {
                    digits: digits + 1,
                    decimals,
                }))
            }
            b'.' if room && decimals > 0 => {
                let left = decimals.min(most as i16 - digits);
                Some(NumberState(State::FreeDecimals { left, open: true }))
            }
            _ => None,
        }
    }

    #[inline(never)]
    fn step_tracked(&self, state: &State, byte: u8) -> Option<State> {
        match (state, byte) {
            (State::Start, b'-') => {
                let alive = b"0123456789"
                    .iter()
                    .any(|&b| self.first_digit(true, b).is_some());
                alive.then_some(State::Minus)
            }
            (State::Start, b'0'..=b'9') => self.first_digit(false, byte),
            (State::Minus, b'0'..=b'9') => self.first_digit(true, byte),
            (State::Mantissa(mantissa), b'e' | b'E') => {
                Some(State::Exponent(Box::new(self.exponent(mantissa)?)))
            }
            (State::Mantissa(mantissa), _) => self.next_mantissa(mantissa, byte),
            (State::Exponent(exponent), _) => Some(State::Exponent(Box::new(exponent.step(byte)?))),
            _ => None,
        }
    }

    /// Whether a member ends here.
    pub fn is_accepting(&self, state: &NumberState) -> bool {
        match &state.0 {
            State::Start | State::Minus => false,
            State::FreeWhole { .. } => true,
            State::FreeDecimals { open, .. } => !open,
            State::Mantissa(mantissa) => self.is_member(mantissa),
            State::Exponent(exponent) => exponent.is_accepting(),
        }
    }

    /// The goals of one sign, on magnitudes.
    pub(super) fn magnitudes(&self, negative: bool) -> &[Magnitude] {
        if negative {
            &self.negative
        } else {
            &self.positive
        }
    }
}

impl Zero {
    fn of(goals: &[NumberGoal], spellings: Spellings) -> Self {
        let zero = Decimal::zero();
        let among = |marked: bool| {
            let mut fit = goals.iter().filter(|g| g.plain != Some(marked));
            fit.any(|goal| goal.contains(&zero))
        };
        Self {
            plain: among(false),
            marked: spellings == Spellings::All && among(true),
        }
    }
}

#[inline]
fn step_free_decimals(left: i16, byte: u8) -> Option<NumberState> {
    let open = byte == b'0';
    if !byte.is_ascii_digit() || left < 1 + i16::from(open) {
        return None;
    }
    Some(NumberState(State::FreeDecimals {
        left: left - 1,
        open,
    }))
}

/// The positive finite doubles, as far as texts could leave them.
struct DoubleRange {
    low: Option<Bound>,
    high: Option<Bound>,
}

impl DoubleRange {
    fn new(spellings: Spellings) -> Self {
        let bound = |digits: &[u8], exponent| {
            let value = Decimal::from_digits(false, digits, exponent);
            Some(Bound {
                value,
                exclusive: false,
            })
        };
        // The largest double, 17976931348623157e292, and one that is a power of ten, 1e-323.
        let high = bound(&[1, 7, 9, 7, 6, 9, 3, 1, 3, 4, 8, 6, 2, 3, 1, 5, 7], 292);
        let low = bound(&[1], -323);
        Self {
            low: low.filter(|_| spellings == Spellings::All),
            high,
        }
    }

    /// The values inside the range; all of them where a bound of the goal lies beyond it.
    fn limit(&self, mut magnitude: Magnitude) -> Magnitude {
        let exceeds = |a: &Option<Bound>, b: &Option<Bound>| match (a, b) {
            (Some(a), Some(b)) => a.value > b.value,
            _ => false,
        };
        let open = magnitude.high.is_none() || exceeds(&magnitude.high, &self.high);
        if open && !exceeds(&magnitude.low, &self.high) {
            magnitude.high.clone_from(&self.high);
        }
        let open = magnitude.low.is_none() || exceeds(&self.low, &magnitude.low);
        if open && self.low.is_some() && !exceeds(&self.low, &magnitude.high) {
            magnitude.low.clone_from(&self.low);
        }
        magnitude
    }
}

/// The extent in which a goal has a member if it has any; `sides` are its positive and negative
/// magnitudes.
fn widened<'a>(
    extent: Extent,
    goal: &NumberGoal,
    sides: impl Iterator<Item = &'a Magnitude> + Clone,
) -> Extent {
    let reaches = |extent: &Extent| {
        let mut windows = Place::default()
            .windows(extent)
            .chain(whole_windows(extent));
        windows.any(|window| sides.clone().any(|m| m.has_member(&m.begin(0), &window)))
    };
    if reaches(&extent) || goal.is_empty() {
        return extent;
    }
    let mut wide = extent.spanning(goal);
    for _ in 0..4 {
        if reaches(&wide) {
            break;
        }
        wide = Extent::canonical(wide.whole + 1, wide.digits + 2);
    }
    wide
}

/// The numbers with whole digits, before any is written.
fn whole_windows(extent: &Extent) -> impl Iterator<Item = Window> {
    let (width, last) = (extent.digits, extent.whole - extent.digits);
    let window = move |scale| Window {
        digits: 0,
        zeros: 0,
        width,
        scale,
        nonzero: true,
    };
    (1 - width..=last).map(window)
}

/// The trace of every goal before the first digit.
pub(super) fn fresh_traces(magnitudes: &[Magnitude]) -> Vec<Trace> {
    magnitudes
        .iter()
        .enumerate()
        .map(|(i, goal)| goal.begin(i as u32))
        .collect()
}
