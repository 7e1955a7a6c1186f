//! Where in the text of a number the writer is, and how long such texts may become.

use super::Spellings;
use super::goal::NumberGoal;
use super::magnitude::Window;
use crate::decimal::Decimal;

/// How many digits texts may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    /// Digits before the point.
    pub whole: i32,
    /// Digits from the first that is not zero; only zeros may follow them, and only before the
    /// point.
    pub digits: i32,
    /// Digits after the point, not fewer than `digits`.
    pub decimals: i32,
}

/// Values so far from the point ask for longer texts only where their goal has no shorter one.
const ORDINARY_PLACES: i32 = 40;

/// Zeros that may stand between the point and the first digit that counts.
const LEADING_ZEROS: i32 = 7;

impl Extent {
    /// Canonical texts: magnitudes below 10^21 (as ECMAScript writes numbers), 17 digits (they tell
    /// all doubles apart).
    const ORDINARY: Self = Self::canonical(21, 17);

    /// So many digits before the point and altogether.
    pub const fn canonical(whole: i32, digits: i32) -> Self {
        Self {
            whole,
            digits,
            decimals: digits + LEADING_ZEROS,
        }
    }

    /// At least so many digits wherever the point is, zeros included.
    pub fn spelt(&self, digits: i32) -> Self {
        let digits = digits.max(self.whole).max(self.decimals);
        Self {
            whole: digits,
            digits,
            decimals: digits,
        }
    }

    /// Long enough for the ordinary numbers that the goals mention, and for numbers between them.
    pub fn for_goals(goals: &[NumberGoal]) -> Self {
        let numbers = goals.iter().flat_map(NumberGoal::mentioned);
        let ordinary =
            |n: &&Decimal| n.point() <= ORDINARY_PLACES && -n.exponent() <= ORDINARY_PLACES;
        numbers
            .filter(ordinary)
            .fold(Self::ORDINARY, |extent, n| extent.including(n))
    }

    /// Long enough for numbers with as many whole digits as some number of the goal and as many
    /// decimals as another.
    pub fn spanning(self, goal: &NumberGoal) -> Self {
        let wide = goal.mentioned().fold(self, |extent, n| extent.including(n));
        let places = goal.mentioned().map(|n| -n.exponent()).max();
        let digits = wide.whole + places.unwrap_or(0).max(0);
        Self::canonical(wide.whole, wide.digits.max(digits))
    }

    /// Long enough for this number and its neighbours too.
    pub fn including(self, number: &Decimal) -> Self {
        let whole = number.point().max(0);
        let places = (-number.exponent()).max(0);
        Self::canonical(
            self.whole.max(whole + 2),
            self.digits.max(whole + places + 1),
        )
    }
}

/// The place after a sign and some digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Place {
    /// Digits from the first that is not zero; 0 after "0" and "0.00".
    pub digits: i32,
    /// Digits after the point.
    pub decimals: i32,
    pub point: bool,
    /// Canonical spelling: 1 if a digit 1-9 must follow (after the point or a decimal 0), else 0.
    /// All spellings: the zeros at the end.
    pub zeros: i32,
}

impl Place {
    /// The place of the leading digit if no more digits come before the point; `None` if all are
    /// zero.
    pub fn lead(&self) -> Option<i32> {
        (self.digits > 0).then_some(self.digits - self.decimals)
    }

    /// Whether only "0" has been written.
    pub fn is_lone_zero(&self) -> bool {
        self.digits == 0 && !self.point
    }

    /// The place after the point or a digit, if the grammar and the extent allow it.
    pub fn after(&self, byte: u8, extent: &Extent, spellings: Spellings) -> Option<Self> {
        let full = self.room(extent) == 0;
        match byte {
            b'.' if self.point || full => None,
            b'.' => {
                let zeros = if spellings == Spellings::Canonical {
                    1
                } else {
                    self.zeros
                };
                Some(Self {
                    point: true,
                    zeros,
                    ..*self
                })
            }
            b'0'..=b'9' if self.is_lone_zero() => None,
            b'0'..=b'9' if full && (self.point || byte != b'0') => None,
            b'0'..=b'9' if !self.point && self.digits >= extent.whole => None,
            b'0'..=b'9' => Some(self.after_digit(byte == b'0', spellings)),
            _ => None,
        }
    }

    fn after_digit(&self, zero: bool, spellings: Spellings) -> Self {
        let started = self.digits > 0 || !zero;
        let zeros = match spellings {
            Spellings::Canonical => i32::from(zero && self.point),
            Spellings::All if zero && started => self.zeros + 1,
            Spellings::All => 0,
        };
        Self {
            digits: self.digits + i32::from(started),
            decimals: self.decimals + i32::from(self.point),
            zeros,
            ..*self
        }
    }

    /// Whether the grammar lets the text end here.
    pub fn is_complete(&self, spellings: Spellings) -> bool {
        let open = match spellings {
            Spellings::Canonical => self.zeros > 0,
            Spellings::All => self.decimals == 0,
        };
        !(self.point && open)
    }

    /// The whole digits that may still come.
    pub fn more_whole(&self, extent: &Extent) -> i32 {
        let fixed = self.point || self.is_lone_zero();
        if fixed { 0 } else { extent.whole - self.digits }
    }

    /// The digits that may still come and count, from the next on.
    pub fn room(&self, extent: &Extent) -> i32 {
        (extent.digits - self.digits)
            .min(extent.decimals - self.decimals)
            .max(0)
    }

    /// All canonical continuations as windows: one for each number of further whole digits or,
    /// where no digit counts yet, of further zeros after the point.
    pub fn windows(&self, extent: &Extent) -> impl Iterator<Item = Window> + use<> {
        let window = self.canonical_window(self.room(extent));
        let zeros = if self.digits > 0 {
            0
        } else {
            (window.scale + extent.decimals).max(0)
        };
        let scales = window.scale - zeros..=window.scale + self.more_whole(extent);
        scales.map(move |scale| Window { scale, ..window })
    }

    /// The numbers that `width` more decimals make, canonically spelt.
    pub fn canonical_window(&self, width: i32) -> Window {
        let scale = -self.decimals - width;
        let nonzero = self.digits == 0 || (self.point && self.zeros > 0);
        Window {
            digits: self.digits,
            zeros: 0,
            width,
            scale,
            nonzero,
        }
    }

    /// The numbers that `width` more decimals make, in all spellings.
    pub fn spelt_window(&self, width: i32) -> Window {
        let scale = -self.decimals - width;
        Window {
            digits: self.digits,
            zeros: self.zeros,
            width,
            scale,
            nonzero: self.digits == 0,
        }
    }
}
