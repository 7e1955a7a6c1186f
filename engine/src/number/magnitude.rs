//! The positive values of one goal, asked digit by digit.
//!
//! While a number is written, a [`Trace`] keeps what its digits so far mean for the goal: on which
//! side of each bound they are, which excluded values they still lead to, and their remainder. From
//! these alone [`Magnitude::least_member`] answers whether some of the numbers that begin so
//! satisfy the goal: the values that `width` more digits reach are an interval of a grid, the
//! bounds cut it, divisors thin it out, and only few of what is left can be excluded.

use super::NumberLimitError;
use super::goal::{Bound, NumberGoal, Step, common_multiple};
use crate::decimal::Decimal;
use std::cmp::Ordering;

/// The positive numbers that satisfy a goal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Magnitude {
    pub low: Option<Bound>,
    pub high: Option<Bound>,
    pub step: Option<Divisor>,
    pub barred: Vec<Divisor>,
    /// Excluded values, sorted by their digits and then by their place.
    unequal: Vec<Decimal>,
    /// The remainder of a prefix is kept modulo this.
    pub period: u128,
    /// What the goal says of its texts.
    pub plain: Option<bool>,
}

/// The divisor `factor` / 10^`places`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Divisor {
    pub factor: u128,
    pub places: i32,
}

/// How the digits so far lie to the leading digits of a bound; `Settled` where no continuation can
/// break it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Side {
    Less,
    Equal,
    Greater,
    Settled,
}

/// What the digits written so far mean for one goal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Trace {
    pub goal: u32,
    pub low: Side,
    pub high: Side,
    /// The excluded values whose digits begin with those written, as a range of indices.
    pub unequal: (u32, u32),
    pub residue: u128,
}

/// The numbers (digits so far, then `width` more) · 10^`scale`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Digits written, from the first that is not zero.
    pub digits: i32,
    /// Zeros written since the digit at which the residue was taken.
    pub zeros: i32,
    pub width: i32,
    pub scale: i32,
    /// Whether the further digits must not all be zero.
    pub nonzero: bool,
}

impl Window {
    /// The place above the first of the further digits.
    fn top(&self) -> i32 {
        self.scale + self.width
    }
}

impl Trace {
    /// Whether the digits are still compared with a bound or an excluded value.
    pub fn is_compared(&self) -> bool {
        self.low != Side::Settled || self.high != Side::Settled || self.unequal != (0, 0)
    }
}

impl Divisor {
    fn of(value: &Decimal) -> Result<Self, NumberLimitError> {
        let places = (-value.exponent()).max(0);
        let factor = value.scaled(-places).and_then(|f| common_multiple(1, f));
        factor
            .map(|factor| Self { factor, places })
            .ok_or(NumberLimitError::LargeDivisor)
    }

    /// The number by which digits · 10^`scale` must be divisible, where `scale` does not reach
    /// below the divisor's last place.
    fn at_scale(&self, scale: i32) -> u128 {
        let mut factor = self.factor;
        for _ in 0..scale + self.places {
            let (two, five) = (factor.is_multiple_of(2), factor.is_multiple_of(5));
            if !two && !five {
                break;
            }
            factor /= if two { 2 } else { 1 } * if five { 5 } else { 1 };
        }
        factor
    }

    /// Whether every multiple of `stride` · 10^`scale` is one of this divisor.
    fn divides_grid(&self, stride: u128, scale: i32) -> bool {
        let places = scale + self.places;
        if places >= 0 {
            return stride.is_multiple_of(self.at_scale(scale));
        }
        let power = 10u128.checked_pow(places.unsigned_abs());
        let factor = power.and_then(|p| p.checked_mul(self.factor));
        factor.is_some_and(|f| stride.is_multiple_of(f))
    }
}

impl Magnitude {
    /// The positive part of a goal, `None` if it has none.
    pub fn of(goal: &NumberGoal) -> Result<Option<Self>, NumberLimitError> {
        let positive = |b: &Option<Bound>| b.clone().filter(|b| b.value > Decimal::zero());
        let (low, high) = (positive(&goal.lower), positive(&goal.upper));
        if let Some(value) = &goal.equal {
            let member = *value > Decimal::zero() && goal.contains(value);
            return Ok(member.then(|| Self::single(value, goal.plain)));
        }
        if goal.upper.is_some() && high.is_none() {
            return Ok(None);
        }
        let step = match goal.step() {
            Step::Dense => None,
            Step::Zero => return Ok(None),
            Step::Of(step) => Some(Divisor::of(&step)?),
            Step::TooLarge => return Err(NumberLimitError::LargeDivisor),
        };
        let barred = goal
            .not_divisors()
            .map(|d| Divisor::of(&d))
            .collect::<Result<Vec<_>, _>>()?;
        let period = step
            .iter()
            .chain(&barred)
            .try_fold(1, |p, d| common_multiple(p, d.factor));
        let period = period.ok_or(NumberLimitError::LargeDivisor)?;
        let mut unequal = goal.not_equal.clone();
        unequal.retain(|v| *v > Decimal::zero());
        unequal.sort_by(|a, b| a.digits().cmp(b.digits()).then(a.point().cmp(&b.point())));
        unequal.dedup();
        Ok(Some(Self {
            low,
            high,
            step,
            barred,
            unequal,
            period,
            plain: goal.plain,
        }))
    }

    fn single(value: &Decimal, plain: Option<bool>) -> Self {
        let bound = Some(Bound {
            value: value.clone(),
            exclusive: false,
        });
        let (step, barred, unequal) = (None, Vec::new(), Vec::new());
        Self {
            low: bound.clone(),
            high: bound,
            step,
            barred,
            unequal,
            period: 1,
            plain,
        }
    }

    /// Whether texts with (or without) a fraction or exponent part may satisfy the goal.
    pub fn fits(&self, marked: bool) -> bool {
        self.plain.is_none_or(|plain| plain != marked)
    }

    /// Whether zeros at the end make no difference to divisibility.
    pub fn has_no_divisor(&self) -> bool {
        self.step.is_none() && self.barred.is_empty()
    }

    /// The trace before the first digit that is not zero.
    pub fn begin(&self, goal: u32) -> Trace {
        let side = |b: &Option<Bound>| {
            if b.is_some() {
                Side::Equal
            } else {
                Side::Settled
            }
        };
        let unequal = (0, self.unequal.len() as u32);
        Trace {
            goal,
            low: side(&self.low),
            high: side(&self.high),
            unequal,
            residue: 0,
        }
    }

    /// The trace after one more digit; `index` counts from the first that is not zero.
    ///
    /// A prefix that spells an inclusive lower (exclusive upper) bound counts as above it, as all
    /// its continuations do.
    /// `shift` is how far the digit moves the residue; 0 leaves the residue to a later digit.
    pub fn push(&self, trace: &Trace, index: i32, digit: u8, shift: i32) -> Trace {
        let side = |side, bound: &Option<Bound>, ends_above| match (side, bound) {
            (Side::Equal, Some(b)) => side_after(b, index, digit, ends_above == b.exclusive),
            _ => side,
        };
        let values = self.still_unequal(trace);
        let before = |last: u8| values.partition_point(|v| digit_at(v, index) <= last) as u32;
        let first = trace.unequal.0 + if digit == 0 { 0 } else { before(digit - 1) };
        let last = trace.unequal.0 + before(digit);
        let mut residue = self.shifted(trace.residue, shift);
        if shift > 0 && self.period > 1 {
            residue = (residue + u128::from(digit)) % self.period;
        }
        Trace {
            low: side(trace.low, &self.low, false),
            high: side(trace.high, &self.high, true),
            unequal: if first < last { (first, last) } else { (0, 0) },
            residue,
            ..*trace
        }
    }

    /// The excluded values whose digits begin with those written.
    pub fn still_unequal(&self, trace: &Trace) -> &[Decimal] {
        &self.unequal[trace.unequal.0 as usize..trace.unequal.1 as usize]
    }

    fn shifted(&self, residue: u128, zeros: i32) -> u128 {
        if residue == 0 {
            return 0;
        }
        (0..zeros).fold(residue, |r, _| r * 10 % self.period)
    }

    /// Whether some number of the window satisfies the goal.
    pub fn has_member(&self, trace: &Trace, window: &Window) -> bool {
        let (low, high) = self.sides(trace, window);
        if low == Side::Less || high == Side::Greater {
            return false;
        }
        let free = self.has_no_divisor() && trace.unequal == (0, 0);
        if free && low != Side::Equal && high != Side::Equal {
            return window.width > 0 || !window.nonzero;
        }
        self.least_member(trace, window).is_some()
    }

    /// How the whole window lies to the bounds; `Equal` where a bound may cut it.
    fn sides(&self, trace: &Trace, window: &Window) -> (Side, Side) {
        let place = |side: Side, bound: &Option<Bound>| match bound {
            Some(b) if side != Side::Settled => side_of_window(&b.value, side, window),
            _ => Side::Settled,
        };
        (place(trace.low, &self.low), place(trace.high, &self.high))
    }

    /// The further digits of the smallest number of the window that satisfies the goal.
    pub fn least_member(&self, trace: &Trace, window: &Window) -> Option<Vec<u8>> {
        let (low, high) = self.sides(trace, window);
        if low == Side::Less || high == Side::Greater {
            return None;
        }
        // Digits below the last place of the divisor can only be zeros: `cut` of them are still to
        // come.
        let excess = self.step.map_or(0, |s| -window.scale - s.places).max(0);
        let cut = excess.min(window.width);
        let grid = Window {
            width: window.width - cut,
            scale: window.scale + cut,
            ..*window
        };
        let least = self.least(low == Side::Equal, &grid)?;
        let most = self.high.as_ref().filter(|_| high == Side::Equal);
        let most = most.map(|b| (cut_out(&b.value, &grid), b.exclusive));
        let mut digits = if excess > cut {
            self.only_number(trace, &grid, most.as_ref())?
        } else {
            self.first_between(trace, &grid, least, most.as_ref())?
        };
        digits.resize(window.width as usize, 0);
        Some(digits)
    }

    /// No further digits, if what is written already satisfies the goal.
    fn only_number(&self, trace: &Trace, grid: &Window, most: Option<&Most>) -> Option<Vec<u8>> {
        let divisible = self.step.is_none_or(|s| self.divides(&s, trace, grid, &[]));
        let below = most.is_none_or(|most| !exceeds(&[], most));
        let member = divisible && below && !self.excludes(trace, grid, &[]);
        member.then(Vec::new)
    }

    /// The first digits from `least` to `most` that the divisors and excluded values allow.
    fn first_between(
        &self,
        trace: &Trace,
        grid: &Window,
        mut digits: Vec<u8>,
        most: Option<&Most>,
    ) -> Option<Vec<u8>> {
        let stride = self.step.map_or(1, |s| s.at_scale(grid.scale));
        if self
            .barred
            .iter()
            .any(|d| d.divides_grid(stride, grid.scale))
        {
            return None; // and otherwise a barred divisor leaves out one candidate in two at most
        }
        let rest = self.remainder(trace, grid, &digits, stride);
        add(&mut digits, if rest == 0 { 0 } else { stride - rest })?;
        while most.is_none_or(|most| !exceeds(&digits, most)) {
            if !self.excludes(trace, grid, &digits) {
                return Some(digits);
            }
            add(&mut digits, stride)?;
        }
        None
    }

    /// The smallest further digits that the lower bound (if it cuts the window) and `nonzero`
    /// allow.
    fn least(&self, cut: bool, window: &Window) -> Option<Vec<u8>> {
        let mut digits = vec![0; window.width as usize];
        if let Some(bound) = self.low.as_ref().filter(|_| cut) {
            let (leading, more) = cut_out(&bound.value, window);
            digits = leading;
            add(&mut digits, u128::from(more || bound.exclusive))?;
        }
        if window.nonzero && digits.iter().all(|&d| d == 0) {
            add(&mut digits, 1)?;
        }
        Some(digits)
    }

    /// Whether the number is an excluded value or a multiple of a barred divisor.
    fn excludes(&self, trace: &Trace, window: &Window, digits: &[u8]) -> bool {
        self.barred
            .iter()
            .any(|d| self.divides(d, trace, window, digits))
            || (trace.unequal != (0, 0) && self.is_unequal(trace, window, digits))
    }

    fn is_unequal(&self, trace: &Trace, window: &Window, digits: &[u8]) -> bool {
        let mut lead = window.top() + window.digits;
        let mut digits = digits;
        if window.digits == 0 {
            let zeros = digits.iter().take_while(|&&d| d == 0).count();
            (digits, lead) = (&digits[zeros..], lead - zeros as i32);
        }
        let end = digits
            .iter()
            .rposition(|&d| d != 0)
            .map_or(0, |last| last + 1);
        let key = (&digits[..end], lead);
        let order = |value: &Decimal| {
            let rest = value.digits().get(window.digits as usize..).unwrap_or(&[]);
            rest.cmp(key.0).then(value.point().cmp(&key.1))
        };
        self.still_unequal(trace).binary_search_by(order).is_ok()
    }

    /// Whether the number is a multiple of the divisor.
    fn divides(&self, divisor: &Divisor, trace: &Trace, window: &Window, digits: &[u8]) -> bool {
        let excess = -window.scale - divisor.places;
        if excess <= 0 {
            let factor = divisor.at_scale(window.scale);
            return self.remainder(trace, window, digits, factor) == 0;
        }
        let kept = window.width - excess;
        if digits[kept.max(0) as usize..].iter().any(|&d| d != 0) {
            return false;
        }
        let zeros = window.zeros + kept.min(0);
        let digits = &digits[..kept.max(0) as usize];
        let window = Window { zeros, ..*window };
        zeros >= 0 && self.remainder(trace, &window, digits, divisor.factor) == 0
    }

    /// The remainder of the digits so far and these modulo `modulus`, which divides the period.
    fn remainder(&self, trace: &Trace, window: &Window, digits: &[u8], modulus: u128) -> u128 {
        if modulus == 1 {
            return 0;
        }
        let residue = self.shifted(trace.residue, window.zeros) % modulus;
        if let Ok(modulus) = u64::try_from(modulus)
            && modulus < u64::MAX / 16
        {
            let next = |r: u64, d: &u8| (r * 10 + u64::from(*d)) % modulus;
            return digits.iter().fold(residue as u64, next).into();
        }
        digits
            .iter()
            .fold(residue, |r, &d| (r * 10 + u128::from(d)) % modulus)
    }
}

/// The side of digits that agreed with a bound, after one more; with its last digit they may count
/// as above it.
fn side_after(bound: &Bound, index: i32, digit: u8, ends_above: bool) -> Side {
    let last = index + 1 >= bound.value.digits().len() as i32;
    match digit.cmp(&digit_at(&bound.value, index)) {
        Ordering::Less => Side::Less,
        Ordering::Equal if last && ends_above => Side::Greater,
        Ordering::Equal => Side::Equal,
        Ordering::Greater => Side::Greater,
    }
}

fn digit_at(value: &Decimal, index: i32) -> u8 {
    value.digits().get(index as usize).copied().unwrap_or(0)
}

/// How the window lies to a bound whose leading digits compare as `side` with those written.
fn side_of_window(bound: &Decimal, side: Side, window: &Window) -> Side {
    let lead = window.top() + window.digits;
    match lead.cmp(&bound.point()) {
        Ordering::Less => Side::Less,
        Ordering::Greater if window.digits > 0 => Side::Greater,
        Ordering::Greater => Side::Equal,
        Ordering::Equal => side,
    }
}

/// The digits of a value at the window's further places, and whether the value has digits below
/// them.
fn cut_out(value: &Decimal, window: &Window) -> (Vec<u8>, bool) {
    let first = value.point() - window.top();
    let digit = |i: i32| if i < 0 { 0 } else { digit_at(value, i) };
    let digits = (first..first + window.width).map(digit).collect();
    (digits, (value.digits().len() as i32) > first + window.width)
}

/// An upper bound in a window: its digits there, whether it has more below them, and whether it is
/// exclusive.
type Most = ((Vec<u8>, bool), bool);

/// Whether the digits lie above an upper bound.
fn exceeds(digits: &[u8], ((most, more), exclusive): &Most) -> bool {
    match digits.cmp(most) {
        Ordering::Less => false,
        Ordering::Equal => *exclusive && !*more,
        Ordering::Greater => true,
    }
}

/// Adds to a number of fixed width; `None` if it no longer fits.
fn add(digits: &mut [u8], mut amount: u128) -> Option<()> {
    for digit in digits.iter_mut().rev() {
        if amount == 0 {
            break;
        }
        amount += u128::from(*digit);
        *digit = (amount % 10) as u8;
        amount /= 10;
    }
    (amount == 0).then_some(())
}
