//! Forgetting what no continuation of a canonical text can change, so that equal futures are equal
//! traces.

use super::goal::Bound;
use super::magnitude::{Divisor, Magnitude, Side, Trace};
use super::place::{Extent, Place};
use crate::decimal::Decimal;
use std::cmp::Ordering;

impl Magnitude {
    /// The trace with every decided comparison forgotten; for one that some canonical continuation
    /// satisfies.
    pub fn settle(&self, trace: &Trace, place: &Place, extent: &Extent) -> Trace {
        let mut trace = *trace;
        if let Some(bound) = &self.low {
            trace.low = settled_low(bound, trace.low, place);
        }
        if let Some(bound) = &self.high {
            trace.high = settled_high(bound, trace.high, place, extent);
        }
        let mut values = self.still_unequal(&trace).iter();
        if !values.any(|value| may_meet(value, place)) {
            trace.unequal = (0, 0);
        }
        trace.residue %= self.period_ahead(place);
        trace
    }

    /// What the residue matters modulo: divisors that end above the places still to be written are
    /// decided.
    fn period_ahead(&self, place: &Place) -> u128 {
        if self.barred_ahead(place) {
            return self.period;
        }
        let step = self.step.filter(|step| undecided(step, place));
        step.map_or(1, |step| step.factor)
    }

    fn barred_ahead(&self, place: &Place) -> bool {
        self.barred.iter().any(|d| undecided(d, place))
    }

    /// If every canonical continuation up to a number of decimals satisfies the goal: that number.
    pub fn free_decimals(&self, trace: &Trace, place: &Place, extent: &Extent) -> Option<i32> {
        let settled = trace.low == Side::Settled && trace.high == Side::Settled;
        if !settled || trace.unequal != (0, 0) || self.barred_ahead(place) {
            return None;
        }
        match self.step {
            None => Some(extent.decimals),
            Some(step) => (step.factor == 1).then_some(step.places),
        }
    }
}

/// Whether a canonical text from here can still be a multiple of the divisor (its last decimal is
/// not zero).
fn undecided(divisor: &Divisor, place: &Place) -> bool {
    !place.point || (divisor.places > 0 && place.decimals <= divisor.places)
}

fn settled_low(bound: &Bound, side: Side, place: &Place) -> Side {
    let spelt = side == Side::Equal && bound.value.digits().len() as i32 <= place.digits;
    let passed = side == Side::Greater || (spelt && place.zeros > 0);
    let lead = place.lead().unwrap_or(i32::MIN).cmp(&bound.value.point());
    let above = lead == Ordering::Greater || (lead == Ordering::Equal && passed);
    if above { Side::Settled } else { side }
}

fn settled_high(bound: &Bound, side: Side, place: &Place, extent: &Extent) -> Side {
    let reach = if place.point {
        place.lead().unwrap_or(-place.decimals)
    } else {
        extent.whole
    };
    let lead = reach.cmp(&bound.value.point());
    let below = lead == Ordering::Less || (lead == Ordering::Equal && side == Side::Less);
    if below { Side::Settled } else { side }
}

/// Whether a canonical text from here may come to an excluded value whose digits begin with those
/// written.
fn may_meet(value: &Decimal, place: &Place) -> bool {
    let ahead = (value.digits().len() as i32) > place.digits - i32::from(place.zeros == 0);
    match place.lead() {
        Some(lead) if place.point => lead == value.point() && ahead,
        Some(lead) => lead <= value.point(),
        None => !place.point || value.point() <= -place.decimals,
    }
}
