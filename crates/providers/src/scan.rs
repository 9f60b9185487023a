//! A strict JSON scanner that finds where values are and decodes nothing.
//!
//! It accepts what RFC 8259 accepts, less documents nested deeper than [`MAX_DEPTH`] and escapes that
//! spell half a surrogate pair; that is also what `serde_json` accepts, so a body that passes here
//! can be parsed later without a new way to fail. Callers check UTF-8 beforehand.

mod run;

pub(crate) use run::plain_run;

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

/// A position in a document.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

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
        Scanner { bytes, at }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Skips white space and shows the byte behind it.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    pub(crate) fn fault(&self, what: &'static str) -> Fault {
        let what = if self.at >= self.bytes.len() { "unexpected end of data" } else { what };
        Fault { what, at: self.at.min(self.bytes.len()) }
    }

    /// Reads the string whose opening quote is the next byte.
    pub(crate) fn string(&mut self) -> Result<Text, Fault> {
        let start = self.at + 1;
        let mut escaped = false;
        self.at = start;
        loop {
            self.at = plain_run(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text { start, end: self.at - 1, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.fault("control character in string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.unit(self.at)? {
                0xD800..=0xDBFF => match self.unit(self.at + 6) {
                    Ok(0xDC00..=0xDFFF) => {
                        self.at += 12;
                        Ok(())
                    }
                    _ => Err(self.fault("no low surrogate in string")),
                },
                0xDC00..=0xDFFF => Err(self.fault("no high surrogate in string")),
                _ => {
                    self.at += 6;
                    Ok(())
                }
            },
            _ => {
                self.at += 1;
                Err(self.fault("invalid escape in string"))
            }
        }
    }

    /// The UTF-16 unit that `\uXXXX` at `at` spells.
    fn unit(&self, at: usize) -> Result<u32, Fault> {
        let fault = self.fault("invalid escape in string");
        let digits = match self.bytes.get(at..at + 6) {
            Some([b'\\', b'u', digits @ ..]) => digits,
            _ => return Err(fault),
        };
        digits.iter().try_fold(0, |unit, digit| {
            char::from(*digit).to_digit(16).map(|digit| unit * 16 + digit).ok_or(fault)
        })
    }

    fn number(&mut self) -> Result<(), Fault> {
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

    fn digits(&mut self) -> Result<(), Fault> {
        let from = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == from { Err(self.fault("invalid number")) } else { Ok(()) }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.bytes.get(self.at..self.at + word.len()) == Some(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Fault { what: "invalid literal", at: self.at })
        }
    }

    /// Reads a key and its colon; the position is then before the value.
    fn key(&mut self) -> Result<Text, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a key in double quotes"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.fault("expected a colon behind the key"));
        }
        self.at += 1;
        Ok(key)
    }

    /// Reads one value, whatever it is; `depth` containers are open around it.
    pub(crate) fn value(&mut self, depth: u32) -> Result<(), Fault> {
        // One bit for each open container, 1 for an object: a stack that cannot overflow, as the
        // depth is bounded by its width.
        let mut stack: u128 = 0;
        let mut open = depth;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    if open >= MAX_DEPTH {
                        return Err(self.fault("nested too deeply"));
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
                Some(b'N' | b'I') => return Err(self.fault("invalid literal")),
                _ => return Err(self.fault("expected a value")),
            }
            while open > depth {
                let object = stack & 1 == 1;
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
                    _ => return Err(self.fault("expected a comma or a closing bracket")),
                }
                self.at += 1;
                open -= 1;
                stack >>= 1;
            }
            if open == depth {
                return Ok(());
            }
        }
    }

    /// Whether nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("unexpected content after document")),
        }
    }
}

impl<'a> Walk<'a> {
    /// Walks the object or list whose bracket is the byte at `at`; `depth` counts it too.
    pub(crate) fn new(bytes: &'a [u8], at: usize, depth: u32) -> Self {
        Walk { scanner: Scanner::new(bytes, at + 1), depth, fresh: true, done: false }
    }

    /// Whether another one follows, the position then being before it.
    fn more(&mut self, close: u8) -> Result<bool, Fault> {
        match self.scanner.peek() {
            _ if self.done => return Ok(false),
            Some(byte) if byte == close => {
                self.scanner.at += 1;
                self.done = true;
                return Ok(false);
            }
            _ if self.fresh => self.fresh = false,
            Some(b',') => self.scanner.at += 1,
            _ => return Err(self.scanner.fault("expected a comma or a closing bracket")),
        }
        Ok(true)
    }

    /// The next member of the object.
    pub(crate) fn member(&mut self) -> Result<Option<Found>, Fault> {
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
    pub(crate) fn element(&mut self) -> Result<Option<(usize, usize)>, Fault> {
        if !self.more(b']')? {
            return Ok(None);
        }
        self.scanner.peek();
        let value = self.scanner.at;
        self.scanner.value(self.depth)?;
        Ok(Some((value, self.scanner.at)))
    }

    /// The scanner, behind what was walked so far.
    pub(crate) fn into_scanner(self) -> Scanner<'a> {
        self.scanner
    }
}
