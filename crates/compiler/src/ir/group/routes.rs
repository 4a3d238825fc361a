//! The routes of a group.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api as api;

use super::{Group, labels, shares};
use crate::ir::error_response::ErrorOverride;
use crate::ir::group_id::GroupId;
use crate::ir::item::ItemId;
use crate::ir::mapping::Mapping;
use crate::ir::route::{
    Action, AuthOverride, Cors, Forward, HashKey, HeaderEdit, HostRewrite, PathRewrite, Redirect,
    RedirectPath, Retry, Route, Share,
};
use crate::ir::stage::Stage;
use crate::ir::upstream;

impl Group {
    /// Returns the routes in order, as compiled for a request that is let in.
    ///
    /// `clusters` names the published cluster of each member.
    pub(crate) fn routes(
        &self,
        stage: &Stage,
        clusters: &dyn Fn(&ItemId) -> Arc<str>,
    ) -> Vec<Route> {
        if let Some(redirect) = &self.redirect {
            return vec![self.redirect_route(redirect, stage)];
        }
        let shares = shares(&self.normal);
        shares
            .into_iter()
            .map(|(member, percent)| self.forward_route(member, percent, stage, clusters))
            .collect()
    }

    fn forward_route(
        &self,
        member: &Arc<Mapping>,
        percent: u32,
        stage: &Stage,
        clusters: &dyn Fn(&ItemId) -> Arc<str>,
    ) -> Route {
        let spec = member.spec();
        let defaults = &stage.defaults;
        let creator = self.creator.as_ref().unwrap_or(member);
        let mut matches = creator.matches.clone();
        let sensitive = spec.case_sensitive.or_else(|| self.last(|m| m.case_sensitive));
        matches.case_sensitive = sensitive.unwrap_or(true);
        let path = match self.last(|m| m.regex_rewrite.as_ref()) {
            Some(regex) => PathRewrite::Regex {
                pattern: regex.pattern.clone(),
                substitution: regex.substitution.clone(),
            },
            None => match spec.rewrite.as_deref() {
                None => PathRewrite::Prefix("/".to_owned()),
                Some("") => PathRewrite::Keep,
                Some(text) => PathRewrite::Prefix(text.to_owned()),
            },
        };
        let host = match (&spec.host_rewrite, spec.auto_host_rewrite) {
            (Some(host), _) => HostRewrite::Literal(host.clone()),
            (None, Some(true)) => match member.dns_name(stage) {
                Some(name) => HostRewrite::Literal(name.to_owned()),
                None => HostRewrite::Auto,
            },
            _ => HostRewrite::Keep,
        };
        let forward = Forward {
            cluster: clusters(&member.item.id),
            path,
            host,
            timeout_ms: spec.timeout_ms.unwrap_or(defaults.request_timeout_ms),
            idle_timeout_ms: spec.idle_timeout_ms,
            retry: self.retry(stage),
            high_priority: self
                .last(|m| m.priority.as_deref())
                .is_some_and(|priority| priority.eq_ignore_ascii_case("high")),
            mirror: self.shadow.as_ref().map(|shadow| {
                (clusters(&shadow.item.id), shadow.spec().weight.unwrap_or(100).min(100))
            }),
            upgrades: self.upgrades(),
            hash: self.hash(),
            rate_limits: labels::rate_limits(creator.spec(), stage),
        };
        Route {
            name: member.item.id.source.to_string(),
            matches,
            share: (percent < 100).then_some(Share { percent }),
            action: Action::Forward(Box::new(forward)),
            add_request_headers: self.request_headers(member, stage),
            add_response_headers: self
                .added(|m| m.add_response_headers.as_ref(), &defaults.add_response_headers),
            remove_request_headers: self
                .removed(|m| m.remove_request_headers.as_ref(), &defaults.remove_request_headers),
            remove_response_headers: self
                .removed(|m| m.remove_response_headers.as_ref(), &defaults.remove_response_headers),
            auth: auth_override(spec, stage, member.internal),
            errors: member.errors.clone(),
            cors: self.cors(member, stage),
        }
    }

    fn redirect_route(&self, member: &Arc<Mapping>, stage: &Stage) -> Route {
        let spec = member.spec();
        let defaults = &stage.defaults;
        let path = if let Some(path) = &spec.path_redirect {
            RedirectPath::Whole(path.clone())
        } else if let Some(prefix) = &spec.prefix_redirect {
            RedirectPath::Prefix(prefix.clone())
        } else if let Some(regex) = &spec.regex_redirect {
            RedirectPath::Regex {
                pattern: regex.pattern.clone(),
                substitution: regex.substitution.clone(),
            }
        } else {
            RedirectPath::Keep
        };
        let redirect = Redirect {
            host: member.service.authority().into_owned(),
            path,
            code: match spec.redirect_response_code {
                Some(code @ (301 | 302 | 303 | 307 | 308)) => u16::try_from(code).unwrap_or(301),
                _ => 301,
            },
            scheme: member.service.scheme,
        };
        Route {
            name: member.item.id.source.to_string(),
            matches: member.matches.clone(),
            share: None,
            action: Action::Redirect(redirect),
            add_request_headers: Vec::new(),
            add_response_headers: header_edits(
                spec.add_response_headers.as_ref().unwrap_or(&defaults.add_response_headers),
            ),
            remove_request_headers: Vec::new(),
            remove_response_headers: spec
                .remove_response_headers
                .as_ref()
                .unwrap_or(&defaults.remove_response_headers)
                .clone(),
            auth: if stage.auth { AuthOverride::Disabled } else { AuthOverride::Inherit },
            errors: ErrorOverride::Inherit,
            cors: None,
        }
    }

    fn last<'a, T: 'a>(&'a self, field: impl Fn(&'a api::Mapping) -> Option<T>) -> Option<T> {
        self.normal.iter().rev().find_map(|member| field(member.spec()))
    }

    fn retry(&self, stage: &Stage) -> Option<Arc<Retry>> {
        self.last(|m| m.retry_policy.as_ref())
            .and_then(upstream::retry)
            .or_else(|| stage.defaults.retry.clone())
    }

    fn cors(&self, member: &Mapping, stage: &Stage) -> Option<(Arc<Cors>, GroupId)> {
        let own = self.last(|m| m.cors.as_ref()).map(upstream::cors);
        Some((own.or_else(|| stage.defaults.cors.clone())?, member.group))
    }

    fn hash(&self) -> Option<HashKey> {
        self.creator.as_ref()?.load_balancer.as_ref()?.hash.clone()
    }

    /// Upgrades allowed, each once: Envoy refuses a repeated one.
    fn upgrades(&self) -> Vec<String> {
        let says = |m: &&api::Mapping| !m.allow_upgrade.is_empty() || m.use_websocket.is_some();
        let Some(spec) = self.last(|m| Some(m).filter(says)) else { return Vec::new() };
        let names = spec.allow_upgrade.iter().map(|name| name.to_ascii_lowercase());
        let websocket = (spec.use_websocket == Some(true)).then(|| "websocket".to_owned());
        let mut upgrades: Vec<String> = names.chain(websocket).collect();
        upgrades.sort();
        upgrades.dedup();
        upgrades
    }

    fn request_headers(&self, member: &Mapping, stage: &Stage) -> Vec<HeaderEdit> {
        let mut edits =
            self.added(|m| m.add_request_headers.as_ref(), &stage.defaults.add_request_headers);
        if let Some(value) = &member.linkerd {
            edits.push(HeaderEdit {
                name: "l5d-dst-override".to_owned(),
                value: value.clone(),
                append: false,
            });
        }
        edits
    }

    /// Union of the members' headers, a later one winning per name. A Mapping
    /// that says nothing has the default; one that says anything, even nothing
    /// to add, replaces it.
    fn added<'a>(
        &'a self,
        field: impl Fn(&'a api::Mapping) -> Option<&'a BTreeMap<String, api::AddedHeader>>,
        default: &'a BTreeMap<String, api::AddedHeader>,
    ) -> Vec<HeaderEdit> {
        let mut union: BTreeMap<&str, &api::AddedHeader> = BTreeMap::new();
        for member in &self.normal {
            let headers = field(member.spec()).unwrap_or(default);
            union.extend(headers.iter().map(|(name, added)| (name.as_str(), added)));
        }
        header_edits(union)
    }

    /// The last Mapping that says anything; one that does not has the default,
    /// where there is one.
    fn removed<'a>(
        &'a self,
        field: impl Fn(&'a api::Mapping) -> Option<&'a Vec<String>>,
        default: &'a Vec<String>,
    ) -> Vec<String> {
        let default = Some(default).filter(|names| !names.is_empty());
        self.last(|m| field(m).or(default)).cloned().unwrap_or_default()
    }
}

fn header_edits<'a, N: Into<String>>(
    headers: impl IntoIterator<Item = (N, &'a api::AddedHeader)>,
) -> Vec<HeaderEdit> {
    headers
        .into_iter()
        .map(|(name, added)| HeaderEdit {
            name: name.into(),
            value: added.value.clone(),
            append: added.append.unwrap_or(true),
        })
        .collect()
}

fn auth_override(spec: &api::Mapping, stage: &Stage, internal: bool) -> AuthOverride {
    if !stage.auth {
        AuthOverride::Inherit
    } else if spec.bypass_auth == Some(true) || (internal && stage.auth_closed) {
        AuthOverride::Disabled
    } else if spec.auth_context_extensions.is_empty() {
        AuthOverride::Inherit
    } else {
        AuthOverride::Context(spec.auth_context_extensions.clone())
    }
}
