//! Changes of every kind, one after the other.

use std::net::SocketAddr;

use nuncio::Bundle;
use nuncio_integration_tests::{Files, mapping, service_at};

use crate::world;

/// What the changes are made of.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Two certificates that take turns.
    pub(crate) certificates: [Bundle; 2],
    /// Two endpoints, of which the second comes and goes.
    pub(crate) endpoints: [SocketAddr; 2],
}

impl Changes {
    /// Writes everything that changes as it is before the first change.
    pub(crate) fn begin(&self, files: &Files) {
        files.write("mapping-edited.yaml", mapping("edited", "/edited/", "first"));
        files.write("mapping-main.yaml", mapping("main", "/canary/", "first"));
        files.write("mapping-churn.yaml", mapping("churn", "/churn/", "churn"));
        self.weigh(files, 0);
        self.certify(files, 0);
        self.churn(files, 0);
    }

    /// Makes a change. Six in a row are a Mapping that comes, an edit, a weight,
    /// a certificate, an endpoint, and the Mapping that goes.
    pub(crate) fn make(&self, files: &Files, number: usize) {
        let round = number / 6;
        let extra = format!("extra-{round}");
        match number % 6 {
            0 => {
                let text = mapping(&extra, &format!("/{extra}/"), "first");
                files.write(&format!("{extra}.yaml"), text);
            }
            1 => {
                let service = ["second", "first"][round % 2];
                files.write("mapping-edited.yaml", mapping("edited", "/edited/", service));
            }
            2 => self.weigh(files, round + 1),
            3 => self.certify(files, round + 1),
            4 => self.churn(files, round + 1),
            _ => files.remove(&format!("{extra}.yaml")),
        }
    }

    fn weigh(&self, files: &Files, round: usize) {
        let weight = round * 10 % 101;
        let spec =
            format!("{{hostname: \"*\", prefix: /canary/, service: second, weight: {weight}}}");
        files.put("Mapping", "canary", &spec);
    }

    fn certify(&self, files: &Files, round: usize) {
        files.write("certificate.yaml", world::secret(&self.certificates[round % 2]));
    }

    fn churn(&self, files: &Files, round: usize) {
        files.write("service-churn.yaml", service_at("churn", &self.endpoints[..=round % 2]));
    }
}
