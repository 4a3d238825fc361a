use std::collections::BTreeMap;

use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

use super::*;
use crate::store;

const NOW: UnixTime = UnixTime(1_800_000_000);

/// A CA in memory: the rules of RFC 8555 §7.1.6 and nothing else.
#[derive(Default)]
struct Ca {
    orders: BTreeMap<String, Order>,
    pem: String,
    /// What the verifier finds.
    verdict: Option<Failure>,
    /// Polls after finalize before the certificate is ready.
    slow: u32,
    /// Names proved by an earlier order need no new proof.
    reuses: bool,
}

#[derive(Default)]
struct Order {
    offered: bool,
    finalized: bool,
    polled: u32,
}

impl Ca {
    fn status(&self, order: &Order) -> OrderStatus {
        match (order.offered, &self.verdict, order.finalized) {
            (false, ..) => OrderStatus::Pending,
            (true, Some(_), _) => OrderStatus::Invalid,
            (true, None, false) => OrderStatus::Ready,
            (true, None, true) if order.polled < self.slow => OrderStatus::Processing,
            (true, None, true) => OrderStatus::Valid,
        }
    }

    fn view(&self, url: &str) -> Event {
        let Some(order) = self.orders.get(url) else {
            return Event::Failed(Failure::new(Class::OrderGone, "no such order"));
        };
        let status = self.status(order);
        Event::Order(OrderView { url: url.to_owned(), status, error: None, retry_after: None })
    }

    /// Performs one step at the CA; the event is what it answers.
    fn perform(&mut self, flow: &Flow) -> Event {
        let url = flow.record().order().unwrap_or_default().to_owned();
        match flow.step() {
            Step::Save => Event::Saved,
            Step::Create => {
                let url = format!("https://ca/order/{}", self.orders.len());
                let order = Order { offered: self.reuses, ..Order::default() };
                self.orders.insert(url.clone(), order);
                self.view(&url)
            }
            Step::Read => {
                if let Some(order) = self.orders.get_mut(&url) {
                    order.polled += u32::from(order.finalized);
                }
                self.view(&url)
            }
            Step::Authorizations => {
                let Some(order) = self.orders.get(&url) else { return self.view(&url) };
                Event::Authorizations(vec![AuthorizationView {
                    name: "a.org".into(),
                    valid: order.offered && self.verdict.is_none(),
                    http01: Some(format!("token-of-{}", self.orders.len())),
                    untouched: !order.offered,
                    failure: order.offered.then(|| self.verdict.clone()).flatten(),
                }])
            }
            Step::Publish(_) => Event::Published,
            Step::Accept(_) => {
                self.orders.get_mut(&url).expect("an accepted order exists").offered = true;
                Event::Accepted
            }
            Step::Wait(_) => Event::Waited,
            Step::Finalize => {
                self.orders.get_mut(&url).expect("a finalized order exists").finalized = true;
                self.view(&url)
            }
            Step::Download => Event::Chain(self.pem.clone()),
            Step::Store(_) => Event::Stored,
            Step::Done | Step::Failed(_) => unreachable!("the flow is over"),
        }
    }
}

fn pair() -> (String, KeyPem, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["a.org".to_owned()]).unwrap();
    let at = |offset| ::time::OffsetDateTime::from_unix_timestamp(NOW.0 + offset).unwrap();
    (params.not_before, params.not_after) = (at(-60), at(90 * 24 * 3600));
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, KeyPem::new(key.serialize_pem()), key.subject_public_key_info())
}

fn record(key: &KeyPem) -> Inflight {
    let names = BTreeSet::from([Name::parse("a.org").unwrap()]);
    Inflight::new(names, "https://ca/dir", "https://ca/acct/1", key.clone(), NOW)
}

/// Runs until the end or until `kills` says so, and returns what is on disk.
fn run(
    ca: &mut Ca,
    flow: &mut Flow,
    disk: &mut Option<Inflight>,
    mut kill: impl FnMut(bool) -> bool,
) -> bool {
    for _ in 0..200 {
        if matches!(flow.step(), Step::Done | Step::Failed(_)) {
            return true;
        }
        if kill(false) {
            return false;
        }
        let event = ca.perform(flow);
        if event == Event::Saved {
            let text = store::encode(flow.record());
            *disk = Some(store::decode(&text).expect("what was written can be read"));
        }
        if kill(true) {
            return false;
        }
        flow.apply(event, NOW);
    }
    panic!("the flow does not end: {:?}", flow.step());
}

#[test]
fn an_issue_takes_one_order_and_four_saves() {
    let (pem, key, spki) = pair();
    let mut ca = Ca { pem, slow: 3, ..Ca::default() };
    let mut flow = Flow::begin(record(&key), spki, NOW);
    let mut saves = Vec::new();
    while !matches!(flow.step(), Step::Done | Step::Failed(_)) {
        let event = ca.perform(&flow);
        if event == Event::Saved {
            saves.push(flow.record().stage.clone());
        }
        flow.apply(event, NOW);
    }
    assert_eq!(flow.step(), &Step::Done);
    assert_eq!(ca.orders.len(), 1);
    let order = || "https://ca/order/0".to_owned();
    assert_eq!(
        saves,
        [
            Stage::Ordering,
            Stage::Ordered { order: order() },
            Stage::Published { order: order(), tokens: vec!["token-of-1".into()] },
            Stage::Finalizing { order: order() },
        ]
    );
}

#[test]
fn an_order_of_proved_names_is_finalized_at_once() {
    let (pem, key, spki) = pair();
    let mut ca = Ca { pem, reuses: true, ..Ca::default() };
    let mut flow = Flow::begin(record(&key), spki, NOW);
    assert!(run(&mut ca, &mut flow, &mut None, |_| false));
    assert_eq!((flow.step(), ca.orders.len()), (&Step::Done, 1));
}

#[test]
fn a_name_that_cannot_be_verified_ends_the_issue_with_its_reason() {
    let (pem, key, spki) = pair();
    let verdict = Failure::new(Class::Validation, "404 at http://a.org");
    let mut ca = Ca { pem, verdict: Some(verdict.clone()), ..Ca::default() };
    let mut flow = Flow::begin(record(&key), spki, NOW);
    assert!(run(&mut ca, &mut flow, &mut None, |_| false));
    assert_eq!(flow.step(), &Step::Failed(verdict));
    assert!(!Class::Validation.keeps_order());
}

#[test]
fn a_foreign_certificate_is_quarantined() {
    let (_, key, spki) = pair();
    let (other, ..) = pair();
    let mut ca = Ca { pem: other, ..Ca::default() };
    let mut flow = Flow::begin(record(&key), spki, NOW);
    assert!(run(&mut ca, &mut flow, &mut None, |_| false));
    assert!(matches!(flow.step(), Step::Failed(failure) if failure.class == Class::Quarantine));
}

#[test]
fn an_order_the_ca_forgot_is_placed_again_once() {
    let (pem, key, spki) = pair();
    let mut ca = Ca { pem, ..Ca::default() };
    let mut flow = Flow::begin(record(&key), spki.clone(), NOW);
    let mut disk = None;
    let mut left = 9;
    run(&mut ca, &mut flow, &mut disk, |_| {
        left -= 1;
        left == 0
    });
    ca.orders.clear();
    let mut flow = Flow::resume(disk.unwrap(), spki, NOW);
    assert!(run(&mut ca, &mut flow, &mut None, |_| false));
    assert_eq!((flow.step(), ca.orders.len()), (&Step::Done, 1));
}

#[test]
fn a_ca_that_never_decides_is_left_after_ten_minutes_with_the_order_kept() {
    let (_, key, spki) = pair();
    let mut flow = Flow::begin(record(&key), spki, NOW);
    let mut ca = Ca { slow: u32::MAX, ..Ca::default() };
    let (mut now, mut waited) = (NOW, Vec::new());
    while !matches!(flow.step(), Step::Done | Step::Failed(_)) {
        if let Step::Wait(span) = flow.step() {
            waited.push(*span);
            now = now.plus(*span);
        }
        let event = ca.perform(&flow);
        flow.apply(event, now);
    }
    assert!(matches!(flow.step(), Step::Failed(failure) if failure.class.keeps_order()));
    assert!(waited.len() < 200, "a busy poll: {}", waited.len());
    assert_eq!(waited.last(), Some(&MAX_POLL));
}

#[test]
fn the_pace_a_ca_asks_for_is_kept() {
    let (_, key, spki) = pair();
    let mut flow = Flow::resume(
        Inflight { stage: Stage::Finalizing { order: "https://ca/o".into() }, ..record(&key) },
        spki,
        NOW,
    );
    let view = |after| {
        Event::Order(OrderView {
            url: "https://ca/o".into(),
            status: OrderStatus::Processing,
            error: None,
            retry_after: Some(Duration::from_secs(after)),
        })
    };
    flow.apply(view(3), NOW);
    assert_eq!(flow.step(), &Step::Wait(Duration::from_secs(3)));
    flow.apply(Event::Waited, NOW);
    flow.apply(view(100_000), NOW);
    assert_eq!(flow.step(), &Step::Wait(MAX_ASKED));
}

#[test]
fn a_former_record_serves_only_the_same_wish() {
    let (_, key, _) = pair();
    let record = record(&key);
    let names = record.names.clone();
    let serves = |names: &BTreeSet<Name>, directory: &str, account: &str, age| {
        record.serves(names, directory, account, NOW.plus(Duration::from_secs(age)))
    };
    assert!(serves(&names, "https://ca/dir", "https://ca/acct/1", 0));
    assert!(!serves(&BTreeSet::new(), "https://ca/dir", "https://ca/acct/1", 0));
    assert!(!serves(&names, "https://other/dir", "https://ca/acct/1", 0));
    assert!(!serves(&names, "https://ca/dir", "https://ca/acct/2", 0));
    assert!(!serves(&names, "https://ca/dir", "https://ca/acct/1", 8 * 24 * 3600));
}

fn any_event() -> impl Strategy<Value = Event> {
    let status = prop_oneof![
        Just(OrderStatus::Pending),
        Just(OrderStatus::Ready),
        Just(OrderStatus::Processing),
        Just(OrderStatus::Valid),
        Just(OrderStatus::Invalid),
    ];
    let class = prop_oneof![
        Just(Class::OrderGone),
        Just(Class::OrderNotReady),
        Just(Class::Transport),
        Just(Class::Validation),
    ];
    let order = ("[a-z]{0,3}", status, any::<Option<u16>>()).prop_map(|(url, status, after)| {
        let retry_after = after.map(|seconds| Duration::from_secs(seconds.into()));
        Event::Order(OrderView { url, status, error: None, retry_after })
    });
    let authorization = (any::<bool>(), any::<Option<u8>>(), any::<bool>()).prop_map(
        |(valid, token, untouched)| AuthorizationView {
            name: "a.org".into(),
            valid,
            http01: token.map(|token| token.to_string()),
            untouched,
            failure: None,
        },
    );
    prop_oneof![
        Just(Event::Saved),
        Just(Event::Published),
        Just(Event::Accepted),
        Just(Event::Waited),
        Just(Event::Stored),
        "\\PC{0,20}".prop_map(Event::Chain),
        class.prop_map(|class| Event::Failed(Failure::new(class, "x"))),
        proptest::collection::vec(authorization, 0..3).prop_map(Event::Authorizations),
        order,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn crashes_anywhere_cost_at_most_one_order_each_time_an_answer_went_unrecorded(
        kills in proptest::collection::vec((0u32..24, any::<bool>()), 0..6),
        slow in 0u32..3,
        reuses: bool,
    ) {
        let (pem, key, spki) = pair();
        let mut ca = Ca { pem, slow, reuses, ..Ca::default() };
        let (mut disk, mut lost) = (None::<Inflight>, 0);
        let mut kills = kills.into_iter();
        loop {
            let mut flow = match disk.clone() {
                Some(record) => Flow::resume(record, spki.clone(), NOW),
                None => Flow::begin(record(&key), spki.clone(), NOW),
            };
            let kill = kills.next();
            let mut step = 0;
            let over = run(&mut ca, &mut flow, &mut disk, |performed| {
                step += u32::from(!performed);
                kill.is_some_and(|(at, after)| step > at && after == performed)
            });
            if over {
                prop_assert_eq!(flow.step(), &Step::Done);
                break;
            }
            let known = disk.as_ref().and_then(Inflight::order).map(str::to_owned);
            lost += usize::from(known.is_none() && ca.orders.len() > lost);
        }
        prop_assert!(ca.orders.len() <= 1 + lost, "{} orders, {lost} lost", ca.orders.len());
    }

    #[test]
    fn no_sequence_of_answers_is_a_panic_and_an_order_is_placed_twice_at_most(
        events in proptest::collection::vec(any_event(), 0..60),
        resume: bool,
    ) {
        let (_, key, spki) = pair();
        let mut flow = if resume {
            Flow::resume(record(&key), spki, NOW)
        } else {
            Flow::begin(record(&key), spki, NOW)
        };
        let mut created = 0;
        for event in events {
            let before = flow.step().clone();
            flow.apply(event, NOW);
            created += u32::from(before == Step::Create && flow.step() != &Step::Create);
        }
        prop_assert!(created <= 2, "{created}");
    }
}
