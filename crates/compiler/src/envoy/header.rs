//! Edits of headers.

use envoy_types::pb::envoy::config::core::v3 as core;

use crate::ir::route::HeaderEdit;

/// Returns edits of headers, in order.
pub(super) fn header_edits(edits: &[HeaderEdit]) -> Vec<core::HeaderValueOption> {
    edits.iter().map(header_edit).collect()
}

/// Returns one edit of a header.
pub(super) fn header_edit(edit: &HeaderEdit) -> core::HeaderValueOption {
    use core::header_value_option::HeaderAppendAction;
    core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: edit.name.clone(),
            value: edit.value.clone(),
            ..Default::default()
        }),
        append_action: if edit.append {
            HeaderAppendAction::AppendIfExistsOrAdd as i32
        } else {
            HeaderAppendAction::OverwriteIfExistsOrAdd as i32
        },
        keep_empty_value: edit.value.is_empty(),
        ..Default::default()
    }
}
