//! CAs and names that do not do what they should.

use super::*;

#[tokio::test]
async fn a_ca_out_of_reach_is_tried_again_and_holds_up_no_other() {
    let rig = Rig::start(|_| {}).await;
    let down = Rig::down(|_| {}).await;
    rig.tell(vec![
        host("down", "down.example.com", &down.directory(), &[]),
        host("web", "www.example.com", &rig.directory(), &[]),
    ]);
    let _worker = rig.run();
    rig.issued("www.example.com").await;
    rig.until_status("down", |status| {
        status.contains(r#""state":"Error""#) && status.contains(r#""errorBackoff":"5s""#)
    })
    .await;
    let told = rig.told("down").pop().unwrap();
    assert!(told.contains("refused") || told.contains("connect"), "{told}");
    let calls = rig.authorities.calls();
    rig.settle().await;
    assert_eq!(rig.authorities.calls(), calls, "not asked before the time is over");
    rig.clock.advance(Duration::from_secs(6));
    rig.until(|| rig.authorities.calls() > calls).await;
}

#[tokio::test]
async fn a_ca_that_was_down_at_start_is_used_once_it_is_up() {
    let rig = Rig::down(|_| {}).await;
    rig.tell(vec![host("web", "www.example.com", &rig.directory(), &[])]);
    let _worker = rig.run();
    rig.until_status("web", |status| status.contains(r#""state":"Error""#)).await;
    rig.pebble.lock().unwrap().launch().unwrap();
    rig.clock.advance(Duration::from_secs(6));
    rig.issued("www.example.com").await;
    rig.until_status("web", |status| status.contains("Ready")).await;
    assert_eq!(rig.authorities.accounts(), 1);
}

#[tokio::test]
async fn a_name_that_cannot_be_verified_climbs_the_ladder_alone() {
    // Nobody listens where this CA looks for answers.
    let rig = Rig::start(|options: &mut Options| options.http_port = 1).await;
    rig.tell(vec![host("web", "www.example.com", &rig.directory(), &[])]);
    let _worker = rig.run();
    rig.until_status("web", |status| status.contains(r#""state":"Error""#)).await;
    let told = rig.told("web").pop().unwrap();
    assert!(told.contains("www.example.com"), "the reason names the name: {told}");
    assert!(told.contains(r#""phasePending":"ACMECertificateChallenge""#), "{told}");
    assert_eq!(rig.authorities.orders(), 1);
    rig.settle().await;
    assert_eq!(rig.authorities.orders(), 1, "not asked before the time is over");
    rig.clock.advance(Duration::from_secs(73));
    rig.until(|| rig.authorities.orders() == 2).await;
}

#[tokio::test]
async fn hosts_that_cannot_have_a_certificate_say_why() {
    let rig = Rig::start(|_| {}).await;
    let elsewhere = [("tlsSecret", serde_json::json!({"name": "x", "namespace": "other"}))];
    rig.tell(vec![
        host("all", "*", &rig.directory(), &[]),
        host("wild", "*.example.com", &rig.directory(), &[]),
        host("plain", "a.example.com", "http://ca.example.com/dir", &[]),
        host("away", "b.example.com", &rig.directory(), &elsewhere),
        host("web", "www.example.com", &rig.directory(), &[]),
    ]);
    let _worker = rig.run();
    for (host, reason) in
        [("all", "every name"), ("wild", "DNS-01"), ("plain", "https"), ("away", "not allowed")]
    {
        rig.until_status(host, |status| status.contains("Error") && status.contains(reason)).await;
        let told = rig.told(host).pop().unwrap();
        assert!(told.contains(r#""phaseCompleted":"NA","phasePending":"DefaultsFilled""#));
        assert!(!told.contains("errorBackoff"), "there is no next attempt: {told}");
    }
    rig.issued("www.example.com").await;
}

#[tokio::test]
async fn a_host_that_changes_its_mind_gets_what_it_wants_last() {
    let rig = Rig::start(|_| {}).await;
    rig.tell(vec![host("web", "*", &rig.directory(), &[])]);
    let _worker = rig.run();
    rig.until_status("web", |status| status.contains("Error")).await;
    let named = [("tlsSecret", serde_json::json!({"name": "tls"}))];
    rig.tell(vec![host("web", "a.example.com", &rig.directory(), &named)]);
    let first = rig.issued("tls").await;
    rig.tell(vec![host("web", "b.example.com", &rig.directory(), &named)]);
    let second = rig.issued_after("tls", &first).await;
    assert!(second.names.contains("b.example.com"));
    rig.until_status("web", |status| status.contains("Ready")).await;
}

#[tokio::test]
async fn a_ca_that_asks_to_wait_is_not_asked_before_and_serves_the_others() {
    let rig = Rig::start(|_| {}).await;
    let limited = Failure {
        retry_after: Some(Duration::from_secs(120)),
        ..Failure::new(Class::RateLimited, "too many certificates for this name")
    };
    rig.authorities.refuse("a.example.com", Some(limited));
    rig.tell(vec![
        host("a", "a.example.com", &rig.directory(), &[]),
        host("b", "b.example.com", &rig.directory(), &[]),
    ]);
    let _worker = rig.run();
    rig.issued("b.example.com").await;
    rig.until_status("a", |status| {
        status.contains("too many certificates") && status.contains(r#""errorBackoff":"2m0s""#)
    })
    .await;
    rig.authorities.refuse("a.example.com", None);
    rig.clock.advance(Duration::from_secs(115));
    rig.settle().await;
    assert_eq!(rig.authorities.tries("a.example.com"), 1);
    rig.clock.advance(Duration::from_secs(6));
    rig.issued("a.example.com").await;
    rig.until_status("a", |status| status.contains("Ready")).await;
}

#[tokio::test]
async fn what_a_ca_will_never_issue_waits_for_the_host_to_change() {
    let rig = Rig::start(|_| {}).await;
    let never = Failure::new(Class::Rejected, "policy forbids issuing for this name");
    rig.authorities.refuse("bank.example.com", Some(never));
    rig.tell(vec![host("web", "bank.example.com", &rig.directory(), &[])]);
    let _worker = rig.run();
    rig.until_status("web", |status| {
        status.contains("policy forbids") && !status.contains("errorBackoff")
    })
    .await;
    rig.clock.advance(Duration::from_secs(90 * 24 * 3600));
    rig.settle().await;
    assert_eq!(rig.authorities.tries("bank.example.com"), 1);
    rig.tell(vec![host("web", "shop.example.com", &rig.directory(), &[])]);
    rig.until(|| rig.authorities.tries("shop.example.com") == 1).await;
}
