//! One contract over every store.

use std::sync::Arc;
use std::time::Duration;

use nuncio_limits::{Act, Charge, Count, CounterKey, Now, STEPS, Window};
use nuncio_process::{Context, Hidden};
use nuncio_ratelimit::counters::{Counters, Memory, Redis, redis};
use nuncio_testing::redis::Redis as Server;

use crate::stack::until;

/// A time far from any window's end. Redis forgets by its own clock, which
/// only has to go on.
const NOW: Now = Now::from_millis(1_700_000_010_000);
const MINUTE: Window = Window::Fixed { seconds: 60 };
const SLIDING: Window = Window::Sliding { seconds: 60 };

fn charge(name: &str, act: Act, limit: u64, window: Window, now: Now) -> Charge {
    let mut key = [0; 16];
    key[..name.len()].copy_from_slice(name.as_bytes());
    Charge { key: CounterKey(key), text: None, rule: 7, limit, act, window, span: window.at(now) }
}

async fn one(store: &impl Counters, charge: Charge, now: Now) -> Count {
    store.charge(&[charge], now).await.unwrap()[0]
}

async fn start_redis(server: &Server) -> Redis {
    let options = redis::Options {
        url: Hidden::new(server.url()),
        auth: None,
        deadline: Duration::from_secs(5),
        prefix: "t:".into(),
        expiration_jitter: 0,
        denial_bytes: 0,
    };
    let redis = Redis::start(&Context::new("test"), &options).unwrap();
    until("redis is up", async || redis.link().is_up()).await;
    redis
}

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Memory::new(100_000)).await;
            })*
        }
        mod redis_server {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let server = super::Server::start().unwrap();
                super::$name(super::start_redis(&server).await).await;
            })*
        }
    };
}

contract!(
    concurrent_hits_admit_exactly_the_limit,
    concurrent_sliding_hits_admit_exactly_the_limit,
    several_hits_count_beyond_the_limit,
    looks_count_nothing,
    refunds_begin_at_the_limit_and_end_at_zero,
    a_new_window_begins_at_zero,
    equal_counters_of_one_check_count_one_after_another,
    a_sliding_window_never_admits_more_than_the_limit_in_any_span,
    a_denied_sliding_hit_is_not_kept,
    sliding_refunds_free_room,
    nothing_was_counted_before_the_first_hit,
);

async fn hammer<S: Counters + Send + Sync + 'static>(stores: &[Arc<S>], window: Window) -> u64 {
    const LIMIT: u64 = 500;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let store = Arc::clone(&stores[task % stores.len()]);
        tasks.spawn(async move {
            let mut admitted = 0;
            for _ in 0..40 {
                let count = one(&*store, charge("hot", Act::Add(1), LIMIT, window, NOW), NOW).await;
                admitted += u64::from(count.after <= LIMIT);
            }
            admitted
        });
    }
    let admitted = tasks.join_all().await;
    assert_eq!(admitted.len(), 64);
    let admitted: u64 = admitted.into_iter().sum();
    assert_eq!(admitted, LIMIT);
    admitted
}

async fn concurrent_hits_admit_exactly_the_limit<S: Counters + Send + Sync + 'static>(store: S) {
    hammer(&[Arc::new(store)], MINUTE).await;
}

async fn concurrent_sliding_hits_admit_exactly_the_limit<S>(store: S)
where
    S: Counters + Send + Sync + 'static,
{
    hammer(&[Arc::new(store)], SLIDING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_on_one_redis_admit_exactly_the_limit_together() {
    let server = Server::start().unwrap();
    let mut replicas = Vec::new();
    for _ in 0..4 {
        replicas.push(Arc::new(start_redis(&server).await));
    }
    for window in [MINUTE, SLIDING] {
        server.command(&["FLUSHALL"]).unwrap();
        hammer(&replicas, window).await;
    }
}

async fn several_hits_count_beyond_the_limit(store: impl Counters) {
    let add = |hits| charge("k", Act::Add(hits), 10, MINUTE, NOW);
    assert_eq!(one(&store, add(8), NOW).await.after, 8);
    assert_eq!(one(&store, add(5), NOW).await.after, 13);
    assert_eq!(one(&store, add(4), NOW).await.after, 17);
    assert!(one(&store, add(1), NOW).await.after > 10);
}

async fn looks_count_nothing(store: impl Counters) {
    for window in [MINUTE, SLIDING] {
        one(&store, charge("k", Act::Add(3), 10, window, NOW), NOW).await;
        let look = charge("k", Act::Look, 10, window, NOW);
        assert_eq!(one(&store, look.clone(), NOW).await.after, 3);
        assert_eq!(one(&store, look, NOW).await.after, 3);
    }
}

async fn refunds_begin_at_the_limit_and_end_at_zero(store: impl Counters) {
    let act = |act| charge("k", act, 5, MINUTE, NOW);
    assert_eq!(one(&store, act(Act::Refund(3)), NOW).await.after, 0);
    for _ in 0..9 {
        one(&store, act(Act::Add(1)), NOW).await;
    }
    assert_eq!(one(&store, act(Act::Refund(2)), NOW).await.after, 3);
    assert_eq!(one(&store, act(Act::Add(1)), NOW).await.after, 4);
    assert_eq!(one(&store, act(Act::Refund(1_000_000_000)), NOW).await.after, 0);
    assert_eq!(one(&store, act(Act::Add(1)), NOW).await.after, 1);
}

async fn a_new_window_begins_at_zero(store: impl Counters) {
    let end = MINUTE.at(NOW).end;
    for (millis, wanted) in [(end - 1, 1), (end - 1, 2), (end, 1), (end + 60_000, 1)] {
        let now = Now::from_millis(millis);
        let count = one(&store, charge("k", Act::Add(1), 10, MINUTE, now), now).await;
        assert_eq!(count.after, wanted, "at {millis}");
    }
}

async fn equal_counters_of_one_check_count_one_after_another(store: impl Counters) {
    let add = |name: &str, hits| charge(name, Act::Add(hits), 10, MINUTE, NOW);
    let charges = [add("a", 1), add("b", 1), add("a", 2), add("a", 1)];
    let counts = store.charge(&charges, NOW).await.unwrap();
    assert_eq!(counts.iter().map(|c| c.after).collect::<Vec<_>>(), [1, 1, 3, 4]);
}

async fn a_sliding_window_never_admits_more_than_the_limit_in_any_span(store: impl Counters) {
    const LIMIT: u64 = 10;
    let mut admitted: Vec<u64> = Vec::new();
    // Uneven steps through four windows, bursts included.
    for step in 0..400_u64 {
        let millis = NOW.millis() + step * 600 + step * step % 577;
        let now = Now::from_millis(millis);
        let hits = if step % 37 == 0 { 12 } else { 1 };
        for _ in 0..hits {
            let count = one(&store, charge("k", Act::Add(1), LIMIT, SLIDING, now), now).await;
            if count.after <= LIMIT {
                admitted.push(millis);
            }
        }
    }
    for (index, start) in admitted.iter().enumerate() {
        let within = admitted[index..].iter().take_while(|t| **t < start + 60_000).count();
        assert!(within as u64 <= LIMIT, "{within} hits in the minute from {start}");
    }
    // Steady traffic is not starved either.
    assert!(admitted.len() as u64 >= 4 * LIMIT * STEPS / (STEPS + 1) - LIMIT, "{}", admitted.len());
}

async fn a_denied_sliding_hit_is_not_kept(store: impl Counters) {
    let add = || charge("k", Act::Add(1), 2, SLIDING, NOW);
    for wanted in [1, 2, 3, 3, 3] {
        let count = one(&store, add(), NOW).await;
        assert_eq!(count.after, wanted);
        assert!(count.relief > NOW.millis() + 60_000);
        assert!(count.relief <= NOW.millis() + 66_000);
    }
    let later = Now::from_millis(NOW.millis() + 66_000);
    let count = one(&store, charge("k", Act::Add(1), 2, SLIDING, later), later).await;
    assert_eq!(count.after, 1);
}

async fn sliding_refunds_free_room(store: impl Counters) {
    let at = |seconds: u64| Now::from_millis(NOW.millis() + seconds * 1_000);
    let act = |act, now| charge("k", act, 5, SLIDING, now);
    one(&store, act(Act::Add(2), at(0)), at(0)).await;
    one(&store, act(Act::Add(9), at(10)), at(10)).await;
    assert_eq!(one(&store, act(Act::Refund(1), at(10)), at(10)).await.after, 4);
    assert_eq!(one(&store, act(Act::Refund(3), at(10)), at(10)).await.after, 1);
    assert_eq!(one(&store, act(Act::Add(1), at(20)), at(20)).await.after, 2);
    assert_eq!(one(&store, act(Act::Refund(99), at(20)), at(20)).await.after, 0);
}

async fn nothing_was_counted_before_the_first_hit(store: impl Counters) {
    for (name, window) in [("f", MINUTE), ("s", SLIDING)] {
        assert_eq!(one(&store, charge(name, Act::Look, 1, window, NOW), NOW).await.after, 0);
        assert_eq!(one(&store, charge(name, Act::Refund(5), 1, window, NOW), NOW).await.after, 0);
        assert_eq!(one(&store, charge(name, Act::Add(1), 1, window, NOW), NOW).await.after, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_a_fixed_window_is_one_pipeline_and_its_key_expires() {
    let server = Server::start().unwrap();
    let redis = start_redis(&server).await;
    let (_, before) = redis.link().traffic();
    let add = charge("k", Act::Add(1), 10, MINUTE, NOW);
    redis.charge(&[add.clone(), charge("l", Act::Add(1), 10, MINUTE, NOW)], NOW).await.unwrap();
    assert_eq!(redis.link().traffic().1, before + 1);
    let left = server.command(&["TTL", &add.name("t:")]).unwrap();
    let left: u64 = left.strip_prefix(':').unwrap().parse().unwrap();
    let until_end = (add.span.end - NOW.millis()) / 1_000;
    assert!((until_end..=until_end + 1).contains(&left), "{left} of {until_end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_denial_spares_the_store_and_respects_larger_limits() {
    let server = Server::start().unwrap();
    let options = redis::Options {
        url: Hidden::new(server.unix_url()),
        auth: None,
        deadline: Duration::from_secs(5),
        prefix: String::new(),
        expiration_jitter: 0,
        denial_bytes: 64 * 1024,
    };
    let redis = Redis::start(&Context::new("test"), &options).unwrap();
    until("redis is up", async || redis.link().is_up()).await;
    let add = |limit| charge("k", Act::Add(1), limit, MINUTE, NOW);
    assert_eq!(one(&redis, add(1), NOW).await.after, 1);
    let denied = one(&redis, add(1), NOW).await;
    assert!(denied.after > 1 && !denied.cached);
    let (asked, _) = redis.link().traffic();
    let again = one(&redis, add(1), NOW).await;
    assert!(again.after > 1 && again.cached);
    assert_eq!(redis.link().traffic().0, asked);
    assert!(one(&redis, add(5), NOW).await.after <= 5, "a larger limit asks");
    one(&redis, charge("k", Act::Refund(9), 1, MINUTE, NOW), NOW).await;
    assert_eq!(one(&redis, add(1), NOW).await.after, 1, "a refund forgets the denial");
}
