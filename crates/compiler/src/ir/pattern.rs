//! Regular expressions, held to what RE2 takes: one pattern that it refuses
//! would make Envoy refuse a whole route configuration.

use regex_syntax::ast::{self, Ast, Visitor};

/// Largest repetition that RE2 takes, alone and in each other.
const REPEAT_MAX: u32 = 1000;
/// Largest compiled size that Envoy takes, in RE2's instructions; the bootstrap
/// says so. Sizes here err on the large side.
const SIZE_MAX: u64 = 1000;
/// Scripts by which RE2 names classes and that paths and headers may meet.
const SCRIPTS: [&str; 14] = [
    "Arabic",
    "Armenian",
    "Bengali",
    "Cyrillic",
    "Devanagari",
    "Georgian",
    "Greek",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Katakana",
    "Latin",
    "Thai",
];

/// Returns why RE2 would refuse the pattern, or would take it for another.
///
/// The `regex` crate is RE2's sibling and refuses the same constructs
/// (look-around, back-references); what it takes beyond RE2 is refused here.
pub(crate) fn fault(pattern: &str) -> Option<String> {
    if let Err(error) = regex_syntax::parse(pattern) {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        return Some(last.trim_start_matches("error: ").to_owned());
    }
    let ast = ast::parse::Parser::new().parse(pattern).ok()?;
    if let Err(fault) = ast::visit(&ast, BeyondRe2 { repeated: vec![1] }) {
        return Some(fault);
    }
    let size = size(&ast);
    (size > SIZE_MAX)
        .then(|| format!("compiles to about {size} instructions, more than {SIZE_MAX}"))
}

/// Finds what RE2 lacks.
struct BeyondRe2 {
    /// How often what is visited stands there, by the repetitions around it.
    repeated: Vec<u32>,
}

impl Visitor for BeyondRe2 {
    type Output = ();
    type Err = String;

    fn finish(self) -> Result<(), String> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::Repetition(repetition) => {
                let around = self.repeated.last().copied().unwrap_or(1);
                let times = around.saturating_mul(most(&repetition.op.kind).max(1));
                if times > REPEAT_MAX {
                    return Err(format!("repeats more than {REPEAT_MAX} times"));
                }
                self.repeated.push(times);
                Ok(())
            }
            Ast::Flags(set) => flags(&set.flags),
            Ast::Group(group) => match &group.kind {
                ast::GroupKind::NonCapturing(given) => flags(given),
                _ => Ok(()),
            },
            Ast::Assertion(assertion) => match assertion.kind {
                ast::AssertionKind::StartLine
                | ast::AssertionKind::EndLine
                | ast::AssertionKind::StartText
                | ast::AssertionKind::EndText
                | ast::AssertionKind::WordBoundary
                | ast::AssertionKind::NotWordBoundary => Ok(()),
                _ => Err("RE2 knows only \\b and \\B as ends of words".to_owned()),
            },
            Ast::ClassUnicode(class) => unicode(class),
            Ast::Literal(given) => literal(given),
            _ => Ok(()),
        }
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), String> {
        if matches!(ast, Ast::Repetition(_)) {
            self.repeated.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), String> {
        match item {
            ast::ClassSetItem::Bracketed(_) => {
                Err("RE2 takes a `[` in a class for itself; write it as `\\[`".to_owned())
            }
            ast::ClassSetItem::Unicode(class) => unicode(class),
            ast::ClassSetItem::Literal(given) => literal(given),
            ast::ClassSetItem::Range(range) => {
                literal(&range.start).and_then(|()| literal(&range.end))
            }
            _ => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), String> {
        Err("RE2 has no `&&`, `--` and `~~` in classes".to_owned())
    }
}

fn most(kind: &ast::RepetitionKind) -> u32 {
    match kind {
        ast::RepetitionKind::Range(
            ast::RepetitionRange::Exactly(times)
            | ast::RepetitionRange::AtLeast(times)
            | ast::RepetitionRange::Bounded(_, times),
        ) => *times,
        _ => 1,
    }
}

fn flags(flags: &ast::Flags) -> Result<(), String> {
    let unknown = flags.items.iter().any(|item| {
        matches!(
            item.kind,
            ast::FlagsItemKind::Flag(
                ast::Flag::IgnoreWhitespace | ast::Flag::CRLF | ast::Flag::Unicode
            )
        )
    });
    if unknown { Err("RE2 knows only the flags i, m, s and U".to_owned()) } else { Ok(()) }
}

fn unicode(class: &ast::ClassUnicode) -> Result<(), String> {
    let known = match &class.kind {
        ast::ClassUnicodeKind::OneLetter(_) => true,
        ast::ClassUnicodeKind::Named(name) => {
            (name.len() <= 2 && !name.is_empty()) || SCRIPTS.contains(&name.as_str())
        }
        ast::ClassUnicodeKind::NamedValue { .. } => false,
    };
    let name = || "RE2 knows classes by categories like \\p{Lu} and by scripts like \\p{Greek}";
    if known { Ok(()) } else { Err(name().to_owned()) }
}

fn literal(literal: &ast::Literal) -> Result<(), String> {
    use ast::{HexLiteralKind, LiteralKind};
    match literal.kind {
        LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
        | LiteralKind::HexBrace(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong) => {
            Err("RE2 writes characters as \\x{…}, not as \\u".to_owned())
        }
        _ => Ok(()),
    }
}

/// Returns at least how many instructions RE2 makes of an expression. It reads
/// UTF-8 byte by byte: a range of ASCII is an instruction, one beyond a handful.
fn size(ast: &Ast) -> u64 {
    let sum = |parts: &[Ast]| parts.iter().map(size).fold(0, u64::saturating_add);
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => 1,
        Ast::Literal(literal) => literal.c.len_utf8() as u64,
        Ast::Dot(_) => NEGATED,
        Ast::ClassUnicode(class) => unicode_size(class),
        Ast::ClassPerl(class) => perl_size(class),
        Ast::ClassBracketed(class) => {
            let negated = if class.negated { NEGATED } else { 0 };
            set_size(&class.kind).saturating_add(negated)
        }
        Ast::Group(group) => size(&group.ast).saturating_add(2),
        Ast::Repetition(repetition) => {
            let one = size(&repetition.ast).saturating_add(1);
            one.saturating_mul(most(&repetition.op.kind).max(1).into())
        }
        Ast::Alternation(parts) => {
            sum(parts.asts.as_slice()).saturating_add(parts.asts.len() as u64)
        }
        Ast::Concat(parts) => sum(parts.asts.as_slice()),
    }
}

/// Instructions for everything that a class does not hold.
const NEGATED: u64 = 10;

fn unicode_size(class: &ast::ClassUnicode) -> u64 {
    match &class.kind {
        // A script has some ten ranges, a category several hundred.
        ast::ClassUnicodeKind::Named(name) if name.len() > 2 => 150,
        _ => 700,
    }
}

fn perl_size(class: &ast::ClassPerl) -> u64 {
    // These are ASCII in RE2.
    4 + if class.negated { NEGATED } else { 0 }
}

fn set_size(set: &ast::ClassSet) -> u64 {
    use ast::ClassSetItem as Item;
    let range = |from: char, to: char| if from.is_ascii() && to.is_ascii() { 2 } else { 6 };
    match set {
        ast::ClassSet::Item(item) => match item {
            Item::Empty(_) => 0,
            Item::Literal(literal) => range(literal.c, literal.c),
            Item::Range(given) => range(given.start.c, given.end.c),
            Item::Ascii(class) => 4 + if class.negated { NEGATED } else { 0 },
            Item::Unicode(class) => unicode_size(class),
            Item::Perl(class) => perl_size(class),
            Item::Bracketed(class) => set_size(&class.kind).saturating_add(NEGATED),
            Item::Union(union) => {
                let items = union.items.iter().cloned().map(ast::ClassSet::Item);
                items.map(|item| set_size(&item)).fold(0, u64::saturating_add)
            }
        },
        ast::ClassSet::BinaryOp(op) => set_size(&op.lhs).saturating_add(set_size(&op.rhs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_re2_refuses_are_refused() {
        for bad in [
            "(",
            "(?=a)",
            r"(a)\1",
            "(?x)a",
            "a{1001}",
            "(a{50}){50}",
            "[",
            "*a",
            r"\u{61}",
            r"\p{Alphabetic}",
            r"\p{Script=Greek}",
            "[a-z&&[^b]]",
            "[a[b]]",
            r"\b{start}a",
            r"\<a",
            "[a-z]{1,900}x{1,900}",
            r"\p{L}{1,10}",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
        for good in [
            "/a/.*",
            "^(?i)abc$",
            "[a-z]{2,5}",
            "(?P<id>[0-9]+)",
            r"\d+\.png",
            r"[\[\]]",
            r"\pN",
            r"\p{Greek}+",
            "(?s:.)",
            r"\x41\x{42}",
            r"[^/]+",
            "/[a-zA-Z0-9_-]{1,63}/(.*)",
            r"\w{1,5}",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
    }
}
