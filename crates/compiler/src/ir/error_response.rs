//! Bodies of error answers: `error_response_overrides`.
//!
//! A rule that cannot be used is left out, and said; the others stay. Texts
//! come from files through [`Files`]: what a file holds is told to the
//! compiler as a change, because it reads nothing itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::Diagnostic;

use super::input::Files;
use super::item::Item;
use super::refusals::Expressions;
use super::{format, syntax};

const TEXT: &str = "text/plain";

/// What rules are read with, beside the object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) files: &'a Files,
    /// Expressions that Envoy refused.
    pub(crate) refused: &'a Expressions,
}

/// The rules of one object: by status, the first rule of a status.
pub(crate) type ErrorResponses = BTreeMap<u32, ErrorResponse>;

/// One body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorResponse {
    pub(crate) body: Body,
    pub(crate) content_type: String,
}

/// Format of a body, with Envoy's `%…%` commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Text(Arc<str>),
    Json(BTreeMap<String, String>),
}

/// What a route does about error answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum ErrorOverride {
    /// What the Module says.
    #[default]
    Inherit,
    /// Nothing: answers stay as they are.
    Bypass,
    /// These rules, and none of the Module's, which may have some.
    Own { rules: Arc<ErrorResponses>, over_module: bool },
}

impl ErrorOverride {
    /// Leaves answers as they are; `over_module` says that the Module has rules.
    pub(crate) const fn bypass(over_module: bool) -> Self {
        if over_module { Self::Bypass } else { Self::Inherit }
    }

    /// Reads what a Mapping says. Where none of its rules can be used, the
    /// Module's stay.
    pub(crate) fn of(
        item: &Item,
        spec: &api::Mapping,
        sources: Sources<'_>,
        over_module: bool,
        findings: &mut Vec<Diagnostic>,
    ) -> Self {
        if spec.bypass_error_response_overrides == Some(true) {
            return Self::bypass(over_module);
        }
        let given = &spec.error_response_overrides;
        let rules = read(item, "spec.error_response_overrides", given, sources, findings);
        if rules.is_empty() {
            return Self::Inherit;
        }
        Self::Own { rules: Arc::new(rules), over_module }
    }
}

/// Reads the rules of an object that stand under `field`.
pub(crate) fn read(
    item: &Item,
    field: &str,
    given: &[api::ErrorResponseOverride],
    sources: Sources<'_>,
    findings: &mut Vec<Diagnostic>,
) -> ErrorResponses {
    let mut rules = ErrorResponses::new();
    for (index, rule) in given.iter().enumerate() {
        let at = format!("{field}[{index}]");
        // What is absent or out of bounds has been told of when it was read.
        let status = rule.on_status_code.filter(|status| (400..600).contains(status));
        let (Some(status), Some(body)) = (status, &rule.body) else { continue };
        match response(body, sources) {
            Err((part, message)) => findings.push(item.error(
                "invalid-error-response",
                &format!("{at}.body{part}"),
                format!("{message}; the rule is left out"),
                "correct the body",
            )),
            Ok(_) if rules.contains_key(&status) => findings.push(item.warning(
                "duplicate-error-response",
                &format!("{at}.on_status_code"),
                format!("an earlier rule is for {status}; this one has no effect"),
                "keep one of them",
            )),
            Ok(response) => {
                rules.insert(status, response);
            }
        }
    }
    rules
}

fn response(
    body: &api::ErrorResponseOverrideBody,
    Sources { files, refused }: Sources<'_>,
) -> Result<ErrorResponse, (&'static str, String)> {
    let formats = (&body.text_format, &body.json_format, &body.text_format_source);
    let (format, default) = match formats {
        (Some(text), None, None) => {
            (text_body(text.as_str().into(), ".text_format", refused)?, TEXT)
        }
        (None, Some(pairs), None) => (json_body(pairs, refused)?, "application/json"),
        (None, None, Some(source)) => {
            let part = ".text_format_source.filename";
            let name = &source.filename;
            let text = match files.get(name.as_str()) {
                Some(Ok(text)) => text.clone(),
                Some(Err(reason)) => return Err((part, format!("`{name}`: {reason}"))),
                None => return Err((part, format!("`{name}` has not been read"))),
            };
            (text_body(text, part, refused)?, TEXT)
        }
        _ => {
            let message = "needs exactly one of text_format, json_format and text_format_source";
            return Err(("", message.to_owned()));
        }
    };
    let content_type = body.content_type.clone().unwrap_or_else(|| default.to_owned());
    if !syntax::is_header_value(&content_type) {
        return Err((".content_type", "holds a control character".to_owned()));
    }
    // It goes out through a header format of Envoy's, where `%` begins a command.
    Ok(ErrorResponse { body: format, content_type: content_type.replace('%', "%%") })
}

fn text_body(
    text: Arc<str>,
    part: &'static str,
    refused: &Expressions,
) -> Result<Body, (&'static str, String)> {
    match format::fault(&text, refused) {
        Some(fault) => Err((part, fault.message)),
        None => Ok(Body::Text(text)),
    }
}

fn json_body(
    pairs: &BTreeMap<String, String>,
    refused: &Expressions,
) -> Result<Body, (&'static str, String)> {
    match pairs.values().find_map(|text| format::fault(text, refused)) {
        Some(fault) => Err((".json_format", fault.message)),
        None => Ok(Body::Json(pairs.clone())),
    }
}
