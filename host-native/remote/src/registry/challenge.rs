//! How a registry asks who is there: the header `WWW-Authenticate` (RFC 9110, 11.6.1), read as leniently as others do.
//!
//! Several challenges may stand in one header, parameters without quotation marks, and a URL or a scope among those.

/// A scheme and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawChallenge {
    pub(super) scheme: String,
    parameters: Vec<(String, String)>,
}

/// The schemes that stand alone, without a parameter, and must not be taken for the end of a value before them.
const SCHEMES: [&str; 5] = ["basic", "bearer", "digest", "negotiate", "ntlm"];

impl RawChallenge {
    /// The value of a parameter; names are compared without regard to case.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads the challenges of one header, in their order. What makes no sense is passed over.
pub(super) fn parse(header: &str) -> Vec<RawChallenge> {
    let mut challenges: Vec<RawChallenge> = Vec::new();
    let mut rest = skip_separators(header);
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len()));
        let value = after.trim_start().strip_prefix('=');
        rest = match (value, challenges.last_mut()) {
            (Some(value), Some(challenge)) => {
                let (value, after) = read_value(value.trim_start());
                challenge.parameters.push((word.to_owned(), value));
                after
            }
            (None, _) if !word.is_empty() => {
                challenges.push(RawChallenge { scheme: word.to_owned(), parameters: Vec::new() });
                after
            }
            _ => after.get(1..).unwrap_or_default(),
        };
        rest = skip_separators(rest);
    }
    challenges
}

fn skip_separators(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', ','])
}

/// A value at the start of `text`, and what follows it.
fn read_value(text: &str) -> (String, &str) {
    match text.strip_prefix('"') {
        Some(quoted) => read_quoted(quoted),
        None => {
            let (value, after) = text.split_at(unquoted_length(text));
            (value.to_owned(), after)
        }
    }
}

fn read_quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

/// How long a value without quotation marks is. A comma in it ends it, unless only one more word stands there, as in
/// `scope=repository:a/b:pull,push`.
fn unquoted_length(text: &str) -> usize {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let mut length = text[..end].find(',').unwrap_or(end);
    while let Some(next) = text[length..].strip_prefix(',') {
        let word = &next[..next.find(',').unwrap_or(next.len())];
        let is_scheme = SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(word));
        if word.is_empty() || is_scheme || word.contains(['=', ' ', '\t', '"']) {
            break;
        }
        length += 1 + word.len();
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each challenge as `scheme name=value;…`.
    fn read(header: &str) -> Vec<String> {
        let spell = |challenge: &RawChallenge| {
            let parameters = challenge.parameters.iter().map(|(name, value)| format!("{name}={value}"));
            format!("{} {}", challenge.scheme, parameters.collect::<Vec<_>>().join(";"))
        };
        parse(header).iter().map(spell).collect()
    }

    #[test]
    fn challenges_are_read_as_they_are_written() {
        let bearer = "Bearer realm=https://a.example/t?x=1;service=r;scope=repository:a/b:pull,push";
        for header in [
            r#"Bearer realm="https://a.example/t?x=1",service="r",scope="repository:a/b:pull,push""#,
            r#"Bearer realm = "https://a.example/t?x=1" , service=r , scope="repository:a/b:pull,push""#,
            "Bearer realm=https://a.example/t?x=1,service=r,scope=repository:a/b:pull,push",
            "Bearer realm=https://a.example/t?x=1 service=r scope=repository:a/b:pull,push",
            r#",, Bearer  realm="https://a.example/t?x\=1",service="r" scope=repository:a/b:pull,push,"#,
        ] {
            assert_eq!(read(header), [bearer], "{header}");
        }
        assert_eq!(parse("bEARER Realm=x")[0].value("realm"), Some("x"));
        assert_eq!(parse("Bearer realm=x")[0].value("scope"), None);
    }

    #[test]
    fn several_challenges_in_one_header_are_several() {
        for (header, expected) in [
            (
                r#"Basic realm="x", Bearer realm="y",service="s""#,
                vec!["Basic realm=x", "Bearer realm=y;service=s"],
            ),
            (
                r#"Bearer realm=y,scope=a:b:pull,Basic realm=x"#,
                vec!["Bearer realm=y;scope=a:b:pull", "Basic realm=x"],
            ),
            ("Negotiate, Basic realm=x", vec!["Negotiate ", "Basic realm=x"]),
            ("Bearer realm=y,Negotiate,Basic", vec!["Bearer realm=y", "Negotiate ", "Basic "]),
            ("Basic", vec!["Basic "]),
            ("", vec![]),
            (",,=", vec![]),
            (r#"Basic realm="never closed"#, vec!["Basic realm=never closed"]),
        ] {
            assert_eq!(read(header), expected, "{header}");
        }
        // What a scheme of another kind says in place of parameters ends up in nobody's.
        let mixed = parse("Negotiate YWJj==, Bearer realm=y");
        assert_eq!(mixed.last().unwrap().value("realm"), Some("y"));
    }
}
