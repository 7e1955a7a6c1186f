//! A regular subset of ECMA-262 patterns: valid with and without the `u` flag.

use super::whole;
use crate::regex::{RegexId, Regexes};

/// How deep groups nest.
const DEPTH: usize = 4;

/// `regex`: no names, backreferences or literal braces; ranges within letters or digits.
pub(super) fn regex(regexes: &mut Regexes) -> RegexId {
    let atom = format!(r"[^\\^$.*+?()\[\]{{}}|]|\.|{}|{}", escape(), class());
    let atom = whole(regexes, &atom);
    let quantifier = whole(regexes, &quantifier());
    let assertion = whole(regexes, r"[\^$]|\\[bB]");
    let mut pattern = alternatives(regexes, atom, quantifier, assertion);
    for _ in 0..DEPTH {
        let group = group(regexes, r"\((?:\?:)?", pattern);
        let around = group_assertion(regexes, pattern);
        let (atom, assertion) = (regexes.union(atom, group), regexes.union(assertion, around));
        pattern = alternatives(regexes, atom, quantifier, assertion);
    }
    pattern
}

/// Sequences of quantified atoms and assertions, bars between them.
fn alternatives(
    regexes: &mut Regexes,
    atom: RegexId,
    quantifier: RegexId,
    assertion: RegexId,
) -> RegexId {
    let quantifier = regexes.repeat(quantifier, 0, Some(1));
    let quantified = regexes.concat(atom, quantifier);
    let bar = regexes.literal("|");
    let term = regexes.union_all(vec![quantified, assertion, bar]);
    regexes.repeat(term, 0, None)
}

fn group(regexes: &mut Regexes, open: &str, pattern: RegexId) -> RegexId {
    let open = whole(regexes, open);
    let close = regexes.literal(")");
    let rest = regexes.concat(pattern, close);
    regexes.concat(open, rest)
}

fn group_assertion(regexes: &mut Regexes, pattern: RegexId) -> RegexId {
    group(regexes, r"\(\?<?[=!]", pattern)
}

fn escape() -> &'static str {
    r"\\(?:[dDwWsStnvfr^$\\.*+?()\[\]{}|/]|c[A-Za-z]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})"
}

/// A bracketed class; a bare hyphen stands for itself at either end only.
fn class() -> String {
    let members = format!(r"(?:{}|[^\\\[\]^-]|{}|\\-)", ranges(), escape());
    format!(r"\[\^?-?{members}*-?\]")
}

/// Ranges of two digits or two letters of one case in order.
fn ranges() -> String {
    let blocks = [('0', '9'), ('A', 'Z'), ('a', 'z')];
    let ranges = blocks.iter().flat_map(|&(_, last)| {
        let first = blocks
            .iter()
            .find(|block| block.1 == last)
            .map_or(last, |block| block.0);
        (first..=last).map(move |low| format!("{low}-[{low}-{last}]"))
    });
    ranges.collect::<Vec<String>>().join("|")
}

/// Counts of at most two digits in order, or of any size without an upper bound.
fn quantifier() -> String {
    let one_digit = (0..10).map(|low| format!("{low},(?:[{low}-9]|[1-9][0-9])"));
    let two_digits = (10..100).map(|low| {
        let (ten, unit) = (low / 10, low % 10);
        let larger = if ten < 9 {
            format!("|[{}-9][0-9]", ten + 1)
        } else {
            String::new()
        };
        format!("{low},(?:{ten}[{unit}-9]{larger})")
    });
    let both = one_digit
        .chain(two_digits)
        .collect::<Vec<String>>()
        .join("|");
    format!(r"(?:[*+?]|\{{(?:[0-9]{{1,3}},?|{both})\}})\??")
}
