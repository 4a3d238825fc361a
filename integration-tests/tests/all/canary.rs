//! Weights and mirrors: how requests of one match are shared.

use nuncio_integration_tests::{Stack, eventually};

/// Requests of each sample: the bounds below lie five standard deviations out.
const REQUESTS: u64 = 300;

fn canary(prefix: &str, weight: u32) -> String {
    format!("{{hostname: \"*\", prefix: {prefix}, service: second, weight: {weight}}}")
}

#[tokio::test]
async fn a_canary_gets_the_percentage_that_it_says() {
    let mut builder = Stack::builder().backend("first").await.backend("second").await;
    let cases = [(0, 0..=0), (10, 4..=56), (50, 106..=194), (100, REQUESTS..=REQUESTS)];
    for (weight, _) in &cases {
        let prefix = format!("/canary-{weight}/");
        builder = builder.mapping(&format!("main-{weight}"), &prefix, "first");
        builder = builder.object("Mapping", &format!("next-{weight}"), &canary(&prefix, *weight));
    }
    let stack = builder.start().await;
    for (weight, expected) in cases {
        let before = stack.backend("second").requests();
        for _ in 0..REQUESTS {
            assert_eq!(stack.get(&format!("/canary-{weight}/")).await.unwrap().status, 200);
        }
        let share = stack.backend("second").requests() - before;
        assert!(expected.contains(&share), "weight {weight}: {share} of {REQUESTS}");
    }
}

#[tokio::test]
async fn weights_that_end_below_a_hundred_leave_the_rest_to_later_routes() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .backend("second")
        .await
        .mapping("behind", "/", "first")
        .object("Mapping", "ten", &canary("/part/", 10))
        .object("Mapping", "twenty", &canary("/part/", 20))
        .start()
        .await;
    for _ in 0..REQUESTS {
        assert_eq!(stack.get("/part/").await.unwrap().status, 200);
    }
    let share = stack.backend("second").requests();
    assert!((50..=130).contains(&share), "30 %: {share} of {REQUESTS}");
    assert_eq!(stack.backend("first").requests(), REQUESTS - share);
}

fn mirror(prefix: &str, more: &str) -> String {
    format!("{{hostname: \"*\", prefix: {prefix}, service: shadow, shadow: true{more}}}")
}

#[tokio::test]
async fn a_shadow_gets_a_copy_of_every_request_and_answers_nobody() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .backend("shadow")
        .await
        .mapping("main", "/mirrored/", "first")
        .object("Mapping", "copy", &mirror("/mirrored/", ""))
        .object("Mapping", "alone", &mirror("/alone/", ""))
        .start()
        .await;
    for _ in 0..20 {
        // The shadow would answer slowly and badly.
        let reply = stack.get("/mirrored/x").await.unwrap();
        assert_eq!((reply.status, reply.echo().backend.as_str()), (200, "first"));
    }
    let all = async || (stack.backend("shadow").requests() == 20).then_some(());
    eventually("all copies have arrived", all).await;
    assert_eq!(stack.get("/alone/").await.unwrap().status, 404, "a shadow alone routes nothing");
}

#[tokio::test]
async fn a_weighted_shadow_gets_copies_of_its_percentage() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .backend("shadow")
        .await
        .mapping("main", "/mirrored/", "first")
        .object("Mapping", "copy", &mirror("/mirrored/", ", weight: 10"))
        .start()
        .await;
    for _ in 0..REQUESTS {
        assert_eq!(stack.get("/mirrored/").await.unwrap().echo().backend, "first");
    }
    let name = "cluster.shadow.upstream_rq_completed";
    let total = "cluster.shadow.upstream_rq_total";
    let settled = async || {
        let counts = (stack.statistic(name).await, stack.statistic(total).await);
        (counts.0.is_some() && counts.0 == counts.1).then_some(())
    };
    eventually("no copy is under way", settled).await;
    let copies = stack.backend("shadow").requests();
    assert!((4..=56).contains(&copies), "{copies} copies of {REQUESTS}");
}
