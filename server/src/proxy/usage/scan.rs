//! Finds a few members of a JSON document as its bytes pass, without keeping the document.
//!
//! It follows strings, nesting and the names of members in the outermost object and in the
//! objects directly in it; an array around the document counts for nothing. It does not check
//! that the rest is JSON: what it finds is parsed strictly by who takes it.

/// Longest value that is kept; a longer one is passed over.
const MAX_VALUE_BYTES: usize = 16 * 1024;
/// Longest name that is compared, as it is written.
const MAX_NAME_BYTES: usize = 64;
/// Objects and arrays within one another; beyond, nothing more is found.
const MAX_DEPTH: u32 = 128;

/// Where a value stands: the member of the outermost object, or the member of one in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Top(Name),
    In(Name, Name),
}

/// The names that are looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Name {
    Usage,
    UsageMetadata,
    Model,
    ModelVersion,
    Message,
    Response,
    Groq,
    Other,
}

impl Name {
    fn read(raw: &[u8]) -> Self {
        // A name may be written with escapes.
        let text: String = serde_json::from_slice(raw).unwrap_or_default();
        match text.as_str() {
            "usage" => Self::Usage,
            "usageMetadata" => Self::UsageMetadata,
            "model" => Self::Model,
            "modelVersion" => Self::ModelVersion,
            "message" => Self::Message,
            "response" => Self::Response,
            "x_groq" => Self::Groq,
            _ => Self::Other,
        }
    }
}

/// Which values are kept.
fn is_wanted(place: Place) -> bool {
    use Name::{Groq, Message, Model, ModelVersion, Response, Usage, UsageMetadata};
    matches!(
        place,
        Place::Top(Usage | UsageMetadata | Model | ModelVersion)
            | Place::In(Message | Response | Groq, Usage | Model | UsageMetadata | ModelVersion)
    )
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum InString {
    #[default]
    No,
    Yes,
    Escaped,
}

/// One of the two objects whose members are looked at.
#[derive(Clone, Copy, Debug)]
struct Level {
    is_object: bool,
    /// The next string is a name.
    expects_name: bool,
    name: Name,
}

const NOWHERE: Level = Level { is_object: false, expects_name: false, name: Name::Other };

#[derive(Debug)]
struct Kept {
    place: Place,
    /// The depth around the value.
    depth: u32,
    bytes: Vec<u8>,
}

/// Follows one document.
#[derive(Debug)]
pub(super) struct Scanner {
    depth: u32,
    /// Whether an array stands around the document.
    wrapped: bool,
    /// Over, or not to be followed any further.
    done: bool,
    string: InString,
    outer: Level,
    inner: Level,
    name: Option<Vec<u8>>,
    kept: Option<Kept>,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            depth: 0,
            wrapped: false,
            done: false,
            string: InString::No,
            outer: NOWHERE,
            inner: NOWHERE,
            name: None,
            kept: None,
        }
    }
}

impl Scanner {
    /// One more byte; a value that is looked for comes out with the comma or bracket after it.
    pub fn take(&mut self, byte: u8) -> Option<(Place, Vec<u8>)> {
        if self.done {
            return None;
        }
        match self.string {
            InString::Escaped => self.string = InString::Yes,
            InString::Yes if byte == b'\\' => self.string = InString::Escaped,
            InString::Yes if byte == b'"' => {
                self.string = InString::No;
                self.keep(byte);
                self.name_ends();
                return None;
            }
            InString::Yes => {}
            InString::No => return self.take_structure(byte),
        }
        self.keep(byte);
        None
    }

    fn take_structure(&mut self, byte: u8) -> Option<(Place, Vec<u8>)> {
        match byte {
            b'"' => {
                self.string = InString::Yes;
                self.name_begins();
                self.keep(byte);
                None
            }
            b'{' | b'[' => {
                self.keep(byte);
                self.open(byte == b'{');
                None
            }
            b'}' | b']' => {
                let ended = self.value_ends();
                self.keep(byte);
                self.close();
                ended
            }
            b',' => {
                let ended = self.value_ends();
                self.keep(byte);
                if let Some(level) = self.level() {
                    level.expects_name = level.is_object;
                }
                ended
            }
            b':' => {
                self.keep(byte);
                self.value_begins();
                None
            }
            _ => {
                self.keep(byte);
                None
            }
        }
    }

    /// The level whose members stand at this depth, if they are looked at.
    fn level(&mut self) -> Option<&mut Level> {
        match self.depth.checked_sub(u32::from(self.wrapped))? {
            1 => Some(&mut self.outer),
            2 => Some(&mut self.inner),
            _ => None,
        }
    }

    fn open(&mut self, is_object: bool) {
        if self.depth == 0 && !is_object && !self.wrapped {
            self.wrapped = true;
        }
        self.depth = self.depth.saturating_add(1);
        self.done = self.depth > MAX_DEPTH;
        if let Some(level) = self.level() {
            *level = Level { is_object, expects_name: is_object, name: Name::Other };
        }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.done = self.depth == 0;
    }

    fn name_begins(&mut self) {
        if self.level().is_some_and(|level| level.expects_name) {
            self.name = Some(Vec::new());
        }
    }

    fn name_ends(&mut self) {
        let Some(raw) = self.name.take() else { return };
        let name = Name::read(&raw);
        if let Some(level) = self.level() {
            level.name = name;
            level.expects_name = false;
        }
    }

    fn value_begins(&mut self) {
        let place = match self.depth.checked_sub(u32::from(self.wrapped)) {
            Some(1) if self.outer.is_object => Place::Top(self.outer.name),
            Some(2) if self.outer.is_object && self.inner.is_object => Place::In(self.outer.name, self.inner.name),
            _ => return,
        };
        // A value within one that is kept is a part of it.
        if self.kept.is_none() && is_wanted(place) {
            self.kept = Some(Kept { place, depth: self.depth, bytes: Vec::new() });
        }
    }

    /// A comma or the end of what is around it ends a value.
    fn value_ends(&mut self) -> Option<(Place, Vec<u8>)> {
        let depth = self.depth;
        self.kept.take_if(|kept| kept.depth == depth).map(|kept| (kept.place, kept.bytes))
    }

    fn keep(&mut self, byte: u8) {
        if let Some(name) = self.name.as_mut().filter(|name| name.len() < MAX_NAME_BYTES) {
            name.push(byte);
        }
        if let Some(kept) = &mut self.kept {
            if kept.bytes.len() < MAX_VALUE_BYTES {
                kept.bytes.push(byte);
            } else {
                // Passed over, not cut short.
                self.kept = None;
            }
        }
    }
}
