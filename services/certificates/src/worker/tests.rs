//! The loop against the real Pebble.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nuncio_renewal::bundle::Leaf;
use nuncio_renewal::name;
use nuncio_testing::pebble::Options;

use super::*;
use crate::keys;

mod crashes;
mod rig;
mod troubles;

use rig::{Rig, host, secret};

#[tokio::test]
async fn a_host_gets_its_certificate_and_a_renewed_one_in_time() {
    let rig = Rig::start(|_| {}).await;
    rig.tell(vec![host("web", "www.example.com", &rig.directory(), &[])]);
    let worker = rig.run();
    let first = rig.issued("www.example.com").await;
    let issued = Instant::now();
    assert!(first.covers(&name::Name::parse("www.example.com").unwrap()));
    rig.until_status("web", |status| {
        status == r#"{"state":"Ready","tlsCertificateSource":"ACME"}"#
    })
    .await;

    let told = rig.told("web");
    assert!(told[0].contains(r#""state":"Pending","phaseCompleted":"DefaultsFilled","phasePending":"ACMEUserPrivateKeyCreated""#), "{told:?}");
    assert!(
        told.iter().any(|status| status.contains(r#""phasePending":"ACMECertificateChallenge""#)),
        "{told:?}"
    );
    let account = name::account_secret(&rig.directory(), None);
    assert!(rig.secret(&account).unwrap()["user.key"].contains("PRIVATE KEY"));
    let fallback = rig.secret("fallback-self-signed-cert").unwrap();
    assert!(Leaf::parse(&fallback["tls.crt"]).is_ok());
    assert_eq!(rig.records.count(Shelf::Inflight), 0);

    // Nothing happens before its time, and exactly one renewal at it.
    let due = first.validity.renew_at("default/www.example.com");
    rig.clock.set(due.minus(Duration::from_secs(60)));
    rig.settle().await;
    assert_eq!(rig.authorities.orders(), 1);
    // The CA dates by its own clock, in seconds: a certificate of the same
    // second would be due at once.
    rig.until(|| issued.elapsed() > Duration::from_secs(1)).await;
    rig.clock.set(due);
    let second = rig.issued_after("www.example.com", &first).await;
    assert_ne!(first.public_key, second.public_key, "each issue has its own key");
    assert_eq!((rig.authorities.accounts(), rig.authorities.orders()), (1, 2));
    let ready = rig.told("web").iter().filter(|status| status.contains("Ready")).count();
    assert_eq!(ready, 1, "a renewal does not change the status");
    drop(worker);
}

#[tokio::test]
async fn hosts_of_one_secret_and_hosts_of_their_own_are_all_served() {
    let rig = Rig::start(|_| {}).await;
    let shared = [("tlsSecret", serde_json::json!({"name": "shared"}))];
    rig.tell(vec![
        host("a", "a.example.com", &rig.directory(), &shared),
        host("b", "b.example.com", &rig.directory(), &shared),
        host("c", "c.example.com", &rig.directory(), &[]),
        host("ip", "127.0.0.1", &rig.directory(), &[]),
        host("off", "off.example.com", "none", &[]),
    ]);
    let _worker = rig.run();
    let shared = rig.issued("shared").await;
    assert_eq!(shared.names.len(), 2);
    rig.issued("c.example.com").await;
    assert!(rig.issued("127.0.0.1").await.names.contains("127.0.0.1"));
    assert_eq!((rig.authorities.accounts(), rig.authorities.orders()), (1, 3));
    assert!(rig.told("off").is_empty(), "a Host without ACME is nobody's business");
}

#[tokio::test]
async fn certificates_of_a_few_seconds_are_kept_fresh() {
    let rig = Rig::start(|options: &mut Options| options.validity = Duration::from_secs(8)).await;
    rig.tell(vec![host("web", "www.example.com", &rig.directory(), &[])]);
    let _worker = rig.run();
    let mut last = rig.issued("www.example.com").await;
    for _ in 0..2 {
        let next = rig.issued_after("www.example.com", &last).await;
        let now = rig.clock.now();
        assert!(last.validity.holds(now), "renewed before the former ended");
        last = next;
    }
    assert!(
        rig.told("web").iter().all(|status| !status.contains("Error")),
        "{:?}",
        rig.told("web")
    );
}

#[tokio::test]
async fn a_ca_that_refuses_many_nonces_is_no_obstacle() {
    let rig = Rig::start(|options: &mut Options| options.refused_nonces = 30).await;
    rig.tell(vec![host("web", "www.example.com", &rig.directory(), &[])]);
    let _worker = rig.run();
    rig.issued("www.example.com").await;
    assert_eq!((rig.authorities.accounts(), rig.authorities.orders()), (1, 1));
}

#[tokio::test]
async fn an_account_that_edge_stack_left_is_adopted() {
    let rig = Rig::start(|_| {}).await;
    let key = keys::generate().unwrap();
    let there = rig.authorities.inner().open(&rig.directory(), &key, None, None).await.unwrap();
    let registration = serde_json::json!({"body": {"status": "valid"}, "uri": there.account()});
    let named = name::account_secret(&rig.directory(), Some("me@example.com"));
    let mut acme = rig::acme(&rig.directory());
    acme["email"] = "me@example.com".into();
    acme["registration"] = registration.to_string().into();
    let data = BTreeMap::from([("user.key", key.reveal().to_owned())]);
    rig.tell(vec![
        secret(&named, "Opaque", &data),
        host("web", "www.example.com", "", &[("acmeProvider", acme)]),
    ]);
    let _worker = rig.run();
    rig.issued("www.example.com").await;
    assert_eq!(rig.authorities.account_urls(), [there.account().to_owned()]);
    assert_eq!(rig.secret(&named), None, "the Secret of another is not written");
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_used_and_not_replaced() {
    let rig = Rig::start(|_| {}).await;
    let (chain, key) = keys::self_signed(rig.clock.now()).unwrap();
    let data = BTreeMap::from([("tls.crt", chain), ("tls.key", key.reveal().to_owned())]);
    rig.tell(vec![
        secret("www.example.com", "kubernetes.io/tls", &data),
        host("web", "www.example.com", &rig.directory(), &[]),
    ]);
    let _worker = rig.run();
    rig.until_status("web", |status| status.contains("made by somebody else")).await;
    assert_eq!(rig.authorities.orders(), 0);
    let mut adopting = host("web", "www.example.com", &rig.directory(), &[]);
    let annotation = serde_json::json!({ nuncio_renewal::plan::ADOPT: "true" });
    adopting["metadata"]["annotations"] = annotation;
    rig.tell(vec![adopting]);
    rig.issued("www.example.com").await;
    rig.until_status("web", |status| status.contains("Ready")).await;
}

#[tokio::test]
async fn a_passive_manager_answers_and_does_nothing_else() {
    let rig = Rig::start(|_| {}).await;
    let key = keys::generate().unwrap();
    let named = name::account_secret(&rig.directory(), None);
    let data = BTreeMap::from([("user.key", key.reveal().to_owned())]);
    rig.tell(vec![
        secret(&named, "Opaque", &data),
        host("web", "www.example.com", &rig.directory(), &[]),
    ]);
    let _worker = rig.run_with(|rules| rules.passive = true);
    let token = "DGyRejmCefe7v4NfDGDKfA";
    let (_, thumbprint) = keys::account(&key).unwrap();
    rig.until(|| {
        rig.answers.answer("www.example.com", token) == Some(thumbprint.key_authorization(token))
    })
    .await;
    assert_eq!(rig.authorities.calls(), 0);
    assert!(rig.told("web").is_empty());
}
