//! Just enough DER to walk through a certificate: lengths are checked, and
//! nothing is copied.

/// What is left of an encoding.
#[derive(Debug, Clone)]
pub struct Der<'a>(pub &'a [u8]);

/// One element.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    /// Its first byte; tags of more bytes are not read.
    pub tag: u8,
    /// What it holds.
    pub content: &'a [u8],
    /// All of it, with tag and length.
    pub whole: &'a [u8],
}

/// Takes the next element; none at the end, and none that is malformed.
impl<'a> Iterator for Der<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let [tag, first, ..] = *self.0 else { return None };
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (header, size) = match first {
            0..=0x7f => (2, usize::from(first)),
            // A certificate has less than 64 KB, or 16 MB with room to spare.
            0x81..=0x83 => {
                let count = usize::from(first & 0x7f);
                let bytes = self.0.get(2..2 + count)?;
                (2 + count, bytes.iter().fold(0, |size, byte| size << 8 | usize::from(*byte)))
            }
            _ => return None,
        };
        let (whole, rest) = self.0.split_at_checked(header + size)?;
        self.0 = rest;
        Some(Element { tag, content: whole.get(header..)?, whole })
    }
}

impl<'a> Der<'a> {
    /// Takes the next element if it has this tag.
    pub fn take_if(&mut self, tag: u8) -> Option<Element<'a>> {
        (self.0.first() == Some(&tag)).then(|| self.next()).flatten()
    }
}

impl<'a> Element<'a> {
    /// What it is made of.
    pub fn inside(&self) -> Der<'a> {
        Der(self.content)
    }
}

/// Puts tag and length of a sequence in front of `content`.
pub fn sequence(content: &[u8]) -> Vec<u8> {
    let size = content.len();
    let mut out = vec![0x30];
    match size {
        0..=0x7f => out.push(size as u8),
        0x80..0x100 => out.extend([0x81, size as u8]),
        _ => out.extend([0x82, (size >> 8) as u8, size as u8]),
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_that_is_longer_than_the_rest_is_none() {
        assert!(Der(&[0x30, 3, 1, 2]).next().is_none());
        assert!(Der(&[0x30, 0x83, 0xff, 0xff, 0xff]).next().is_none());
        assert!(Der(&[0x30, 0x80, 0, 0]).next().is_none());
        assert!(Der(&[0x30]).next().is_none());
        assert!(Der(&[]).next().is_none());
    }

    #[test]
    fn a_sequence_is_read_back() {
        for size in [0, 0x7f, 0x80, 0xff, 0x100, 0x1234] {
            let content = vec![7; size];
            let whole = sequence(&content);
            let element = Der(&whole).next().unwrap();
            assert_eq!((element.tag, element.content), (0x30, content.as_slice()));
        }
    }
}
