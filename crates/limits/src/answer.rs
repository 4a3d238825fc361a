//! What a limit of a RateLimit object says in answers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Fault, HeaderTemplate, PatternLimit};
use crate::status::Status;
use crate::template::{Rendered, Template, Value};

/// Headers and body of one limit, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    log_only: bool,
    request_headers: Vec<Header>,
    response_headers: Vec<Header>,
    error_headers: Vec<Header>,
    error_body: Option<Template>,
}

#[derive(Debug, Clone, PartialEq)]
struct Header {
    name: String,
    value: Template,
}

/// What templates may speak of.
#[derive(Debug)]
pub(crate) struct Facts(Value);

const STATUS: i64 = 429;
const MESSAGE: &str = "too many requests";

impl Answer {
    /// Parses every template of a limit; a fault comes with its field.
    pub(crate) fn parse(limit: &PatternLimit) -> Result<Self, (String, Fault)> {
        let error = limit.error_response.clone().unwrap_or_default();
        let body = Some(error.body_template.as_str()).filter(|text| !text.is_empty());
        let body = body.map(|text| Template::parse(text, true)).transpose();
        Ok(Self {
            log_only: limit.log_only,
            request_headers: headers("injectRequestHeaders", &limit.request_headers)?,
            response_headers: headers("injectResponseHeaders", &limit.response_headers)?,
            error_headers: headers("errorResponse.headers", &error.headers)?,
            error_body: body
                .map_err(|e| ("errorResponse.bodyTemplate".into(), Fault::Template(e)))?,
        })
    }

    /// Returns the limit's action as RateLimit objects spell it.
    pub const fn action(&self) -> &'static str {
        if self.log_only { "LogOnly" } else { "Enforce" }
    }

    pub(crate) fn request_headers<'a>(
        &'a self,
        facts: &'a Facts,
    ) -> impl Iterator<Item = (String, String)> + 'a {
        render(&self.request_headers, facts)
    }

    pub(crate) fn response_headers<'a>(
        &'a self,
        facts: &'a Facts,
    ) -> impl Iterator<Item = (String, String)> + 'a {
        render(&self.response_headers, facts)
    }

    /// Returns headers and body of a denial by this limit.
    pub(crate) fn denial(&self, facts: &Facts) -> (Vec<(String, String)>, String) {
        let mut headers: Vec<_> = render(&self.error_headers, facts).collect();
        let rendered = self.error_body.as_ref().map(|template| template.render(&facts.0));
        let body = match rendered {
            Some(Ok(Rendered::Text(body))) => body,
            Some(Ok(Rendered::DoNotSet)) => String::new(),
            None | Some(Err(_)) => {
                // Our own body says what it is, unless the object does.
                if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                    headers.push(("content-type".into(), "application/json".into()));
                }
                serde_json::json!({"message": MESSAGE, "status_code": STATUS}).to_string()
            }
        };
        (headers, body)
    }
}

impl Facts {
    pub(crate) fn new(over: bool, statuses: &[Status<'_>], retry_after: Duration) -> Self {
        let response = BTreeMap::from([
            ("OverallCode", code(over)),
            ("Statuses", Value::List(statuses.iter().map(status).collect())),
        ]);
        Self(Value::Map(BTreeMap::from([
            ("RateLimitResponse", Value::Map(response)),
            ("RetryAfter", Value::Duration(retry_after)),
            ("status_code", Value::Int(STATUS)),
            ("message", Value::Text(MESSAGE.into())),
        ])))
    }
}

fn status(status: &Status<'_>) -> Value {
    let mut fields = BTreeMap::from([
        ("Code", code(status.over)),
        ("LimitRemaining", Value::Int(status.remaining.into())),
    ]);
    if let Some(limit) = &status.limit {
        fields.insert(
            "CurrentLimit",
            Value::Map(BTreeMap::from([
                ("RequestsPerUnit", Value::Int(limit.requests_per_unit.into())),
                ("Unit", Value::Text(limit.unit.map_or("UNKNOWN", crate::Unit::as_str).into())),
                ("Name", Value::Text(limit.name.into())),
            ])),
        );
        fields.insert("DurationUntilReset", Value::Duration(status.reset));
    }
    Value::Map(fields)
}

const fn code(over: bool) -> Value {
    Value::Int(if over { 2 } else { 1 })
}

fn headers(field: &str, templates: &[HeaderTemplate]) -> Result<Vec<Header>, (String, Fault)> {
    let parse = |(index, header): (usize, &HeaderTemplate)| {
        let place = |part: &str| format!("{field}[{index}].{part}");
        if !is_header_name(&header.name) {
            return Err((place("name"), Fault::HeaderName(header.name.clone())));
        }
        let value = Template::parse(&header.value, false)
            .map_err(|error| (place("value"), Fault::Template(error)))?;
        Ok(Header { name: header.name.clone(), value })
    };
    templates.iter().enumerate().map(parse).collect()
}

/// Renders headers; one that fails, or whose value could break a message
/// apart, is left out.
fn render(headers: &[Header], facts: &Facts) -> impl Iterator<Item = (String, String)> {
    headers.iter().filter_map(|header| match header.value.render(&facts.0) {
        Ok(Rendered::Text(value)) if !value.contains(['\r', '\n', '\0']) => {
            Some((header.name.clone(), value))
        }
        _ => None,
    })
}

/// RFC 9110, section 5.1: a token.
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
