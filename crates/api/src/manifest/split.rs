//! YAML text into pieces at the lines that part documents.

/// A piece of the text and the line it begins at, from 1.
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) line: u32,
}

/// Returns the pieces of a text.
///
/// A line that begins with `---` starts a document wherever it stands: YAML
/// forbids it within one. Directives before it stay with their document.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let (mut offset, mut line) = (0, 1);
    let (mut blank, mut directives) = (true, false);
    for row in text.split_inclusive('\n') {
        let marks = row
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marks && !(blank && directives) {
            if !blank {
                out.push(Piece { text: &text[start..offset], line: start_line });
            }
            (start, start_line) = (offset, line);
        }
        if marks {
            (blank, directives) = (row[3..].trim().is_empty(), false);
        } else if row.starts_with('%') && blank {
            directives = true;
        } else {
            let content = row.trim();
            blank &= content.is_empty() || content.starts_with('#');
        }
        offset += row.len();
        line += 1;
    }
    if !blank {
        out.push(Piece { text: &text[start..], line: start_line });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(u32, &str)> {
        pieces(text).into_iter().map(|piece| (piece.line, piece.text)).collect()
    }

    #[test]
    fn documents_are_parted_at_marks_only() {
        assert_eq!(split(""), []);
        assert_eq!(split("# only\n---\n# comments\n---\n"), []);
        assert_eq!(split("a: 1\n---\nb: 2\n"), [(1, "a: 1\n"), (2, "---\nb: 2\n")]);
        assert_eq!(split("---\na: ---\n--- {b: 1}"), [(1, "---\na: ---\n"), (3, "--- {b: 1}")]);
        assert_eq!(split("a: |\n  ---\n  x\n---x: 1\n"), [(1, "a: |\n  ---\n  x\n---x: 1\n")]);
        assert_eq!(split("%YAML 1.2\n---\na: 1\n"), [(1, "%YAML 1.2\n---\na: 1\n")]);
        assert_eq!(split("a: 1\r\n---\r\nb: 2\r\n"), [(1, "a: 1\r\n"), (2, "---\r\nb: 2\r\n")]);
    }
}
