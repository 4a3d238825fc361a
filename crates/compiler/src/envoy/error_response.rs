//! Bodies of error answers: Envoy's custom response filter.
//!
//! The filter answers anew, and what stood in the headers of the first answer
//! is lost. The headers that a client needs are therefore kept in dynamic
//! metadata by another filter, which sees the answer before, and added to
//! whatever error Envoy answers itself.

use envoy_types::pb::envoy::config::accesslog::v3 as log;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3::FilterConfig;
use envoy_types::pb::envoy::extensions::filters::http::custom_response::v3::CustomResponse;
use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3 as keep;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as manager;
use envoy_types::pb::envoy::extensions::http::custom_response::local_response_policy::v3::LocalResponsePolicy;
use envoy_types::pb::envoy::r#type::matcher::v3::HttpResponseStatusCodeMatchInput;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::xds::core::v3::TypedExtensionConfig;
use envoy_types::pb::xds::r#type::matcher::v3 as xds;
use prost::Message;

use super::access_log::structure;
use super::header::header_edits;
use super::{any, any_encoded, append_encoded, append_message};
use crate::ir::error_response::{Body, ErrorOverride, ErrorResponse, ErrorResponses};
use crate::ir::route::HeaderEdit;

/// `LocalResponsePolicy.body_format`.
const BODY_FORMAT: u32 = 2;
/// `SubstitutionFormatString.json_format`.
const JSON_FORMAT: u32 = 2;
/// `SubstitutionFormatString.text_format_source`.
const TEXT_FORMAT_SOURCE: u32 = 5;
/// The filter with the Module's rules, also in per-route settings.
pub(super) const OF_MODULE: &str = "envoy.filters.http.custom_response";
/// The filter that has rules on routes alone.
pub(super) const OF_MAPPINGS: &str = "nuncio.filters.http.custom_response.mappings";
/// The filter that keeps headers.
pub(super) const KEEP: &str = "envoy.filters.http.header_to_metadata";

/// Headers of an answer that survive another body.
const KEPT: [&str; 14] = [
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "allow",
    "cache-control",
    "proxy-authenticate",
    "retry-after",
    "strict-transport-security",
    "vary",
    "www-authenticate",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
];
/// Least status of an error.
const LEAST_ERROR: u32 = 400;
/// Namespace of kept headers in dynamic metadata.
const NAMESPACE: &str = "nuncio.kept_headers";

/// Emits the settings of a filter with these rules, of which there are some.
pub(super) fn rules(rules: &ErrorResponses) -> Any {
    let matchers = rules.iter().map(|(status, response)| field_matcher(*status, response));
    let list = xds::matcher::MatcherList { matchers: matchers.collect() };
    any(&CustomResponse {
        custom_response_matcher: Some(xds::Matcher {
            matcher_type: Some(xds::matcher::MatcherType::MatcherList(list)),
            ..Default::default()
        }),
    })
}

/// Emits the settings of the filter that keeps headers.
pub(super) fn kept_headers() -> Any {
    let rule = |name: &str| keep::config::Rule {
        header: name.to_owned(),
        on_header_present: Some(keep::config::KeyValuePair {
            metadata_namespace: NAMESPACE.to_owned(),
            key: name.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    any(&keep::Config {
        response_rules: KEPT.into_iter().map(rule).collect(),
        ..Default::default()
    })
}

/// Emits what adds kept headers: to errors of Envoy's own, which another body
/// counts as. Where nothing was kept, nothing is added.
pub(super) fn add_kept_headers() -> manager::ResponseMapper {
    use log::access_log_filter::FilterSpecifier;
    let kept = |name: &&str| overwrite(name, format!("%DYNAMIC_METADATA({NAMESPACE}:{name})%"));
    let edits: Vec<HeaderEdit> = KEPT.iter().map(kept).collect();
    let comparison = log::ComparisonFilter {
        op: log::comparison_filter::Op::Ge as i32,
        value: Some(core::RuntimeUInt32 {
            default_value: LEAST_ERROR,
            // Envoy wants a name by which the number could be changed.
            runtime_key: "nuncio.least_error_status".to_owned(),
        }),
    };
    let errors = log::StatusCodeFilter { comparison: Some(comparison) };
    manager::ResponseMapper {
        filter: Some(log::AccessLogFilter {
            filter_specifier: Some(FilterSpecifier::StatusCodeFilter(errors)),
        }),
        headers_to_add: header_edits(&edits),
        ..Default::default()
    }
}

fn overwrite(name: &str, value: String) -> HeaderEdit {
    HeaderEdit { name: name.to_owned(), value, append: false }
}

/// Emits what a route says to the filters.
pub(super) fn on_route(given: &ErrorOverride) -> Vec<(&'static str, Any)> {
    let off = || (OF_MODULE, any(&FilterConfig { disabled: true, ..Default::default() }));
    match given {
        ErrorOverride::Inherit => Vec::new(),
        ErrorOverride::Bypass => vec![off()],
        ErrorOverride::Own { rules: own, over_module: true } => {
            vec![off(), (OF_MAPPINGS, rules(own))]
        }
        ErrorOverride::Own { rules: own, over_module: false } => {
            vec![(OF_MAPPINGS, rules(own))]
        }
    }
}

fn field_matcher(
    status: u32,
    response: &ErrorResponse,
) -> xds::matcher::matcher_list::FieldMatcher {
    use xds::matcher::matcher_list::predicate::single_predicate::Matcher;
    use xds::matcher::matcher_list::predicate::{MatchType, SinglePredicate};
    use xds::string_matcher::MatchPattern;
    let extension = |name: &str, config: Any| TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(config),
    };
    let equals = SinglePredicate {
        input: Some(extension("status", any(&HttpResponseStatusCodeMatchInput {}))),
        matcher: Some(Matcher::ValueMatch(xds::StringMatcher {
            match_pattern: Some(MatchPattern::Exact(status.to_string())),
            ..Default::default()
        })),
    };
    let action = xds::matcher::on_match::OnMatch::Action(extension("body", policy(response)));
    xds::matcher::matcher_list::FieldMatcher {
        predicate: Some(xds::matcher::matcher_list::Predicate {
            match_type: Some(MatchType::SinglePredicate(equals)),
        }),
        on_match: Some(xds::matcher::OnMatch { on_match: Some(action), ..Default::default() }),
    }
}

fn policy(response: &ErrorResponse) -> Any {
    // The filter takes no heed of the type that stands beside the format.
    let typed = overwrite("content-type", response.content_type.clone());
    let policy = LocalResponsePolicy {
        response_headers_to_add: header_edits(&[typed]),
        ..Default::default()
    };
    let mut encoded = policy.encode_to_vec();
    append_encoded(BODY_FORMAT, &format(&response.body), &mut encoded);
    any_encoded::<LocalResponsePolicy>(encoded)
}

/// Encodes a `SubstitutionFormatString`: the fields of JSON sorted.
fn format(body: &Body) -> Vec<u8> {
    let mut encoded = Vec::new();
    match body {
        Body::Text(text) => {
            let source = core::DataSource {
                specifier: Some(core::data_source::Specifier::InlineString(text.to_string())),
                ..Default::default()
            };
            append_message(TEXT_FORMAT_SOURCE, &source, &mut encoded);
        }
        Body::Json(pairs) => {
            let fields = pairs.iter().map(|(name, text)| (name.clone(), text.as_str().into()));
            append_message(JSON_FORMAT, &structure(&fields.collect()), &mut encoded);
        }
    }
    encoded
}
