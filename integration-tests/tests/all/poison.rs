//! Bad objects beside good ones, in the whole gateway: what serves goes on, and
//! good edits take effect.

use nuncio_integration_tests::{Stack, free_port, mapping};
use poisons::{POISONS, Poison};

#[allow(dead_code, reason = "the other half is for the compiler's own test")]
#[path = "../../../crates/compiler/tests/support/poisons.rs"]
mod poisons;

/// A Host for every name, a certificate, and a Mapping that needs no leave.
async fn stack(poisons: &[(String, &Poison)]) -> Stack {
    let key = rcgen::generate_simple_self_signed(vec!["good.test".into()]).unwrap();
    let indent = |pem: String| pem.trim().replace('\n', "\n    ");
    let certificate = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: good}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indent(key.cert.pem()),
        indent(key.signing_key.serialize_pem())
    );
    let host = "---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {name: any}\nspec: {hostname: '*', tlsSecret: {name: good}, requestPolicy: {insecure: {action: Route}}}\n";
    let mut builder = Stack::builder().backend("up").await;
    builder = builder.file("any.yaml", &format!("{certificate}{host}"));
    builder = builder.file("good.yaml", &open("good", "/good/"));
    for (name, poison) in poisons {
        let text = with_ports(&poison.yaml(name), builder.http_port(), builder.https_port());
        builder = builder.file(&format!("{name}.yaml"), &text);
    }
    builder.start().await
}

fn open(name: &str, prefix: &str) -> String {
    mapping(name, prefix, "up").replace("spec: {", "spec: {bypass_auth: true, ")
}

/// Puts the Listeners' ports in the places of the usual ones, and free ones in
/// the places of others.
fn with_ports(text: &str, http: u16, https: u16) -> String {
    let text = text.replace("8080", &http.to_string()).replace("8443", &https.to_string());
    text.replace("9000", &free_port().to_string()).replace("9001", &free_port().to_string())
}

/// Poisons with a name each. One Module is in effect, so those come one by one.
fn named(modules: bool) -> Vec<(String, &'static Poison)> {
    let each = POISONS.iter().enumerate().filter(|(_, it)| modules || it.kind != "Module");
    each.map(|(number, poison)| (format!("poison-{number}"), poison)).collect()
}

#[tokio::test]
async fn every_poison_at_once_keeps_no_good_mapping_from_starting() {
    let stack = stack(&named(false)).await;
    assert_eq!(stack.get("/good/").await.unwrap().status, 200);
    stack.files().write("later.yaml", open("later", "/later/"));
    stack.until_status("/later/", 200).await;
}

#[tokio::test]
async fn a_poison_that_comes_later_stops_neither_traffic_nor_good_edits() {
    let stack = stack(&[]).await;
    for (name, poison) in named(true) {
        let (http, https) = (stack.http().port(), stack.https().port());
        stack.files().write("poison.yaml", with_ports(&poison.yaml(&name), http, https));
        let prefix = format!("/beside-{name}/");
        stack.files().write("beside.yaml", open("beside", &prefix));
        println!("{name}: {}", poison.name);
        stack.until_status(&prefix, 200).await;
        let good = stack.get("/good/").await.map(|reply| reply.status);
        assert_eq!(good, Some(200), "beside {}", poison.name);
    }
}
