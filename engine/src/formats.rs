//! The formats of JSON Schema 2020-12 (validation, section 7.3) as languages.
//!
//! Each is exact where its definition is regular. Where it is not, the language is a subset, so
//! that a member is always valid: `regex` (groups nest to a depth), `idn-hostname` (labels short
//! enough for any spelling of theirs in ASCII), `hostname` and `idn-hostname` (no label in
//! Punycode).

mod host;
mod regular;
mod resource;
mod time;

use crate::charset::CharSet;
use crate::pattern;
use crate::regex::{RegexId, Regexes};

/// The language of a standard format; `None` for any other name.
pub fn format(regexes: &mut Regexes, name: &str) -> Option<RegexId> {
    let id = match name {
        "date" => time::date(regexes),
        "time" => time::time(regexes),
        "date-time" => time::date_time(regexes),
        "duration" => time::duration(regexes),
        "email" => host::email(regexes),
        "idn-email" => host::idn_email(regexes),
        "hostname" => host::hostname(regexes),
        "idn-hostname" => host::idn_hostname(regexes),
        "ipv4" => resource::ipv4(regexes),
        "ipv6" => resource::ipv6(regexes),
        "uri" => resource::Syntax::uri().absolute(regexes),
        "uri-reference" => resource::Syntax::uri().reference(regexes),
        "iri" => resource::Syntax::iri().absolute(regexes),
        "iri-reference" => resource::Syntax::iri().reference(regexes),
        "uri-template" => resource::uri_template(regexes),
        "uuid" => whole(
            regexes,
            "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
        ),
        "json-pointer" => whole(regexes, JSON_POINTER),
        "relative-json-pointer" => {
            whole(regexes, &format!("(?:0|[1-9][0-9]*)(?:#|{JSON_POINTER})"))
        }
        "regex" => regular::regex(regexes),
        _ => return None,
    };
    Some(id)
}

/// RFC 6901, section 3.
const JSON_POINTER: &str = "(?:/(?:[^~/]|~[01])*)*";

/// The strings that match as a whole; the patterns here are our own, so that only a full arena,
/// which says so itself, leaves one without a language.
fn whole(regexes: &mut Regexes, pattern: &str) -> RegexId {
    pattern::parse(regexes, &format!("^(?:{pattern})$")).unwrap_or(Regexes::NEVER)
}

/// A class of a pattern with the members of a set.
fn class(set: &CharSet) -> String {
    let ranges = set
        .ranges()
        .iter()
        .map(|(low, high)| format!(r"\u{{{low:x}}}-\u{{{high:x}}}"));
    format!("[{}]", ranges.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what is valid and what is not against the language of the format.
    fn check(name: &str, valid: &[&str], invalid: &[&str]) {
        let mut regexes = Regexes::new();
        let id = format(&mut regexes, name).expect(name);
        for text in valid {
            assert!(regexes.matches(id, text), "{name}: {text:?} is valid");
        }
        for text in invalid {
            assert!(!regexes.matches(id, text), "{name}: {text:?} is invalid");
        }
        assert!(!regexes.overflowed());
    }

    #[test]
    fn an_unknown_name_is_no_format() {
        assert_eq!(format(&mut Regexes::new(), "colour"), None);
    }

    #[test]
    fn dates_know_the_lengths_of_months_and_leap_years() {
        check(
            "date",
            &["2024-02-29", "2000-02-29", "1963-06-19", "2020-01-31"],
            &[
                "2023-02-29",
                "1900-02-29",
                "2020-04-31",
                "2020-13-01",
                "2020-1-01",
                "2020-01-00",
                "20200101",
            ],
        );
    }

    #[test]
    fn a_leap_second_is_the_last_of_a_day_in_utc() {
        check(
            "time",
            &[
                "23:59:60Z",
                "01:29:60+01:30",
                "15:59:60-08:00",
                "00:29:60-23:30",
                "00:59:60.5+01:00",
                "00:00:59+00:01",
                "23:29:60+23:30",
            ],
            &[
                "22:59:60Z",
                "23:58:60Z",
                "12:34:60+12:35",
                "23:59:60+01:00",
                "23:59:60-00:30",
                "23:59:61Z",
                "15:59:60+08:00",
            ],
        );
        check(
            "date-time",
            &["1998-12-31T23:59:60Z", "1990-02-28t15:59:60.123-08:00"],
            &["1998-12-31T23:58:60Z"],
        );
    }

    #[test]
    fn times_need_an_offset() {
        check(
            "time",
            &["08:30:06.28z", "08:30:06+00:20"],
            &["12:00:00", "24:00:00Z", "01:02:03+24:00"],
        );
    }

    #[test]
    fn durations_name_their_units_in_order_and_without_gaps() {
        check(
            "duration",
            &["P4DT12H30M5S", "P2W", "PT36H", "P1Y2M"],
            &["P", "P1YT", "P1Y2D", "P1Y2W", "PT1H2S"],
        );
    }

    #[test]
    fn mail_addresses_have_a_local_part_and_a_domain() {
        check(
            "email",
            &[
                "joe.bloggs@example.com",
                "\"joe bloggs\"@example.com",
                "a@[127.0.0.1]",
                "a@[IPv6:::1]",
            ],
            &[
                "2962",
                ".a@b.c",
                "a..b@c.d",
                "a@b=c.d",
                "a@[127.0.0.300]",
                "a@",
                "@b",
            ],
        );
        let long = "é".repeat(33) + "@b.c";
        check(
            "idn-email",
            &["실례@실례.테스트", "user@cafe\u{301}.com"],
            &["2962", "user＠example.com", &long],
        );
    }

    #[test]
    fn host_names_have_short_labels_of_letters_digits_and_hyphens() {
        let (longest, longer) = ("a".repeat(63), "a".repeat(64));
        let long_name = [longest.as_str(); 4].join(".");
        check(
            "hostname",
            &["www.example.com", "a--b.c", "1host", &longest],
            &[
                "", ".", "a.", "-a", "a-", "a_b", &longer, &long_name, "xn--X",
            ],
        );
    }

    #[test]
    fn international_host_names_follow_the_contextual_rules() {
        check(
            "idn-hostname",
            &[
                "실례.테스트",
                "l·l",
                "α͵β",
                "א׳ב",
                "カ・イ",
                "क्‍ष",
                "A.b。c",
                "\u{628}\u{660}\u{628}",
                "ⴀⴁ",
            ],
            &[
                "a·l",
                "·l",
                "l·",
                "α͵S",
                "A׳ב",
                "def・abc",
                "क‍ष",
                "\u{628}\u{660}\u{6F0}",
                "〮한",
                "-é",
                "é-",
                "ab--é",
                "",
                "é.",
                "É",
            ],
        );
    }

    #[test]
    fn addresses_are_those_of_the_protocols() {
        check(
            "ipv4",
            &["127.0.0.1", "255.255.255.255"],
            &["256.0.0.1", "1.2.3", "01.2.3.4"],
        );
        check(
            "ipv6",
            &[
                "::",
                "::1",
                "1::",
                "1:2:3:4:5:6:7:8",
                "1:2::192.168.0.1",
                "::2:3:4:5:6:7:8",
                "1:2:3:4:5:6:7::",
            ],
            &[
                "1",
                ":1:2:3:4:5:6:7",
                "1::2::3",
                "12345::",
                "1:2:3:4:5:6:7:8::",
                "::1:2:3:4:5:6:7:8",
                "1:2:3:4:1.2.3",
            ],
        );
    }

    #[test]
    fn uris_have_a_scheme_and_references_need_none() {
        check(
            "uri",
            &[
                "http://foo.bar/?baz=qux#quux",
                "urn:a:b",
                "http://[::1]:80/%40",
            ],
            &["/abc", "http://a b", "a:%zz", "http://a:b/"],
        );
        check(
            "uri-reference",
            &["", "//a", "?b", "#c", "./this:that", "a/b:c"],
            &["1:b", "/%zz", "\\\\a"],
        );
        check(
            "iri",
            &["http://ƒøø.ßår/?∂éœ=πîx#πîüx", "http://a/?\u{f0000}"],
            &["âππ", "http://a/\u{f0000}"],
        );
        check(
            "uri-template",
            &["{term:1}/{+x,y*}", "a'b", "{%41.b}"],
            &["{}", "{v:0}", "{a..b}", "{a", "a b"],
        );
    }

    #[test]
    fn pointers_escape_their_tildes() {
        check("json-pointer", &["", "/a~1b/~0", "//"], &["a", "/~", "/~2"]);
        check(
            "relative-json-pointer",
            &["0#", "12/a", "1"],
            &["", "01", "/a", "0##", "-1"],
        );
    }

    #[test]
    fn identifiers_have_their_hyphens_in_place() {
        check(
            "uuid",
            &["2eb8aa08-AA98-11ea-b4aa-73b441d16380"],
            &["2eb8aa08aa9811eab4aa73b441d16380"],
        );
    }

    #[test]
    fn every_accepted_regex_is_a_pattern() {
        check(
            "regex",
            &[
                "([abc])+\\s+$",
                "^[a-z0-9_-]{3,16}$",
                "(?<=a+)b",
                "a|b|",
                "^(?:\\d{1,3}\\.){3}\\d{1,3}$",
                "",
            ],
            &[
                "^(abc]",
                "\\a",
                "(?P<name>x)",
                "(?i)abc",
                "a{2,1}",
                "[b-a]",
                "*",
                "(?#c)a",
                "a**",
                "\\",
            ],
        );
    }
}
