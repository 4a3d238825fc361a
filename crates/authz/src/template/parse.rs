//! Tokens to a tree.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::functions::Function;
use super::lex::{Piece, Token, fault, split};
use super::{Functions, MAX_DEPTH, TemplateError};

#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Action(Pipeline),
    If { condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    With { value: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    Range { over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    Break,
    Continue,
}

/// Commands joined by `|`, and the variables that take the result.
#[derive(Debug, Clone, Default)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// `=` rather than `:=`.
    pub(super) assign: bool,
    pub(super) commands: Vec<Vec<Term>>,
}

/// One operand of a command; the first one may be a function or a method.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) head: Head,
    /// Fields taken of the head, in order.
    pub(super) path: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Head {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Variable(String),
    Function(Function),
    Group(Pipeline),
}

pub(super) fn parse(text: &str, functions: Functions) -> Result<Vec<Node>, TemplateError> {
    let pieces = split(text)?;
    let mut parser = Parser {
        pieces: pieces.into_iter().peekable(),
        functions,
        variables: vec![String::new()],
        loops: 0,
    };
    let (nodes, end) = parser.block(0)?;
    match end {
        End::Text => Ok(nodes),
        End::Else { line, .. } => Err(fault(line, "unexpected {{else}}")),
        End::Close { line } => Err(fault(line, "unexpected {{end}}")),
    }
}

struct Parser {
    pieces: Peekable<IntoIter<Piece>>,
    functions: Functions,
    /// Variables in scope; `$` is the empty name.
    variables: Vec<String>,
    loops: usize,
}

/// What ended a block.
enum End {
    Text,
    Else { rest: Vec<Token>, line: usize },
    Close { line: usize },
}

type Tokens = Peekable<IntoIter<Token>>;

impl Parser {
    fn block(&mut self, depth: usize) -> Result<(Vec<Node>, End), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, line) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { tokens, line } => (tokens, line),
            };
            if depth >= MAX_DEPTH {
                return Err(TemplateError::Bound { bound: MAX_DEPTH, unit: "nested blocks" });
            }
            let keyword = match tokens.first() {
                Some(Token::Word(word)) => word.as_str(),
                _ => "",
            };
            let rest = || tokens[1..].to_vec();
            match keyword {
                "end" if tokens.len() == 1 => return Ok((nodes, End::Close { line })),
                "else" => return Ok((nodes, End::Else { rest: rest(), line })),
                "if" | "with" | "range" => {
                    nodes.push(self.control(keyword, rest(), line, depth)?);
                }
                "break" | "continue" if tokens.len() == 1 => {
                    if self.loops == 0 {
                        return Err(fault(
                            line,
                            format!("{{{{{keyword}}}}} outside {{{{range}}}}"),
                        ));
                    }
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                "define" | "template" | "block" | "end" | "break" | "continue" => {
                    return Err(fault(line, format!("{{{{{keyword}}}}} is not supported here")));
                }
                _ => nodes.push(Node::Action(self.whole_pipeline(tokens, line, depth, 1)?)),
            }
        }
        Ok((nodes, End::Text))
    }

    fn control(
        &mut self,
        keyword: &str,
        tokens: Vec<Token>,
        line: usize,
        depth: usize,
    ) -> Result<Node, TemplateError> {
        let scope = self.variables.len();
        let is_range = keyword == "range";
        let head = self.whole_pipeline(tokens, line, depth, if is_range { 2 } else { 1 })?;
        self.loops += usize::from(is_range);
        let (body, end) = self.block(depth + 1)?;
        self.loops -= usize::from(is_range);
        let otherwise = match end {
            End::Close { .. } => Vec::new(),
            End::Text => return Err(fault(line, format!("{{{{{keyword}}}}} without {{{{end}}}}"))),
            End::Else { rest, line } if rest.is_empty() => match self.block(depth + 1)? {
                (nodes, End::Close { .. }) => nodes,
                _ => return Err(fault(line, "{{else}} without {{end}}")),
            },
            End::Else { rest, line } => match rest.first() {
                Some(Token::Word(word)) if word == keyword && !is_range => {
                    if depth + 1 >= MAX_DEPTH {
                        return Err(TemplateError::Bound {
                            bound: MAX_DEPTH,
                            unit: "nested blocks",
                        });
                    }
                    vec![self.control(keyword, rest[1..].to_vec(), line, depth + 1)?]
                }
                _ => return Err(fault(line, "unexpected text after {{else}}")),
            },
        };
        self.variables.truncate(scope);
        Ok(match keyword {
            "if" => Node::If { condition: head, then: body, otherwise },
            "with" => Node::With { value: head, then: body, otherwise },
            _ => Node::Range { over: head, body, otherwise },
        })
    }

    /// Parses all of an action as one pipeline.
    fn whole_pipeline(
        &mut self,
        tokens: Vec<Token>,
        line: usize,
        depth: usize,
        most_variables: usize,
    ) -> Result<Pipeline, TemplateError> {
        let mut tokens = tokens.into_iter().peekable();
        let (variables, assign) = declaration(&mut tokens, line, most_variables)?;
        if assign {
            for name in &variables {
                self.known(name, line)?;
            }
        }
        let commands = self.commands(&mut tokens, line, depth)?;
        if tokens.next().is_some() {
            return Err(fault(line, "unexpected `)` in an action"));
        }
        if !assign {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline { variables, assign, commands })
    }

    fn commands(
        &self,
        tokens: &mut Tokens,
        line: usize,
        depth: usize,
    ) -> Result<Vec<Vec<Term>>, TemplateError> {
        if depth >= MAX_DEPTH {
            return Err(TemplateError::Bound { bound: MAX_DEPTH, unit: "nested parentheses" });
        }
        let mut commands = vec![Vec::new()];
        while let Some(token) = tokens.next_if(|token| *token != Token::Close) {
            let last = commands.last_mut().expect("starts with one command");
            if token == Token::Pipe {
                if last.is_empty() {
                    return Err(fault(line, "missing value before `|`"));
                }
                commands.push(Vec::new());
                continue;
            }
            let term = self.term(token, tokens, line, depth)?;
            last.push(term);
        }
        if commands.last().is_none_or(Vec::is_empty) {
            return Err(fault(line, "missing value in an action"));
        }
        for (position, command) in commands.iter().enumerate() {
            check_command(command, position, line)?;
        }
        Ok(commands)
    }

    fn term(
        &self,
        token: Token,
        tokens: &mut Tokens,
        line: usize,
        depth: usize,
    ) -> Result<Term, TemplateError> {
        let mut path = Vec::new();
        let head = match token {
            Token::Dot => Head::Dot,
            Token::Field { name, .. } => {
                path.push(name);
                Head::Dot
            }
            Token::Variable(name) => {
                self.known(&name, line)?;
                Head::Variable(name)
            }
            Token::Text(text) => Head::Text(text),
            Token::Int(int) => Head::Int(int),
            Token::Float(float) => Head::Float(float),
            Token::Word(word) => match word.as_str() {
                "true" => Head::Bool(true),
                "false" => Head::Bool(false),
                "nil" => Head::Nil,
                name => {
                    Head::Function(Function::named(name, self.functions).ok_or_else(|| {
                        fault(line, format!("function `{name}` is not supported"))
                    })?)
                }
            },
            Token::Open => {
                let commands = self.commands(tokens, line, depth + 1)?;
                if tokens.next() != Some(Token::Close) {
                    return Err(fault(line, "unclosed `(`"));
                }
                Head::Group(Pipeline { commands, ..Pipeline::default() })
            }
            Token::Close | Token::Pipe | Token::Comma | Token::Declare | Token::Assign => {
                return Err(fault(line, "misplaced punctuation in an action"));
            }
        };
        while let Some(Token::Field { name, .. }) =
            tokens.next_if(|token| matches!(token, Token::Field { adjacent: true, .. }))
        {
            path.push(name);
        }
        let has_fields = matches!(head, Head::Dot | Head::Variable(_) | Head::Group(_));
        if !path.is_empty() && !has_fields {
            return Err(fault(line, format!("field .{} of a constant or function", path[0])));
        }
        Ok(Term { head, path })
    }

    fn known(&self, name: &str, line: usize) -> Result<(), TemplateError> {
        match self.variables.iter().any(|known| known == name) {
            true => Ok(()),
            false => Err(fault(line, format!("undefined variable `${name}`"))),
        }
    }
}

/// Reads `$a :=`, `$a =` or `$a, $b :=`.
fn declaration(
    tokens: &mut Tokens,
    line: usize,
    most: usize,
) -> Result<(Vec<String>, bool), TemplateError> {
    let ahead: Vec<Token> = tokens.clone().take(4).collect();
    let (names, operator) = match ahead.as_slice() {
        [Token::Variable(a), Token::Comma, Token::Variable(b), operator] => {
            (vec![a.clone(), b.clone()], operator)
        }
        [Token::Variable(a), operator, ..] => (vec![a.clone()], operator),
        _ => return Ok((Vec::new(), false)),
    };
    let assign = match operator {
        Token::Declare => false,
        Token::Assign => true,
        _ => return Ok((Vec::new(), false)),
    };
    if names.len() > most || names.iter().any(String::is_empty) {
        return Err(fault(line, "too many or unnamed variables in a declaration"));
    }
    for _ in 0..names.len() * 2 {
        tokens.next();
    }
    Ok((names, assign))
}

/// Refuses at load what Go refuses when it parses: arguments to something that
/// takes none.
fn check_command(command: &[Term], position: usize, line: usize) -> Result<(), TemplateError> {
    let Some(first) = command.first() else { return Ok(()) };
    let callable = matches!(first.head, Head::Function(_)) || !first.path.is_empty();
    if (command.len() > 1 || position > 0) && !callable {
        return Err(fault(line, "arguments given to something that is not a function"));
    }
    for term in &command[1..] {
        if matches!(&term.head, Head::Function(function) if !function.takes_nothing()) {
            return Err(fault(line, "a function as an argument needs parentheses"));
        }
    }
    Ok(())
}
