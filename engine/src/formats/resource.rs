//! Addresses, resource identifiers and their templates: RFC 3986, RFC 3987 and RFC 6570.

use super::whole;
use crate::regex::{RegexId, Regexes};

const ESCAPED: &str = "%[0-9A-Fa-f]{2}";
/// `unreserved` and `sub-delims`, as the inside of a class.
const PLAIN: &str = r"A-Za-z0-9\-._~!$&'()*+,;=";
/// `ucschar` and `iprivate` (RFC 3987, section 2.2).
const INTERNATIONAL: &str = r"\u{a0}-\u{d7ff}\u{f900}-\u{fdcf}\u{fdf0}-\u{ffef}\u{10000}-\u{1fffd}\u{20000}-\u{2fffd}\u{30000}-\u{3fffd}\u{40000}-\u{4fffd}\u{50000}-\u{5fffd}\u{60000}-\u{6fffd}\u{70000}-\u{7fffd}\u{80000}-\u{8fffd}\u{90000}-\u{9fffd}\u{a0000}-\u{afffd}\u{b0000}-\u{bfffd}\u{c0000}-\u{cfffd}\u{d0000}-\u{dfffd}\u{e1000}-\u{efffd}";
const PRIVATE: &str = r"\u{e000}-\u{f8ff}\u{f0000}-\u{ffffd}\u{100000}-\u{10fffd}";

/// `IPv4address` (RFC 3986, section 3.2.2).
pub(super) fn ipv4(regexes: &mut Regexes) -> RegexId {
    let octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    whole(regexes, &format!(r"(?:{octet}\.){{3}}{octet}"))
}

/// `IPv6address`: at most eight groups, with at most one gap that stands for one group or more.
pub(super) fn ipv6(regexes: &mut Regexes) -> RegexId {
    let group = whole(regexes, "[0-9A-Fa-f]{1,4}");
    let [colon, gap] = [":", "::"].map(|text| regexes.literal(text));
    let next = regexes.concat(group, colon);
    let pair = regexes.concat(next, group);
    let ipv4 = ipv4(regexes);
    let last = regexes.union(pair, ipv4);
    let six = regexes.repeat(next, 6, Some(6));
    let mut forms = vec![regexes.concat(six, last)];
    for before in 0..=7 {
        let leading = leading_groups(regexes, next, group, before);
        let trailing = match before {
            6 => group,
            7 => Regexes::EMPTY,
            _ => {
                let groups = regexes.repeat(next, 5 - before, Some(5 - before));
                regexes.concat(groups, last)
            }
        };
        forms.push(regexes.concat_all(&[leading, gap, trailing]));
    }
    regexes.union_all(forms)
}

/// At most so many groups, colons between them.
fn leading_groups(regexes: &mut Regexes, next: RegexId, group: RegexId, most: u32) -> RegexId {
    let Some(others) = most.checked_sub(1) else {
        return Regexes::EMPTY;
    };
    let others = regexes.repeat(next, 0, Some(others));
    let groups = regexes.concat(others, group);
    regexes.repeat(groups, 0, Some(1))
}

/// What a URI and an IRI differ in: the characters beyond ASCII.
pub(super) struct Syntax {
    international: &'static str,
    private: &'static str,
}

impl Syntax {
    pub(super) fn uri() -> Self {
        Self {
            international: "",
            private: "",
        }
    }

    pub(super) fn iri() -> Self {
        Self {
            international: INTERNATIONAL,
            private: PRIVATE,
        }
    }

    /// `URI` (RFC 3986, section 3): with a scheme.
    pub(super) fn absolute(&self, regexes: &mut Regexes) -> RegexId {
        let segment = self.characters(regexes, ":@");
        let authority = self.authority(regexes);
        let hierarchy = self.hierarchy(regexes, authority, segment);
        self.with_scheme(regexes, hierarchy)
    }

    /// `URI-reference` (section 4.1): with or without a scheme.
    pub(super) fn reference(&self, regexes: &mut Regexes) -> RegexId {
        let (segment, without_colon) = (
            self.characters(regexes, ":@"),
            self.characters(regexes, "@"),
        );
        let authority = self.authority(regexes);
        let hierarchy = self.hierarchy(regexes, authority, segment);
        let absolute = self.with_scheme(regexes, hierarchy);
        let hierarchy = self.hierarchy(regexes, authority, without_colon);
        let suffix = self.suffix(regexes);
        let relative = regexes.concat(hierarchy, suffix);
        regexes.union(absolute, relative)
    }

    fn with_scheme(&self, regexes: &mut Regexes, hierarchy: RegexId) -> RegexId {
        let scheme = whole(regexes, r"[A-Za-z][A-Za-z0-9+.\-]*:");
        let suffix = self.suffix(regexes);
        regexes.concat_all(&[scheme, hierarchy, suffix])
    }

    /// An authority and a path, or a path alone, which begins with one of the first characters.
    fn hierarchy(&self, regexes: &mut Regexes, authority: RegexId, first: RegexId) -> RegexId {
        let segment = self.characters(regexes, ":@");
        let slash = regexes.literal("/");
        let (any, some) = (
            regexes.repeat(segment, 0, None),
            regexes.repeat(segment, 1, None),
        );
        let next = regexes.concat(slash, any);
        let others = regexes.repeat(next, 0, None);
        let network = regexes.concat_all(&[slash, slash, authority, others]);
        let rooted = regexes.concat(some, others);
        let rooted = regexes.union(Regexes::EMPTY, rooted);
        let absolute = regexes.concat(slash, rooted);
        let start = regexes.repeat(first, 1, None);
        let rootless = regexes.concat(start, others);
        regexes.union_all(vec![network, absolute, rootless, Regexes::EMPTY])
    }

    fn authority(&self, regexes: &mut Regexes) -> RegexId {
        let (user, name) = (self.characters(regexes, ":"), self.characters(regexes, ""));
        let (user, name) = (regexes.repeat(user, 0, None), regexes.repeat(name, 0, None));
        let [at, open, close] = ["@", "[", "]"].map(|text| regexes.literal(text));
        let user = regexes.concat(user, at);
        let user = regexes.repeat(user, 0, Some(1));
        let future = whole(regexes, &format!(r"[Vv][0-9A-Fa-f]+\.[{PLAIN}:]+"));
        let ipv6 = ipv6(regexes);
        let literal = regexes.union(ipv6, future);
        let literal = regexes.concat_all(&[open, literal, close]);
        let host = regexes.union(literal, name);
        let port = whole(regexes, "(?::[0-9]*)?");
        regexes.concat_all(&[user, host, port])
    }

    /// Query and fragment.
    fn suffix(&self, regexes: &mut Regexes) -> RegexId {
        let part = |mark: &str, additional: &str| {
            format!(
                r"(?:{mark}(?:[{PLAIN}:@/?{additional}{}]|{ESCAPED})*)?",
                self.international
            )
        };
        whole(
            regexes,
            &format!("{}{}", part(r"\?", self.private), part("#", "")),
        )
    }

    /// One plain, escaped or additional character.
    fn characters(&self, regexes: &mut Regexes, additional: &str) -> RegexId {
        let international = self.international;
        whole(
            regexes,
            &format!("[{PLAIN}{additional}{international}]|{ESCAPED}"),
        )
    }
}

/// `URI-Template` (RFC 6570, section 2, with erratum 6937: an apostrophe is a literal); operators
/// that are reserved for extensions are left out.
pub(super) fn uri_template(regexes: &mut Regexes) -> RegexId {
    let literal = format!(r"(?:[!#$&'-;=?-\[\]_a-z~{INTERNATIONAL}{PRIVATE}]|{ESCAPED})");
    let character = format!("(?:[A-Za-z0-9_]|{ESCAPED})");
    let variable = format!(r"{character}(?:\.?{character})*(?::[1-9][0-9]{{0,3}}|\*)?");
    let expression = format!(r"\{{[+#./;?&]?{variable}(?:,{variable})*\}}");
    whole(regexes, &format!("(?:{literal}|{expression})*"))
}
