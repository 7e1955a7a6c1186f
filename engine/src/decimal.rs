//! Exact decimal numbers: what a JSON number text means, without rounding.
//!
//! Schema arithmetic (`minimum`, `multipleOf`, `const`, equality of instances) is defined on
//! mathematical values, so numbers are kept as decimal digits and a power of ten. Values are
//! normalised: equal numbers are equal structures.

use std::cmp::Ordering;
use std::fmt;

/// The number of significant digits a parsed number may have.
pub const MAX_DIGITS: usize = 1100;
/// How far from the decimal point the digits of a parsed number may lie, on either side.
pub const MAX_PLACES: i64 = 1100;

/// An exact decimal number; `1`, `1.0` and `10e-1` are the same value.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Decimal {
    negative: bool,
    /// Significant digits 0..=9, most significant first, no zero at either end; empty for zero.
    digits: Vec<u8>,
    /// The power of ten of the last digit; 0 for zero.
    exponent: i32,
}

/// Why a text is not a decimal number within the limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecimalError {
    /// The text does not follow the number grammar of RFC 8259, section 6.
    Malformed,
    /// More significant digits than [`MAX_DIGITS`].
    TooManyDigits,
    /// A digit further from the decimal point than [`MAX_PLACES`].
    TooManyPlaces,
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => write!(f, "not a JSON number"),
            Self::TooManyDigits => write!(f, "a number with more than {MAX_DIGITS} digits"),
            Self::TooManyPlaces => {
                write!(
                    f,
                    "a number beyond {MAX_PLACES} places of the decimal point"
                )
            }
        }
    }
}

impl std::error::Error for DecimalError {}

impl Decimal {
    /// Zero.
    pub fn zero() -> Self {
        Self::default()
    }

    /// One.
    pub fn one() -> Self {
        Self::from(1)
    }

    /// The number ±0.d₁d₂… shifted so that the last digit has weight 10^`exponent`.
    pub fn from_digits(negative: bool, digits: &[u8], exponent: i32) -> Self {
        let Some(first) = digits.iter().position(|&d| d != 0) else {
            return Self::zero();
        };
        let last = digits.iter().rposition(|&d| d != 0).unwrap_or(first);
        Self {
            negative,
            digits: digits[first..=last].to_vec(),
            exponent: exponent + (digits.len() - 1 - last) as i32,
        }
    }

    /// The value of a JSON number text (RFC 8259, section 6).
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let parts = Parts::of(text.as_bytes()).ok_or(DecimalError::Malformed)?;
        let written = [parts.whole, parts.fraction].concat();
        let digits: Vec<u8> = written.iter().map(|b| b - b'0').collect();
        let significant = Self::from_digits(parts.negative, &digits, 0);
        if significant.is_zero() {
            return Ok(significant);
        }
        let exponent = i64::from(significant.exponent) - parts.fraction.len() as i64;
        significant.shifted_within_limits(exponent.saturating_add(parts.exponent))
    }

    fn shifted_within_limits(self, exponent: i64) -> Result<Self, DecimalError> {
        let length = self.digits.len();
        if length > MAX_DIGITS {
            return Err(DecimalError::TooManyDigits);
        }
        if exponent < -MAX_PLACES || exponent.saturating_add(length as i64) > MAX_PLACES {
            return Err(DecimalError::TooManyPlaces);
        }
        let exponent = exponent as i32; // within ±MAX_PLACES
        Ok(Self { exponent, ..self })
    }

    /// Whether the value is 0.
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Whether the value is below 0.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether the value is a mathematical integer (`1.0` is one).
    pub fn is_integer(&self) -> bool {
        self.exponent >= 0
    }

    /// The significant digits 0..=9, most significant first, without zeros at the ends; empty for
    /// zero.
    pub fn digits(&self) -> &[u8] {
        &self.digits
    }

    /// The power of ten of the last significant digit; 0 for zero.
    pub fn exponent(&self) -> i32 {
        self.exponent
    }

    /// The place of the leading digit: a non-zero magnitude lies in `[10^(p-1), 10^p)`; 0 for zero.
    pub fn point(&self) -> i32 {
        self.exponent + self.digits.len() as i32
    }

    /// The value as a `u64`, if it is an integer in that range (for counts, such as a
    /// `maxLength` of 3.0).
    pub fn to_u64(&self) -> Option<u64> {
        if self.negative || !self.is_integer() || self.point() > 20 {
            return None;
        }
        u64::try_from(self.scaled(0)?).ok()
    }

    /// The magnitude divided by 10^`exponent`, if that is an integer below 10^38.
    pub fn scaled(&self, exponent: i32) -> Option<u128> {
        let zeros = self.exponent.checked_sub(exponent)?;
        if self.is_zero() {
            return Some(0);
        }
        if zeros < 0 || self.point() - exponent > 38 {
            return None;
        }
        let zeros = std::iter::repeat_n(&0, zeros as usize);
        let digits = self.digits.iter().chain(zeros);
        Some(digits.fold(0, |n, &d| n * 10 + u128::from(d)))
    }

    /// The value without its sign.
    pub fn abs(&self) -> Self {
        Self {
            negative: false,
            ..self.clone()
        }
    }

    /// The value with the other sign.
    pub fn negated(&self) -> Self {
        Self {
            negative: !self.negative && !self.is_zero(),
            ..self.clone()
        }
    }

    /// The sum.
    pub fn add(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let width = self.point().max(other.point()) - exponent;
        let (a, b) = (
            self.aligned(exponent, width),
            other.aligned(exponent, width),
        );
        if self.negative == other.negative {
            return Self::from_digits(self.negative, &add_digits(&a, &b), exponent);
        }
        match a.cmp(&b) {
            Ordering::Less => Self::from_digits(other.negative, &subtract_digits(&b, &a), exponent),
            _ => Self::from_digits(self.negative, &subtract_digits(&a, &b), exponent),
        }
    }

    /// The difference.
    pub fn subtract(&self, other: &Self) -> Self {
        self.add(&other.negated())
    }

    /// The magnitude's digits from weight 10^(`exponent` + `width` - 1) down to 10^`exponent`,
    /// zeros included.
    fn aligned(&self, exponent: i32, width: i32) -> Vec<u8> {
        let mut digits = vec![0; width.max(0) as usize];
        if !self.is_zero() {
            let start = (exponent + width - self.point()) as usize;
            digits[start..start + self.digits.len()].copy_from_slice(&self.digits);
        }
        digits
    }

    /// Whether the value is an integer times `divisor`; only zero is a multiple of zero.
    pub fn is_multiple_of(&self, divisor: &Self) -> bool {
        if self.is_zero() || divisor.is_zero() {
            return self.is_zero();
        }
        // The last digit is not zero, so no power of ten can come out of the digits themselves.
        self.exponent >= divisor.exponent && self.remainder(divisor).is_zero()
    }

    /// What is left of the magnitude after taking away as many times `divisor` as fit; `divisor` is
    /// not zero.
    pub fn remainder(&self, divisor: &Self) -> Self {
        let exponent = self.exponent.min(divisor.exponent);
        let small = divisor
            .scaled(exponent)
            .filter(|d| *d < u128::MAX / 10 - 10);
        let digits = self.aligned(exponent, (self.point() - exponent).max(0));
        match small {
            Some(0) => self.clone(),
            Some(d) => {
                let rest = digits.iter().fold(0, |r, &x| (r * 10 + u128::from(x)) % d);
                Self::from_u128(rest, exponent)
            }
            None => Self::from_digits(false, &long_remainder(&digits, divisor, exponent), exponent),
        }
    }

    /// The number `value` · 10^`exponent`.
    pub fn from_u128(value: u128, exponent: i32) -> Self {
        let digits: Vec<u8> = value.to_string().bytes().map(|b| b - b'0').collect();
        Self::from_digits(false, &digits, exponent)
    }

    /// The canonical JSON text: no exponent, no needless zero, no `-0`, an integer without a point.
    pub fn to_json_text(&self) -> String {
        let mut text = String::from(if self.negative { "-" } else { "" });
        let zeros = |n: i32| std::iter::repeat_n('0', n.max(0) as usize);
        let digits = || self.digits.iter().map(|d| char::from(b'0' + d));
        let whole = self.point().clamp(0, self.digits.len() as i32) as usize;
        if self.point() <= 0 {
            text.push('0');
        }
        text.extend(digits().take(whole));
        text.extend(zeros(self.exponent));
        if self.exponent < 0 {
            text.push('.');
            text.extend(zeros(-self.point()));
            text.extend(digits().skip(whole));
        }
        text
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        let magnitude = Self::from_u128(u128::from(value.unsigned_abs()), 0);
        if value < 0 {
            magnitude.negated()
        } else {
            magnitude
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |d: &Self| {
            if d.is_zero() {
                0
            } else {
                1 - 2 * i32::from(d.negative)
            }
        };
        let magnitude = || {
            self.point()
                .cmp(&other.point())
                .then_with(|| self.digits.cmp(&other.digits))
        };
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => magnitude(),
            _ => magnitude().reverse(),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json_text())
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json_text())
    }
}

/// The pieces of a JSON number text.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Parts<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        let negative = text.first() == Some(&b'-');
        let (whole, rest) = split_digits(&text[usize::from(negative)..]);
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => {
                Some(split_digits(rest)).filter(|(digits, _)| !digits.is_empty())?
            }
            _ => (&rest[..0], rest),
        };
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] => parse_exponent(rest)?,
            _ => return None,
        };
        Some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The exponent's value; one that does not fit saturates, far outside the limits.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let next = |n: i64, b: &u8| n.saturating_mul(10).saturating_add(i64::from(b - b'0'));
    let magnitude = digits.iter().fold(0, next);
    Some(if negative { -magnitude } else { magnitude })
}

/// The sum of two equally long digit strings, one digit longer.
fn add_digits(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut sum = vec![0; a.len() + 1];
    let mut carry = 0;
    for i in (0..a.len()).rev() {
        let digit = a[i] + b[i] + carry;
        (sum[i + 1], carry) = (digit % 10, digit / 10);
    }
    sum[0] = carry;
    sum
}

/// `a - b` for equally long digit strings, `a` not below `b`.
fn subtract_digits(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut difference = a.to_vec();
    let mut borrow = 0;
    for i in (0..a.len()).rev() {
        let taken = b[i] + borrow;
        borrow = u8::from(difference[i] < taken);
        difference[i] = difference[i] + 10 * borrow - taken;
    }
    difference
}

/// Schoolbook division for divisors that do not fit a machine word; only the remainder.
fn long_remainder(digits: &[u8], divisor: &Decimal, exponent: i32) -> Vec<u8> {
    let width = divisor.point() - exponent + 1;
    let divisor = divisor.aligned(exponent, width);
    let mut rest = vec![0; width as usize];
    for &digit in digits {
        rest.rotate_left(1); // the first digit is zero: the rest is below the divisor
        if let Some(last) = rest.last_mut() {
            *last = digit;
        }
        while rest >= divisor {
            rest = subtract_digits(&rest, &divisor);
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn equal_values_are_equal_whatever_their_spelling() {
        for text in ["1", "1.0", "1e0", "10E-1", "0.001e+3", "1.000e00"] {
            assert_eq!(d(text), Decimal::one(), "{text}");
        }
        assert_eq!(d("-0.0e99999999999999999999"), Decimal::zero());
    }

    #[test]
    fn texts_outside_the_grammar_are_malformed() {
        for text in [
            "", "-", "01", "1.", ".5", "1e", "1e+", "+1", "1 ", "0x1", "--1", "1.2.3",
        ] {
            assert_eq!(Decimal::parse(text), Err(DecimalError::Malformed), "{text}");
        }
    }

    #[test]
    fn sizes_are_limited() {
        assert_eq!(Decimal::parse("1e1100"), Err(DecimalError::TooManyPlaces));
        assert_eq!(Decimal::parse("1e-1101"), Err(DecimalError::TooManyPlaces));
        assert_eq!(
            Decimal::parse("1e99999999999999999999"),
            Err(DecimalError::TooManyPlaces)
        );
        assert_eq!(
            Decimal::parse(&"1".repeat(1101)),
            Err(DecimalError::TooManyDigits)
        );
        assert!(Decimal::parse("1e1099").is_ok());
    }

    #[test]
    fn canonical_text_is_read_back_as_the_same_value() {
        let cases = [
            ("1e3", "1000"),
            ("-1.50", "-1.5"),
            ("12.34e-4", "0.001234"),
            ("0e5", "0"),
            ("-0", "0"),
            ("1e-2", "0.01"),
            ("120", "120"),
        ];
        for (text, canonical) in cases {
            assert_eq!(d(text).to_json_text(), canonical);
            assert_eq!(d(canonical), d(text));
        }
    }

    #[test]
    fn order_is_the_order_of_values() {
        let sorted = [
            "-1e9", "-10", "-9.99", "-1e-5", "0", "1e-7", "0.5", "0.51", "9", "10", "1e9",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(d(a).cmp(&d(b)), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn sums_and_differences_are_exact() {
        for a in -120..120 {
            for b in -50..50 {
                let (x, y) = (d(&format!("{a}e-1")), d(&format!("{b}e0")));
                assert_eq!(x.add(&y), d(&format!("{}e-1", a + 10 * b)));
                assert_eq!(x.subtract(&y), d(&format!("{}e-1", a - 10 * b)));
            }
        }
    }

    #[test]
    fn multiples_are_exact_decimal_multiples() {
        assert!(d("19.99").is_multiple_of(&d("0.01")));
        assert!(!d("1.255").is_multiple_of(&d("0.01")));
        assert!(d("1e308").is_multiple_of(&d("0.5")));
        assert!(!d("1e308").is_multiple_of(&d("0.123456789")));
        assert!(d("-9").is_multiple_of(&d("3")) && !d("-8").is_multiple_of(&d("3")));
        assert!(d("0").is_multiple_of(&d("7")) && !d("7").is_multiple_of(&d("0")));
        assert!(d("0.0075").is_multiple_of(&d("0.0001")));
        assert!(!d("0.00751").is_multiple_of(&d("0.0001")));
    }

    #[test]
    fn long_and_short_division_agree() {
        let factor = d(&format!("{}7", "123456789".repeat(6)));
        let multiple = (0..23).fold(Decimal::zero(), |sum, _| sum.add(&factor));
        assert!(multiple.is_multiple_of(&factor));
        assert!(!multiple.add(&Decimal::one()).is_multiple_of(&factor));
        assert_eq!(multiple.add(&d("5")).remainder(&factor), d("5"));
    }

    #[test]
    fn machine_integers_come_out_exactly() {
        assert_eq!(d("18446744073709551615").to_u64(), Some(u64::MAX));
        assert_eq!(d("3.0").to_u64(), Some(3));
        assert_eq!(d("18446744073709551616").to_u64(), None);
        assert_eq!(d("3.5").to_u64(), None);
        assert_eq!(d("-3").to_u64(), None);
    }
}
