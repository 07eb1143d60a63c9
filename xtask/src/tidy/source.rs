//! Tells the code of a Rust file from its comments and its texts.
//!
//! So a rule about code is blind to comments and string literals, and a rule's own list of forbidden words,
//! which is made of literals, does not find itself.

/// A Rust file in two layers, line by line as long as the original: what belongs to the other layer is blank.
#[derive(Debug)]
pub(super) struct Source {
    /// Without comments and without the contents of literals.
    pub(super) code: String,
    /// Comments alone, with their slashes.
    pub(super) comments: String,
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        let mut layers = Layers { text: text.as_bytes(), at: 0, code: Vec::new(), comments: Vec::new() };
        while layers.at < layers.text.len() {
            layers.next();
        }
        let text = |bytes| String::from_utf8(bytes).expect("a layer ends where a character ends");
        Self { code: text(layers.code), comments: text(layers.comments) }
    }

    /// The lines of the code with their numbers, from 1.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }

    /// The lines of the comments with their numbers, from 1.
    pub(super) fn comment_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.comments.lines())
    }

    /// The attributes with the numbers of their first lines: `#[...]` and `#![...]`, brackets included.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (usize, &str)> {
        let starts = self.code.match_indices('#').map(|(at, _)| at);
        starts.filter_map(|at| {
            let end = at + attribute_length(&self.code[at..])?;
            Some((self.code[..at].matches('\n').count() + 1, &self.code[at..end]))
        })
    }
}

/// The length of the attribute with which the code begins, if it begins with one.
pub(super) fn attribute_length(code: &str) -> Option<usize> {
    let body = code.strip_prefix("#![").or_else(|| code.strip_prefix("#["))?;
    let mut depth = 1;
    for (at, letter) in body.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(code.len() - body.len() + at + 1);
        }
    }
    None
}

/// Which layer a stretch of the file belongs to.
#[derive(Clone, Copy)]
enum Layer {
    Code,
    Comment,
    /// Neither: the inside of a literal.
    Literal,
}

struct Layers<'t> {
    text: &'t [u8],
    at: usize,
    code: Vec<u8>,
    comments: Vec<u8>,
}

impl Layers<'_> {
    fn next(&mut self) {
        let rest = &self.text[self.at..];
        if rest.starts_with(b"//") {
            let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            self.take(end, Layer::Comment);
        } else if rest.starts_with(b"/*") {
            self.take(block_comment(rest), Layer::Comment);
        } else if let Some(hashes) = raw_string(rest).filter(|_| !self.follows_a_word()) {
            let open = rest.iter().position(|&byte| byte == b'"').unwrap_or(0) + 1;
            let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let inside = find(&rest[open..], &close);
            self.take(open, Layer::Code);
            self.take(inside, Layer::Literal);
            self.take(close.len(), Layer::Code);
        } else if rest[0] == b'"' {
            self.take(1, Layer::Code);
            self.take(quoted(&rest[1..], b'"'), Layer::Literal);
            self.take(1, Layer::Code);
        } else if rest[0] == b'\'' && is_character(rest) {
            self.take(1, Layer::Code);
            self.take(quoted(&rest[1..], b'\''), Layer::Literal);
            self.take(1, Layer::Code);
        } else {
            self.take(1, Layer::Code);
        }
    }

    /// Moves over so many bytes, which belong to one layer.
    fn take(&mut self, length: usize, layer: Layer) {
        let end = self.text.len().min(self.at + length);
        for &byte in &self.text[self.at..end] {
            let blank = if byte == b'\n' { b'\n' } else { b' ' };
            let (code, comment) = match layer {
                Layer::Code => (byte, blank),
                Layer::Comment => (blank, byte),
                Layer::Literal => (blank, blank),
            };
            self.code.push(code);
            self.comments.push(comment);
        }
        self.at = end;
    }

    /// Whether the byte before is a part of a word, so that an `r` here does not begin a raw string.
    fn follows_a_word(&self) -> bool {
        self.at > 0 && (self.text[self.at - 1].is_ascii_alphanumeric() || self.text[self.at - 1] == b'_')
    }
}

/// The length of a block comment; they nest.
fn block_comment(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        let step = if text[at..].starts_with(b"/*") {
            depth += 1;
            2
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The number of hashes of a raw string that begins here: `r"`, `br#"`, `cr##"`.
fn raw_string(text: &[u8]) -> Option<usize> {
    let prefix = [b"br".as_slice(), b"cr", b"r"].into_iter().find(|prefix| text.starts_with(prefix))?;
    let rest = &text[prefix.len()..];
    let hashes = rest.iter().take_while(|&&byte| byte == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

/// The distance to the closing quote, over escapes.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < text.len() && text[at] != quote {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// Whether the quote opens a character and not a lifetime: `'a'` and `'\n'`, but not `'a`.
fn is_character(text: &[u8]) -> bool {
    let letter = std::str::from_utf8(&text[1..text.len().min(5)]);
    let width = match letter {
        Ok(letter) => letter.chars().next().map_or(0, char::len_utf8),
        // The four bytes may end within the character after this one.
        Err(error) if error.valid_up_to() > 0 => {
            let valid = std::str::from_utf8(&text[1..=error.valid_up_to()]);
            valid.ok().and_then(|letter| letter.chars().next()).map_or(0, char::len_utf8)
        }
        Err(_) => 0,
    };
    text.get(1) == Some(&b'\\') || (width > 0 && text.get(1 + width) == Some(&b'\''))
}

fn find(text: &[u8], wanted: &[u8]) -> usize {
    text.windows(wanted.len()).position(|window| window == wanted).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let source = Source::new(text);
        assert_eq!(source.code.len(), text.len());
        assert_eq!(source.comments.len(), text.len());
        source.code
    }

    #[test]
    fn literals_and_comments_are_blank_in_the_code() {
        assert_eq!(code("a(\"b\") // c"), "a(\" \")     ");
        assert_eq!(code(r#"a("b\"c", d)"#), r#"a("    ", d)"#);
        assert_eq!(code(r##"a(r#"b"c"#, d)"##), r##"a(r#"   "#, d)"##);
        assert_eq!(code("/* a /* b */ c */ d"), "                  d");
        assert_eq!(code("bar\"x\""), "bar\" \"");
        assert_eq!(code("\"\n\""), "\"\n\"");
    }

    #[test]
    fn characters_are_literals_and_lifetimes_are_not() {
        assert_eq!(code("x == '\"' && y"), "x == ' ' && y");
        assert_eq!(code(r"x == '\'' && y"), "x == '  ' && y");
        assert_eq!(code("x == 'é' && y"), "x == '  ' && y");
        assert_eq!(code("fn a<'a>(b: &'a str)"), "fn a<'a>(b: &'a str)");
        assert_eq!(code("'é"), "'é");
    }

    #[test]
    fn comments_keep_their_lines() {
        let source = Source::new("a // é one\n\"// no\"\n/* two */ b\n");
        let comments: Vec<_> = source.comment_lines().map(|(line, text)| (line, text.trim())).collect();
        assert_eq!(comments, [(1, "// é one"), (2, ""), (3, "/* two */")]);
    }

    #[test]
    fn attributes_end_at_their_bracket() {
        let source = Source::new("#![a(b = [1])]\n\n#[c(\n    d = \"]\"\n)]\nfn e() {}");
        let attributes: Vec<_> = source.attributes().collect();
        assert_eq!(attributes, [(1, "#![a(b = [1])]"), (3, "#[c(\n    d = \" \"\n)]")]);
    }
}
