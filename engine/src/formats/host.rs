//! Host names (RFC 1123, RFC 5890 to 5893) and mail addresses (RFC 5321, RFC 6531).

use super::resource::{ipv4, ipv6};
use super::{class, whole};
use crate::charset::CharSet;
use crate::regex::{RegexId, Regexes};
use crate::unicode::host_name_characters;

/// Hyphens in the third and fourth place announce an encoding, which no regular language checks.
const LABEL: &str = "(?!.{2}--)[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?";
/// The longest name in octets (RFC 1034, section 3.1, without the root).
const LONGEST_NAME: u32 = 253;
/// The longest name with a label beyond ASCII, in code points: at most five octets are spent on
/// each.
const LONGEST_INTERNATIONAL_NAME: u32 = 40;
/// How long labels are at most, by their largest code point, so that Punycode fits 63 octets.
const INTERNATIONAL_LABELS: [(u32, u32); 3] = [(0x52F, 20), (0xFFF, 16), (0x10_FFFF, 12)];
const SEPARATORS: &str = r"[.\u3002\uff0e\uff61]";
/// The longest local part in octets (RFC 5321, section 4.5.3.1.1), and the longest address.
const LONGEST_LOCAL_PART: u32 = 64;
const LONGEST_ADDRESS: u32 = 254;

/// `hostname`.
pub(super) fn hostname(regexes: &mut Regexes) -> RegexId {
    let label = whole(regexes, LABEL);
    let dot = regexes.literal(".");
    name(regexes, label, dot, LONGEST_NAME)
}

/// Labels with separators between them, of a limited length.
fn name(regexes: &mut Regexes, label: RegexId, separator: RegexId, longest: u32) -> RegexId {
    let another = regexes.concat(separator, label);
    let others = regexes.repeat(another, 0, None);
    let labels = regexes.concat(label, others);
    let length = regexes.length(1, Some(longest));
    regexes.intersection(labels, length)
}

/// `idn-hostname`. Where a label is written from right to left, all labels follow RFC 5893.
pub(super) fn idn_hostname(regexes: &mut Regexes) -> RegexId {
    let characters = Characters::new();
    let separator = whole(regexes, SEPARATORS);
    let plain = whole(regexes, LABEL);
    let valid = valid_label(regexes, &characters);
    let forward = regexes.set(characters.backward.complement());
    let forward = regexes.repeat(forward, 0, None);
    let forward = regexes.intersection(valid, forward);
    let ascii_name = name(regexes, plain, separator, LONGEST_NAME);
    let any_label = regexes.union(plain, forward);
    let forward_name = name(regexes, any_label, separator, LONGEST_INTERNATIONAL_NAME);
    let directed = directed_label(regexes, &characters);
    let either = regexes.union(plain, valid);
    let directed = regexes.intersection(either, directed);
    let directed_name = name(regexes, directed, separator, LONGEST_INTERNATIONAL_NAME);
    regexes.union_all(vec![ascii_name, forward_name, directed_name])
}

/// The characters of labels, and those that rules ask for.
struct Characters {
    label: CharSet,
    mark: CharSet,
    combining: CharSet,
    virama: CharSet,
    left: CharSet,
    right: CharSet,
    arabic_number: CharSet,
    european_number: CharSet,
    nonspacing: CharSet,
    /// Those that make a name one with text from right to left.
    backward: CharSet,
}

impl Characters {
    fn new() -> Self {
        let contextual = [
            (0xB7, 0xB7),
            (0x375, 0x375),
            (0x5F3, 0x5F4),
            (0x660, 0x669),
            (0x6F0, 0x6F9),
            (0x200C, 0x200D),
            (0x30FB, 0x30FB),
        ];
        let of = host_name_characters;
        let right = of("IDNA_R").union(&CharSet::from_ranges([(0x5F3, 0x5F4)]));
        let arabic_number = of("IDNA_AN").union(&CharSet::from_ranges([(0x660, 0x669)]));
        Self {
            label: of("IDNA").union(&CharSet::from_ranges(contextual)),
            mark: of("IDNA_Mark"),
            combining: of("IDNA_Combining"),
            virama: of("IDNA_Virama"),
            left: of("IDNA_L").union(&CharSet::from_ranges([(0x41, 0x5A)])),
            backward: right.union(&arabic_number),
            right,
            arabic_number,
            european_number: of("IDNA_EN").union(&CharSet::from_ranges([(0x6F0, 0x6F9)])),
            nonspacing: of("IDNA_NSM"),
        }
    }
}

/// Labels with a character beyond ASCII: RFC 5891, section 4.2, and the rules of RFC 5892, appendix
/// A. Characters that normalisation could join or reorder are left out.
fn valid_label(regexes: &mut Regexes, characters: &Characters) -> RegexId {
    let (mark, combining) = (class(&characters.mark), class(&characters.combining));
    let virama = class(&characters.virama);
    let rules = [
        format!("(?!{mark})(?!-)(?!.{{2}}--).*[^-]"),
        format!("(?!.*{combining}{combining}).*"),
        r".*[^\0-\x7f].*".to_owned(),
        r"(?:[^\xb7]|(?<=l)\xb7(?=l))*".to_owned(),
        r"(?:[^\u0375]|\u0375(?=(?![^\u0370-\u03ff\u1f00-\u1fff])\p{Greek}))*".to_owned(),
        r"(?:[^\u05f3\u05f4]|(?<=\p{Hebrew})[\u05f3\u05f4])*".to_owned(),
        r"[^\u30fb]*|.*[\p{Hiragana}\p{Katakana}\p{Han}].*".to_owned(),
        r"[^\u0660-\u0669]*|[^\u06f0-\u06f9]*".to_owned(),
        format!(r"(?:[^\u200c\u200d]|(?<={virama})[\u200c\u200d])*"),
    ];
    let mut parts: Vec<RegexId> = rules.iter().map(|rule| whole(regexes, rule)).collect();
    parts.push(short_label(regexes, &characters.label));
    regexes.intersection_all(parts)
}

/// Labels that fit 63 octets in Punycode.
fn short_label(regexes: &mut Regexes, characters: &CharSet) -> RegexId {
    let mut labels = Vec::new();
    for (largest, longest) in INTERNATIONAL_LABELS {
        let some = characters.intersection(&CharSet::from_ranges([(0, largest)]));
        let some = regexes.set(some);
        labels.push(regexes.repeat(some, 1, Some(longest)));
    }
    regexes.union_all(labels)
}

/// Labels of names that hold text from right to left (RFC 5893, section 2).
fn directed_label(regexes: &mut Regexes, characters: &Characters) -> RegexId {
    let (left, right) = (class(&characters.left), class(&characters.right));
    let (arabic, european) = (
        class(&characters.arabic_number),
        class(&characters.european_number),
    );
    let (nonspacing, backward) = (class(&characters.nonspacing), class(&characters.backward));
    let rules = [
        format!("{right}.*"),
        format!("(?!.*{left}).*(?:{right}|{arabic}|{european}){nonspacing}*"),
        format!("(?!.*{arabic}).*|(?!.*{european}).*"),
    ];
    let from_right = rules.iter().map(|rule| whole(regexes, rule)).collect();
    let from_right = regexes.intersection_all(from_right);
    let from_left = format!("(?!.*{backward}){left}(?:.*(?:{left}|{european}))?{nonspacing}*");
    let from_left = whole(regexes, &from_left);
    regexes.union(from_right, from_left)
}

/// `email`: `Mailbox` (RFC 5321, section 4.1.2).
pub(super) fn email(regexes: &mut Regexes) -> RegexId {
    let local = whole(regexes, &local_part(""));
    let length = regexes.length(1, Some(LONGEST_LOCAL_PART));
    let local = regexes.intersection(local, length);
    let domain = hostname(regexes);
    address(regexes, local, domain)
}

/// `idn-email` (RFC 6531, section 3.3).
pub(super) fn idn_email(regexes: &mut Regexes) -> RegexId {
    let local = whole(regexes, &local_part(r"\x80-\u{10ffff}"));
    let length = octets(regexes, LONGEST_LOCAL_PART);
    let local = regexes.intersection(local, length);
    // Whatever else is composed as it is mapped (UTS 46) may turn into what no name holds.
    let marked = r"[0-9A-Za-z\u{300}-\u{33f}]";
    let label = whole(
        regexes,
        &format!("(?!.{{2}}--)[0-9A-Za-z](?:(?:{marked}|-)*{marked})?"),
    );
    let short = short_label(regexes, &CharSet::all());
    let label = regexes.intersection(label, short);
    let dot = regexes.literal(".");
    let composed = name(regexes, label, dot, LONGEST_INTERNATIONAL_NAME);
    let (ascii, international) = (hostname(regexes), idn_hostname(regexes));
    let domain = regexes.union_all(vec![composed, ascii, international]);
    address(regexes, local, domain)
}

/// A dotted or a quoted string; both may hold the additional characters.
fn local_part(additional: &str) -> String {
    let atom = format!("[0-9A-Za-z!#$%&'*+/=?^_`{{|}}~{additional}-]+");
    let quoted = format!(r#""(?:[ !#-\[\]-~{additional}]|\\[ -~])*""#);
    format!(r"(?:{atom}(?:\.{atom})*|{quoted})")
}

fn address(regexes: &mut Regexes, local: RegexId, domain: RegexId) -> RegexId {
    let [open, tag, close, at] = ["[", "IPv6:", "]", "@"].map(|text| regexes.literal(text));
    let (ipv4, ipv6) = (ipv4(regexes), ipv6(regexes));
    let tagged = regexes.concat(tag, ipv6);
    let number = regexes.union(ipv4, tagged);
    let literal = regexes.concat_all(&[open, number, close]);
    let domain = regexes.union(domain, literal);
    let address = regexes.concat_all(&[local, at, domain]);
    let length = regexes.length(3, Some(LONGEST_ADDRESS));
    regexes.intersection(address, length)
}

/// The strings of at most so many octets in UTF-8.
fn octets(regexes: &mut Regexes, most: u32) -> RegexId {
    let sizes = [
        (0, 0x7F),
        (0x80, 0x7FF),
        (0x800, 0xFFFF),
        (0x1_0000, 0x10_FFFF),
    ];
    let sets = sizes.map(|range| regexes.set(CharSet::from_ranges([range])));
    let mut shorter = vec![Regexes::EMPTY];
    for _ in 0..most {
        let mut parts = vec![Regexes::EMPTY];
        for (set, &rest) in sets.iter().zip(shorter.iter().rev()) {
            parts.push(regexes.concat(*set, rest));
        }
        shorter.push(regexes.union_all(parts));
    }
    shorter.last().copied().unwrap_or(Regexes::EMPTY)
}
