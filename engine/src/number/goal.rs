//! What a number must be: a conjunction of the schema's number keywords, judged on exact values.

use super::Spellings;
use crate::decimal::Decimal;
use std::cmp::Ordering;
use std::collections::HashSet;

/// A limit on a number, itself allowed unless `exclusive`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Bound {
    /// The number itself.
    pub value: Decimal,
    /// Whether the number itself is outside.
    pub exclusive: bool,
}

/// A conjunction of assertions about one number; the default allows every number.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct NumberGoal {
    /// `Some(true)`: a mathematical integer; `Some(false)`: not one.
    pub integer: Option<bool>,
    /// `Some(true)`: written without a fraction or exponent part, as draft 4 wants an integer;
    /// `Some(false)`: with one. The only assertion about the text: every value can be written with
    /// an exponent, integers alone can be written without.
    pub plain: Option<bool>,
    /// The value is not below.
    pub lower: Option<Bound>,
    /// The value is not above.
    pub upper: Option<Bound>,
    /// The value is an integer times each of these.
    pub multiple_of: Vec<Decimal>,
    /// The value is an integer times none of these.
    pub not_multiple_of: Vec<Decimal>,
    /// The value is none of these.
    pub not_equal: Vec<Decimal>,
    /// The value is this.
    pub equal: Option<Decimal>,
}

/// The largest common period of divisors that number languages count in.
pub(super) const MAX_PERIOD: u128 = 10u128.pow(36);

/// How many candidates the emptiness check tries beyond those that `not_equal` can take away: so
/// many, or fewer where that would take more steps.
const MAX_CANDIDATES: usize = 4096;
const MIN_CANDIDATES: usize = 64;
const MAX_STEPS: usize = 1 << 18;

/// Digits of a number that a small step of `Regexes::spend_steps` looks at.
const DIGITS_OF_A_STEP: usize = 4;

impl NumberGoal {
    /// Mathematical integers.
    pub fn integer() -> Self {
        Self {
            integer: Some(true),
            ..Self::default()
        }
    }

    /// Numbers without a fraction or exponent part.
    pub fn plain() -> Self {
        Self {
            plain: Some(true),
            ..Self::default()
        }
    }

    /// One value.
    pub fn equal_to(value: Decimal) -> Self {
        Self {
            equal: Some(value),
            ..Self::default()
        }
    }

    /// The goal of texts in a spelling: canonical texts are plain where their value is an integer.
    /// `None` where no such text satisfies it.
    pub fn spelt(self, spellings: Spellings) -> Option<Self> {
        if self.plain.is_none() || spellings == Spellings::All {
            return Some(self);
        }
        Some(Self {
            integer: agreed(&self.integer, &self.plain)?,
            plain: None,
            ..self
        })
    }

    /// Whether only integers satisfy the goal, by what it says of integers.
    pub fn is_whole(&self) -> bool {
        self.integer == Some(true) || self.plain == Some(true)
    }

    /// Whether some text of the value satisfies every assertion.
    pub fn contains(&self, value: &Decimal) -> bool {
        self.allows(value) && !self.not_equal.contains(value)
    }

    /// Whether some text of the value satisfies every assertion but `not_equal`.
    fn allows(&self, value: &Decimal) -> bool {
        self.integer
            .is_none_or(|wanted| wanted == value.is_integer())
            && (self.plain != Some(true) || value.is_integer())
            && self.equal.as_ref().is_none_or(|e| e == value)
            && self
                .lower
                .as_ref()
                .is_none_or(|b| admits(b, value.cmp(&b.value)))
            && self
                .upper
                .as_ref()
                .is_none_or(|b| admits(b, b.value.cmp(value)))
            && self.multiple_of.iter().all(|d| value.is_multiple_of(d))
            && !self.not_multiple_of.iter().any(|d| value.is_multiple_of(d))
    }

    /// The numbers that satisfy all of some goals; `None` where there are none.
    pub fn all(goals: &[&Self]) -> Option<Self> {
        let mut all = Self::default();
        for goal in goals {
            all.integer = agreed(&all.integer, &goal.integer)?;
            all.plain = agreed(&all.plain, &goal.plain)?;
            all.equal = agreed(&all.equal, &goal.equal)?;
            all.lower = tighter(&all.lower, &goal.lower, Ordering::Greater);
            all.upper = tighter(&all.upper, &goal.upper, Ordering::Less);
            all.multiple_of.extend_from_slice(&goal.multiple_of);
            all.not_multiple_of.extend_from_slice(&goal.not_multiple_of);
            all.not_equal.extend_from_slice(&goal.not_equal);
        }
        let lists = [
            &mut all.multiple_of,
            &mut all.not_multiple_of,
            &mut all.not_equal,
        ];
        for list in lists {
            list.sort_unstable();
            list.dedup();
        }
        (!all.is_empty()).then_some(all)
    }

    /// How many small steps it takes to say of a value whether it satisfies the goal, about.
    pub fn weight(&self) -> usize {
        let digits = |n: &Decimal| 1 + n.digits().len() / DIGITS_OF_A_STEP;
        self.mentioned().map(digits).sum()
    }

    /// Whether no number satisfies the goal. Exact for every goal that a
    /// [`NumberLanguage`](super::NumberLanguage) takes.
    pub fn is_empty(&self) -> bool {
        if let Some(value) = &self.equal {
            return !self.contains(value);
        }
        if let (Some(lower), Some(upper)) = (&self.lower, &self.upper)
            && lower.value >= upper.value
        {
            return lower.value > upper.value || !self.contains(&lower.value);
        }
        match self.step() {
            Step::Dense => false, // decimals are dense; everything excluded is discrete
            Step::Zero => !self.contains(&Decimal::zero()),
            Step::Of(step) if self.not_divisors().any(|d| step.is_multiple_of(&d)) => true,
            Step::Of(step) if self.lower.is_none() && self.upper.is_some() => {
                self.mirrored().none_of(&step)
            }
            Step::Of(step) => self.none_of(&step),
            Step::TooLarge => false,
        }
    }

    /// Whether no multiple of `step` that is not below the lower bound (or 0) satisfies the goal.
    fn none_of(&self, step: &Decimal) -> bool {
        let mut value = match &self.lower {
            Some(bound) => multiple_from(&bound.value, step),
            None => Decimal::zero(),
        };
        let excluded: HashSet<&Decimal> = self.not_equal.iter().collect();
        for _ in 0..self.candidates() {
            if self.upper.as_ref().is_some_and(|b| value > b.value) {
                return true;
            }
            if self.allows(&value) && !excluded.contains(&value) {
                return false;
            }
            value = value.add(step);
        }
        false
    }

    /// How many values are tried: fewer where each takes long, but all that could be excluded.
    fn candidates(&self) -> usize {
        let divisors = &self.not_multiple_of;
        let most = divisors.iter().map(|d| d.digits().len()).max().unwrap_or(0);
        let bounds = [&self.lower, &self.upper].into_iter().flatten();
        let width = bounds
            .map(|b| b.value.point().unsigned_abs() as usize)
            .max();
        let each = divisors.len() * (most + width.unwrap_or(0)) / DIGITS_OF_A_STEP;
        (MAX_STEPS / (1 + each)).clamp(MIN_CANDIDATES, MAX_CANDIDATES) + self.not_equal.len()
    }

    /// The goal of the negated values.
    pub(super) fn mirrored(&self) -> Self {
        let negated = |bound: &Option<Bound>| {
            let exclusive = bound.as_ref()?.exclusive;
            Some(Bound {
                value: bound.as_ref()?.value.negated(),
                exclusive,
            })
        };
        Self {
            lower: negated(&self.upper),
            upper: negated(&self.lower),
            not_equal: self.not_equal.iter().map(Decimal::negated).collect(),
            equal: self.equal.as_ref().map(Decimal::negated),
            ..self.clone()
        }
    }

    /// The one divisor that all of `multiple_of`, `integer` and `plain` amount to.
    pub(super) fn step(&self) -> Step {
        let mut divisors: Vec<Decimal> = self.multiple_of.iter().map(Decimal::abs).collect();
        divisors.extend(self.is_whole().then(Decimal::one));
        if divisors.is_empty() {
            return Step::Dense;
        }
        if divisors.iter().any(Decimal::is_zero) {
            return Step::Zero;
        }
        let exponent = divisors.iter().map(Decimal::exponent).min().unwrap_or(0);
        let common = divisors.iter().try_fold(1, |common, divisor| {
            common_multiple(common, divisor.scaled(exponent)?)
        });
        common.map_or(Step::TooLarge, |common| {
            Step::Of(Decimal::from_u128(common, exponent))
        })
    }

    /// Numbers of which the value must not be a multiple, positive.
    pub(super) fn not_divisors(&self) -> impl Iterator<Item = Decimal> {
        let fractional = (self.integer == Some(false)).then(Decimal::one);
        let given = self.not_multiple_of.iter().map(Decimal::abs);
        given.filter(|d| !d.is_zero()).chain(fractional)
    }

    /// Every number that the goal mentions.
    pub(super) fn mentioned(&self) -> impl Iterator<Item = &Decimal> {
        let bounds = [&self.lower, &self.upper]
            .into_iter()
            .flatten()
            .map(|b| &b.value);
        let lists = [&self.multiple_of, &self.not_multiple_of, &self.not_equal];
        bounds.chain(lists.into_iter().flatten()).chain(&self.equal)
    }
}

/// What the divisors of a goal amount to.
pub(super) enum Step {
    Dense,
    Zero,
    Of(Decimal),
    TooLarge,
}

fn admits(bound: &Bound, side: Ordering) -> bool {
    side == Ordering::Greater || (side == Ordering::Equal && !bound.exclusive)
}

/// What two optional demands ask together; `None` where they contradict each other.
fn agreed<T: Clone + PartialEq>(a: &Option<T>, b: &Option<T>) -> Option<Option<T>> {
    match (a, b) {
        (Some(x), Some(y)) if x != y => None,
        (Some(_), _) => Some(a.clone()),
        _ => Some(b.clone()),
    }
}

/// The bound that excludes more; `side` says on which side of the other its value then lies.
fn tighter(a: &Option<Bound>, b: &Option<Bound>, side: Ordering) -> Option<Bound> {
    let (Some(x), Some(y)) = (a, b) else {
        return a.clone().or_else(|| b.clone());
    };
    let order = x.value.cmp(&y.value);
    let first = order == side || (order == Ordering::Equal && x.exclusive);
    Some(if first { x.clone() } else { y.clone() })
}

/// The smallest multiple of `step` that is not below `value`.
fn multiple_from(value: &Decimal, step: &Decimal) -> Decimal {
    let rest = value.remainder(step);
    if value.is_negative() {
        value.add(&rest)
    } else if rest.is_zero() {
        value.clone()
    } else {
        value.subtract(&rest).add(step)
    }
}

/// The greatest common divisor.
pub(super) fn common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The least common multiple of two positive numbers, up to [`MAX_PERIOD`].
pub(super) fn common_multiple(a: u128, b: u128) -> Option<u128> {
    (a / common_divisor(a, b))
        .checked_mul(b)
        .filter(|&m| m <= MAX_PERIOD)
}
