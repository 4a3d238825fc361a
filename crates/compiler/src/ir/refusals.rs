//! What Envoy refused of the texts of which it alone can judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api::EnvoyText;

/// Code of what only Envoy finds.
pub(crate) const REFUSED: &str = "refused-by-envoy";

/// Most characters of a reason.
const REASON_MOST: usize = 300;
/// How Envoy begins what it says of a script.
const SCRIPT: &str = "script load error: ";
/// How Envoy begins what it says of an expression.
const EXPRESSION: &str = "Not able to parse expression";
/// What stands before an expression that Envoy repeats.
const QUOTED: &str = " | ";
/// What ends a message that was too long to be sent whole.
const CUT: &str = "...(truncated)";

/// Expressions that Envoy refused, with its reasons.
pub(crate) type Expressions = BTreeMap<Arc<str>, Arc<str>>;

/// Texts that Envoy refused, with its reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    scripts: BTreeMap<Arc<str>, Arc<str>>,
    log_paths: BTreeMap<Arc<str>, Arc<str>>,
    /// Apart, because Mappings depend on these alone.
    pub(crate) expressions: Arc<Expressions>,
}

// === impl Refusals ===

impl Refusals {
    /// Returns why Envoy refused a script.
    pub(crate) fn script(&self, text: &str) -> Option<&Arc<str>> {
        self.scripts.get(text)
    }

    /// Returns why Envoy refused a file for the access log.
    pub(crate) fn log_path(&self, text: &str) -> Option<&Arc<str>> {
        self.log_paths.get(text)
    }

    pub(crate) fn contains(&self, text: &EnvoyText) -> bool {
        match text {
            EnvoyText::Script(text) => self.scripts.contains_key(text),
            EnvoyText::LogPath(text) => self.log_paths.contains_key(text),
            EnvoyText::Expression(text) => self.expressions.contains_key(text),
        }
    }

    pub(crate) fn insert(&mut self, text: EnvoyText, reason: Arc<str>) {
        match text {
            EnvoyText::Script(text) => self.scripts.insert(text, reason),
            EnvoyText::LogPath(text) => self.log_paths.insert(text, reason),
            EnvoyText::Expression(text) => {
                Arc::make_mut(&mut self.expressions).insert(text, reason)
            }
        };
    }

    pub(crate) fn remove(&mut self, text: &EnvoyText) {
        match text {
            EnvoyText::Script(text) => self.scripts.remove(text),
            EnvoyText::LogPath(text) => self.log_paths.remove(text),
            EnvoyText::Expression(text) if self.expressions.contains_key(text) => {
                Arc::make_mut(&mut self.expressions).remove(text)
            }
            EnvoyText::Expression(_) => None,
        };
    }

    /// Every refused text with its reason.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (EnvoyText, &Arc<str>)> {
        let scripts = self.scripts.iter().map(|(t, r)| (EnvoyText::Script(t.clone()), r));
        let paths = self.log_paths.iter().map(|(t, r)| (EnvoyText::LogPath(t.clone()), r));
        let expressions = self.expressions.iter();
        let expressions = expressions.map(|(t, r)| (EnvoyText::Expression(t.clone()), r));
        scripts.chain(paths).chain(expressions)
    }
}

/// Returns why Envoy refuses a text, if this is what its message says.
///
/// Envoy does not repeat a script: the one in effect is to blame. It names
/// files and repeats expressions. Source: messages of Envoy 1.37 and 1.40.
pub(crate) fn blame(message: &str, text: &EnvoyText) -> Option<Arc<str>> {
    match text {
        EnvoyText::Script(_) => {
            let mut parts = message.split(SCRIPT).skip(1);
            let reason = parts.next()?.lines().next()?;
            // What follows is of the next listener, up to its name.
            let end = parts.next().and_then(|_| reason.rfind(", ")).unwrap_or(reason.len());
            Some(short(&reason[..end]))
        }
        EnvoyText::LogPath(path) => {
            let opened = format!("unable to open file '{path}': ");
            let (_, after) = message.split_once(&opened)?;
            let reason = after.lines().next()?.split(", ").next()?;
            Some(short(reason))
        }
        EnvoyText::Expression(expression) => {
            let (_, after) = message.split_once(EXPRESSION)?;
            let mut lines = after.lines();
            let first = lines.next()?;
            let said = |line: &str| {
                let Some(quoted) = line.strip_prefix(QUOTED) else { return false };
                match quoted.strip_suffix(CUT) {
                    Some(begin) => !begin.is_empty() && expression.starts_with(begin),
                    None => quoted == &**expression,
                }
            };
            if !lines.any(said) {
                return None;
            }
            // `: INVALID_ARGUMENT: ERROR: <input>:1:9: Syntax error: …`
            let reason = first.split_once("ERROR: ").map_or(first, |(_, reason)| reason);
            Some(short(reason.trim_start_matches(": ").trim_start_matches("<input>:")))
        }
    }
}

fn short(reason: &str) -> Arc<str> {
    match reason.char_indices().nth(REASON_MOST) {
        Some((end, _)) => format!("{}…", &reason[..end]).into(),
        None => reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str, text: &EnvoyText) -> Option<String> {
        blame(message, text).map(|reason| reason.to_string())
    }

    #[test]
    fn the_reason_of_a_script_ends_before_the_next_listener() {
        let script = || EnvoyText::Script("x".into());
        let one = "Error adding/updating listener(s) a.default: script load error: [string \"x\"]:1: '=' expected, near '<eof>'\n";
        let reason = "[string \"x\"]:1: '=' expected, near '<eof>'";
        assert_eq!(said(one, &script()).as_deref(), Some(reason));
        let two = format!("{}, b.default: script load error: {reason}", one.trim_end());
        assert_eq!(said(&two, &script()).as_deref(), Some(reason));
        assert_eq!(said("cannot bind", &script()), None);
    }

    #[test]
    fn a_file_is_blamed_by_its_name() {
        let message = "l: unable to open file '/no/log': No such file or directory, m: unable to open file '/no/log': No such file or directory";
        let reason = said(message, &EnvoyText::LogPath("/no/log".into()));
        assert_eq!(reason.as_deref(), Some("No such file or directory"));
        assert_eq!(said(message, &EnvoyText::LogPath("/no".into())), None);
    }

    #[test]
    fn an_expression_is_blamed_by_its_text_even_when_the_message_is_cut() {
        let message = "Not able to parse expression: INVALID_ARGUMENT: ERROR: <input>:1:9: Syntax error: no viable alternative at input '.'\n | request.\n | ........^";
        let of = |text: &str| EnvoyText::Expression(text.into());
        let reason = "1:9: Syntax error: no viable alternative at input '.'";
        assert_eq!(said(message, &of("request.")).as_deref(), Some(reason));
        assert_eq!(said(message, &of("request")), None);
        let cut = "Not able to parse expression: X\n | request.p...(truncated)";
        assert_eq!(said(cut, &of("request.path +")).as_deref(), Some("X"));
        assert_eq!(said(cut, &of("response")), None);
    }
}
