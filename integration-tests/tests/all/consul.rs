//! Services in Consul.

use nuncio_integration_tests::Stack;
use nuncio_testing::consul::{Consul, Instance};

fn objects(consul: &Consul) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: ConsulResolver\n\
         metadata: {{name: consul-dc1, namespace: default}}\n\
         spec: {{address: \"{}\", datacenter: dc1}}\n\
         ---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\n\
         metadata: {{name: quote, namespace: default}}\n\
         spec: {{hostname: \"*\", prefix: /quote/, service: quote, resolver: consul-dc1}}\n",
        consul.address()
    )
}

#[tokio::test]
async fn a_service_is_answered_503_before_it_registers_and_served_after() {
    let consul = Consul::start().await;
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("plain", "/plain/", "first")
        .file("consul.yaml", &objects(&consul))
        .start()
        .await;
    stack.until_status("/quote/", 503).await;
    assert_eq!(stack.get("/plain/").await.unwrap().status, 200);

    let backend = stack.backend("first").address();
    let instance = Instance::at(&backend.ip().to_string(), backend.port());
    consul.register("dc1", "quote", vec![instance.clone()]);
    let reply = stack.until_status("/quote/", 200).await;
    assert_eq!(reply.echo().backend, "first");

    // Its node stands in for an instance without an address, a sick one for
    // nothing.
    let of_node = Instance { address: String::new(), node: instance.address.clone(), ..instance };
    let sick = Instance { passing: false, ..Instance::at("192.0.2.7", 1) };
    consul.register("dc1", "quote", vec![of_node, sick]);
    for _ in 0..20 {
        assert_eq!(stack.get("/quote/").await.unwrap().status, 200);
    }
    consul.register("dc1", "quote", Vec::new());
    stack.until_status("/quote/", 503).await;
}

#[tokio::test]
async fn what_consul_told_last_is_served_while_it_does_not_answer() {
    let consul = Consul::start().await;
    let builder = Stack::builder().backend("first").await;
    let backend = builder.backend_named("first").address();
    consul.register("dc1", "quote", vec![Instance::at(&backend.ip().to_string(), backend.port())]);
    let stack = builder.file("consul.yaml", &objects(&consul)).start().await;
    stack.until_status("/quote/", 200).await;
    consul.fail(true);
    consul.failed().await;
    assert_eq!(stack.get("/quote/").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_consul_that_never_answers_holds_nothing_else_up() {
    let consul = Consul::start().await;
    consul.fail(true);
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("plain", "/plain/", "first")
        .file("consul.yaml", &objects(&consul))
        .start()
        .await;
    assert_eq!(stack.get("/plain/").await.unwrap().status, 200);
    assert_eq!(stack.get("/quote/").await.unwrap().status, 503);
}
