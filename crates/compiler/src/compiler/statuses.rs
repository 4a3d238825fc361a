//! Status that objects are to have, beside what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use nuncio_api::ObjectKey;
use nuncio_api::core::LoadBalancerStatus;

/// Status that an object is to have, beside what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// A Mapping is in effect. Source: Emissary, with
    /// `AMBASSADOR_UPDATE_MAPPING_STATUS`.
    Running,
    /// Where the requests of an Ingress are to go: the addresses of the
    /// gateway's own Service. Source: Emissary.
    LoadBalancer(LoadBalancerStatus),
}

/// All of them, and which changed.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    all: BTreeMap<ObjectKey, Status>,
    changed: BTreeSet<ObjectKey>,
}

impl Statuses {
    /// Sets or takes away the status of one object.
    pub(super) fn set(&mut self, key: &ObjectKey, status: Option<Status>) {
        if self.all.get(key) == status.as_ref() {
            return;
        }
        match status {
            Some(status) => self.all.insert(key.clone(), status),
            None => self.all.remove(key),
        };
        self.changed.insert(key.clone());
    }

    /// Replaces the statuses of Ingresses.
    pub(super) fn set_ingresses(&mut self, status: Option<&Status>, keys: &BTreeSet<ObjectKey>) {
        let stale: Vec<ObjectKey> = self
            .all
            .iter()
            .filter(|(key, status)| {
                matches!(status, Status::LoadBalancer(_)) && !keys.contains(key)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in &stale {
            self.set(key, None);
        }
        for key in keys {
            self.set(key, status.cloned());
        }
    }

    pub(super) fn all(&self) -> &BTreeMap<ObjectKey, Status> {
        &self.all
    }

    /// Hands over what changed.
    pub(super) fn drain(&mut self) -> Vec<(ObjectKey, Option<Status>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|key| (key.clone(), self.all.get(&key).cloned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use nuncio_api::core::LoadBalancerIngress;
    use nuncio_api::{Change, Kind};
    use nuncio_testing::manifests;

    use super::*;
    use crate::{Compiler, Settings};

    const INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, annotations: {kubernetes.io/ingress.class: ambassador}}
spec: {rules: []}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: strangers}
spec: {rules: []}
";

    fn service(address: &str, selector: &str) -> Vec<Change> {
        manifests::changes(&format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: gateway, labels: {{app.kubernetes.io/component: ambassador-service}}}}
spec: {{ports: [{{port: 80}}], selector: {selector}}}
status: {{loadBalancer: {{ingress: [{{ip: {address}}}]}}}}
"
        ))
    }

    fn reached(address: &str) -> Option<Status> {
        let ip = Some(address.to_owned());
        let ingress = vec![LoadBalancerIngress { ip, hostname: None }];
        Some(Status::LoadBalancer(LoadBalancerStatus { ingress }))
    }

    #[test]
    fn ingresses_are_reached_where_the_own_service_is() {
        let pod_labels = [("app".to_owned(), "edge".to_owned())].into();
        let mut compiler = Compiler::new(Settings { pod_labels, ..Settings::default() });
        let web = ObjectKey::new(Kind::Ingress, "default", "web");
        assert_eq!(compiler.apply(manifests::changes(INGRESS)).statuses, []);
        let told = compiler.apply(service("192.0.2.1", "{app: edge}")).statuses;
        assert_eq!(told, [(web.clone(), reached("192.0.2.1"))]);
        let told = compiler.apply(service("192.0.2.2", "{app: edge}")).statuses;
        assert_eq!(told, [(web.clone(), reached("192.0.2.2"))]);
        assert_eq!(compiler.apply(service("192.0.2.2", "{app: edge}")).statuses, []);
        let told = compiler.apply(service("192.0.2.2", "{app: another}")).statuses;
        assert_eq!(told, [(web.clone(), None)]);
        compiler.apply(service("192.0.2.2", "{app: edge}"));
        let told = compiler.apply(vec![Change::Delete(web.clone())]).statuses;
        assert_eq!(told, [(web, None)]);
    }

    #[test]
    fn mappings_in_effect_run_when_that_is_asked_for() {
        let mapping = "
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: m}
spec: {hostname: '*', prefix: /m/, service: m}
";
        let namesake = "
apiVersion: v1
kind: Service
metadata:
  name: z
  annotations:
    getambassador.io/config: |
      {apiVersion: ambassador/v2, kind: Mapping, name: m, prefix: /z/, service: z}
";
        assert_eq!(
            Compiler::new(Settings::default()).apply(manifests::changes(mapping)).statuses,
            []
        );
        let mut compiler = Compiler::new(Settings { mapping_status: true, ..Settings::default() });
        let key = ObjectKey::new(Kind::Mapping, "default", "m");
        let told = compiler.apply(manifests::changes(mapping)).statuses;
        assert_eq!(told, [(key.clone(), Some(Status::Running))]);
        let told = compiler.apply(manifests::changes(namesake)).statuses;
        assert_eq!((told.len(), &told[0]), (2, &(key.clone(), None)));
        let carrier = ObjectKey::new(Kind::Service, "default", "z");
        let carried = told[1].0.clone();
        assert!(carried.is_carried_by(&carrier));
        let told = compiler.apply(vec![Change::Delete(carried.clone())]).statuses;
        assert_eq!(told, [(key, Some(Status::Running)), (carried, None)]);
    }
}
