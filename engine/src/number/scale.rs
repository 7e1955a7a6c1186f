//! The positive values of a goal where an exponent may still move the decimal point: the same
//! digits at many scales.

use super::exponent::{Integers, MAX_EXPONENT};
use super::goal::Bound;
use super::magnitude::{Divisor, Magnitude, Side, Trace, Window};
use crate::decimal::Decimal;

/// A place or exponent beyond every bound.
const UNBOUNDED: i32 = 20_000;

impl Magnitude {
    /// Whether some number of the window moved to one of these scales satisfies the goal.
    pub fn has_member_at_some_scale(
        &self,
        trace: &Trace,
        window: &Window,
        scales: (i32, i32),
    ) -> bool {
        let (low, high) = self.scales(window);
        let (low, high) = (low.max(scales.0), high.min(scales.1));
        let at = |scale| {
            (low..=high).contains(&scale) && self.has_member(trace, &Window { scale, ..*window })
        };
        let middle = window.scale.clamp(low, high.max(low));
        (0..=high.saturating_sub(low)).any(|d| at(middle - d) || (d > 0 && at(middle + d)))
    }

    /// The scales at which the window comes near the bounds.
    fn scales(&self, window: &Window) -> (i32, i32) {
        let place = |b: &Option<Bound>, open: i32| b.as_ref().map_or(open, |b| b.value.point());
        let written = window.width + window.digits;
        let spare = if window.digits == 0 { window.width } else { 0 };
        let low = place(&self.low, -UNBOUNDED) - written;
        (low, place(&self.high, UNBOUNDED) - written + spare)
    }

    /// The exponents that make the finished digits of the window a member, as ranges.
    pub fn exponents(&self, trace: &Trace, window: &Window) -> Vec<(i32, i32)> {
        let lead = window.scale + window.digits;
        let place = |bound: &Option<Bound>, open| match bound {
            Some(bound) => bound.value.point() - lead,
            None => open,
        };
        let mut low = place(&self.low, -UNBOUNDED) + i32::from(trace.low != Side::Greater);
        let mut high = place(&self.high, UNBOUNDED) - i32::from(trace.high == Side::Greater);
        if let Some(step) = &self.step {
            let divisible = self.divisible_from(step, trace, window);
            low = low.max(divisible.unwrap_or(UNBOUNDED));
        }
        for divisor in &self.barred {
            let divisible = self.divisible_from(divisor, trace, window);
            high = high.min(divisible.map_or(high, |from| from - 1));
        }
        let spelt = |v: &&Decimal| v.digits().len() as i32 <= window.digits;
        let points = self.still_unequal(trace).iter().filter(spelt);
        Integers::avoiding((low, high), points.map(|v| v.point() - lead).collect())
    }

    /// The smallest exponent that makes the finished digits a multiple of the divisor.
    fn divisible_from(&self, divisor: &Divisor, trace: &Trace, window: &Window) -> Option<i32> {
        let mut residue = trace.residue % divisor.factor;
        let mut shift = 0;
        while residue != 0 {
            if shift > 2 * u128::BITS as i32 {
                return None; // only factors 2 and 5 of the divisor can still vanish
            }
            residue = residue * 10 % divisor.factor;
            shift += 1;
        }
        Some(shift - divisor.places - window.zeros - window.scale)
    }

    /// The digits and exponent of a member of the window at some scale, shorter than `length`.
    pub fn shortest_scaled(
        &self,
        trace: &Trace,
        window: &Window,
        length: usize,
    ) -> Option<Vec<u8>> {
        let (low, high) = self.scales(window);
        let low = (low - window.scale).max(-MAX_EXPONENT);
        let exponents = low..=(high - window.scale).min(MAX_EXPONENT);
        let mut exponents: Vec<String> = exponents.map(|e| format!("e{e}")).collect();
        exponents.retain(|e| window.width as usize + e.len() < length);
        exponents.sort_by_key(String::len);
        exponents.iter().find_map(|exponent| {
            let scale = window.scale + exponent[1..].parse::<i32>().ok()?;
            let digits = self.least_member(trace, &Window { scale, ..*window })?;
            let digits = digits.iter().map(|d| b'0' + d);
            Some(digits.chain(exponent.bytes()).collect())
        })
    }
}
