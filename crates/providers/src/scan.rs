//! A strict JSON scanner that finds where values are and decodes nothing.
//!
//! It accepts what RFC 8259 accepts, less documents nested deeper than [`MAX_DEPTH`] and escapes that
//! spell half a surrogate pair; that is also what `serde_json` accepts, so a body that passes here
//! can be parsed later without a new way to fail. Callers check UTF-8 beforehand.

mod run;

pub(crate) use run::plain_run;

use crate::work;

/// Containers inside each other; the next one is refused. `serde_json` draws the line here too.
pub(crate) const MAX_DEPTH: u32 = 127;

/// Why a document is no JSON, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: &'static str,
    pub(crate) at: usize,
}

/// A string between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Whether it holds a backslash, so that its bytes are not its text.
    pub(crate) escaped: bool,
}

/// One member of an object: its key, and its value from the first byte to behind the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) key: Text,
    pub(crate) value: usize,
    pub(crate) end: usize,
}

/// A position in a document, and after a fault its reason.
///
/// The steps below return next to nothing, so that their results travel in registers; what went
/// wrong is kept here until somebody asks.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

/// The document is no JSON: [`Scanner::fault`] says why.
#[derive(Debug)]
pub(crate) struct Broken;

/// Walks the members of one object, or the elements of one list.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    scanner: Scanner<'a>,
    depth: u32,
    fresh: bool,
    done: bool,
}

impl Fault {
    /// The text for the client: what, then where as an editor counts and as a program counts.
    pub(crate) fn describe(&self, bytes: &[u8]) -> String {
        let before = bytes.get(..self.at).unwrap_or(bytes);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        format!("{}: line {line} column {column} (byte {})", self.what, self.at)
    }
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Scanner { bytes, at, what: "" }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Why the last step was [`Broken`].
    pub(crate) fn fault(&self) -> Fault {
        Fault { what: self.what, at: self.at.min(self.bytes.len()) }
    }

    #[cold]
    pub(crate) fn fail<T>(&mut self, what: &'static str) -> Result<T, Broken> {
        self.what = if self.at >= self.bytes.len() { "unexpected end of data" } else { what };
        Err(Broken)
    }

    /// Skips white space and shows the byte behind it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Reads the string whose opening quote is the next byte; tells whether it holds escapes.
    fn string(&mut self) -> Result<bool, Broken> {
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = plain_run(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return self.fail("control character in string"),
            }
        }
    }

    #[inline]
    fn escape(&mut self) -> Result<(), Broken> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode_escape(),
            _ => {
                self.at += 1;
                self.fail("invalid escape in string")
            }
        }
    }

    fn unicode_escape(&mut self) -> Result<(), Broken> {
        let length = match (self.unit(self.at), self.unit(self.at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => return self.fail("half a surrogate pair in string"),
            (Some(_), _) => 6,
            (None, _) => return self.fail("invalid escape in string"),
        };
        self.at += length;
        Ok(())
    }

    /// The UTF-16 unit that `\uXXXX` at `at` spells.
    fn unit(&self, at: usize) -> Option<u32> {
        let Some([b'\\', b'u', digits @ ..]) = self.bytes.get(at..at + 6) else { return None };
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }

    fn number(&mut self) -> Result<(), Broken> {
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Broken> {
        let from = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == from { self.fail("invalid number") } else { Ok(()) }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Broken> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(())
        } else {
            self.fail("invalid literal")
        }
    }

    /// Reads a key and its colon; the position is then before the value.
    #[inline]
    fn key(&mut self) -> Result<Text, Broken> {
        if self.peek() != Some(b'"') {
            return self.fail("expected a key in double quotes");
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let end = self.at - 1;
        work::step(end - start + 2);
        if self.peek() != Some(b':') {
            return self.fail("expected a colon behind the key");
        }
        self.at += 1;
        Ok(Text { start, end, escaped })
    }

    /// Reads one value, whatever it is; `depth` containers are open around it.
    pub(crate) fn value(&mut self, depth: u32) -> Result<(), Broken> {
        // One bit for each open container, 1 for an object: a stack that cannot overflow, as the
        // depth is bounded by its width.
        let mut stack: u128 = 0;
        let mut open = depth;
        let mut counted = self.at;
        loop {
            work::step(self.at - std::mem::replace(&mut counted, self.at));
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    if open >= MAX_DEPTH {
                        return self.fail("nested too deeply");
                    }
                    self.at += 1;
                    let object = bracket == b'{';
                    // `}` and `]` are their opening brackets plus two.
                    if self.peek() != Some(bracket + 2) {
                        open += 1;
                        stack = stack << 1 | u128::from(object);
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                    self.at += 1;
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return self.fail("expected a value"),
            }
            open = self.close(depth, open, &mut stack)?;
            if open == depth {
                work::step(self.at - counted);
                return Ok(());
            }
        }
    }

    /// Behind a value: closes what ends here and steps over a comma; returns what is still open.
    #[inline]
    fn close(&mut self, depth: u32, mut open: u32, stack: &mut u128) -> Result<u32, Broken> {
        while open > depth {
            let object = *stack & 1 == 1;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if object {
                        self.key()?;
                    }
                    break;
                }
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                _ => return self.fail("expected a comma or a closing bracket"),
            }
            self.at += 1;
            open -= 1;
            *stack >>= 1;
        }
        Ok(open)
    }

    /// Whether nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Broken> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fail("unexpected content after document"),
        }
    }
}

impl<'a> Walk<'a> {
    /// Walks the object or list whose bracket is the byte at `at`; `depth` counts it too.
    pub(crate) fn new(bytes: &'a [u8], at: usize, depth: u32) -> Self {
        Walk { scanner: Scanner::new(bytes, at + 1), depth, fresh: true, done: false }
    }

    /// Whether another one follows, the position then being before it.
    #[inline]
    fn more(&mut self, close: u8) -> Result<bool, Broken> {
        match self.scanner.peek() {
            _ if self.done => return Ok(false),
            Some(byte) if byte == close => {
                self.scanner.at += 1;
                self.done = true;
                return Ok(false);
            }
            _ if self.fresh => self.fresh = false,
            Some(b',') => self.scanner.at += 1,
            _ => return self.scanner.fail("expected a comma or a closing bracket"),
        }
        Ok(true)
    }

    /// The next member of the object.
    #[inline]
    pub(crate) fn member(&mut self) -> Result<Option<Found>, Broken> {
        if !self.more(b'}')? {
            return Ok(None);
        }
        let key = self.scanner.key()?;
        self.scanner.peek();
        let value = self.scanner.at;
        self.scanner.value(self.depth)?;
        Ok(Some(Found { key, value, end: self.scanner.at }))
    }

    /// The next element of the list: its first byte and the one behind its last.
    #[inline]
    pub(crate) fn element(&mut self) -> Result<Option<(usize, usize)>, Broken> {
        if !self.more(b']')? {
            return Ok(None);
        }
        self.scanner.peek();
        let value = self.scanner.at;
        self.scanner.value(self.depth)?;
        Ok(Some((value, self.scanner.at)))
    }

    /// The scanner, behind what was walked so far.
    pub(crate) fn scanner(&mut self) -> &mut Scanner<'a> {
        &mut self.scanner
    }
}
