//! `nuncio explain`: what happens to one request, and why.

mod policy;

use std::process::ExitCode;

use anyhow::Context as _;
use http::Uri;
use nuncio_compiler::explain::{
    self, Action, Explanation, HeaderEdit, Outcome, Request, RouteLabel,
};
use serde::Serialize;

use crate::objects::Objects;
use crate::output;

/// Say what Envoy would do with a request.
///
/// Prints listener, host, route, cluster and filters that the request meets,
/// and for routes that almost matched the condition that failed. Exits 1 when
/// no route takes the request. Nothing is started and nothing is sent.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    objects: Objects,

    /// Method of the request.
    #[arg(value_name = "METHOD")]
    method: String,

    /// URL of the request; its port chooses the Listener. Without a port, a
    /// Listener on 80 or 8080 (443 or 8443 for https) is meant.
    #[arg(value_name = "URL")]
    url: Uri,

    /// A header of the request, as `name: value`; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<(String, String)>,

    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// What `--format json` prints.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    explanation: Explanation,
    /// The FilterPolicy rule that guards the request.
    policy: Option<policy::Choice>,
}

pub(crate) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let request = settings.request()?;
    let compiled = settings.objects.compile()?;
    let explanation = explain::explain(compiled.resources(), &request);
    let policy = explanation
        .path
        .as_deref()
        .and_then(|path| policy::choose(compiled.resources(), &request.authority, path));
    let answer = Answer { explanation, policy };
    match settings.format {
        Format::Json => output::line(serde_json::to_string_pretty(&answer)?),
        Format::Text => print(&answer),
    }
    let taken = answer.explanation.stopped.is_none();
    Ok(if taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Settings {
    fn request(&self) -> anyhow::Result<Request> {
        let tls = match self.url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => anyhow::bail!("`{}` is not a URL that begins with http:// or https://", self.url),
        };
        let authority = self.url.authority().context("the URL has no host")?;
        let given = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let default = if tls { 443 } else { 80 };
        Ok(Request {
            method: self.method.to_ascii_uppercase(),
            tls,
            authority: given.map_or_else(|| authority.to_string(), |(_, value)| value.clone()),
            port: authority.port_u16().unwrap_or(default),
            path: self.url.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            headers: self.headers.clone(),
        })
    }
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| format!("`{text}` is not of the form `name: value`"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn print(Answer { explanation, policy }: &Answer) {
    if let Some(listener) = &explanation.listener {
        output::line(format_args!("listener      {} on {}", listener.name, listener.address));
        output::line(format_args!("filter chain  {}", listener.filter_chain));
    }
    if let Some(host) = &explanation.virtual_host {
        output::line(format_args!("host          {} (virtual host {})", host.domain, host.name));
    }
    for outcome in &explanation.outcomes {
        print_outcome(outcome);
    }
    for filter in &explanation.filters {
        let note = if filter.disabled { " (off for this route)" } else { "" };
        output::line(format_args!("filter        {}{note}", filter.name));
    }
    if let Some(policy) = policy {
        let filters = match policy.filters.is_empty() {
            true => "no filter, everybody passes".into(),
            false => policy.filters.join(", then "),
        };
        output::line(format_args!("policy        {}: {filters}", policy.rule));
    }
    if let Some(stopped) = &explanation.stopped {
        let status = stopped.status.map_or("connection closed".into(), |code| code.to_string());
        output::line(format_args!("answer        {status}: {}", stopped.reason));
    }
    for miss in &explanation.near_misses {
        output::line(format_args!("near miss     {}: {}", name(&miss.route), miss.failed));
    }
    for route in &explanation.shadowed {
        output::line(format_args!("comes later   {}", name(route)));
    }
}

fn print_outcome(outcome: &Outcome) {
    let share = match outcome.share {
        100 => String::new(),
        share => format!(" for {share} % of the requests"),
    };
    output::line(format_args!("route         {}{share}", name(&outcome.route)));
    match &outcome.action {
        Action::Forward { cluster, authority, path } => {
            output::line(format_args!("cluster       {cluster}"));
            let authority = authority.as_deref().unwrap_or("the endpoint's own name");
            output::line(format_args!("backend sees  {path} of {authority}"));
        }
        Action::Redirect { status, location } => {
            output::line(format_args!("answer        {status} to {location}"));
        }
        Action::Respond { status } => output::line(format_args!("answer        {status}")),
    }
    for (whose, edits) in
        [("to backend", &outcome.request_headers), ("to client", &outcome.response_headers)]
    {
        for edit in edits {
            output::line(format_args!("{whose:<12}  {}", header_edit(edit)));
        }
    }
    for descriptor in &outcome.descriptors {
        let pairs: Vec<_> =
            descriptor.iter().map(|(key, value)| format!("{key}={value}")).collect();
        output::line(format_args!("rate limit    {}", pairs.join(", ")));
    }
}

fn header_edit(edit: &HeaderEdit) -> String {
    match edit {
        HeaderEdit::Remove { name } => format!("{name} is removed"),
        HeaderEdit::Set { name, value } => format!("{name} becomes {value}"),
        HeaderEdit::Append { name, value } => format!("{name} gets {value} added"),
    }
}

fn name(route: &RouteLabel) -> String {
    match route.name.as_str() {
        "" => format!("({})", route.conditions),
        name => format!("{name} ({})", route.conditions),
    }
}
