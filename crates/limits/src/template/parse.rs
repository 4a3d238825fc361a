//! Tokens to a template.

use super::lex::{Piece, Token, error, pieces};
use super::{Expr, Function, Part, TemplateError, Value};

/// Nesting a template may have; parser and renderer recurse.
const MAX_DEPTH: usize = 32;

/// What the root has; a misspelled field would otherwise only show when a
/// client is refused.
const ROOT: [&str; 5] = ["RateLimitResponse", "RetryAfter", "status_code", "message", "request_id"];

pub(super) fn parse(text: &str, json: bool) -> Result<Vec<Part>, TemplateError> {
    let pieces = pieces(text)?;
    let mut parser = Parser { pieces: pieces.into_iter(), json, depth: 0 };
    let (parts, end) = parser.parts()?;
    match end {
        Stop::Text => Ok(parts),
        Stop::Else(_, at) | Stop::End(at) => Err(error("there is no `if` for this", at)),
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    json: bool,
    depth: usize,
}

/// What ended a run of parts.
enum Stop {
    Text,
    /// `else`, with the condition of `else if`.
    Else(Option<Expr>, usize),
    End(usize),
}

type Tokens<'a> = &'a [(Token, usize)];

impl Parser {
    fn parts(&mut self) -> Result<(Vec<Part>, Stop), TemplateError> {
        let mut parts = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, at) = match piece {
                Piece::Text(text) => {
                    parts.push(Part::Text(text));
                    continue;
                }
                Piece::Action(tokens, at) => (tokens, at),
            };
            let word = match tokens.first() {
                Some((Token::Word(word), _)) => word.as_str(),
                _ => "",
            };
            match word {
                "if" => parts.push(self.branches(&tokens[1..], at)?),
                "end" if tokens.len() == 1 => return Ok((parts, Stop::End(at))),
                "else" => {
                    let condition = match &tokens[1..] {
                        [] => None,
                        [(Token::Word(word), _), rest @ ..] if word == "if" => {
                            Some(self.whole(rest, at)?)
                        }
                        _ => return Err(error("`else` takes nothing or `if`", at)),
                    };
                    return Ok((parts, Stop::Else(condition, at)));
                }
                "range" | "with" | "define" | "template" | "block" | "break" | "continue" => {
                    return Err(error(&format!("`{word}` is not supported"), at));
                }
                _ => parts.push(Part::Print(self.whole(&tokens, at)?)),
            }
        }
        Ok((parts, Stop::Text))
    }

    fn branches(&mut self, condition: Tokens<'_>, at: usize) -> Result<Part, TemplateError> {
        self.deeper(at)?;
        let mut condition = self.whole(condition, at)?;
        let mut branches = Vec::new();
        let otherwise = loop {
            let (parts, end) = self.parts()?;
            branches.push((condition, parts));
            match end {
                Stop::End(_) => break Vec::new(),
                Stop::Else(Some(next), _) => condition = next,
                Stop::Else(None, _) => match self.parts()? {
                    (parts, Stop::End(_)) => break parts,
                    _ => return Err(error("`else` has no `end`", at)),
                },
                Stop::Text => return Err(error("`if` has no `end`", at)),
            }
        };
        self.depth -= 1;
        Ok(Part::If(branches, otherwise))
    }

    fn deeper(&mut self, at: usize) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(error("nested too deeply", at));
        }
        Ok(())
    }

    /// Parses tokens that must all belong to one pipeline.
    fn whole(&mut self, mut tokens: Tokens<'_>, at: usize) -> Result<Expr, TemplateError> {
        let expr = self.pipeline(&mut tokens, at)?;
        match tokens.first() {
            None => Ok(expr),
            Some((_, at)) => Err(error("there is no opening parenthesis for this", *at)),
        }
    }

    fn pipeline(&mut self, tokens: &mut Tokens<'_>, at: usize) -> Result<Expr, TemplateError> {
        let mut expr = self.command(tokens, None, at)?;
        while let Some(((Token::Pipe, at), rest)) = tokens.split_first() {
            *tokens = rest;
            expr = self.command(tokens, Some(expr), *at)?;
        }
        Ok(expr)
    }

    fn command(
        &mut self,
        tokens: &mut Tokens<'_>,
        piped: Option<Expr>,
        at: usize,
    ) -> Result<Expr, TemplateError> {
        if let Some(((Token::Word(word), at), rest)) = tokens.split_first()
            && let Some(function) = self.function(word, *at)?
        {
            *tokens = rest;
            let mut arguments = Vec::new();
            while !matches!(tokens.first(), None | Some((Token::Pipe | Token::Close, _))) {
                arguments.push(self.operand(tokens, *at)?);
            }
            arguments.extend(piped);
            let (least, most) = function.arity();
            if arguments.len() < least || arguments.len() > most {
                return Err(error(&format!("`{word}` has the wrong number of arguments"), *at));
            }
            return Ok(Expr::Call(function, arguments));
        }
        if piped.is_some() {
            return Err(error("only a function can stand behind |", at));
        }
        let operand = self.operand(tokens, at)?;
        match tokens.first() {
            None | Some((Token::Pipe | Token::Close, _)) => Ok(operand),
            Some((_, at)) => Err(error("only functions take arguments", *at)),
        }
    }

    fn function(&self, word: &str, at: usize) -> Result<Option<Function>, TemplateError> {
        Ok(Some(match word {
            "true" | "false" | "nil" => return Ok(None),
            "and" => Function::And,
            "or" => Function::Or,
            "not" => Function::Not,
            "eq" => Function::Eq,
            "ne" => Function::Ne,
            "lt" => Function::Lt,
            "le" => Function::Le,
            "gt" => Function::Gt,
            "ge" => Function::Ge,
            "len" => Function::Len,
            "index" => Function::Index,
            "hasKey" => Function::HasKey,
            "doNotSet" => Function::DoNotSet,
            "print" => Function::Print,
            "json" if self.json => Function::Json,
            "json" => return Err(error("`json` exists in bodyTemplate only", at)),
            _ => return Err(error(&format!("function `{word}` is not supported"), at)),
        }))
    }

    fn operand(&mut self, tokens: &mut Tokens<'_>, at: usize) -> Result<Expr, TemplateError> {
        let Some(((token, at), rest)) = tokens.split_first() else {
            return Err(error("a value is missing", at));
        };
        *tokens = rest;
        Ok(match token {
            Token::Text(text) => Expr::Literal(Value::Text(text.clone())),
            Token::Int(value) => Expr::Literal(Value::Int(*value)),
            Token::Word(word) => match word.as_str() {
                "true" => Expr::Literal(Value::Bool(true)),
                "false" => Expr::Literal(Value::Bool(false)),
                "nil" => Expr::Literal(Value::Nil),
                // A function without arguments may stand as an operand.
                _ => match self.function(word, *at)? {
                    Some(function @ Function::DoNotSet) => Expr::Call(function, Vec::new()),
                    _ => return Err(error("put the call in parentheses", *at)),
                },
            },
            Token::Field(names) => {
                if let Some(first) = names.first()
                    && !ROOT.contains(&first.as_str())
                {
                    return Err(error(&format!("there is no field `.{first}`"), *at));
                }
                Expr::Field(names.clone())
            }
            Token::Open => {
                self.deeper(*at)?;
                let inner = self.pipeline(tokens, *at)?;
                self.depth -= 1;
                match tokens.split_first() {
                    Some(((Token::Close, _), rest)) => *tokens = rest,
                    _ => return Err(error("the parenthesis is not closed", *at)),
                }
                match tokens.split_first() {
                    Some(((Token::Field(names), _), rest)) if !names.is_empty() => {
                        *tokens = rest;
                        Expr::Chain(Box::new(inner), names.clone())
                    }
                    _ => inner,
                }
            }
            Token::Close | Token::Pipe => return Err(error("a value is missing", *at)),
        })
    }
}

impl Function {
    /// Returns the least and the largest number of arguments.
    const fn arity(self) -> (usize, usize) {
        match self {
            Self::And | Self::Or | Self::Index => (1, usize::MAX),
            Self::Not | Self::Len | Self::Json => (1, 1),
            Self::Eq => (2, usize::MAX),
            Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge | Self::HasKey => (2, 2),
            Self::DoNotSet => (0, 0),
            Self::Print => (0, usize::MAX),
        }
    }
}
