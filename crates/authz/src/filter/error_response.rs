//! What a refused client is told.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use nuncio_api::filter::{Dialect, ErrorResponse};

use super::{ConfigError, FilterError, header_name};
use crate::Denial;
use crate::template::{Field, Functions, Item, Rendered, Template};

/// Most header templates of one Filter.
const MAX_HEADERS: usize = 16;

/// The error answer of a Filter, its templates parsed.
#[derive(Debug, Clone)]
pub struct ErrorAnswer {
    dialect: Dialect,
    realm: String,
    headers: Vec<(HeaderName, Template)>,
    /// `None`: the default, which needs no engine.
    body: Option<Template>,
}

/// One refusal.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    /// HTTP status.
    pub status: StatusCode,
    /// Text for the client.
    pub message: &'a str,
    /// Request id; told only with a 5xx.
    pub request_id: &'a str,
    /// golang-jwt's `ValidationError.Errors`; 0 when it is none of those.
    pub golang_bits: i64,
}

impl ErrorAnswer {
    /// Parses the answer of a Filter named `name`.
    ///
    /// # Errors
    /// When a header name or template cannot be used.
    pub fn new(
        source: Option<&ErrorResponse>,
        dialect: Dialect,
        name: &str,
    ) -> Result<Self, ConfigError> {
        let empty = ErrorResponse::default();
        let source = source.unwrap_or(&empty);
        if source.headers.len() > MAX_HEADERS {
            return Err(ConfigError::new(
                "JWT.errorResponse.headers",
                format!("{} headers are given, {MAX_HEADERS} at most", source.headers.len()),
            ));
        }
        let mut headers = Vec::new();
        if !source.content_type.is_empty() {
            let field = "JWT.errorResponse.contentType";
            headers.push((CONTENT_TYPE, parse(field, &source.content_type, Functions::Headers)?));
        }
        for (at, header) in source.headers.iter().enumerate() {
            let field = format!("JWT.errorResponse.headers[{at}]");
            let template = parse(&field, &header.value, Functions::Headers)?;
            headers.push((header_name(&field, &header.name)?, template));
        }
        let body = match source.body_template.as_str() {
            "" => None,
            text => Some(parse("JWT.errorResponse.bodyTemplate", text, Functions::Bodies)?),
        };
        let realm = match source.realm.as_str() {
            "" => name.to_owned(),
            realm => realm.to_owned(),
        };
        Ok(Self { dialect, realm, headers, body })
    }

    /// Returns the realm for `WWW-Authenticate`.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Makes the denial of a refusal.
    ///
    /// # Errors
    /// When a template cannot be rendered.
    pub fn denial(&self, refusal: &Refusal<'_>) -> Result<Denial, FilterError> {
        let mut denial = Denial::new(refusal.status);
        let Some(body) = &self.body else {
            denial.body = json_body(self.dialect, refusal).into_bytes();
            self.add_headers(&mut denial, refusal)?;
            return Ok(denial);
        };
        let data = data(self.dialect, refusal);
        if let Rendered::Text(text) = body.render(&data).map_err(render_error)? {
            denial.body = text.into_bytes();
        }
        self.add_headers(&mut denial, refusal)?;
        Ok(denial)
    }

    fn add_headers(&self, denial: &mut Denial, refusal: &Refusal<'_>) -> Result<(), FilterError> {
        if !self.headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
            let json = HeaderValue::from_static("application/json");
            denial.headers.push((CONTENT_TYPE, json));
        }
        let data = data(self.dialect, refusal);
        for (name, template) in &self.headers {
            if let Rendered::Text(text) = template.render(&data).map_err(render_error)? {
                let value = HeaderValue::from_str(&text)
                    .map_err(|_| FilterError::new(format!("{name} is no header value")))?;
                denial.headers.push((name.clone(), value));
            }
        }
        Ok(())
    }
}

fn parse(field: &str, text: &str, functions: Functions) -> Result<Template, ConfigError> {
    Template::parse(text, functions).map_err(|error| ConfigError::new(field, error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err asks for")]
fn render_error(error: crate::template::TemplateError) -> FilterError {
    FilterError::new(format!("errorResponse: {error}"))
}

/// Returns the JSON body of a refusal in a group's style.
pub fn json_body(dialect: Dialect, refusal: &Refusal<'_>) -> String {
    let message = serde_json::Value::from(refusal.message);
    let id = serde_json::Value::from(shown_id(refusal));
    let status = refusal.status.as_u16();
    match dialect {
        Dialect::Classic => {
            format!(r#"{{"message":{message},"request_id":{id},"status_code":{status}}}"#)
        }
        Dialect::Gateway => {
            format!(r#"{{"message":{message},"requestId":{id},"statusCode":{status}}}"#)
        }
    }
}

fn shown_id<'a>(refusal: &Refusal<'a>) -> &'a str {
    if refusal.status.is_server_error() { refusal.request_id } else { "" }
}

fn data<'a>(dialect: Dialect, refusal: &Refusal<'a>) -> Item<'a> {
    let classic = dialect == Dialect::Classic;
    let field = |name, shown, item| Field { name, shown, item };
    let status = || Item::Int(i64::from(refusal.status.as_u16()));
    let id = || Item::Text(shown_id(refusal).into());
    let validation = Item::fields(vec![field("Errors", true, Item::Int(refusal.golang_bits))]);
    let validation = if refusal.golang_bits == 0 { Item::None } else { validation };
    let error = Item::fields(vec![
        field("ValidationError", true, validation),
        field("Error", true, Item::Text(refusal.message.into())),
    ]);
    Item::fields(vec![
        field("message", true, Item::Text(refusal.message.into())),
        field("request_id", classic, id()),
        field("requestId", !classic, id()),
        field("status_code", classic, status()),
        field("statusCode", !classic, status()),
        field("httpStatus", false, status()),
        field("error", false, error),
    ])
}
