//! Mantissas: digits with the goals that are still possible, one digit after the other.

use super::Spellings;
use super::exponent::{Exponent, Integers, MAX_EXPONENT};
use super::language::{NumberLanguage, State, fresh_traces};
use super::magnitude::{Magnitude, Trace, Window};
use super::place::Place;

/// A sign and digits, and what they mean for the goals that are still possible.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Mantissa {
    pub negative: bool,
    pub place: Place,
    pub traces: Vec<Trace>,
}

impl NumberLanguage {
    /// The state after the sign and this digit.
    pub(super) fn first_digit(&self, negative: bool, byte: u8) -> Option<State> {
        let traces = fresh_traces(self.magnitudes(negative));
        let mut mantissa = Mantissa {
            negative,
            place: Place::default(),
            traces,
        };
        if byte != b'0' {
            let place = Place {
                digits: 1,
                ..mantissa.place
            };
            self.push(&mut mantissa, place, byte);
        }
        self.settled(mantissa)
    }

    /// The state after one more digit or the point.
    pub(super) fn next_mantissa(&self, mantissa: &Mantissa, byte: u8) -> Option<State> {
        let place = mantissa.place.after(byte, &self.extent, self.spellings)?;
        let mut mantissa = mantissa.clone();
        self.push(&mut mantissa, place, byte);
        self.settled(mantissa)
    }

    fn push(&self, mantissa: &mut Mantissa, place: Place, byte: u8) {
        let before = std::mem::replace(&mut mantissa.place, place);
        if before.digits == place.digits {
            return; // the point, or a zero before the first digit that counts
        }
        let digit = byte - b'0';
        let shift = match self.spellings {
            Spellings::Canonical => 1,
            Spellings::All if digit == 0 => 0,
            Spellings::All => before.zeros + 1,
        };
        let goals = self.magnitudes(mantissa.negative);
        for trace in &mut mantissa.traces {
            *trace = goals[trace.goal as usize].push(trace, before.digits, digit, shift);
        }
    }

    /// The state without the goals that are out of reach; `None` if none is left.
    fn settled(&self, mut mantissa: Mantissa) -> Option<State> {
        let Mantissa {
            negative,
            place,
            ref mut traces,
        } = mantissa;
        let goals = self.magnitudes(negative);
        traces.retain(|t| self.is_alive(&goals[t.goal as usize], t, &place));
        if traces.is_empty() && !self.spells_zero(&mantissa) {
            return None;
        }
        match self.spellings {
            Spellings::Canonical => Some(self.canonical(mantissa)),
            Spellings::All => Some(self.without_idle_zeros(mantissa)),
        }
    }

    /// Whether some continuation from this place satisfies the goal.
    fn is_alive(&self, goal: &Magnitude, trace: &Trace, place: &Place) -> bool {
        if self.spellings == Spellings::Canonical {
            return place
                .windows(&self.extent)
                .any(|window| goal.has_member(trace, &window));
        }
        if goal.plain == Some(true) {
            return self.goes_on_plainly(goal, trace, place);
        }
        let window = place.spelt_window(place.room(&self.extent));
        let more = place.more_whole(&self.extent);
        let scales = (
            window.scale - MAX_EXPONENT,
            window.scale + more + MAX_EXPONENT,
        );
        goal.has_member_at_some_scale(trace, &window, scales)
    }

    /// Whether some continuation without a fraction or exponent part satisfies the goal.
    fn goes_on_plainly(&self, goal: &Magnitude, trace: &Trace, place: &Place) -> bool {
        let mut widths = 0..=place.more_whole(&self.extent);
        let with = |width| Window {
            scale: 0,
            ..place.spelt_window(width)
        };
        !place.point && widths.any(|width| goal.has_member(trace, &with(width)))
    }

    /// The state in which canonical texts with the same futures meet.
    fn canonical(&self, mut mantissa: Mantissa) -> State {
        let goals = self.magnitudes(mantissa.negative);
        for trace in &mut mantissa.traces {
            *trace = goals[trace.goal as usize].settle(trace, &mantissa.place, &self.extent);
        }
        if let Some(free) = self.free(&mantissa) {
            return free;
        }
        mantissa.place = self.without_whole(&mantissa);
        State::Mantissa(Box::new(mantissa))
    }

    /// The free state that stands for these goals, if one does.
    fn free(&self, mantissa: &Mantissa) -> Option<State> {
        let Mantissa {
            negative,
            place,
            ref traces,
        } = *mantissa;
        if place.is_lone_zero() {
            return None;
        }
        let goals = self.magnitudes(negative);
        let decimals = |t: &Trace| goals[t.goal as usize].free_decimals(t, &place, &self.extent);
        let most = traces.iter().filter_map(decimals).max()?;
        if most < self.extent.decimals && !traces.iter().all(|t| decimals(t).is_some()) {
            return None;
        }
        if !place.point {
            let (digits, decimals) = (place.digits as i16, most as i16);
            return Some(State::FreeWhole { digits, decimals });
        }
        let left = (most - place.decimals).min(self.extent.decimals - place.decimals);
        let room = place.room(&self.extent);
        if place.digits == 0 && left > room {
            return None; // zeros do not count yet
        }
        let (left, open) = (left.min(room) as i16, place.zeros > 0);
        Some(State::FreeDecimals { left, open })
    }

    /// The place without its whole digits where only divisors still count decimals.
    fn without_whole(&self, mantissa: &Mantissa) -> Place {
        let place = mantissa.place;
        let short = Place {
            digits: place.decimals.max(1),
            ..place
        };
        let room = place.room(&self.extent).min(short.room(&self.extent));
        let goals = self.magnitudes(mantissa.negative);
        let counts_decimals = |t: &Trace| {
            let step = goals[t.goal as usize].step;
            !t.is_compared() && step.is_some_and(|s| s.places - place.decimals <= room)
        };
        if place.point && mantissa.traces.iter().all(counts_decimals) {
            short
        } else {
            place
        }
    }

    /// The state without the count of zeros, where no divisor needs it.
    fn without_idle_zeros(&self, mut mantissa: Mantissa) -> State {
        let goals = self.magnitudes(mantissa.negative);
        if mantissa
            .traces
            .iter()
            .all(|t| goals[t.goal as usize].has_no_divisor())
        {
            mantissa.place.zeros = 0;
        }
        State::Mantissa(Box::new(mantissa))
    }

    /// The numbers that `width` more decimals make.
    pub(super) fn window(&self, place: &Place, width: i32) -> Window {
        match self.spellings {
            Spellings::Canonical => place.canonical_window(width),
            Spellings::All => place.spelt_window(width),
        }
    }

    /// Whether the text so far begins a spelling of zero that is a member.
    pub(super) fn spells_zero(&self, mantissa: &Mantissa) -> bool {
        mantissa.place.digits == 0 && (self.zero.marked || self.is_plain_zero(mantissa))
    }

    /// Whether the text so far is a spelling of zero that is a member.
    fn is_zero(&self, mantissa: &Mantissa) -> bool {
        let marked = mantissa.place.point && self.zero.marked;
        mantissa.place.digits == 0 && (marked || self.is_plain_zero(mantissa))
    }

    fn is_plain_zero(&self, mantissa: &Mantissa) -> bool {
        let signed = mantissa.negative && self.spellings == Spellings::Canonical;
        self.zero.plain && mantissa.place.is_lone_zero() && !signed
    }

    /// Whether the text so far is a member.
    pub(super) fn is_member(&self, mantissa: &Mantissa) -> bool {
        let Mantissa {
            negative,
            place,
            ref traces,
        } = *mantissa;
        if !place.is_complete(self.spellings) {
            return false;
        }
        let window = self.window(&place, 0);
        let goals = self.magnitudes(negative);
        let is_member = |t: &Trace| {
            let goal = &goals[t.goal as usize];
            goal.fits(place.point) && goal.has_member(t, &window)
        };
        self.is_zero(mantissa) || traces.iter().any(is_member)
    }

    /// The exponents with which the text so far is a member.
    pub(super) fn exponent(&self, mantissa: &Mantissa) -> Option<Exponent> {
        let Mantissa {
            negative,
            place,
            ref traces,
        } = *mantissa;
        if self.spellings == Spellings::Canonical || !place.is_complete(self.spellings) {
            return None;
        }
        if place.digits == 0 {
            let every = Integers::union(vec![(-MAX_EXPONENT, MAX_EXPONENT)]);
            return Exponent::begin(every).filter(|_| self.zero.marked);
        }
        let window = self.window(&place, 0);
        let goals = self.magnitudes(negative);
        let marked = traces.iter().filter(|t| goals[t.goal as usize].fits(true));
        let exponents = |t: &Trace| goals[t.goal as usize].exponents(t, &window);
        Exponent::begin(Integers::union(marked.flat_map(exponents).collect()))
    }
}
