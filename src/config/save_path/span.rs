//! A part of the save path that knows where it is, so that an error can
//! name the offset, and a quotation can be refused where a secret may be.

use std::fmt::Display;

/// What is wrong with the text, and where. The reason shows no secret.
#[derive(Debug)]
pub(super) struct SpanError {
    /// Offset in bytes in the whole text.
    pub at: usize,
    /// For an operator.
    pub reason: String,
}

/// A slice of the save path.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    whole: &'a str,
    text: &'a str,
    at: usize,
}

/// phpredis splits the list at what C calls white space, and at commas.
pub(super) fn is_separator(c: char) -> bool {
    matches!(c, ',' | ' ' | '\t'..='\r')
}

/// The same without the comma.
pub(super) fn is_space(c: char) -> bool {
    c != ',' && is_separator(c)
}

impl<'a> Span<'a> {
    /// The whole text.
    pub fn of(whole: &'a str) -> Self {
        Self { whole, text: whole, at: 0 }
    }

    /// The text that it is a part of.
    pub fn whole(self) -> &'a str {
        self.whole
    }

    pub fn text(self) -> &'a str {
        self.text
    }

    /// Offset of the first byte in the whole text.
    pub fn at(self) -> usize {
        self.at
    }

    /// Offset of the first byte after this span, in the whole text.
    pub fn end(self) -> usize {
        self.at + self.text.len()
    }

    pub fn len(self) -> usize {
        self.text.len()
    }

    pub fn is_empty(self) -> bool {
        self.text.is_empty()
    }

    /// Where in this span the first `pattern` is.
    pub fn find(self, pattern: impl Pattern) -> Option<usize> {
        pattern.find_in(self.text)
    }

    /// The part before byte `index` of this span, and the rest.
    pub fn split_at(self, index: usize) -> (Self, Self) {
        let (head, tail) = self.text.split_at_checked(index).unwrap_or((self.text, ""));
        let part = |text, at| Self { text, at, ..self };
        (part(head, self.at), part(tail, self.at + head.len()))
    }

    /// The part from byte `index` of this span on.
    pub fn after(self, index: usize) -> Self {
        self.split_at(index).1
    }

    /// The part before the first `pattern`, and the rest that begins with it.
    pub fn split_before(self, pattern: impl Pattern) -> (Self, Self) {
        self.split_at(self.find(pattern).unwrap_or(self.len()))
    }

    /// The parts before and after the first `mark`.
    pub fn split_once(self, mark: &str) -> Option<(Self, Self)> {
        let (head, tail) = self.split_at(self.find(mark)?);
        Some((head, tail.after(mark.len())))
    }

    /// The parts between all characters for which `is_mark` holds.
    pub fn split(self, is_mark: fn(char) -> bool) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let (part, tail) = rest?.split_before(is_mark);
            let mark = tail.text.chars().next();
            rest = mark.map(|mark| tail.after(mark.len_utf8()));
            Some(part)
        })
    }

    /// Without white space around it.
    pub fn trimmed(self) -> Self {
        let space = self.len() - self.text.trim_start().len();
        self.after(space).split_at(self.text.trim().len()).0
    }

    /// Without one pair of quotes around it.
    pub fn unquoted(self) -> Self {
        let trimmed = self.trimmed();
        for quote in ['"', '\''] {
            let inner = trimmed.text.strip_prefix(quote);
            if let Some(inner) = inner.and_then(|text| text.strip_suffix(quote)) {
                return trimmed.after(1).split_at(inner.len()).0;
            }
        }
        self
    }

    /// With `%41` read as `A`, and where `plus_is_space`, `+` as a space. A
    /// `%` without two hexadecimal digits means itself, as in PHP.
    ///
    /// # Errors
    /// What it encodes is not UTF-8 or holds a NUL byte.
    pub fn decoded(self, plus_is_space: bool) -> Result<String, SpanError> {
        let mut bytes = Vec::with_capacity(self.len());
        let mut rest = self.text.as_bytes();
        while let [first, tail @ ..] = rest {
            let (byte, tail) = match (first, tail) {
                (b'+', _) if plus_is_space => (b' ', tail),
                (b'%', [high, low, rest @ ..]) => match (hex(*high), hex(*low)) {
                    (Some(high), Some(low)) => (high << 4 | low, rest),
                    _ => (b'%', tail),
                },
                _ => (*first, tail),
            };
            bytes.push(byte);
            rest = tail;
        }
        if bytes.contains(&0) {
            return Err(self.error("NUL bytes are not allowed"));
        }
        String::from_utf8(bytes).map_err(|_| self.error("the text is not valid UTF-8"))
    }

    /// Says what is wrong here.
    pub fn error(self, reason: impl Display) -> SpanError {
        SpanError { at: self.at, reason: reason.to_string() }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// What can be looked for (the standard library's trait is not stable).
pub(super) trait Pattern {
    fn find_in(self, text: &str) -> Option<usize>;
}

impl Pattern for char {
    fn find_in(self, text: &str) -> Option<usize> {
        text.find(self)
    }
}

impl Pattern for &str {
    fn find_in(self, text: &str) -> Option<usize> {
        text.find(self)
    }
}

impl<F: Fn(char) -> bool> Pattern for F {
    fn find_in(self, text: &str) -> Option<usize> {
        text.find(self)
    }
}
