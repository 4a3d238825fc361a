use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::problem::{Class, Failure};
use crate::schedule::Validity;

fn wish(name: &str, hostname: &str) -> Wish {
    Wish {
        host: HostId { namespace: "default".into(), name: name.into() },
        created: String::new(),
        hostname: hostname.into(),
        authority: None,
        email: None,
        account_secret: None,
        registration: None,
        secret: None,
        secret_namespace: None,
        adopt: false,
    }
}

fn leaf(names: &[&str]) -> Leaf {
    Leaf {
        validity: Validity { not_before: UnixTime(0), not_after: UnixTime(90 * 24 * 3600) },
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        public_key: vec![],
        fingerprint: "f".into(),
    }
}

fn one(wish: Wish) -> Wanted {
    let plan = plan(&[wish], |_, _| false);
    plan.wanted.into_values().next().expect("the wish is granted")
}

fn current(names: &[&str], ours: bool) -> Current {
    Current { leaf: Some(leaf(names)), ours }
}

#[test]
fn defaults_are_those_of_edge_stack() {
    let wanted = one(wish("web", "www.example.com:443"));
    assert_eq!(wanted.secret.to_string(), "default/www.example.com");
    assert_eq!(wanted.directory, LETS_ENCRYPT);
    let account = wanted.account("nuncio", |_| false);
    assert_eq!(
        account.to_string(),
        "nuncio/https-3a-2f-2facme-2dv02.api.letsencrypt.org-2fdirectory"
    );
    assert_eq!(wanted.account("nuncio", |_| true).namespace, "default");
}

#[test]
fn hosts_of_one_secret_share_one_certificate() {
    let mut a = wish("a", "a.example.com");
    let mut b = wish("b", "b.example.com");
    (a.secret, b.secret) = (Some("tls".into()), Some("tls".into()));
    let plan = plan(&[b, a], |_, _| false);
    let wanted = plan.wanted.values().next().unwrap();
    assert_eq!((plan.wanted.len(), wanted.names.len(), wanted.hosts.len()), (1, 2, 2));
}

#[test]
fn the_younger_of_two_hosts_that_disagree_is_refused() {
    let mut old = wish("z", "z.example.com");
    let mut young = wish("a", "a.example.com");
    (old.secret, young.secret) = (Some("tls".into()), Some("tls".into()));
    (old.created, young.created) = ("2024-01-01T00:00:00Z".into(), "2025-01-01T00:00:00Z".into());
    young.email = Some("me@example.com".into());
    let plan = plan(&[young, old], |_, _| false);
    assert_eq!(plan.refused.keys().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["a"]);
    assert!(plan.refused.values().next().unwrap().contains("default/z"));
}

#[test]
fn what_cannot_be_ordered_is_refused_and_spares_the_others() {
    let mut cleartext = wish("c", "c.example.com");
    cleartext.authority = Some("http://ca/dir".into());
    let mut elsewhere = wish("d", "d.example.com");
    elsewhere.secret_namespace = Some("other".into());
    let wishes = [wish("a", "*"), wish("b", "*.x.org"), cleartext, elsewhere, wish("e", "e.org")];
    let planned = plan(&wishes, |_, _| false);
    assert_eq!(planned.refused.len(), 4);
    assert_eq!(planned.wanted.len(), 1);
    assert_eq!(plan(&wishes, |from, to| (from, to) == ("default", "other")).wanted.len(), 2);
}

#[test]
fn a_registration_names_the_account() {
    let mut with = wish("a", "a.example.com");
    with.registration = Some(r#"{"body":{"status":"valid"},"uri":"https://ca/acct/7"}"#.to_owned());
    assert_eq!(one(with.clone()).account_url.as_deref(), Some("https://ca/acct/7"));
    with.registration = Some("{".into());
    assert_eq!(one(with).account_url, None);
}

#[test]
fn a_certificate_is_due_when_missing_spoiled_or_old() {
    let wanted = one(wish("a", "a.org"));
    let decide = |current: Option<Current>, now| {
        wanted.decide(current.as_ref(), &History::default(), UnixTime(now))
    };
    assert_eq!(decide(None, 0), Decision::Issue);
    assert_eq!(decide(Some(Current { leaf: None, ours: true }), 0), Decision::Issue);
    assert_eq!(decide(Some(current(&["b.org"], true)), 0), Decision::Issue);
    let due = leaf(&[]).validity.renew_at("default/a.org");
    assert_eq!(decide(Some(current(&["a.org"], true)), due.0 - 1), Decision::Rest(due));
    assert_eq!(decide(Some(current(&["a.org"], true)), due.0), Decision::Issue);
}

#[test]
fn another_ca_is_asked_as_soon_as_the_host_names_it() {
    let wanted = one(wish("a", "a.org"));
    let history = History {
        fingerprint: "f".into(),
        directory: "https://staging/dir".into(),
        ..History::default()
    };
    let current = current(&["a.org"], true);
    assert_eq!(wanted.decide(Some(&current), &history, UnixTime(0)), Decision::Issue);
}

#[test]
fn a_pair_of_somebody_else_is_used_and_never_replaced_unasked() {
    let mut asked = wish("a", "a.org");
    let wanted = one(asked.clone());
    let history = History::default();
    let good = current(&["*.org", "a.org"], false);
    let end = leaf(&[]).validity.not_after;
    assert_eq!(wanted.decide(Some(&good), &history, UnixTime(5)), Decision::Foreign(end));
    assert_eq!(wanted.decide(Some(&good), &history, UnixTime(end.0 + 1)), Decision::Blocked);
    let bad = current(&["b.org"], false);
    assert_eq!(wanted.decide(Some(&bad), &history, UnixTime(5)), Decision::Blocked);
    asked.adopt = true;
    assert_eq!(one(asked).decide(Some(&bad), &history, UnixTime(5)), Decision::Issue);
}

#[test]
fn failures_delay_or_stop_until_the_host_changes() {
    let wanted = one(wish("a", "a.org"));
    let mut history = History { wish: wanted.digest(), ..History::default() };
    history.failed(&Failure::new(Class::RateLimited, "x"), "id", UnixTime(0), None);
    assert_eq!(wanted.decide(None, &history, UnixTime(59)), Decision::Delayed(UnixTime(60)));
    assert_eq!(wanted.decide(None, &history, UnixTime(60)), Decision::Issue);
    history.failed(&Failure::new(Class::Rejected, "x"), "id", UnixTime(0), None);
    assert_eq!(wanted.decide(None, &history, UnixTime(1 << 40)), Decision::Stopped);
    history.wish = "former".into();
    assert_eq!(wanted.decide(None, &history, UnixTime(0)), Decision::Issue);
}

#[test]
fn a_secret_deleted_again_and_again_does_not_burn_the_limit() {
    let wanted = one(wish("a", "a.org"));
    let mut history = History::default();
    for at in 0..3 {
        history.succeeded("https://ca/dir", "f", UnixTime(at));
    }
    let decision = wanted.decide(None, &history, UnixTime(3));
    assert_eq!(decision, Decision::Held(UnixTime(0).plus(Duration::from_secs(24 * 3600))));
}

proptest! {
    #[test]
    fn every_host_is_either_planned_or_refused_in_any_order(
        hosts in proptest::collection::btree_map("[a-d]", ("[a-c*]\\.org|\\PC{0,9}", "[st]"), 0..5),
        seed: u64,
    ) {
        let mut wishes: Vec<_> = hosts
            .into_iter()
            .map(|(name, (hostname, secret))| Wish { secret: Some(secret), ..wish(&name, &hostname) })
            .collect();
        let first = plan(&wishes, |_, _| false);
        let planned: usize = first.wanted.values().map(|wanted| wanted.hosts.len()).sum();
        prop_assert_eq!(planned + first.refused.len(), wishes.len());
        wishes.sort_by_key(|wish| crate::schedule::hash(&format!("{seed}{}", wish.host)));
        prop_assert_eq!(plan(&wishes, |_, _| false), first);
    }
}
