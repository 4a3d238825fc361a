//! Texts of which Envoy alone can judge.

use std::sync::Arc;

/// A part of an object of which Envoy alone can tell whether it can be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnvoyText {
    /// Lua code. Source: `lua_scripts` of the Module.
    Script(Arc<str>),
    /// A file that Envoy is to open on its machine. Source: `envoy_log_path` of
    /// the Module.
    LogPath(Arc<str>),
    /// An expression in CEL. Source: `%CEL(…)%` in formats of headers, log
    /// lines and bodies of error answers.
    Expression(Arc<str>),
}
