//! A configuration that serves nothing, although its objects want something.

use std::sync::Arc;

use nuncio_api::{Diagnostic, Kind, ObjectKey, Origin, Severity};

use super::reports::Pass;
use super::{Compiler, Subject};

/// What the warning is about, for it is about no object.
const SUBJECT: &str = "gateway";

impl Compiler {
    /// Says that there is no Listener where there is something to serve.
    ///
    /// Source: Emissary, which publishes all the same. TCPMappings make
    /// listeners of their own.
    pub(super) fn look_for_listeners(&mut self) {
        let served = self.exists(Kind::Listener) || self.exists(Kind::TcpMapping);
        let wanted = [Kind::Mapping, Kind::Host].into_iter().any(|kind| self.exists(kind));
        let idle = !served && (wanted || !self.derived.is_empty());
        let finding = idle.then(|| Diagnostic {
            severity: Severity::Warning,
            code: "no-listener",
            object: None,
            origin: Origin::default(),
            field: String::new(),
            message: "there is no Listener, so nothing is served".to_owned(),
            remedy: "add a Listener".to_owned(),
        });
        let subject = Subject::Input(Arc::from(SUBJECT));
        self.reports.set(subject, (Pass::Scene, 0), finding.into_iter().collect());
    }

    /// Tells whether an object of a kind exists, usable or not.
    fn exists(&self, kind: Kind) -> bool {
        let first = self.entries.range(ObjectKey::new(kind, "", "")..).next();
        first.is_some_and(|(key, _)| key.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use nuncio_testing::manifests;

    use super::*;
    use crate::Settings;

    fn codes(report: &[(Subject, Vec<Diagnostic>)]) -> Vec<&str> {
        report.iter().flat_map(|(_, list)| list).map(|finding| finding.code).collect()
    }

    #[test]
    fn without_a_listener_nothing_is_served_and_that_is_said() {
        let mut compiler = Compiler::new(Settings::default());
        assert_eq!(compiler.apply(Vec::new()).report, []);
        let mapping = "{apiVersion: getambassador.io/v3alpha1, kind: Mapping, metadata: {name: m}, \
                       spec: {hostname: '*', prefix: /, service: s}}";
        let report = compiler.apply(manifests::changes(mapping)).report;
        assert_eq!(codes(&report), ["no-listener"]);
        let listener = "{apiVersion: getambassador.io/v3alpha1, kind: Listener, \
                        metadata: {name: l}, spec: {port: 8080, protocol: HTTP, \
                        securityModel: XFP, hostBinding: {namespace: {from: ALL}}}}";
        let report = compiler.apply(manifests::changes(listener)).report;
        assert_eq!(report, [(Subject::Input(Arc::from(SUBJECT)), Vec::new())]);
    }
}
