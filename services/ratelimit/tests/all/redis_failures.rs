//! Redis down, frozen and back.

use std::time::{Duration, Instant};

use nuncio_testing::redis::Redis;
use tonic::Code;

use crate::stack::{Stack, request, until};

const LIMITS: &str = "
domain: d
descriptors:
- {key: k, rate_limit: {unit: hour, requests_per_unit: 1000000}}
";

/// Far above the deadline of 10 ms, for machines that do other things too; far
/// below any wait that could be called hanging.
const BOUND: Duration = Duration::from_millis(500);

async fn start(redis: &Redis) -> Stack {
    let url = redis.url();
    Stack::start(LIMITS, |settings| {
        settings.store.redis_url = Some(url.into());
        settings.store.store_deadline = Duration::from_millis(10);
    })
    .await
}

async fn code(stack: &Stack) -> Code {
    match stack.check(request("d", &[&[("k", "v")]])).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

async fn is_unavailable_in_bounded_time(stack: &Stack) {
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(code(stack).await, Code::Unavailable);
        assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_at_the_start_does_not_stop_the_service() {
    let mut redis = Redis::start().unwrap();
    redis.stop();
    let stack = start(&redis).await;
    is_unavailable_in_bounded_time(&stack).await;
    redis.restart().unwrap();
    let begun = Instant::now();
    until("checks are answered", async || code(&stack).await == Code::Ok).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_dies_is_reported_and_found_again() {
    let mut redis = Redis::start().unwrap();
    let stack = start(&redis).await;
    until("checks are answered", async || code(&stack).await == Code::Ok).await;
    redis.stop();
    until("the loss is noticed", async || code(&stack).await == Code::Unavailable).await;
    is_unavailable_in_bounded_time(&stack).await;
    assert!(
        stack.metric("ratelimit_service_should_rate_limit_error{err_type=\"redis_error\"").await
            > 0.0
    );
    redis.restart().unwrap();
    let begun = Instant::now();
    until("checks are answered again", async || code(&stack).await == Code::Ok).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_freezes_is_not_waited_for() {
    let redis = Redis::start().unwrap();
    let stack = start(&redis).await;
    until("checks are answered", async || code(&stack).await == Code::Ok).await;
    redis.pause();
    is_unavailable_in_bounded_time(&stack).await;
    redis.resume();
    let begun = Instant::now();
    until("checks are answered again", async || code(&stack).await == Code::Ok).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    stack.stop().await;
}
