//! Unicode properties as sets of code points, for `\p{...}` in patterns and for host names.

mod tables;

use std::cell::RefCell;
use std::collections::HashMap;

use crate::charset::{CharSet, MAX_CODE_POINT};
use tables::{BINARY, CATEGORIES, HOST_NAMES, Row, SCRIPTS};

/// Names of unions of general categories, with the categories (UAX 44, table 12).
const GROUPS: &[(&[&str], &[&str])] = &[
    (&["L", "Letter"], &["Lu", "Ll", "Lt", "Lm", "Lo"]),
    (&["LC", "Cased_Letter"], &["Lu", "Ll", "Lt"]),
    (&["M", "Mark", "Combining_Mark"], &["Mn", "Mc", "Me"]),
    (&["N", "Number"], &["Nd", "Nl", "No"]),
    (
        &["P", "Punctuation", "punct"],
        &["Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"],
    ),
    (&["S", "Symbol"], &["Sm", "Sc", "Sk", "So"]),
    (&["Z", "Separator"], &["Zs", "Zl", "Zp"]),
    (&["C", "Other"], &["Cc", "Cf", "Cn", "Co"]),
];

thread_local! {
    /// Sets that were asked for, by the names of their properties: they take long to unpack.
    static KNOWN: RefCell<HashMap<String, CharSet>> = RefCell::default();
}

/// The set under a name, made where it is not known yet.
fn remembered(name: &str, make: impl FnOnce() -> Option<CharSet>) -> Option<CharSet> {
    if let Some(known) = KNOWN.with_borrow(|known| known.get(name).cloned()) {
        return Some(known);
    }
    let made = make()?;
    KNOWN.with_borrow_mut(|known| known.insert(name.to_owned(), made.clone()));
    Some(made)
}

/// The members of a property as ECMA-262 names it (`Lu`, `Script=Greek`, `Alphabetic`); a script's
/// name alone is understood, too.
pub fn property(name: &str) -> Option<CharSet> {
    remembered(name, || find_property(name))
}

fn find_property(name: &str) -> Option<CharSet> {
    match name.split_once('=') {
        Some(("General_Category" | "gc", value)) => category(value),
        Some(("Script" | "sc", value)) => find(SCRIPTS, value),
        Some(_) => None,
        None => category(name)
            .or_else(|| binary(name))
            .or_else(|| find(SCRIPTS, name)),
    }
}

/// The union of some properties.
pub(crate) fn union(names: &[&str]) -> CharSet {
    let union = remembered(&names.join(" "), || {
        let sets = names.iter().filter_map(|name| property(name));
        Some(CharSet::from_ranges(
            sets.flat_map(|set| set.ranges().to_vec()),
        ))
    });
    union.unwrap_or_else(CharSet::empty)
}

/// The characters that host name labels are made of, by the name of their table.
pub(crate) fn host_name_characters(name: &str) -> CharSet {
    find(HOST_NAMES, name).unwrap_or_else(CharSet::empty)
}

fn category(name: &str) -> Option<CharSet> {
    let group = GROUPS.iter().find(|(names, _)| names.contains(&name));
    let Some((_, members)) = group else {
        return find(CATEGORIES, name);
    };
    let sets = members.iter().filter_map(|member| find(CATEGORIES, member));
    Some(CharSet::from_ranges(
        sets.flat_map(|set| set.ranges().to_vec()),
    ))
}

fn binary(name: &str) -> Option<CharSet> {
    match name {
        "Any" => Some(CharSet::all()),
        "ASCII" => Some(CharSet::from_ranges([(0, 0x7F)])),
        "Assigned" => find(CATEGORIES, "Cn").map(|unassigned| unassigned.complement()),
        _ => find(BINARY, name),
    }
}

fn find(table: &[Row], name: &str) -> Option<CharSet> {
    let (_, bytes) = table.iter().find(|(names, _)| names.contains(&name))?;
    let mut numbers = Numbers(bytes);
    let mut next = 0;
    let ranges = std::iter::from_fn(|| {
        let low = next + numbers.next()?;
        let high = low + numbers.next()?;
        next = high + 1;
        Some((low, high.min(MAX_CODE_POINT)))
    });
    Some(CharSet::from_ranges(ranges))
}

/// Numbers in groups of seven bits, the lowest first, all but the last marked.
struct Numbers(&'static [u8]);

impl Iterator for Numbers {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let mut number = 0;
        for shift in (0..32).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u32::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(name: &str, character: char) -> bool {
        property(name).expect(name).contains(u32::from(character))
    }

    #[test]
    fn categories_scripts_and_binary_properties_are_known_by_all_their_names() {
        assert!(holds("Lu", 'É') && !holds("Lu", 'é'));
        assert!(holds("Letter", 'é') && holds("gc=L", '漢') && !holds("L", '1'));
        assert!(holds("Script=Greek", 'λ') && holds("sc=Grek", 'λ') && !holds("Greek", 'l'));
        assert!(holds("Emoji", '🐲') && holds("Alpha", 'ß') && holds("White_Space", '\u{3000}'));
        assert!(holds("digit", '২') && holds("Nd", '0') && !holds("Nd", 'a'));
        assert_eq!(property("Lowercase_letter"), None);
        assert_eq!(property("Script=Klingon"), None);
    }

    #[test]
    fn the_categories_are_a_partition() {
        let mut rest = CharSet::all();
        for (names, _) in CATEGORIES {
            let members = property(names[0]).expect("a category");
            assert_eq!(members.difference(&rest), CharSet::empty(), "{}", names[0]);
            rest = rest.difference(&members);
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn letters_agree_with_the_standard_library() {
        let letters = property("Alphabetic").expect("a property");
        let known = property("Assigned").expect("a property");
        let differs = |c: &char| letters.contains(u32::from(*c)) != c.is_alphabetic();
        let assigned = ('\0'..=char::MAX).filter(|&c| known.contains(u32::from(c)));
        let count = assigned.filter(differs).count();
        assert!(
            count < 200,
            "{count} characters: more than versions of Unicode differ in"
        );
    }
}
