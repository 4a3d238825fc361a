//! What the auth service would say of Filters and FilterPolicies, told where
//! the compiler's findings are told.

use nuncio_api::{Change, Diagnostic, Object, Severity, Spec};
use nuncio_authz::{ConfigError, FilterName, check_filter, check_policy};

/// Code of a Filter that the auth service cannot use.
const FILTER: &str = "filter-not-usable";
/// Code of a FilterPolicy that the auth service cannot use.
const POLICY: &str = "policy-not-usable";

/// Checks every Filter and FilterPolicy of a gateway by the auth service's own
/// rules.
pub(crate) fn findings(changes: &[Change], ambassador_id: &str) -> Vec<Diagnostic> {
    let objects = changes.iter().filter_map(|change| match change {
        Change::Apply { object, .. } if object.spec.is_for(ambassador_id) => Some(object),
        _ => None,
    });
    objects.flat_map(|object| check(object)).collect()
}

fn check(object: &Object) -> Vec<Diagnostic> {
    match &object.spec {
        Spec::Filter(filter) => {
            let name = FilterName {
                name: object.meta.name.clone(),
                namespace: object.meta.namespace.clone(),
            };
            let fault = check_filter(&name, filter).err();
            fault.into_iter().map(|fault| finding(object, FILTER, &fault)).collect()
        }
        Spec::FilterPolicy(policy) => {
            check_policy(policy).iter().map(|fault| finding(object, POLICY, fault)).collect()
        }
        _ => Vec::new(),
    }
}

fn finding(object: &Object, code: &'static str, fault: &ConfigError) -> Diagnostic {
    let field = match fault.field.as_str() {
        "" => "spec".to_owned(),
        field => format!("spec.{field}"),
    };
    Diagnostic {
        severity: Severity::Error,
        code,
        object: Some(object.key()),
        origin: object.origin.clone(),
        field,
        message: fault.message.clone(),
        remedy: "correct it; requests that it guards are answered 500 until then".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use nuncio_testing::manifests;

    use super::*;

    #[test]
    fn what_the_auth_service_cannot_use_is_told_with_its_field() {
        let changes = manifests::changes(
            "apiVersion: getambassador.io/v3alpha1\nkind: Filter\nmetadata: {name: later}\n\
             spec: {OAuth2: {authorizationURL: https://issuer.test}}\n---\n\
             apiVersion: getambassador.io/v3alpha1\nkind: Filter\nmetadata: {name: fine}\n\
             spec: {APIKey: {keys: [{secretName: keys}]}}\n",
        );
        let found = findings(&changes, "default");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].code, FILTER);
        assert!(found[0].to_string().contains("Filter default/later"), "{}", found[0]);
        assert!(findings(&changes, "another").is_empty());
    }
}
