//! Dates, times and durations: RFC 3339, its section 5.6 and appendix A.

use super::whole;
use crate::regex::{RegexId, Regexes};

const HOUR: &str = "(?:[01][0-9]|2[0-3])";
const MINUTE: &str = "[0-5][0-9]";
const FRACTION: &str = r"(?:\.[0-9]+)?";

/// `full-date`, with the lengths of months (section 5.7).
pub(super) fn date(regexes: &mut Regexes) -> RegexId {
    let day = "(?:0[1-9]|1[0-9]|2[0-8])";
    let month = "(?:0[1-9]|1[0-2])";
    let leap_year = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
    whole(
        regexes,
        &format!(
            "[0-9]{{4}}-(?:{month}-{day}|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)|{leap_year}-02-29"
        ),
    )
}

/// `full-time`. A second 60 is the last one of a day in UTC (appendix D); it is allowed with
/// offsets of whole and half hours, so that what may follow most hours and minutes is the same.
pub(super) fn time(regexes: &mut Regexes) -> RegexId {
    let offset = format!("(?:[Zz]|[+-]{HOUR}:{MINUTE})");
    let usual = format!("{HOUR}:{MINUTE}:{MINUTE}{FRACTION}{offset}");
    let usual = whole(regexes, &format!("{usual}|23:59:60{FRACTION}[Zz]"));
    let fraction = whole(regexes, FRACTION);
    let mut times = vec![usual];
    times.extend(
        (0..24 * 60)
            .step_by(30)
            .map(|east| leap_second(regexes, fraction, east)),
    );
    regexes.union_all(times)
}

/// The leap second at an offset of so many minutes to the east, which is another one to the west.
fn leap_second(regexes: &mut Regexes, fraction: RegexId, east: u32) -> RegexId {
    let day = 24 * 60;
    let clock = |minutes: u32| format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
    let local = regexes.literal(&format!("{}:60", clock(day - 1 + east)));
    let east_of_utc = regexes.literal(&format!("+{}", clock(east)));
    let west_of_utc = regexes.literal(&format!("-{}", clock(day - east)));
    let offset = regexes.union(east_of_utc, west_of_utc);
    let rest = regexes.concat(fraction, offset);
    regexes.concat(local, rest)
}

/// `date-time`.
pub(super) fn date_time(regexes: &mut Regexes) -> RegexId {
    let (date, time) = (date(regexes), time(regexes));
    let between = whole(regexes, "[Tt]");
    let rest = regexes.concat(between, time);
    regexes.concat(date, rest)
}

/// `duration`.
pub(super) fn duration(regexes: &mut Regexes) -> RegexId {
    let minute = "(?:[0-9]+M(?:[0-9]+S)?)";
    let time = format!("T(?:[0-9]+H{minute}?|{minute}|[0-9]+S)");
    let month = "(?:[0-9]+M(?:[0-9]+D)?)";
    let date = format!("(?:[0-9]+D|{month}|[0-9]+Y{month}?)");
    whole(regexes, &format!("P(?:{date}(?:{time})?|{time}|[0-9]+W)"))
}
