use nuncio_limits::{Act, CounterKey, Window};

use super::*;

fn charge(name: u64, act: Act, limit: u64, now: Now) -> Charge {
    let window = Window::Fixed { seconds: 60 };
    let mut key = [0; 16];
    key[..8].copy_from_slice(&name.to_le_bytes());
    Charge { key: CounterKey(key), text: None, rule: 1, limit, act, window, span: window.at(now) }
}

const NOW: Now = Now::from_millis(1_000_000);

#[test]
fn a_flood_of_values_stays_within_bounds() {
    let memory = Memory::new(6_400);
    for name in 0..100_000 {
        memory.apply(&charge(name, Act::Add(1), 10, NOW), NOW);
    }
    assert!(memory.len() <= 6_400, "{}", memory.len());
    assert!(memory.evicted() > 80_000);
}

#[test]
fn a_flood_does_not_free_a_denied_client() {
    let memory = Memory::new(640);
    for name in 0..100 {
        memory.apply(&charge(name, Act::Add(10), 10, NOW), NOW);
    }
    for name in 1_000..50_000 {
        memory.apply(&charge(name, Act::Add(1), 10, NOW), NOW);
    }
    for name in 0..100 {
        let count = memory.apply(&charge(name, Act::Look, 10, NOW), NOW);
        assert_eq!(count.after, 10, "client {name} was forgotten");
    }
}

#[test]
fn strangers_share_a_counter_when_only_denied_clients_are_left() {
    let memory = Memory::new(SHARDS);
    let mut admitted = 0;
    for name in 0..10_000 {
        let count = memory.apply(&charge(name, Act::Add(1), 1, NOW), NOW);
        admitted += u64::from(count.after <= 1);
    }
    // One in its own slot and one as a stranger, at most, in each shard.
    assert!(admitted <= 2 * SHARDS as u64, "{admitted}");
    assert!(memory.len() <= SHARDS);
}

#[test]
fn expired_counters_make_room_first() {
    let memory = Memory::new(SHARDS * 8);
    for name in 0..5_000 {
        memory.apply(&charge(name, Act::Add(1), 1, NOW), NOW);
    }
    let later = Now::from_millis(NOW.millis() + 120_000);
    let before = memory.evicted();
    let count = memory.apply(&charge(77_777, Act::Add(1), 5, later), later);
    assert_eq!(count.after, 1);
    assert_eq!(memory.evicted(), before, "nothing alive had to go");
}

#[test]
fn an_earlier_clock_does_not_reopen_a_window() {
    let memory = Memory::new(100);
    let earlier = Now::from_millis(NOW.millis() - 60_000);
    memory.apply(&charge(1, Act::Add(1), 1, NOW), NOW);
    let late = memory.apply(&charge(1, Act::Add(1), 1, earlier), earlier);
    assert_eq!(late.after, 2);
    assert_eq!(memory.apply(&charge(1, Act::Add(1), 1, NOW), NOW).after, 2);
}
