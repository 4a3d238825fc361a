//! Folders of many objects.

use nuncio::Bundle;
use nuncio_integration_tests::{Files, mapping, tls_secret};

/// Objects of one file.
const PER_FILE: usize = 100;
/// Mappings of one Host, where each Host has a few.
const PER_HOST: usize = 10;
/// Every Host's name ends so, and every certificate is for all of them.
pub(crate) const DOMAIN: &str = "example.com";

/// Writes Mappings `/m0/`, `/m1/` … of every host, to the services that are
/// named by their number.
pub(crate) fn one_host(files: &Files, count: usize, service: impl Fn(usize) -> String) {
    write(files, "mappings", count, |number| {
        mapping(&format!("m{number}"), &format!("/m{number}/"), &service(number))
    });
}

/// Writes Hosts with TLS, of the Secret `certificate`, and Mappings `/m0/`,
/// `/m1/` …, ten to a Host.
pub(crate) fn many_hosts(files: &Files, count: usize, service: &str) {
    write(files, "hosts", count / PER_HOST, |number| host(&format!("h{number}")));
    write(files, "mappings", count, |number| {
        let host = format!("h{}", number / PER_HOST);
        mapping_of(&host, &format!("m{number}"), &format!("/m{number}/"), service)
    });
}

/// The Host of requests that name no other, which serves cleartext.
pub(crate) fn any_host() -> &'static str {
    "apiVersion: getambassador.io/v3alpha1\nkind: Host\n\
     metadata: {name: any, namespace: default}\n\
     spec: {hostname: \"*\", requestPolicy: {insecure: {action: Route}}}\n"
}

/// A Host with TLS, of the Secret `certificate`.
pub(crate) fn host(name: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Host\n\
         metadata: {{name: {name}, namespace: default}}\n\
         spec: {{hostname: {name}.{DOMAIN}, tlsSecret: {{name: certificate}}, \
         requestPolicy: {{insecure: {{action: Redirect}}}}}}\n"
    )
}

/// A Mapping of one Host.
pub(crate) fn mapping_of(host: &str, name: &str, prefix: &str, service: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\n\
         metadata: {{name: {name}, namespace: default}}\n\
         spec: {{hostname: {host}.{DOMAIN}, prefix: {prefix}, service: {service}}}\n"
    )
}

/// A certificate for every Host.
pub(crate) fn certificate() -> Bundle {
    Bundle::generate(&[format!("*.{DOMAIN}")]).expect("the name can stand in a certificate")
}

/// The Secret `certificate`.
pub(crate) fn secret(bundle: &Bundle) -> String {
    tls_secret("certificate", &bundle.chain, &bundle.key)
}

fn write(files: &Files, name: &str, count: usize, object: impl Fn(usize) -> String) {
    for first in (0..count).step_by(PER_FILE) {
        let objects: Vec<_> = (first..count.min(first + PER_FILE)).map(&object).collect();
        files.write(&format!("{name}-{first}.yaml"), objects.join("---\n"));
    }
}
