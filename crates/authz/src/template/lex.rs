//! Text to tokens.

use super::TemplateError;

/// One piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// The inside of `{{ }}`.
    Action {
        tokens: Vec<Token>,
        line: usize,
    },
}

/// One token inside an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A lone `.`.
    Dot,
    /// `.name`; `adjacent` when nothing separates it from the token before.
    Field {
        name: String,
        adjacent: bool,
    },
    /// `$name`, or `$` as the empty name.
    Variable(String),
    Word(String),
    Text(String),
    Int(i64),
    Float(f64),
    Open,
    Close,
    Pipe,
    Comma,
    Declare,
    Assign,
}

pub(super) fn fault(line: usize, message: impl Into<String>) -> TemplateError {
    TemplateError::Parse { line, message: message.into() }
}

/// Splits a template into text and actions; trim markers are applied, comments
/// dropped.
pub(super) fn split(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut line = 1;
    let mut trim_next = false;
    while let Some(open) = rest.find("{{") {
        let (before, after) = rest.split_at(open);
        let mut inside = &after[2..];
        let mut literal = if trim_next { before.trim_start_matches(is_space) } else { before };
        if inside.starts_with('-') && inside[1..].starts_with(is_space) {
            literal = literal.trim_end_matches(is_space);
            inside = &inside[1..];
        }
        line += before.matches('\n').count();
        push_text(&mut pieces, literal);
        let end = action_end(inside).ok_or_else(|| fault(line, "unclosed action"))?;
        let body = &inside[..end];
        rest = &inside[end + 2..];
        let trimmed = body.strip_suffix('-').filter(|body| body.ends_with(is_space));
        trim_next = trimmed.is_some();
        let body = trimmed.unwrap_or(body);
        if !is_comment(body.trim_matches(is_space)) {
            pieces.push(Piece::Action { tokens: tokens(body, line)?, line });
        }
        line += inside[..end].matches('\n').count();
    }
    push_text(&mut pieces, if trim_next { rest.trim_start_matches(is_space) } else { rest });
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_comment(body: &str) -> bool {
    body.len() >= 4 && body.starts_with("/*") && body.ends_with("*/")
}

/// Finds the `}}` that ends an action, skipping quoted text and comments.
fn action_end(inside: &str) -> Option<usize> {
    if inside.trim_start_matches(is_space).starts_with("/*") {
        let comment = inside.find("*/")?;
        return inside[comment..].find("}}").map(|end| comment + end);
    }
    let bytes = inside.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            b'"' | b'\'' => {
                let quote = bytes[at];
                at += 1;
                while *bytes.get(at)? != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'`' => at += 1 + inside[at + 1..].find('`')?,
            _ => {}
        }
        at += 1;
    }
    None
}

fn tokens(body: &str, line: usize) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let mut rest = body;
    // Whether white space stood before the present token.
    let mut spaced = true;
    while let Some(first) = rest.chars().next() {
        let trimmed = rest.trim_start_matches(is_space);
        if trimmed.len() != rest.len() {
            rest = trimmed;
            spaced = true;
            continue;
        }
        let (token, used) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '|' => (Token::Pipe, 1),
            ',' => (Token::Comma, 1),
            '=' => (Token::Assign, 1),
            ':' if rest.starts_with(":=") => (Token::Declare, 2),
            '"' | '\'' => quoted(rest, first, line)?,
            '`' => {
                let end = rest[1..].find('`').ok_or_else(|| fault(line, "unclosed text"))?;
                (Token::Text(rest[1..=end].to_owned()), end + 2)
            }
            '$' => {
                let name = word(&rest[1..]);
                (Token::Variable(name.to_owned()), 1 + name.len())
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => match word(&rest[1..]) {
                "" => (Token::Dot, 1),
                name => (Token::Field { name: name.to_owned(), adjacent: !spaced }, 1 + name.len()),
            },
            c if c.is_ascii_digit() || matches!(c, '.' | '-' | '+') => number(rest, line)?,
            c if c.is_alphabetic() || c == '_' => {
                let name = word(rest);
                (Token::Word(name.to_owned()), name.len())
            }
            other => return Err(fault(line, format!("unexpected `{other}` in an action"))),
        };
        tokens.push(token);
        rest = &rest[used..];
        spaced = false;
    }
    Ok(tokens)
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

fn number(text: &str, line: usize) -> Result<(Token, usize), TemplateError> {
    let end = text
        .char_indices()
        .skip(1)
        .find(|&(at, c)| {
            let exponent = matches!(c, '+' | '-') && text[..at].ends_with(['e', 'E']);
            !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent)
        })
        .map_or(text.len(), |(at, _)| at);
    let literal = &text[..end];
    let plain = literal.replace('_', "");
    let token = if let Ok(int) = plain.parse::<i64>() {
        Token::Int(int)
    } else if let Some(Ok(int)) = plain.strip_prefix("0x").map(|hex| i64::from_str_radix(hex, 16)) {
        Token::Int(int)
    } else {
        match plain.parse::<f64>() {
            Ok(float) if float.is_finite() => Token::Float(float),
            _ => return Err(fault(line, format!("`{literal}` is not a number"))),
        }
    };
    Ok((token, end))
}

fn quoted(text: &str, quote: char, line: usize) -> Result<(Token, usize), TemplateError> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            let token = match quote {
                '"' => Token::Text(out),
                _ => {
                    let mut only = out.chars();
                    match (only.next(), only.next()) {
                        (Some(c), None) => Token::Int(i64::from(u32::from(c))),
                        _ => return Err(fault(line, "a character constant holds one character")),
                    }
                }
            };
            return Ok((token, at + 1));
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (_, escape) = chars.next().ok_or_else(|| fault(line, "unclosed text"))?;
        let mut hex = |digits: usize| {
            let code: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
            u32::from_str_radix(&code, 16)
                .ok()
                .and_then(char::from_u32)
                .ok_or_else(|| fault(line, "bad escape"))
        };
        out.push(match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            '\\' | '"' | '\'' => escape,
            'x' => hex(2)?,
            'u' => hex(4)?,
            'U' => hex(8)?,
            other => return Err(fault(line, format!("unknown escape `\\{other}`"))),
        });
    }
    Err(fault(line, "unclosed text"))
}
