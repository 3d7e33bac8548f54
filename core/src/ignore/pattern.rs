//! One pattern of gitignore(5), and what it matches. Texts are bytes to it, as they are to git.

/// What a pattern asks for, step by step.
#[derive(Clone, Debug)]
enum Token {
    /// This byte.
    Byte(u8),
    /// `?`, or a class such as `[a-z]`: one of these bytes.
    OneOf(ByteSet),
    /// `*`: any bytes of one part.
    InPart,
    /// `**/` at the start of a part: no folder, or some.
    Folders,
    /// `**` at the start of a part: anything.
    Anything,
}

/// A pattern without the signs around it: `!`, a slash at its start or end.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// No special characters: compared as it is.
    Exact(String),
    /// `*` and then no special characters.
    Suffix(String),
    /// Anything else.
    Glob(Glob),
    /// Malformed: a class without an end, a backslash before nothing.
    Nothing,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let is_plain = |text: &str| !text.contains(['*', '?', '[', '\\']);
        if is_plain(text) {
            return Self::Exact(text.to_owned());
        }
        if let Some(rest) = text.strip_prefix('*')
            && is_plain(rest)
            && !rest.contains('/')
        {
            return Self::Suffix(rest.to_owned());
        }
        Glob::parse(text.as_bytes()).map_or(Self::Nothing, Self::Glob)
    }

    /// Whether it matches all of `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == text,
            Self::Suffix(suffix) => text.ends_with(suffix.as_str()) && !text.contains('/'),
            Self::Glob(glob) => glob.matches(text.as_bytes()),
            Self::Nothing => false,
        }
    }
}

/// A pattern with special characters, as an automaton: its state is a place between tokens.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    tokens: Vec<Token>,
}

impl Glob {
    fn parse(pattern: &[u8]) -> Option<Self> {
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut rest = pattern;
        let mut is_part_start = true;
        while let [first, after @ ..] = rest {
            rest = after;
            tokens.push(match first {
                b'*' => {
                    let stars = rest.iter().take_while(|byte| **byte == b'*').count();
                    rest = rest.get(stars..).unwrap_or_default();
                    match rest {
                        [] if stars > 0 && is_part_start => Token::Anything,
                        [b'/', below @ ..] if stars > 0 && is_part_start => {
                            rest = below;
                            tokens.push(Token::Folders);
                            continue;
                        }
                        [b'\\', b'/', ..] if stars > 0 && is_part_start => Token::Anything,
                        _ => Token::InPart,
                    }
                }
                b'?' => Token::OneOf(ByteSet::default().inverted()),
                b'[' => Token::OneOf(parse_class(&mut rest)?),
                b'\\' => Token::Byte(take(&mut rest)?),
                byte => Token::Byte(*byte),
            });
            is_part_start = matches!(tokens.last(), Some(Token::Byte(b'/')));
        }
        Some(Self { tokens })
    }

    /// Follows all ways through the pattern at once: the time is at most its length times that of the text.
    #[expect(clippy::indexing_slicing, reason = "there is a place for each token and one behind them")]
    fn matches(&self, text: &[u8]) -> bool {
        let mut here = vec![false; self.tokens.len() + 1];
        let mut next = here.clone();
        self.enter(&mut here, 0);
        for byte in text {
            next.fill(false);
            for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| here[*at]) {
                match token {
                    Token::Byte(wanted) if byte == wanted => self.enter(&mut next, at + 1),
                    Token::OneOf(bytes) if bytes.holds(*byte) => self.enter(&mut next, at + 1),
                    Token::InPart if *byte != b'/' => self.enter(&mut next, at),
                    Token::Anything => self.enter(&mut next, at),
                    Token::Folders => {
                        next[at] = true;
                        if *byte == b'/' {
                            self.enter(&mut next, at + 1);
                        }
                    }
                    Token::Byte(_) | Token::OneOf(_) | Token::InPart => {}
                }
            }
            std::mem::swap(&mut here, &mut next);
        }
        here[self.tokens.len()]
    }

    /// Goes to a place, and past the tokens behind it that may match nothing.
    #[expect(
        clippy::indexing_slicing,
        reason = "a place has a token behind it before there is another place"
    )]
    fn enter(&self, places: &mut [bool], mut at: usize) {
        while !places[at] {
            places[at] = true;
            if let Some(Token::InPart | Token::Folders | Token::Anything) = self.tokens.get(at) {
                at += 1;
            }
        }
    }
}

/// Some of the 256 bytes; never the slash, which no `?` and no class matches.
#[derive(Clone, Copy, Debug, Default)]
struct ByteSet([u64; 4]);

impl ByteSet {
    #[expect(clippy::indexing_slicing, reason = "a byte divided by 64 is below four")]
    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
    }

    #[expect(clippy::indexing_slicing, reason = "a byte divided by 64 is below four")]
    fn holds(&self, byte: u8) -> bool {
        byte != b'/' && self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }

    fn inverted(self) -> Self {
        Self(self.0.map(|bits| !bits))
    }
}

/// Reads a class behind its `[` to its `]`; nothing if it has no end.
fn parse_class(rest: &mut &[u8]) -> Option<ByteSet> {
    let is_inverted = matches!(rest, [b'!' | b'^', ..]);
    if is_inverted {
        let _ = take(rest);
    }
    let mut bytes = ByteSet::default();
    // What a `-` would count from.
    let mut from = None;
    let mut is_first = true;
    loop {
        let byte = take(rest)?;
        match (byte, from, *rest) {
            (b']', ..) if !is_first => break,
            (b'-', Some(start), [end, ..]) if *end != b']' => {
                let end = take_escaped(rest)?;
                (start..=end).for_each(|byte| bytes.add(byte));
                from = None;
            }
            (b'[', _, [b':', named @ ..]) => {
                let end = named.iter().position(|byte| *byte == b']')?;
                let (name, behind) = named.split_at_checked(end)?;
                match name.split_last() {
                    Some((b':', name)) => {
                        let is_meant = named_class(name)?;
                        (0..=u8::MAX).filter(is_meant).for_each(|byte| bytes.add(byte));
                        *rest = behind.get(1..)?;
                        from = None;
                    }
                    _ => {
                        bytes.add(byte);
                        from = Some(byte);
                    }
                }
            }
            (b'\\', ..) => {
                let byte = take(rest)?;
                bytes.add(byte);
                from = Some(byte);
            }
            _ => {
                bytes.add(byte);
                from = Some(byte);
            }
        }
        is_first = false;
    }
    Some(if is_inverted { bytes.inverted() } else { bytes })
}

fn named_class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

fn take_escaped(rest: &mut &[u8]) -> Option<u8> {
    match take(rest)? {
        b'\\' => take(rest),
        byte => Some(byte),
    }
}
