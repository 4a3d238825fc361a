//! What Envoy's own answers look like.

use envoy_types::pb::envoy::config::accesslog::v3 as log;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use nuncio_api::ObjectKey;

use super::error_response;
use crate::ir::http::{HttpFilter, HttpSettings};

/// Response flag of a request that ext_authz refused.
const REFUSED: &str = "UAEX";

/// Emits it; Envoy takes the first mapper whose filter holds.
pub(super) fn emit(settings: &HttpSettings) -> Option<pb::LocalReplyConfig> {
    let closed = settings.auth_closed_by.as_ref().map(closed);
    let kept =
        settings.filters.contains(&HttpFilter::KeptHeaders).then(error_response::add_kept_headers);
    let mappers: Vec<_> = closed.into_iter().chain(kept).collect();
    (!mappers.is_empty()).then(|| pb::LocalReplyConfig { mappers, ..Default::default() })
}

/// Tells which object makes ext_authz refuse everything.
///
/// Shape: `message`, `request_id` and `status_code`, as Emissary answers then.
fn closed(by: &ObjectKey) -> pb::ResponseMapper {
    use log::access_log_filter::FilterSpecifier;
    let flags = log::ResponseFlagFilter { flags: vec![REFUSED.to_owned()] };
    let text = format!(
        "{{\"message\":\"the {} {} cannot be used, and requests that it guards are refused\",\
         \"request_id\":\"%REQ(X-REQUEST-ID)%\",\"status_code\":%RESPONSE_CODE%}}\n",
        by.kind,
        by.resource_key(),
    );
    let body = core::substitution_format_string::Format::TextFormatSource(core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(text)),
        ..Default::default()
    });
    pb::ResponseMapper {
        filter: Some(log::AccessLogFilter {
            filter_specifier: Some(FilterSpecifier::ResponseFlagFilter(flags)),
        }),
        body_format_override: Some(core::SubstitutionFormatString {
            format: Some(body),
            content_type: "application/json".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}
