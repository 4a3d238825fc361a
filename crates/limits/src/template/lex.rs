//! Words inside `{{ }}`.

use super::TemplateError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Word(String),
    /// `.a.b`; no names for the bare dot.
    Field(Vec<String>),
    Text(String),
    Int(i64),
    Open,
    Close,
    Pipe,
}

/// A stretch of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// Tokens of an action with their places, and the action's own place.
    Action(Vec<(Token, usize)>, usize),
}

/// Cuts a template into text and actions, trim markers applied.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim_next = false;
    while let Some(offset) = text[at..].find("{{") {
        let open = at + offset;
        let mut before = &text[at..open];
        if trim_next {
            before = before.trim_start();
        }
        let mut inner = open + 2;
        if text[inner..].starts_with("- ") || text[inner..].starts_with("-\n") {
            before = before.trim_end();
            inner += 1;
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let (tokens, close) = if text[inner..].trim_start().starts_with("/*") {
            (None, comment(text, inner)?)
        } else {
            let (tokens, close) = action(text, inner)?;
            (Some(tokens), close)
        };
        trim_next = text[..close].ends_with([' ', '\n', '\t']) && text[close..].starts_with("-}}");
        at = close + if trim_next { 3 } else { 2 };
        if let Some(tokens) = tokens {
            pieces.push(Piece::Action(tokens, open));
        }
    }
    let rest = if trim_next { text[at..].trim_start() } else { &text[at..] };
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// Returns where the comment's action closes.
fn comment(text: &str, from: usize) -> Result<usize, TemplateError> {
    let fault = || error("the comment does not end with */}}", from);
    let end = from + text[from..].find("*/").ok_or_else(fault)? + 2;
    let after = &text[end..];
    let spaces = after.len() - after.trim_start().len();
    match after.trim_start() {
        rest if rest.starts_with("}}") || rest.starts_with("-}}") => Ok(end + spaces),
        _ => Err(fault()),
    }
}

/// Reads tokens up to the closing braces and returns where those stand.
fn action(text: &str, from: usize) -> Result<(Vec<(Token, usize)>, usize), TemplateError> {
    let mut tokens = Vec::new();
    let mut at = from;
    loop {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            return Err(error("the action does not end with }}", from));
        };
        let (token, length) = match first {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '}' if rest.starts_with("}}") => return Ok((tokens, at)),
            '-' if rest.starts_with("-}}") => return Ok((tokens, at)),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '|' => (Token::Pipe, 1),
            '"' => quoted(rest, at)?,
            '`' => {
                let end =
                    rest[1..].find('`').ok_or_else(|| error("the string does not end", at))?;
                (Token::Text(rest[1..=end].to_owned()), end + 2)
            }
            '.' => field(rest),
            c if c.is_ascii_digit() || c == '-' => number(rest, at)?,
            c if c.is_alphabetic() || c == '_' => {
                let word: String = rest.chars().take_while(|c| is_name(*c)).collect();
                let length = word.len();
                (Token::Word(word), length)
            }
            '$' => return Err(error("variables are not supported", at)),
            c => return Err(error(&format!("'{c}' is not understood"), at)),
        };
        tokens.push((token, at));
        at += length;
    }
}

fn field(rest: &str) -> (Token, usize) {
    let mut names = Vec::new();
    let mut length = 0;
    while rest[length..].starts_with('.') {
        let name: String = rest[length + 1..].chars().take_while(|c| is_name(*c)).collect();
        length += 1 + name.len();
        if name.is_empty() {
            break;
        }
        names.push(name);
    }
    (Token::Field(names), length)
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), TemplateError> {
    let digits: &str = {
        let end = rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '.'));
        &rest[..end.map_or(rest.len(), |end| end + 1)]
    };
    let value = digits.parse().map_err(|_| error(&format!("'{digits}' is no whole number"), at))?;
    Ok((Token::Int(value), digits.len()))
}

/// Reads a string in double quotes: Go's escapes without octal and hex bytes.
fn quoted(rest: &str, at: usize) -> Result<(Token, usize), TemplateError> {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Text(value), index + 1)),
            '\n' => break,
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(c @ ('"' | '\\' | '\'')) => value.push(c),
                _ => return Err(error("this escape is not supported", at + index)),
            },
            c => value.push(c),
        }
    }
    Err(error("the string does not end", at))
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(super) fn error(message: &str, at: usize) -> TemplateError {
    TemplateError { message: message.to_owned(), at }
}
