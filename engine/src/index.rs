//! One compiled grammar for one vocabulary.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::closing::Ends;
use crate::cursor::Cursor;
use crate::error::EngineError;
use crate::forced::Runs;
use crate::formula::{FormulaId, Formulas};
use crate::frozen::FrozenReader;
use crate::frozen_tables::Tables;
use crate::grammar::{Exhausted, Grammar, Limits, Writing};
use crate::index_bytes::{self, Writer, read_source, write_source};
use crate::json::{self, JsonCause, JsonError, JsonLimits, Value};
use crate::lark::grammar_reader;
use crate::linked::{self, LINKED, Links};
use crate::machine::Configuration;
use crate::reader::{JsonReader, Nothing, Reader};
use crate::schema::{SchemaOptions, find_contradiction, translate};
use crate::sha256::{Digest, Sha256};
use crate::text::expression_reader;
use crate::vocabulary::Vocabulary;

/// What a grammar is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input<'a> {
    /// A JSON Schema, as JSON text; the order of properties matters.
    JsonSchema(&'a [u8]),
    /// Any JSON value.
    AnyJson,
    /// A regular expression that the whole answer matches.
    Regex(&'a str),
    /// A context-free grammar in the Lark dialect of OpenAI's custom tools.
    Lark(&'a str),
}

/// Where an answer may have whitespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Whitespace {
    /// Nowhere but the spaces that follow commas and colons.
    #[default]
    Compact,
    /// At most so many characters between two tokens of JSON.
    Bounded(u32),
}

/// How a grammar is read and how its answers are written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Where whitespace may stand.
    pub whitespace: Whitespace,
    /// Spaces after each comma and after each colon; read with `Compact` only.
    pub item_spaces: u8,
    /// See `item_spaces`.
    pub key_spaces: u8,
    /// Properties in any order, not only in the schema's.
    pub any_order: bool,
    /// All spellings of a value, not only one.
    pub all_spellings: bool,
    /// Whether `format` is an assertion.
    pub format_assertion: bool,
    /// Texts of an expression or grammar are spelled as in a JSON string, without its quotes.
    pub in_json_string: bool,
    /// What remote references mean: documents by URI.
    pub remotes: Vec<(String, Vec<u8>)>,
    /// Limits.
    pub budget: Budget,
}

/// What one compile and one mask may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Bytes of the schema, expression or grammar.
    pub max_bytes: u64,
    /// Nesting of the schema's text.
    pub max_depth: u64,
    /// JSON values in the schema's text.
    pub max_nodes: u64,
    /// Steps of a compile, from the translation of its schema on.
    pub compile_fuel: u64,
    /// The same for one mask.
    pub mask_fuel: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            max_bytes: 1 << 20,
            max_depth: 256,
            max_nodes: 1_000_000,
            compile_fuel: 500_000,
            mask_fuel: 1_000_000,
        }
    }
}

/// What all cursors of an index share and add to.
pub(crate) struct Working {
    pub(crate) reader: Box<dyn Reader>,
    /// Which reader this is: places of another one mean nothing to it.
    pub(crate) generation: u64,
    /// How its texts end.
    pub(crate) ends: Ends,
    /// Where they can go on in one way only.
    runs: Runs,
    /// Bytes that it may learn before a new one takes its place.
    room: usize,
}

impl Working {
    /// Goes on with another reader, in which cursors find their places anew.
    fn replace(&mut self, reader: Box<dyn Reader>) {
        self.reader = reader;
        self.generation += 1;
        self.ends = Ends::default();
        self.runs = Runs::default();
    }

    /// About how many bytes has been learnt.
    pub(crate) fn learnt_bytes(&self) -> usize {
        self.reader.learnt_bytes() + self.runs.bytes() + self.ends.bytes
    }

    /// Whether tokens may be forced at a place: the text can go on in one way only.
    pub(crate) fn may_be_forced(&mut self, vocabulary: &Vocabulary, at: Configuration) -> bool {
        vocabulary.tokenisation().is_some() && self.runs.is_forced(&mut *self.reader, at)
    }

    /// The tokens that are forced at a place that some tokens led to; None where none is.
    pub(crate) fn forced(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        tokens: &[u32],
    ) -> Option<Arc<[u32]>> {
        self.runs.forced(&mut *self.reader, vocabulary, at, tokens)
    }
}

impl Deref for Working {
    type Target = dyn Reader;

    fn deref(&self) -> &Self::Target {
        &*self.reader
    }
}

impl DerefMut for Working {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.reader
    }
}

/// Bytes that the reader of one index may learn before all is forgotten and learnt again.
pub(crate) const MAX_LEARNT_BYTES: usize = 96 << 20;

/// A grammar compiled for a vocabulary; cheap to clone, shared between threads.
#[derive(Clone)]
pub struct Index {
    shared: Arc<Shared>,
}

/// What an index was made from.
pub(crate) enum Source {
    /// A grammar and its options, as `dump` writes them.
    Compiled(Writer),
    /// An envelope and its parts.
    Linked(Links),
}

struct Shared {
    vocabulary: Arc<Vocabulary>,
    source: Source,
    /// What one step or mask of a cursor may cost.
    mask_fuel: u64,
    /// What it was filled with.
    tables: Mutex<Option<Arc<[u8]>>>,
    working: Mutex<Working>,
}

impl Drop for Shared {
    /// Leaves what was worked out to another thread: freeing it takes as long as compiling, and
    /// whoever ends the last cursor should not wait for that. Where there is no thread, or the
    /// way to it is in use (or was so at a fork), it is freed here.
    fn drop(&mut self) {
        let working = self
            .working
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        free_elsewhere(std::mem::replace(&mut working.reader, Box::new(Nothing)));
    }
}

/// Whether this process frees readers where they are left.
static FREES_HERE: AtomicBool = AtomicBool::new(false);

/// Has whoever leaves an index free it, in this process from now on: where indexes are compiled one
/// after the other and nobody waits, a way to another thread costs more than freeing.
pub fn free_here() {
    FREES_HERE.store(true, Ordering::Relaxed);
}

/// Leaves a reader to another thread to be freed; where that cannot be, it is freed here.
fn free_elsewhere(reader: Box<dyn Reader>) {
    if FREES_HERE.load(Ordering::Relaxed) {
        return;
    }
    if let Ok(mut thread) = FREEING.try_lock() {
        let _ = sender_to(&mut thread).send(reader);
    }
}

/// The way to the thread that frees, and the process it runs in: a fork has no such thread.
type Freeing = Option<(u32, Sender<Box<dyn Reader>>)>;

static FREEING: Mutex<Freeing> = Mutex::new(None);

fn sender_to(thread: &mut Freeing) -> &Sender<Box<dyn Reader>> {
    let process = std::process::id();
    if let Some((_, old)) = thread.take_if(|(running, _)| *running != process) {
        std::mem::forget(old); // its other end was being waited at when the process was forked
    }
    let (_, sender) = thread.get_or_insert_with(|| (process, start_freeing()));
    sender
}

/// Starts the thread; without one, sending fails and the value is freed by whoever sends.
fn start_freeing() -> Sender<Box<dyn Reader>> {
    let (sender, receiver) = mpsc::channel();
    let _ = thread::Builder::new()
        .name("formwork-free".into())
        .spawn(move || receiver.into_iter().for_each(drop::<Box<dyn Reader>>));
    sender
}

/// Works out what comes first, its mask where nothing is forced; returns what it found of that.
pub(crate) fn decide_first(reader: &mut dyn Reader, vocabulary: &Vocabulary) -> Runs {
    let (first, mut runs) = (reader.start(), Runs::default());
    if runs.forced(reader, vocabulary, first, &[]).is_none() {
        reader.mask(vocabulary, first);
    }
    runs
}

impl Index {
    /// Returns the index of a grammar, its first mask worked out.
    ///
    /// # Errors
    ///
    /// `Malformed`, `Unsupported` or `TooLarge`: what is wrong with the input and where.
    pub fn compile(
        input: Input,
        vocabulary: Arc<Vocabulary>,
        options: &Options,
    ) -> Result<Index, EngineError> {
        let mut reader = reader_of(input, options)?;
        let runs = decide_first(&mut *reader, &vocabulary);
        let index = Self::of_input(reader, input, vocabulary, options)?;
        Ok(index.with_runs(runs))
    }

    /// Returns the index of an input and its reader.
    fn of_input(
        reader: Box<dyn Reader>,
        input: Input,
        vocabulary: Arc<Vocabulary>,
        options: &Options,
    ) -> Result<Index, EngineError> {
        let mut source = Writer::new();
        write_source(&mut source, &input, options);
        let mask_fuel = options.budget.mask_fuel;
        Self::of_reader(reader, Source::Compiled(source), vocabulary, mask_fuel)
    }

    /// Returns the index with what is known of its reader's forced runs.
    pub(crate) fn with_runs(self, runs: Runs) -> Self {
        self.working().runs = runs;
        self
    }

    /// Returns the index of a reader.
    ///
    /// # Errors
    ///
    /// `TooLarge`: the reader has reached a limit.
    pub(crate) fn of_reader(
        mut reader: Box<dyn Reader>,
        source: Source,
        vocabulary: Arc<Vocabulary>,
        mask_fuel: u64,
    ) -> Result<Index, EngineError> {
        if let Err(refusal) = refuse_exhausted(reader.limit_reached()) {
            free_elsewhere(reader);
            return Err(refusal);
        }
        Ok(Index {
            shared: Arc::new(Shared {
                vocabulary,
                source,
                mask_fuel,
                tables: Mutex::default(),
                working: Mutex::new(Working {
                    reader,
                    generation: 0,
                    ends: Ends::default(),
                    runs: Runs::default(),
                    room: MAX_LEARNT_BYTES,
                }),
            }),
        })
    }

    /// Returns an index of the same grammar that shares nothing with this one; None where it cannot
    /// be compiled again.
    pub(crate) fn apart(&self) -> Option<Index> {
        if let Source::Linked(links) = &self.shared.source {
            let links = links.apart();
            let (reader, vocabulary) = (links.reader(), Arc::clone(self.vocabulary()));
            let source = Source::Linked(links);
            return Self::of_reader(reader, source, vocabulary, self.mask_fuel()).ok();
        }
        Self::load(&self.dump(), Arc::clone(self.vocabulary())).ok()
    }

    /// What one step or mask of a cursor may cost.
    pub(crate) fn mask_fuel(&self) -> u64 {
        self.shared.mask_fuel
    }

    /// Puts a reader that has learnt nothing but what the index was filled with in the place of this
    /// one; cursors find their places in it by reading their tokens again.
    pub(crate) fn renew(&self, working: &mut Working) {
        let made = || -> Result<Box<dyn Reader>, EngineError> {
            match (&self.shared.source, self.tables()) {
                (Source::Linked(links), _) => Ok(links.reader()),
                (Source::Compiled(source), Some(tables)) => {
                    let body = &mut index_bytes::Reader::of_body(source.body());
                    let (_, options) = read_source(body)?;
                    frozen_reader(source, &options, &tables)
                }
                _ => self.new_reader(),
            }
        };
        if let Ok(reader) = made() {
            working.replace(reader);
        }
        working.room = working.learnt_bytes() + MAX_LEARNT_BYTES;
    }

    /// Compiles a grammar again.
    fn new_reader(&self) -> Result<Box<dyn Reader>, EngineError> {
        let Source::Compiled(source) = &self.shared.source else {
            return Ok(Box::new(Nothing));
        };
        let (input, options) = read_source(&mut index_bytes::Reader::of_body(source.body()))?;
        reader_of(input, &options)
    }

    /// Returns a cursor at the start.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.clone())
    }

    /// Returns the bytes that `load` takes.
    #[must_use]
    pub fn dump(&self) -> Vec<u8> {
        match &self.shared.source {
            Source::Compiled(source) => match self.tables() {
                Some(tables) => source.clone().seal_with(&self.fingerprint(), &tables),
                None => self.seal(source.clone()),
            },
            Source::Linked(links) => self.seal(links.written(true)),
        }
    }

    fn tables(&self) -> Option<Arc<[u8]>> {
        let tables = self.shared.tables.lock();
        tables.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fingerprint(&self) -> Digest {
        self.shared.vocabulary.fingerprint()
    }

    /// Returns the bytes that `load_linked` takes: of a linked index only its envelope and the
    /// content ids of its parts, of any other all that `dump` has.
    #[must_use]
    pub fn dump_links(&self) -> Vec<u8> {
        match &self.shared.source {
            Source::Compiled(_) => self.dump(),
            Source::Linked(links) => self.seal(links.written(false)),
        }
    }

    /// Returns the SHA-256 of what the index was made from, whatever it has learnt since.
    #[must_use]
    pub fn content_id(&self) -> Digest {
        let source = match &self.shared.source {
            Source::Compiled(source) => source.clone(),
            Source::Linked(links) => links.written(false),
        };
        let mut hash = Sha256::new();
        hash.update(&self.seal(source));
        hash.finish()
    }

    fn seal(&self, body: Writer) -> Vec<u8> {
        body.seal(&self.fingerprint())
    }

    /// Returns the index that `dump` wrote.
    ///
    /// # Errors
    ///
    /// `IndexFormat`: not an index, damaged, or of another engine or vocabulary.
    pub fn load(bytes: &[u8], vocabulary: Arc<Vocabulary>) -> Result<Index, EngineError> {
        Self::load_linked(bytes, vocabulary, &mut |_| None)
    }

    /// The same for an index that is to be a part of linked ones: its first mask is worked out when
    /// a text comes to it, which of a hundred tools happens to one.
    ///
    /// # Errors
    ///
    /// As `load`.
    pub fn load_part(bytes: &[u8], vocabulary: Arc<Vocabulary>) -> Result<Index, EngineError> {
        let mut body = index_bytes::Reader::open(bytes, &vocabulary.fingerprint())?;
        if body.read_if(LINKED) || index_bytes::tables_of(bytes)?.is_some() {
            return Self::load(bytes, vocabulary);
        }
        let (input, options) = read_source(&mut body)?;
        body.finish()?;
        Self::of_input(reader_of(input, &options)?, input, vocabulary, &options)
    }

    /// Returns the index that `dump_links` wrote; `find` gives its parts by content id.
    ///
    /// # Errors
    ///
    /// As `load`; `IndexFormat` too where a part is not found.
    pub fn load_linked(
        bytes: &[u8],
        vocabulary: Arc<Vocabulary>,
        find: &mut dyn FnMut(&Digest) -> Option<Index>,
    ) -> Result<Index, EngineError> {
        Self::load_within(0, bytes, vocabulary, find)
    }

    /// The same for bytes inside those of so many linked indexes.
    pub(crate) fn load_within(
        level: usize,
        bytes: &[u8],
        vocabulary: Arc<Vocabulary>,
        find: &mut dyn FnMut(&Digest) -> Option<Index>,
    ) -> Result<Index, EngineError> {
        let mut reader = index_bytes::Reader::open(bytes, &vocabulary.fingerprint())?;
        if reader.read_if(LINKED) {
            return linked::read(level + 1, reader, vocabulary, find);
        }
        let (input, options) = read_source(&mut reader)?;
        reader.finish()?;
        match index_bytes::tables_of(bytes)? {
            Some(tables) => Self::load_filled(input, vocabulary, &options, tables),
            None => Self::compile(input, vocabulary, &options),
        }
    }

    fn load_filled(
        input: Input,
        vocabulary: Arc<Vocabulary>,
        options: &Options,
        tables: &[u8],
    ) -> Result<Index, EngineError> {
        let mut source = Writer::new();
        write_source(&mut source, &input, options);
        let reader = frozen_reader(&source, options, tables)?;
        let source = Source::Compiled(source);
        let index = Self::of_reader(reader, source, vocabulary, options.budget.mask_fuel)?;
        index.keep_tables(tables.into());
        Ok(index)
    }

    /// How many bytes of what `dump` returns were filled.
    #[cfg(test)]
    pub(crate) fn filled_bytes(&self) -> usize {
        self.tables().map_or(0, |tables| tables.len())
    }

    /// The index with what it was filled with and no grammar behind it.
    #[cfg(test)]
    pub(crate) fn without_grammar(&self) -> Option<Index> {
        let (Source::Compiled(source), Some(tables)) = (&self.shared.source, self.tables()) else {
            return None;
        };
        let body = &mut index_bytes::Reader::of_body(source.body());
        let (_, options) = read_source(body).ok()?;
        let tables = Arc::new(Tables::open(&tables).ok()?);
        let reader = FrozenReader::new(tables, writing_of(&options), Box::new(|| None));
        let (vocabulary, source) = (Arc::clone(self.vocabulary()), source.clone());
        let fuel = self.mask_fuel();
        Self::of_reader(Box::new(reader), Source::Compiled(source), vocabulary, fuel).ok()
    }

    fn keep_tables(&self, tables: Arc<[u8]>) {
        let lock = self.shared.tables.lock();
        *lock.unwrap_or_else(PoisonError::into_inner) = Some(tables);
    }

    /// Works out ahead, for about so long, what cursors will need: all of them read with it from
    /// then on, and `dump` writes it. A linked index fills its parts, each for its share. Answers
    /// that are no JSON have nothing that could be filled.
    pub fn fill(&self, milliseconds: u64) {
        let Source::Compiled(source) = &self.shared.source else {
            return self.fill_parts(milliseconds);
        };
        let time = Duration::from_millis(milliseconds);
        let filled = || -> Option<()> {
            let mut reader = self.new_reader().ok()?;
            let tables = reader.fill(self.vocabulary(), time)?;
            let body = &mut index_bytes::Reader::of_body(source.body());
            let (_, options) = read_source(body).ok()?;
            let reader = frozen_reader(source, &options, &tables).ok()?;
            self.keep_tables(tables.into());
            self.working().replace(reader);
            Some(())
        };
        filled();
    }

    fn fill_parts(&self, milliseconds: u64) {
        if let Source::Linked(links) = &self.shared.source {
            let parts = &links.envelope.parts;
            let share = milliseconds / parts.len().max(1) as u64;
            parts.iter().for_each(|part| part.fill(share));
        }
    }

    /// The vocabulary that it was compiled for.
    pub(crate) fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.shared.vocabulary
    }

    /// Linked indexes within one another: 0 for one that is compiled.
    pub(crate) fn level(&self) -> usize {
        match &self.shared.source {
            Source::Compiled(_) => 0,
            Source::Linked(links) => links.level,
        }
    }

    /// Whether it may take an id that ends the sequence by itself.
    pub(crate) fn holds_end(&self) -> bool {
        matches!(&self.shared.source, Source::Linked(links) if links.holds_end)
    }

    /// Whether its shortest text is empty.
    pub(crate) fn may_be_empty(&self) -> bool {
        let mut reader = self.working();
        let start = reader.start();
        reader.may_end(start)
    }

    /// The indexes that it was linked from.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> Vec<Index> {
        match &self.shared.source {
            Source::Compiled(_) => Vec::new(),
            Source::Linked(links) => links.envelope.parts.clone(),
        }
    }

    /// What clones of one index have in common, and no other index has while one of them lives.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// What has been worked out; all of it is forgotten where it has become too much, or where a
    /// thread panicked inside.
    pub(crate) fn working(&self) -> MutexGuard<'_, Working> {
        let lock = &self.shared.working;
        let mut working = lock.lock().unwrap_or_else(|poisoned| {
            let mut working = poisoned.into_inner();
            working.room = 0;
            lock.clear_poison();
            working
        });
        if working.learnt_bytes() > working.room {
            self.renew(&mut working);
        }
        working
    }
}

fn reader_of(input: Input, options: &Options) -> Result<Box<dyn Reader>, EngineError> {
    match input {
        Input::JsonSchema(_) | Input::AnyJson => {
            Ok(Box::new(JsonReader::new(json_grammar(input, options)?)))
        }
        Input::Regex(pattern) => {
            check_bytes(pattern, &options.budget)?;
            expression_reader(pattern, options)
        }
        Input::Lark(definition) => {
            check_bytes(definition, &options.budget)?;
            grammar_reader(definition, options)
        }
    }
}

/// The reader of the tables that a grammar was filled with.
fn frozen_reader(
    source: &Writer,
    options: &Options,
    tables: &[u8],
) -> Result<Box<dyn Reader>, EngineError> {
    let (tables, source) = (Arc::new(Tables::open(tables)?), source.clone());
    let compile = move || {
        let (input, options) =
            read_source(&mut index_bytes::Reader::of_body(source.body())).ok()?;
        Some(JsonReader::new(json_grammar(input, &options).ok()?))
    };
    Ok(Box::new(FrozenReader::new(
        tables,
        writing_of(options),
        Box::new(compile),
    )))
}

fn check_bytes(text: &str, budget: &Budget) -> Result<(), EngineError> {
    let maximum = usize::try_from(budget.max_bytes).unwrap_or(usize::MAX);
    EngineError::check_limit("max_bytes", maximum, text.len())
}

/// The grammar of a schema, or of any JSON.
pub(crate) fn json_grammar(input: Input, options: &Options) -> Result<Grammar, EngineError> {
    let (formulas, root) = formulas_of(input, options)?;
    let mut grammar = Grammar::new(formulas, root, writing_of(options), limits_of(options));
    if !grammar.is_satisfiable(root) {
        refuse_exhausted(grammar.limit_reached())?;
        return Err(allows_nothing(input, options));
    }
    Ok(grammar)
}

/// The refusal of a schema that allows no value: it names where it contradicts itself.
fn allows_nothing(input: Input, options: &Options) -> EngineError {
    let find = |text| {
        let (document, remotes) = documents_of(text, options)?;
        let search = |formulas, root| {
            let limits = limits_of(options);
            let mut grammar = Grammar::new(formulas, root, writing_of(options), limits);
            let allows = grammar.is_satisfiable(root);
            let left = grammar.formulas.regexes.fuel();
            grammar.limit_reached().is_none().then_some((allows, left))
        };
        let mut schema_options = schema_options_of(options);
        schema_options.fuel /= SHARE_OF_REFUSALS;
        let found = find_contradiction(&document, &remotes, &schema_options, &search);
        Ok::<_, EngineError>(found)
    };
    let found = match input {
        Input::JsonSchema(text) => find(text).unwrap_or_default(),
        _ => Default::default(),
    };
    EngineError::Unsupported {
        pointer: found.0,
        keyword: found.1.unwrap_or_else(|| "schema".into()),
        reason: "allows no value".into(),
    }
}

/// Which part of a compile's fuel may go to naming what is wrong.
const SHARE_OF_REFUSALS: u64 = 4;

fn formulas_of(input: Input, options: &Options) -> Result<(Formulas, FormulaId), EngineError> {
    match input {
        Input::JsonSchema(text) => {
            let (document, remotes) = documents_of(text, options)?;
            translate(&document, &remotes, &schema_options_of(options))
        }
        _ => {
            let mut formulas = Formulas::new();
            formulas.regexes.refuel(options.budget.compile_fuel);
            Ok((formulas, FormulaId::TRUE))
        }
    }
}

fn schema_options_of(options: &Options) -> SchemaOptions {
    SchemaOptions {
        assert_formats: options.format_assertion,
        fuel: options.budget.compile_fuel,
        ..SchemaOptions::default()
    }
}

/// A schema, and the documents that it may refer to, by URI.
fn documents_of(
    text: &[u8],
    options: &Options,
) -> Result<(Value, Vec<(String, Value)>), EngineError> {
    let document = parse(text, &options.budget)?;
    let known = if refers_outside(&document) {
        &options.remotes[..]
    } else {
        &[]
    };
    let remotes: Result<Vec<_>, EngineError> = known
        .iter()
        .map(|(uri, text)| Ok((uri.clone(), parse(text, &options.budget)?)))
        .collect();
    Ok((document, remotes?))
}

/// Whether some reference could mean another document.
fn refers_outside(document: &Value) -> bool {
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(entries) => {
                for (key, held) in entries {
                    let outside = held.as_str().is_some_and(|uri| !uri.starts_with('#'));
                    if outside && matches!(key.as_str(), "$ref" | "$dynamicRef") {
                        return true;
                    }
                    open.push(held);
                }
            }
            _ => {}
        }
    }
    false
}

/// Nesting of a schema's text beyond which no budget goes: it is read, and freed, by recursion.
const DEEPEST: usize = 1_000;

fn parse(text: &[u8], budget: &Budget) -> Result<Value, EngineError> {
    let limits = JsonLimits {
        bytes: usize::try_from(budget.max_bytes).unwrap_or(usize::MAX),
        depth: usize::try_from(budget.max_depth).map_or(DEEPEST, |depth| depth.min(DEEPEST)),
        nodes: usize::try_from(budget.max_nodes).unwrap_or(usize::MAX),
    };
    json::parse(text, &limits).map_err(refused_json)
}

fn refused_json(error: JsonError) -> EngineError {
    let too_large = |limit, maximum: usize, asked: usize| EngineError::TooLarge {
        limit,
        maximum: maximum as u64,
        asked: asked as u64,
    };
    match error.cause {
        JsonCause::TooManyBytes { limit, actual } => too_large("max_bytes", limit, actual),
        JsonCause::TooDeep { limit } => too_large("max_depth", limit, limit + 1),
        JsonCause::TooManyNodes { limit } => too_large("max_nodes", limit, limit + 1),
        _ => EngineError::Malformed {
            pointer: String::new(),
            keyword: String::new(),
            reason: error.to_string(),
        },
    }
}

fn writing_of(options: &Options) -> Writing {
    let whitespace = match options.whitespace {
        Whitespace::Compact => crate::grammar::Whitespace::Compact,
        Whitespace::Bounded(most) => {
            crate::grammar::Whitespace::Bounded(u8::try_from(most).unwrap_or(u8::MAX))
        }
    };
    Writing {
        whitespace,
        item_spaces: options.item_spaces,
        key_spaces: options.key_spaces,
        any_order: options.any_order,
        all_spellings: options.all_spellings,
    }
}

fn limits_of(options: &Options) -> Limits {
    Limits {
        search_fuel: options.budget.compile_fuel,
        regex_fuel: options.budget.compile_fuel,
        ..Limits::default()
    }
}

fn refuse_exhausted(exhausted: Option<Exhausted>) -> Result<(), EngineError> {
    match exhausted {
        Some(Exhausted { limit, maximum }) => Err(EngineError::TooLarge {
            limit,
            maximum,
            asked: maximum + 1,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_too_many_parts_is_too_large_and_does_not_exhaust_the_stack() {
        let vocabulary = Arc::new(Vocabulary::new(["[", "1", ""], &[], &[2]).unwrap());
        let schema = br#"{"type": "array", "minItems": 1000000}"#;
        let compile =
            move || Index::compile(Input::JsonSchema(schema), vocabulary, &Options::default());
        let thread = thread::Builder::new().stack_size(crate::grammar::STACK_BYTES);
        let made = thread.spawn(compile).unwrap().join().unwrap();
        let limit = "max_search_depth";
        assert!(matches!(made, Err(EngineError::TooLarge { limit: l, .. }) if l == limit));
    }
}
