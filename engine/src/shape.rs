//! JSON strings byte by byte: escapes and UTF-8 composed with languages of code points.
//!
//! A *shape* is where a string stands without what was read: one language for each formula that is
//! being tracked, and where in an escape or in a code point's bytes the text is. Masks inside
//! strings depend on the shape alone.

use std::sync::Arc;

use crate::byte_set::ByteSet;
use crate::charset::CharSet;
use crate::formula::{Interner, ids};
use crate::grammar::Grammar;
use crate::hashing::IdMap;
use crate::machine::Machine;
use crate::regex::{Alphabet, RegexId, Regexes};
use crate::vocabulary::NON_ASCII;

ids! {
    /// An interned shape.
    ShapeId,
}

/// Where a string's text stands between code points.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Lexeme {
    /// Between two code points.
    Plain,
    /// Inside a code point's UTF-8: its leading bits, and how many bytes are to come.
    Utf8 {
        bits: u32,
        left: u8,
    },
    /// After a backslash.
    Escape,
    /// Inside `\u`: the value of the digits so far, and how many are to come.
    Hex {
        value: u32,
        left: u8,
    },
    /// After the first half of a surrogate pair, and after its successor's backslash.
    HighSurrogate {
        high: u32,
    },
    HighSurrogateEscape {
        high: u32,
    },
    /// Inside the second half.
    LowHex {
        high: u32,
        value: u32,
        left: u8,
    },
}

/// A string's place: its languages (an empty one where a formula has been given up) and lexeme.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    pub languages: Box<[RegexId]>,
    pub lexeme: Lexeme,
}

impl Lexeme {
    /// The code point that a byte completes, if the byte is allowed and completes one.
    pub fn completed(self, byte: u8) -> Option<u32> {
        let digit = (byte as char).to_digit(16).unwrap_or(0);
        match self {
            Lexeme::Plain if byte < 0x80 && byte != b'\\' => Some(u32::from(byte)),
            Lexeme::Utf8 { bits, left: 1 } => Some(bits << 6 | u32::from(byte & 0x3F)),
            Lexeme::Escape => {
                let short = SHORT_ESCAPES.iter().find(|(letter, _)| *letter == byte);
                short.map(|(_, code_point)| *code_point)
            }
            Lexeme::Hex { value, left: 1 } => {
                let value = value << 4 | digit;
                (!(0xD800..0xDC00).contains(&value)).then_some(value)
            }
            Lexeme::LowHex {
                high,
                value,
                left: 1,
            } => Some(paired(high, value << 4 | digit)),
            _ => None,
        }
    }
}

/// The code point of a surrogate pair.
fn paired(high: u32, low: u32) -> u32 {
    0x1_0000 + ((high - 0xD800) << 10) + low.wrapping_sub(0xDC00)
}

/// The shape that most characters lead to and then do not change, or only in length.
#[derive(Clone, Debug)]
pub(crate) struct Usual {
    pub shape: ShapeId,
    /// The signature of the characters that change nothing else; not empty.
    pub idle: u128,
    /// How many of them may follow.
    pub length: u32,
    /// Which characters beyond ASCII the signature does not speak for.
    pub strays: Strays,
}

/// Characters beyond ASCII at which tokens have to be read one by one.
#[derive(Clone, Debug)]
pub(crate) enum Strays {
    /// These.
    Some(Vec<u32>),
    /// Any.
    All,
}

impl Strays {
    /// Those that are listed.
    pub fn listed(&self) -> &[u32] {
        match self {
            Strays::Some(characters) => characters,
            Strays::All => &[],
        }
    }

    /// The signature of those that are not listed.
    pub fn signature(&self) -> u128 {
        match self {
            Strays::Some(_) => 0,
            Strays::All => NON_ASCII,
        }
    }
}

/// The characters that a shape tells apart.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub characters: Arc<[u32]>,
    /// Where all other characters lead; None for nowhere.
    pub others: Option<ShapeId>,
}

/// What a byte does inside a string.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ShapeStep {
    /// Not worked out yet.
    Unknown,
    Dead,
    /// The string goes on.
    To(ShapeId),
    /// The closing quote.
    Close,
}

/// All shapes met so far and their transitions.
#[derive(Default)]
pub struct Shapes {
    shapes: Interner<Shape, ShapeId>,
    steps: Vec<Option<Box<[u32; 256]>>>,
    /// Shapes of which some step is known.
    rows: usize,
}

const SHORT_ESCAPES: [(u8, u32); 8] = [
    (b'"', 0x22),
    (b'\\', 0x5C),
    (b'b', 8),
    (b'f', 12),
    (b'n', 10),
    (b'r', 13),
    (b't', 9),
    (b'/', 0x2F),
];

impl Shapes {
    /// The id of a shape, old or new.
    pub fn intern(&mut self, languages: Box<[RegexId]>, lexeme: Lexeme) -> ShapeId {
        self.shapes.intern(Shape { languages, lexeme })
    }

    /// The shape with an id.
    pub fn get(&self, id: ShapeId) -> &Arc<Shape> {
        self.shapes.get(id)
    }

    fn known(&self, id: ShapeId, byte: u8) -> ShapeStep {
        match self.steps.get(usize::from(id)) {
            Some(Some(steps)) => ShapeStep::decoded(steps[byte as usize]),
            _ => ShapeStep::Unknown,
        }
    }

    fn learn(&mut self, id: ShapeId, byte: u8, step: ShapeStep) {
        let at = usize::from(id);
        if self.steps.len() <= at {
            self.steps.resize_with(at + 1, || None);
        }
        self.rows += usize::from(self.steps[at].is_none());
        self.steps[at].get_or_insert_with(|| Box::new([0; 256]))[byte as usize] = step.encoded();
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        const SHAPE: usize = 128;
        SHAPE * self.shapes.len() + 1024 * self.rows
    }
}

impl ShapeStep {
    fn encoded(self) -> u32 {
        match self {
            ShapeStep::Unknown => 0,
            ShapeStep::Dead => 1,
            ShapeStep::Close => 2,
            ShapeStep::To(shape) => shape.0 + 3,
        }
    }

    fn decoded(code: u32) -> Self {
        match code {
            0 => ShapeStep::Unknown,
            1 => ShapeStep::Dead,
            2 => ShapeStep::Close,
            _ => ShapeStep::To(ShapeId(code - 3)),
        }
    }
}

/// The signature of a set; the bit of all characters beyond ASCII only if it has all of them.
fn signature_of(set: &CharSet) -> u128 {
    let ascii = (0x20..0x80u32).filter(|c| set.contains(*c) && !matches!(c, 0x22 | 0x5C));
    let beyond = CharSet::from_ranges([(0x80, 0x10_FFFF)]);
    let all_others = beyond.difference(set).is_empty();
    ascii.fold(u128::from(all_others), |signature, c| signature | 1 << c)
}

/// Characters that are looked for one by one.
const MAX_STRAYS: u32 = 512;

fn list_few(set: &CharSet) -> Option<Vec<u32>> {
    let sizes = set.ranges().iter().map(|(low, high)| high - low + 1);
    let is_small = sizes.fold(0, u32::saturating_add) <= MAX_STRAYS;
    is_small.then(|| {
        set.ranges()
            .iter()
            .flat_map(|(low, high)| *low..=*high)
            .collect()
    })
}

/// Languages that are looked at to learn where one can lead.
const MAX_EXPLORED: usize = 128;

/// A language among those that one leads to: whether a text may end there, and the places of what
/// follows for each class of characters, None for nothing.
struct Reached {
    language: RegexId,
    is_end: bool,
    next: Vec<Option<usize>>,
}

/// The greatest distance from any place of a graph to its nearest end.
fn farthest_end(graph: &[Reached]) -> u32 {
    let far = u32::MAX - 1;
    let mut distance: Vec<u32> = graph
        .iter()
        .map(|n| if n.is_end { 0 } else { far })
        .collect();
    let mut changed = true;
    while changed {
        changed = false;
        for (place, node) in graph.iter().enumerate() {
            let next = node
                .next
                .iter()
                .flatten()
                .map(|to| distance[*to].saturating_add(1))
                .min();
            if next.is_some_and(|next| next < distance[place]) {
                distance[place] = next.unwrap_or(far);
                changed = true;
            }
        }
    }
    distance.into_iter().max().unwrap_or(far)
}

impl Grammar {
    /// What a byte does to a string of this shape; no step leads to where no string can end.
    pub(crate) fn shape_step(&mut self, id: ShapeId, byte: u8) -> ShapeStep {
        let known = self.machine.shapes.known(id, byte);
        if known != ShapeStep::Unknown {
            return known;
        }
        if !self.spend(1) {
            return ShapeStep::Dead;
        }
        let shape = Arc::clone(self.machine.shapes.get(id));
        let step = self.work_out(&shape, byte);
        if !self.is_void() {
            self.machine.shapes.learn(id, byte, step);
        }
        step
    }

    /// Which of the shape's languages hold the text read so far.
    pub(crate) fn accepted(&self, id: ShapeId) -> Box<[bool]> {
        let shape = self.machine.shapes.get(id);
        shape
            .languages
            .iter()
            .map(|l| self.formulas.regexes.is_nullable(*l))
            .collect()
    }

    fn work_out(&mut self, shape: &Shape, byte: u8) -> ShapeStep {
        match shape.lexeme {
            Lexeme::Plain => self.step_plain(shape, byte),
            Lexeme::Utf8 { bits, left } if byte & 0xC0 == 0x80 => {
                self.step_utf8(shape, bits << 6 | u32::from(byte & 0x3F), left - 1)
            }
            Lexeme::Escape => self.step_escape(shape, byte),
            Lexeme::Hex { value, left } => match self.digit(byte) {
                Some(digit) => self.step_hex(shape, value << 4 | digit, left - 1),
                None => ShapeStep::Dead,
            },
            Lexeme::HighSurrogate { high } if byte == b'\\' => {
                self.stay(shape, Lexeme::HighSurrogateEscape { high })
            }
            Lexeme::HighSurrogateEscape { high } if byte == b'u' => self.stay(
                shape,
                Lexeme::LowHex {
                    high,
                    value: 0,
                    left: 4,
                },
            ),
            Lexeme::LowHex { high, value, left } => match self.digit(byte) {
                Some(digit) => self.step_low(shape, high, (value << 4 | digit, left - 1)),
                None => ShapeStep::Dead,
            },
            _ => ShapeStep::Dead,
        }
    }

    fn step_plain(&mut self, shape: &Shape, byte: u8) -> ShapeStep {
        match byte {
            b'"' if shape
                .languages
                .iter()
                .any(|l| self.formulas.regexes.is_nullable(*l)) =>
            {
                ShapeStep::Close
            }
            b'"' | 0..0x20 | 0x80..0xC2 | 0xF5.. => ShapeStep::Dead,
            b'\\' if self.can_escape(shape) => {
                let shape = self.escaping(shape);
                self.stay(&shape, Lexeme::Escape)
            }
            b'\\' => ShapeStep::Dead,
            0x20..0x80 => self.complete(shape, u32::from(byte)),
            0xC2..0xE0 => self.step_utf8(shape, u32::from(byte & 0x1F), 1),
            0xE0..0xF0 => self.step_utf8(shape, u32::from(byte & 0x0F), 2),
            0xF0..0xF5 => self.step_utf8(shape, u32::from(byte & 0x07), 3),
        }
    }

    fn step_utf8(&mut self, shape: &Shape, bits: u32, left: u8) -> ShapeStep {
        if left == 0 {
            return self.complete(shape, bits);
        }
        let shift = 6 * u32::from(left);
        // Overlong forms are what falls below the first code point of that many bytes.
        let least = match (shape.lexeme, left) {
            (Lexeme::Plain, 2) => 0x800,
            (Lexeme::Plain, 3) => 0x1_0000,
            _ => 0,
        };
        let least = match shape.lexeme {
            Lexeme::Utf8 { left: 3, .. } => 0x1_0000,
            Lexeme::Utf8 { left: 2, .. } => 0x800,
            _ => least,
        };
        let (low, high) = (
            (bits << shift).max(least),
            (bits << shift) | ((1 << shift) - 1),
        );
        if low > high.min(0x10_FFFF) || !self.reaches(shape, (low, high.min(0x10_FFFF))) {
            return ShapeStep::Dead;
        }
        let shape = self.reaching(shape, (low, high.min(0x10_FFFF)));
        self.stay(&shape, Lexeme::Utf8 { bits, left })
    }

    /// The shape without the languages that no code point of a range can follow in: they are given
    /// up where the character begins, so that keys that are no declared ones are known soon. Those
    /// in which any text may follow each of these code points become that of any text, so that few
    /// shapes stand inside characters.
    fn reaching(&mut self, shape: &Shape, range: (u32, u32)) -> Shape {
        let wanted = CharSet::from_ranges([range]);
        let mut reaching = shape.clone();
        for language in &mut reaching.languages {
            *language = self.settled(*language, &wanted);
        }
        reaching
    }

    /// The same where an escape begins.
    fn escaping(&mut self, shape: &Shape) -> Shape {
        let wanted = if self.writing.all_spellings {
            CharSet::all()
        } else {
            let short = SHORT_ESCAPES.iter().filter(|(letter, _)| *letter != b'/');
            let short = short.map(|(_, code_point)| (*code_point, *code_point));
            CharSet::from_ranges(short.chain([(0, 0x1F)]))
        };
        let mut escaping = shape.clone();
        for language in &mut escaping.languages {
            *language = self.settled(*language, &wanted);
        }
        escaping
    }

    /// A language of which only the texts that begin with these characters matter: none at all, or
    /// that of any text, where it comes to the same.
    fn settled(&mut self, language: RegexId, first: &CharSet) -> RegexId {
        if matches!(language, Regexes::ALWAYS | Regexes::NEVER) {
            return language;
        }
        if self.live_set(language).intersection(first).is_empty() {
            return Regexes::NEVER;
        }
        let classes = self.formulas.regexes.classes(language);
        let mut met = classes.iter().filter(|c| !c.intersection(first).is_empty());
        let is_free = met.all(|class| {
            let sample = class.first().unwrap_or_default();
            self.formulas.regexes.derivative(language, sample) == Regexes::ALWAYS
        });
        if is_free { Regexes::ALWAYS } else { language }
    }

    fn step_escape(&mut self, shape: &Shape, byte: u8) -> ShapeStep {
        let short = SHORT_ESCAPES.iter().find(|(letter, _)| *letter == byte);
        match short {
            Some((b'/', _)) if !self.writing.all_spellings => ShapeStep::Dead,
            Some((_, code_point)) => self.complete(shape, *code_point),
            None if byte == b'u' => self.step_hex(shape, 0, 4),
            None => ShapeStep::Dead,
        }
    }

    fn step_hex(&mut self, shape: &Shape, value: u32, left: u8) -> ShapeStep {
        let shift = 4 * u32::from(left);
        let (low, high) = (value << shift, (value << shift) | ((1 << shift) - 1));
        if left > 0 {
            let alive = self.spelt_reaches(shape, (low, high));
            return if alive {
                self.stay(shape, Lexeme::Hex { value, left })
            } else {
                ShapeStep::Dead
            };
        }
        if (0xD800..0xDC00).contains(&value) {
            let alive = self.spelt_reaches(shape, (value, value));
            let next = Lexeme::HighSurrogate { high: value };
            return if alive {
                self.stay(shape, next)
            } else {
                ShapeStep::Dead
            };
        }
        if self.spelt_reaches(shape, (value, value)) {
            self.complete(shape, value)
        } else {
            ShapeStep::Dead
        }
    }

    fn step_low(&mut self, shape: &Shape, high: u32, (value, left): (u32, u8)) -> ShapeStep {
        let shift = 4 * u32::from(left);
        let first = (value << shift).max(0xDC00);
        let last = ((value << shift) | ((1 << shift) - 1)).min(0xDFFF);
        if first > last || !self.reaches(shape, (paired(high, first), paired(high, last))) {
            return ShapeStep::Dead;
        }
        if left == 0 {
            return self.complete(shape, paired(high, value));
        }
        self.stay(shape, Lexeme::LowHex { high, value, left })
    }

    fn digit(&self, byte: u8) -> Option<u32> {
        let upper = byte.is_ascii_uppercase();
        if upper && !self.writing.all_spellings {
            None
        } else {
            (byte as char).to_digit(16)
        }
    }

    /// Whether an escape could spell a code point that may follow.
    fn can_escape(&mut self, shape: &Shape) -> bool {
        let short = SHORT_ESCAPES
            .iter()
            .filter(|(c, _)| *c != b'/' || self.writing.all_spellings);
        let short: Vec<u32> = short.map(|(_, code_point)| *code_point).collect();
        short.into_iter().any(|c| self.reaches(shape, (c, c)))
            || self.spelt_reaches(shape, (0, 0xFFFF))
    }

    /// Whether `\u` with a value in the range could spell a code point that may follow.
    fn spelt_reaches(&mut self, shape: &Shape, range: (u32, u32)) -> bool {
        let (low, high) = range;
        if !self.writing.all_spellings {
            let spelt = |c: &u32| !SHORT_ESCAPES.iter().any(|(_, short)| short == c);
            let controls: Vec<u32> = (low..=high.min(0x1F)).filter(spelt).collect();
            return controls.into_iter().any(|c| self.reaches(shape, (c, c)));
        }
        let pairs = (low.max(0xD800), high.min(0xDBFF));
        let paired = pairs.0 <= pairs.1 && {
            let astral = |c: u32| 0x1_0000 + ((c - 0xD800) << 10);
            self.reaches(shape, (astral(pairs.0), astral(pairs.1) + 0x3FF))
        };
        paired || self.reaches(shape, range)
    }

    /// Whether a code point of this inclusive range may follow.
    fn reaches(&mut self, shape: &Shape, range: (u32, u32)) -> bool {
        let scalar = range.0 < 0xD800 || range.1 > 0xDFFF;
        shape.languages.iter().any(|language| {
            *language == Regexes::ALWAYS && scalar || self.live_set(*language).meets(range)
        })
    }

    /// The code points that may follow in a language.
    fn live_set(&mut self, language: RegexId) -> Arc<CharSet> {
        if let Some(known) = self.machine.live_sets.get(&language) {
            return Arc::clone(known);
        }
        let mut live = Vec::new();
        for class in self.formulas.regexes.classes(language).iter() {
            let Some(first) = class.first() else { continue };
            let next = self.formulas.regexes.derivative(language, first);
            if !self.is_dead(next) {
                live.extend_from_slice(class.ranges());
            }
        }
        let live = Arc::new(CharSet::from_ranges(live));
        if !self.is_void() {
            self.machine.live_sets.insert(language, Arc::clone(&live));
        }
        live
    }

    /// The classes of characters that matter to a string of this shape, now or later.
    pub(crate) fn alphabet(&mut self, id: ShapeId) -> Option<Alphabet> {
        let shape = Arc::clone(self.machine.shapes.get(id));
        match shape.lexeme {
            Lexeme::Plain => self.formulas.regexes.alphabet(&shape.languages),
            _ => None,
        }
    }

    /// The shape that most characters lead to and stay in, and how long they may go on.
    pub(crate) fn usual_text(&mut self, id: ShapeId) -> Option<Usual> {
        let shape = Arc::clone(self.machine.shapes.get(id));
        if shape.lexeme != Lexeme::Plain {
            return None;
        }
        if let Some((set, high)) = self.repeated_set(&shape) {
            return self.usual_of((id, id), &set, high.unwrap_or(u32::MAX));
        }
        let idle = self.idle_characters(&shape);
        if signature_of(&idle) != 0 {
            return self.usual_of((id, id), &idle, u32::MAX);
        }
        let sample = self.largest_class(&shape)?;
        let ShapeStep::To(usual) = self.complete(&shape, sample) else {
            return None;
        };
        let next = Arc::clone(self.machine.shapes.get(usual));
        let idle = self.idle_characters(&next);
        self.usual_of((id, usual), &idle, u32::MAX)
    }

    fn usual_of(
        &mut self,
        (start, shape): (ShapeId, ShapeId),
        idle: &CharSet,
        length: u32,
    ) -> Option<Usual> {
        let beyond = CharSet::from_ranges([(0x80, 0x10_FFFF)]);
        let leading = self.leading_to(start, shape, idle);
        let usual = beyond.intersection(idle).intersection(&leading);
        let alive = self
            .live_characters(start)
            .union(&self.live_characters(shape));
        let (others, alive) = (beyond.difference(&usual), beyond.intersection(&alive));
        let ascii = signature_of(&idle.difference(&beyond));
        let (idle, strays) = match (list_few(&others), list_few(&alive)) {
            (Some(strays), _) => (ascii | NON_ASCII, Strays::Some(strays)),
            (None, Some(strays)) => (ascii, Strays::Some(strays)),
            (None, None) => (ascii, Strays::All),
        };
        (idle != 0).then_some(Usual {
            shape,
            idle,
            length,
            strays,
        })
    }

    /// The characters that lead from a shape to its usual one.
    fn leading_to(&mut self, start: ShapeId, usual: ShapeId, idle: &CharSet) -> CharSet {
        if start == usual {
            return idle.clone();
        }
        let shape = Arc::clone(self.machine.shapes.get(start));
        let [language] = *shape.languages else {
            return CharSet::empty();
        };
        let classes = self.formulas.regexes.classes(language);
        let mut leading = CharSet::empty();
        for class in classes.iter() {
            let sample = class.first().unwrap_or_default();
            if self.complete(&shape, sample) == ShapeStep::To(usual) {
                leading = leading.union(class);
            }
        }
        leading
    }

    /// The characters that may come next, however they are spelt.
    pub(crate) fn live_characters(&mut self, id: ShapeId) -> CharSet {
        let shape = Arc::clone(self.machine.shapes.get(id));
        let mut live = CharSet::empty();
        for language in shape.languages.iter().filter(|l| **l != Regexes::NEVER) {
            live = live.union(&self.live_set(*language));
        }
        live
    }

    /// The set and the greatest number, of a shape that is a number of code points of a set.
    fn repeated_set(&mut self, shape: &Shape) -> Option<(CharSet, Option<u32>)> {
        let mut live = shape.languages.iter().filter(|l| **l != Regexes::NEVER);
        let (Some(language), None) = (live.next(), live.next()) else {
            return None;
        };
        self.formulas.regexes.repeated_set(*language)
    }

    /// The ASCII bytes that a text may begin with without leading to its usual shape, and those
    /// that are usual but may not begin it.
    pub(crate) fn unusual_beginnings(&mut self, id: ShapeId, usual: &Usual) -> Vec<u8> {
        let is_usual = |byte: u8| usual.idle >> byte & 1 == 1;
        let ascii = (0x20..0x80u8).filter(|byte| !matches!(byte, b'"' | b'\\'));
        ascii
            .filter(|byte| match self.shape_step(id, *byte) {
                ShapeStep::To(next) => next != usual.shape || !is_usual(*byte),
                _ => is_usual(*byte),
            })
            .collect()
    }

    /// The signature of the ASCII characters that lead from the usual shape to another one.
    pub(crate) fn leading_signature(&mut self, usual: &Usual) -> u128 {
        let ascii = (0x20..0x80u8).filter(|byte| !matches!(byte, b'"' | b'\\'));
        let leads = |byte: &u8| {
            usual.idle >> byte & 1 == 0
                && matches!(self.shape_step(usual.shape, *byte), ShapeStep::To(_))
        };
        ascii.filter(leads).fold(0, |all, byte| all | 1 << byte)
    }

    /// The bounds on a text's length where nothing else matters, and only if there is an upper one.
    pub(crate) fn length_only(&mut self, id: ShapeId) -> Option<(u32, u32)> {
        let shape = Arc::clone(self.machine.shapes.get(id));
        let ([language], Lexeme::Plain) = (&*shape.languages, shape.lexeme) else {
            return None;
        };
        let (low, high) = self.formulas.regexes.length_bounds(*language);
        let is_only = self.formulas.regexes.length(low, high) == *language;
        high.filter(|_| is_only && *language != Regexes::NEVER)
            .map(|high| (low, high))
    }

    /// The shape of a text of which nothing is asked.
    pub(crate) fn free_shape(&mut self) -> ShapeId {
        self.machine
            .shapes
            .intern([Regexes::ALWAYS].into(), Lexeme::Plain)
    }

    /// The characters that a shape between two code points tells apart, if they are few.
    pub(crate) fn listed(&mut self, id: ShapeId) -> Option<Listed> {
        if let Some(known) = self.machine.listed.get(&id) {
            return known.clone();
        }
        let listed = self.list(id);
        if !self.is_void() {
            self.machine.listed.insert(id, listed.clone());
        }
        listed
    }

    fn list(&mut self, id: ShapeId) -> Option<Listed> {
        let shape = Arc::clone(self.machine.shapes.get(id));
        if shape.lexeme != Lexeme::Plain {
            return None;
        }
        let mut characters = Vec::new();
        for language in &shape.languages {
            if !self
                .formulas
                .regexes
                .list_exceptions(*language, &mut characters)
            {
                return None;
            }
        }
        characters.sort_unstable();
        characters.dedup();
        // Not spelt by an escape in any way of writing, if it is none of those.
        let other = (0x41..0x1000).find(|c| characters.binary_search(c).is_err())?;
        let others = match self.complete(&shape, other) {
            ShapeStep::To(next) => Some(next),
            _ => None,
        };
        Some(Listed {
            characters: characters.into(),
            others,
        })
    }

    /// The bytes at which a shape has to be looked at, where all others lead to one shape.
    pub(crate) fn listed_bytes(&mut self, id: ShapeId, others: Option<ShapeId>) -> ByteSet {
        let Some(listed) = self.listed(id).filter(|listed| listed.others == others) else {
            return ByteSet::ALL;
        };
        let mut bytes = ByteSet::default();
        bytes.insert(b'"');
        for character in listed.characters.iter() {
            let is_escaped = *character < 0x20 || matches!(*character, 0x22 | 0x5C);
            if is_escaped || self.writing.all_spellings {
                bytes.insert(b'\\');
            }
            if let Some(character) = char::from_u32(*character).filter(|_| !is_escaped) {
                bytes.insert(character.encode_utf8(&mut [0; 4]).as_bytes()[0]);
            }
        }
        bytes
    }

    /// Whether every language of a shape is all texts or none.
    pub(crate) fn is_settled(&self, id: ShapeId) -> bool {
        let mut languages = self.machine.shapes.get(id).languages.iter();
        languages.all(|l| matches!(*l, Regexes::ALWAYS | Regexes::NEVER))
    }

    /// Whether a shape stands between two code points.
    pub(crate) fn is_between_characters(&self, id: ShapeId) -> bool {
        self.machine.shapes.get(id).lexeme == Lexeme::Plain
    }

    /// The characters that change nothing.
    fn idle_characters(&mut self, shape: &Shape) -> CharSet {
        let mut idle = CharSet::all();
        for language in shape.languages.iter().filter(|l| **l != Regexes::NEVER) {
            idle = idle.intersection(&self.formulas.regexes.self_loop(*language));
        }
        idle
    }

    fn largest_class(&mut self, shape: &Shape) -> Option<u32> {
        let language = *shape.languages.iter().find(|l| **l != Regexes::NEVER)?;
        let classes = self.formulas.regexes.classes(language);
        let size = |class: &&CharSet| {
            class
                .ranges()
                .iter()
                .map(|(low, high)| high - low)
                .sum::<u32>()
        };
        classes.iter().max_by_key(size).and_then(CharSet::first)
    }

    /// A shape with the same tokens in its mask, for which bounds on the length that no token can
    /// reach are dropped.
    pub(crate) fn within_reach(&mut self, id: ShapeId, reach: u32) -> ShapeId {
        if let Some(known) = self.machine.near_shapes.get(&id) {
            return *known;
        }
        let shape = Arc::clone(self.machine.shapes.get(id));
        let languages = shape
            .languages
            .iter()
            .map(|l| self.near_language(*l, reach))
            .collect();
        let near = self.machine.shapes.intern(languages, shape.lexeme);
        if !self.is_void() {
            self.machine.near_shapes.insert(id, near);
        }
        near
    }

    fn near_language(&mut self, language: RegexId, reach: u32) -> RegexId {
        let regexes = &mut self.formulas.regexes;
        let (low, high) = regexes.length_bounds(language);
        if language == Regexes::NEVER {
            return language;
        }
        if regexes.length(low, high) == language {
            let far = high.is_none_or(|high| high > reach);
            return regexes.length(low.min(reach + 1), if far { None } else { high });
        }
        let near = regexes.near(language, reach);
        if near != language {
            return near;
        }
        // With another constraint beside it, a bound is out of reach if from wherever one token can
        // lead, some end is nearer than the bound.
        let Some((rest, low, Some(high))) = regexes.split_length(language) else {
            return language;
        };
        let longer = regexes.length(low, None);
        let unbounded = regexes.intersection(rest, longer);
        match self.farthest_end(unbounded) {
            Some(farthest) if high >= reach.saturating_add(farthest) => unbounded,
            _ => language,
        }
    }

    /// How many code points the nearest end is away at most, from wherever the language can lead;
    /// None where that takes too many steps to tell.
    pub(crate) fn farthest_end(&mut self, language: RegexId) -> Option<u32> {
        if let Some(known) = self.machine.farthest_ends.get(&language) {
            return *known;
        }
        // Where one leads that is too far to tell, so is it; and an answer holds for all of these.
        let (graph, is_whole) = self.explore(language, |machine, reached| {
            machine.farthest_ends.get(&reached.language) != Some(&None)
        });
        let farthest = is_whole.then(|| farthest_end(&graph));
        if !self.is_void() {
            for reached in graph {
                let known = self.machine.farthest_ends.entry(reached.language);
                known.or_insert(farthest);
            }
        }
        farthest
    }

    /// Whether some language of a shape stays alive whatever characters follow.
    pub(crate) fn is_undying(&mut self, id: ShapeId) -> bool {
        let shape = Arc::clone(self.machine.shapes.get(id));
        shape.lexeme == Lexeme::Plain && shape.languages.iter().any(|l| self.cannot_die(*l))
    }

    fn cannot_die(&mut self, language: RegexId) -> bool {
        if let Some(known) = self.machine.undying.get(&language) {
            return *known;
        }
        let complement = self.formulas.regexes.complement(language);
        let excludes_few = self.formulas.regexes.length_bounds(complement).1.is_some();
        let undying = language == Regexes::ALWAYS
            || language != Regexes::NEVER && (excludes_few || self.leads_nowhere_dead(language));
        if !self.is_void() {
            self.machine.undying.insert(language, undying);
        }
        undying
    }

    /// Whether no text is wrong to begin with, as far as a few steps tell.
    fn leads_nowhere_dead(&mut self, language: RegexId) -> bool {
        let (_, is_whole) = self.explore(language, |machine, reached| {
            let is_known = machine.undying.get(&reached.language) == Some(&false);
            !is_known && !reached.next.contains(&None)
        });
        is_whole
    }

    /// Whether a language has infinitely many members after every beginning of one, as far as a few
    /// steps tell.
    pub(crate) fn is_endless(&mut self, language: RegexId) -> bool {
        let (graph, is_whole) = self.explore(language, |_, _| true);
        if !is_whole {
            return false;
        }
        let mut finite = vec![false; graph.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for (place, node) in graph.iter().enumerate() {
                if !finite[place] && node.next.iter().flatten().all(|to| finite[*to]) {
                    (finite[place], changed) = (true, true);
                }
            }
        }
        !finite.contains(&true)
    }

    /// The languages that one leads to, itself first, and whether these are all: not where there are
    /// more than a few, or where it is not to go on from one.
    fn explore(
        &mut self,
        language: RegexId,
        goes_on: impl Fn(&Machine, &Reached) -> bool,
    ) -> (Vec<Reached>, bool) {
        let mut places = IdMap::default();
        let (mut graph, mut found) = (Vec::new(), vec![language]);
        places.insert(language, 0);
        while graph.len() < found.len() {
            let from = found[graph.len()];
            let next = self.next_languages(from).into_iter().map(|to| {
                let place = places.entry(to?).or_insert_with(|| {
                    found.extend(to);
                    found.len() - 1
                });
                Some(*place)
            });
            let reached = Reached {
                language: from,
                next: next.collect(),
                is_end: self.formulas.regexes.is_nullable(from),
            };
            let ends = found.len() > MAX_EXPLORED || !goes_on(&self.machine, &reached);
            graph.push(reached);
            if ends || self.is_void() {
                return (graph, false);
            }
        }
        (graph, true)
    }

    /// What a language leads to, for each class of characters; None for nothing.
    fn next_languages(&mut self, from: RegexId) -> Vec<Option<RegexId>> {
        let classes = self.formulas.regexes.classes(from);
        let samples = classes.iter().filter_map(CharSet::first);
        let next = samples.map(|sample| {
            let to = self.formulas.regexes.derivative(from, sample);
            (!self.is_dead(to)).then_some(to)
        });
        next.collect()
    }

    /// The shape after a byte that stays in the string.
    pub(crate) fn shape_after(&mut self, id: ShapeId, byte: u8) -> Option<ShapeId> {
        match self.shape_step(id, byte) {
            ShapeStep::To(next) => Some(next),
            _ => None,
        }
    }

    /// What a code point does to a string.
    pub(crate) fn complete(&mut self, shape: &Shape, code_point: u32) -> ShapeStep {
        if (0xD800..0xE000).contains(&code_point) || code_point > 0x10_FFFF {
            return ShapeStep::Dead;
        }
        let languages: Box<[RegexId]> = shape
            .languages
            .iter()
            .map(|language| {
                let next = self.formulas.regexes.derivative(*language, code_point);
                if self.is_dead(next) {
                    Regexes::NEVER
                } else {
                    next
                }
            })
            .collect();
        if languages.iter().all(|l| *l == Regexes::NEVER) {
            return ShapeStep::Dead;
        }
        ShapeStep::To(self.machine.shapes.intern(languages, Lexeme::Plain))
    }

    /// The same place in a code point, or one in another code point from which everything goes on
    /// alike: few shapes then stand for all of Unicode.
    fn plainest(&mut self, shape: &Shape, lexeme: Lexeme) -> Lexeme {
        let Lexeme::Utf8 { bits, left } = lexeme else {
            return lexeme;
        };
        let range = |bits: u32| {
            (
                bits << (6 * left),
                (bits << (6 * left)) | ((1 << (6 * left)) - 1),
            )
        };
        // Where all bytes that may follow a code point's first ones are continuation bytes.
        let examples: &[u32] = match left {
            1 => &[0x02],
            2 => &[0x01, 0x10],
            _ => &[0x01],
        };
        let is_whole = |(low, high): (u32, u32)| {
            let least = [0, 0x80, 0x800, 0x1_0000][left as usize];
            low >= least && high <= 0x10_FFFF && (high < 0xD800 || low > 0xDFFF)
        };
        if !is_whole(range(bits)) {
            return lexeme;
        }
        let alike = |grammar: &mut Self, example: u32| {
            let mut class = |language, bits| {
                let regexes = &mut grammar.formulas.regexes;
                regexes.class_of_range(language, range(bits))
            };
            let mut languages = shape.languages.iter();
            languages.all(|l| class(*l, bits).is_some_and(|own| class(*l, example) == Some(own)))
        };
        let found = examples.iter().find(|example| alike(self, **example));
        found.map_or(lexeme, |bits| Lexeme::Utf8 { bits: *bits, left })
    }

    fn stay(&mut self, shape: &Shape, lexeme: Lexeme) -> ShapeStep {
        let lexeme = self.plainest(shape, lexeme);
        ShapeStep::To(self.machine.shapes.intern(shape.languages.clone(), lexeme))
    }
}
