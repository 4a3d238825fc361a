use proptest::prelude::*;

use super::*;
use crate::config::{DomainConfig, ErrorResponse, HeaderTemplate, Label, PatternLimit};
use crate::request::{Descriptor, Malformed, Override, Request};
use crate::{Table, parse_yaml, plan};

const NOW: Now = Now::from_millis(1_000_030_500);

fn table(descriptors: &str) -> Table {
    let text = format!("domain: d\ndescriptors:\n{descriptors}");
    Table::build(&[parse_yaml("limits.yaml", &text).unwrap()], false).unwrap()
}

fn request<'a>(descriptors: &[&[(&'a str, &'a str)]]) -> Request<'a> {
    let descriptors = descriptors
        .iter()
        .map(|entries| Descriptor { entries: entries.to_vec(), ..Descriptor::default() })
        .collect();
    Request { domain: "d", hits_addend: 0, descriptors }
}

fn counts(after: &[u64]) -> Vec<Count> {
    after.iter().copied().map(Count::fixed).collect()
}

const MINUTE: &str = "- {key: k, rate_limit: {unit: minute, requests_per_unit: 10, name: n}}\n";

#[test]
fn a_status_says_limit_remaining_and_whole_seconds_to_the_end() {
    let table = table(MINUTE);
    let request = request(&[&[("k", "v")]]);
    let options = Options::default();
    let plan = plan(&table, &request, NOW, &options).unwrap();
    assert_eq!(plan.charges.len(), 1);
    assert_eq!(plan.charges[0].act, Act::Add(1));
    let verdict = settle(&plan, &counts(&[4]), &options);
    assert!(!verdict.over);
    let status = verdict.statuses[0];
    assert_eq!(status.remaining, 6);
    // 1,000,030.5 s is 10.5 s into its minute.
    assert_eq!(status.reset, Duration::from_secs(50));
    let limit = status.limit.unwrap();
    assert_eq!((limit.requests_per_unit, limit.unit, limit.name), (10, Some(Unit::Minute), "n"));
    let full = settle(&plan, &counts(&[10]), &options);
    assert!(!full.over && full.statuses[0].remaining == 0);
    assert!(settle(&plan, &counts(&[11]), &options).over);
    assert!(settle(&plan, &[], &options).over, "a missing count must not admit");
}

#[test]
fn unmatched_and_unlimited_descriptors_charge_nothing() {
    let table = table("- {key: u, rate_limit: {unlimited: true}}\n");
    let request = request(&[&[("x", "1")], &[("u", "1")]]);
    let plan = plan(&table, &request, NOW, &Options::default()).unwrap();
    assert!(plan.charges.is_empty());
    let verdict = settle(&plan, &[], &Options::default());
    assert!(!verdict.over);
    assert_eq!(verdict.statuses[0].limit, None);
    assert_eq!(verdict.statuses[1].remaining, u32::MAX);
}

#[test]
fn shadow_mode_counts_and_lets_through() {
    let table =
        table("- {key: k, shadow_mode: true, rate_limit: {unit: day, requests_per_unit: 1}}\n");
    let request = request(&[&[("k", "v")]]);
    let options = Options::default();
    let plan = plan(&table, &request, NOW, &options).unwrap();
    let verdict = settle(&plan, &counts(&[5]), &options);
    assert!(!verdict.over && !verdict.statuses[0].over);
    assert_eq!(verdict.statuses[0].remaining, 0);
    assert_eq!((verdict.tallies[0].over, verdict.tallies[0].shadow), (1, 1));
}

#[test]
fn global_shadow_mode_changes_the_overall_code_alone() {
    let table = table(MINUTE);
    let request = request(&[&[("k", "v")]]);
    let options = Options { shadow_mode: true, ..Options::default() };
    let plan = plan(&table, &request, NOW, &options).unwrap();
    let verdict = settle(&plan, &counts(&[11]), &options);
    assert!(!verdict.over && verdict.statuses[0].over);
}

#[test]
fn quotas_deny_only_when_all_are_used_up() {
    let rule = |key: &str| {
        format!(
            "- {{key: {key}, quota_mode: true, rate_limit: {{unit: day, requests_per_unit: 1}}}}\n"
        )
    };
    let table = table(&format!("{}{}{MINUTE}", rule("a"), rule("b")));
    let options = Options::default();
    let two = request(&[&[("a", "1")], &[("b", "1")], &[("k", "1")]]);
    let plan = plan(&table, &two, NOW, &options).unwrap();
    assert!(!settle(&plan, &counts(&[2, 1, 1]), &options).over);
    assert!(settle(&plan, &counts(&[2, 2, 1]), &options).over);
    assert!(settle(&plan, &counts(&[1, 1, 11]), &options).over);
}

#[test]
fn a_rule_replaces_others_by_name() {
    let table = table(
        "- {key: a, rate_limit: {unit: day, requests_per_unit: 1, name: base}}
- {key: b, rate_limit: {unit: day, requests_per_unit: 9, name: more, replaces: [{name: base}]}}
",
    );
    let both = request(&[&[("a", "1")], &[("b", "1")]]);
    let options = Options::default();
    let plan_both = plan(&table, &both, NOW, &options).unwrap();
    assert_eq!(plan_both.charges.len(), 1);
    assert_eq!(settle(&plan_both, &counts(&[1]), &options).statuses[0].limit, None);
    let alone = request(&[&[("a", "1")]]);
    assert_eq!(plan(&table, &alone, NOW, &options).unwrap().charges.len(), 1);
}

#[test]
fn hits_of_the_descriptor_win_zero_looks_and_negative_gives_back() {
    let table = table(MINUTE);
    let options = Options::default();
    let mut request = request(&[&[("k", "v")]]);
    let act = |request: &Request<'_>| plan(&table, request, NOW, &options).unwrap().charges[0].act;
    request.hits_addend = 3;
    assert_eq!(act(&request), Act::Add(3));
    request.descriptors[0].hits_addend = Some(5);
    assert_eq!(act(&request), Act::Add(5));
    request.descriptors[0].refund = true;
    assert_eq!(act(&request), Act::Refund(5));
    request.descriptors[0].hits_addend = Some(0);
    assert_eq!(act(&request), Act::Look);
}

#[test]
fn a_look_says_over_at_the_limit_or_above_it_for_compatibility() {
    let table = table(MINUTE);
    let mut request = request(&[&[("k", "v")]]);
    request.descriptors[0].hits_addend = Some(0);
    let options = Options::default();
    let plan = plan(&table, &request, NOW, &options).unwrap();
    assert!(!settle(&plan, &counts(&[9]), &options).over);
    assert!(settle(&plan, &counts(&[10]), &options).over);
    let compatible = Options { probe_compat: true, ..options };
    assert!(!settle(&plan, &counts(&[10]), &compatible).over);
}

#[test]
fn an_override_is_used_and_an_unknown_unit_is_refused() {
    let table = table(MINUTE);
    let options = Options::default();
    let mut request = request(&[&[("k", "v")]]);
    request.descriptors[0].limit = Some(Override { requests_per_unit: 3, unit: Some(Unit::Hour) });
    let own = plan(&table, &request, NOW, &options).unwrap();
    assert_eq!(own.charges[0].limit, 3);
    assert_eq!(
        settle(&own, &counts(&[1]), &options).statuses[0].limit.unwrap().unit,
        Some(Unit::Hour)
    );
    request.descriptors[0].limit = Some(Override { requests_per_unit: 3, unit: None });
    assert_eq!(plan(&table, &request, NOW, &options).unwrap_err(), Malformed::OverrideUnit(0));
}

#[test]
fn requests_out_of_bounds_are_refused() {
    let table = table(MINUTE);
    let refused = |request: &Request<'_>| {
        plan(&table, request, NOW, &Options::default()).map(drop).unwrap_err()
    };
    assert_eq!(refused(&Request { domain: "", ..request(&[&[("k", "v")]]) }), Malformed::NoDomain);
    assert_eq!(refused(&request(&[])), Malformed::NoDescriptors);
    assert_eq!(refused(&request(&[&[]])), Malformed::NoEntries(0));
    assert_eq!(refused(&request(&[&[("", "v")]])), Malformed::EmptyKey(0));
    assert_eq!(refused(&request(&vec![&[("k", "v")][..]; 65])), Malformed::Descriptors(64));
    assert_eq!(refused(&request(&[&[("k", "v"); 17]])), Malformed::Entries(0, 16));
    let long = "x".repeat(4_097);
    assert_eq!(refused(&request(&[&[("k", long.as_str())]])), Malformed::Value(0, 4_096));
    assert_eq!(refused(&request(&[&[(long.as_str(), "v")]])), Malformed::Key(0, 256));
    let value = "x".repeat(4_000);
    assert_eq!(
        refused(&request(&[&[("k", value.as_str()); 16], &[("k", value.as_str())]])),
        Malformed::Total(65_536)
    );
    let mut many = request(&[&[("k", "v")]]);
    many.descriptors[0].hits_addend = Some(u64::MAX);
    assert_eq!(refused(&many), Malformed::Hits(0, 1_000_000_000));
}

#[test]
fn values_have_their_own_counters_unless_the_threshold_is_shared() {
    let table = table(
        "- {key: own, value: a*, rate_limit: {unit: day, requests_per_unit: 1}}
- {key: one, value: a*, share_threshold: true, rate_limit: {unit: day, requests_per_unit: 1}}
",
    );
    let key = |key: &str, value: &str| {
        let request = request(&[&[(key, value)]]);
        plan(&table, &request, NOW, &Options::default()).unwrap().charges[0].key
    };
    assert_ne!(key("own", "a1"), key("own", "a2"));
    assert_eq!(key("one", "a1"), key("one", "a2"));
    assert_ne!(key("own", "a1"), key("one", "a1"));
}

#[test]
fn raising_a_limit_keeps_the_counter_and_another_window_does_not() {
    let key = |limit: &str| {
        let table = table(&format!("- {{key: k, rate_limit: {{{limit}}}}}\n"));
        let request = request(&[&[("k", "v")]]);
        plan(&table, &request, NOW, &Options::default()).unwrap().charges[0].key
    };
    assert_eq!(key("unit: day, requests_per_unit: 1"), key("unit: day, requests_per_unit: 2"));
    assert_ne!(key("unit: day, requests_per_unit: 1"), key("unit: hour, requests_per_unit: 1"));
}

#[test]
fn text_keys_are_those_of_envoyproxy_ratelimit() {
    let table = table(MINUTE);
    let request = request(&[&[("k", "v")]]);
    let options = Options { text_keys: Some("p:".into()), ..Options::default() };
    let plan = plan(&table, &request, NOW, &options).unwrap();
    assert_eq!(plan.charges[0].name("ignored"), "p:d_k_v_1000020");
}

#[test]
fn informative_headers_tell_of_the_tightest_limit() {
    let table =
        table(&format!("- {{key: w, rate_limit: {{unit: day, requests_per_unit: 5}}}}\n{MINUTE}"));
    let names = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"].map(String::from);
    let options = Options { headers: Some(names), ..Options::default() };
    let request = request(&[&[("k", "v")], &[("w", "v")]]);
    let plan = plan(&table, &request, NOW, &options).unwrap();
    let headers = |after: &[u64]| settle(&plan, &counts(after), &options).response_headers;
    let text = |headers: &[(String, String)]| {
        headers.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    let day_left = 86_400 - 1_000_030 % 86_400;
    assert_eq!(
        text(&headers(&[1, 3])),
        format!("RateLimit-Limit=5 RateLimit-Remaining=2 RateLimit-Reset={day_left}")
    );
    assert_eq!(
        text(&headers(&[11, 5])),
        "RateLimit-Limit=10 RateLimit-Remaining=0 RateLimit-Reset=50 retry-after=50"
    );
}

fn object(change: impl FnOnce(&mut PatternLimit)) -> Table {
    let mut limit = PatternLimit {
        name: "one.default-0".into(),
        patterns: vec![vec![vec![Label { key: "k".into(), value: "*".into() }]]],
        rate: 5,
        unit_seconds: 60,
        ..PatternLimit::default()
    };
    change(&mut limit);
    let config = DomainConfig { domain: "d".into(), limits: vec![limit], ..Default::default() };
    Table::build(&[config], false).unwrap()
}

#[test]
fn a_limit_of_an_object_answers_in_its_own_words() {
    let header =
        |name: &str, value: &str| HeaderTemplate { name: name.into(), value: value.into() };
    let table = object(|limit| {
        limit.response_headers = vec![header("x-code", "{{ .RateLimitResponse.OverallCode }}")];
        limit.request_headers = vec![header("x-in", "yes")];
        limit.error_response = Some(ErrorResponse {
            headers: vec![header("content-type", "text/plain")],
            body_template: "wait {{ .RetryAfter }}".into(),
        });
    });
    let request = request(&[&[("k", "v"), ("more", "labels")]]);
    let options = Options::default();
    let plan = plan(&table, &request, NOW, &options).unwrap();
    let passed = settle(&plan, &counts(&[1]), &options);
    assert_eq!(passed.response_headers, [("x-code".into(), "1".into())]);
    assert_eq!(passed.request_headers, [("x-in".into(), "yes".into())]);
    assert_eq!((passed.body.as_str(), &passed.metadata), ("", &None));
    let denied = settle(&plan, &counts(&[6]), &options);
    assert!(denied.over && denied.request_headers.is_empty());
    assert_eq!(denied.body, "wait 50s");
    let expected: [(String, String); 3] = [
        ("x-code".into(), "2".into()),
        ("retry-after".into(), "50".into()),
        ("content-type".into(), "text/plain".into()),
    ];
    assert_eq!(denied.response_headers, expected);
    let metadata = denied.metadata.unwrap();
    assert_eq!(metadata["aes.ratelimit.name"], "one.default-0");
    assert_eq!(metadata["aes.ratelimit.action"], "Enforce");
    assert_eq!(metadata["aes.ratelimit.retry_after"], 50);
}

#[test]
fn log_only_tells_and_lets_through() {
    let table = object(|limit| limit.log_only = true);
    let request = request(&[&[("k", "v")]]);
    let options = Options::default();
    let plan = plan(&table, &request, NOW, &options).unwrap();
    let verdict = settle(&plan, &counts(&[6]), &options);
    assert!(!verdict.over && verdict.body.is_empty() && verdict.response_headers.is_empty());
    assert_eq!(verdict.metadata.unwrap()["aes.ratelimit.action"], "LogOnly");
}

#[test]
fn a_denial_without_words_is_json() {
    let table = object(|_| {});
    let request = request(&[&[("k", "v")]]);
    let options = Options::default();
    let plan = plan(&table, &request, NOW, &options).unwrap();
    let verdict = settle(&plan, &counts(&[6]), &options);
    let body: Value = serde_json::from_str(&verdict.body).unwrap();
    assert_eq!(body["status_code"], 429);
    assert!(verdict.response_headers.contains(&("content-type".into(), "application/json".into())));
}

#[test]
fn a_burst_factor_widens_limit_and_window_together() {
    let table = object(|limit| limit.burst_factor = 3);
    let request = request(&[&[("k", "v")]]);
    let plan = plan(&table, &request, NOW, &Options::default()).unwrap();
    assert_eq!(plan.charges[0].limit, 15);
    assert_eq!(plan.charges[0].window, Window::Sliding { seconds: 180 });
    let verdict = settle(&plan, &counts(&[1]), &Options::default());
    assert_eq!(verdict.statuses[0].limit.unwrap().requests_per_unit, 5);
}

#[test]
fn dynamic_metadata_describes_the_request() {
    let table = table(
        "- {key: k, metadata: {tier: gold, to: {a: 1}}, rate_limit: {unit: day, requests_per_unit: 1}}
- {key: l, metadata: {tier: iron, to: {a: 2, b: 3}}, rate_limit: {unit: day, requests_per_unit: 1}}
- {key: over, metadata: {no: way}, rate_limit: {unit: day, requests_per_unit: 1}}
- {key: free, metadata: {no: need}, rate_limit: {unlimited: true}}
",
    );
    let options = Options { dynamic_metadata: true, ..Options::default() };
    let mut request = Request {
        hits_addend: 2,
        ..request(&[&[("k", "v")], &[("l", "v")], &[("over", "v")], &[("free", "v")]])
    };
    let own = Override { requests_per_unit: 7, unit: Some(Unit::Hour) };
    request.descriptors.push(Descriptor {
        entries: vec![("m", "v")],
        limit: Some(own),
        ..Default::default()
    });
    request.descriptors[4].hits_addend = Some(1);
    let plan = plan(&table, &request, NOW, &options).unwrap();
    let verdict = settle(&plan, &counts(&[1, 1, 9, 1]), &options);
    assert_eq!(
        verdict.metadata.unwrap(),
        json!({
            "domain": "d",
            "descriptors": [
                {"entries": ["k=v"]},
                {"entries": ["l=v"]},
                {"entries": ["over=v"]},
                {"entries": ["free=v"]},
                {"entries": ["m=v"], "limit": "requests_per_unit:7 unit:HOUR", "hitsAddend": 1},
            ],
            "hitsAddend": 2,
            // Of rules that passed; of equal names the first, objects joined.
            "metadata": {"tier": "gold", "to": {"a": 1, "b": 3}},
        })
    );
}

#[test]
fn shadow_mode_counts_only_the_hits_above_the_limit() {
    let table =
        table("- {key: k, shadow_mode: true, rate_limit: {unit: day, requests_per_unit: 5}}\n");
    let options = Options::default();
    let request = Request { hits_addend: 4, ..request(&[&[("k", "v")]]) };
    let plan = plan(&table, &request, NOW, &options).unwrap();
    let verdict = settle(&plan, &counts(&[7]), &options);
    assert_eq!((verdict.over, verdict.tallies[0].over, verdict.tallies[0].shadow), (false, 2, 2));
}

#[test]
fn detailed_metrics_use_the_values_of_requests() {
    let table = table(
        "- key: a
  value_to_metric: true
  descriptors:
  - {key: b, rate_limit: {unit: day, requests_per_unit: 1}}
- {key: s, value: x*, share_threshold: true, detailed_metric: true, rate_limit: {unit: day, requests_per_unit: 1}}
",
    );
    let labels = |entries: &[(&str, &str)]| {
        table.lookup("d", entries).unwrap().rule.detailed_labels(entries)
    };
    assert_eq!(labels(&[("a", "1"), ("b", "2")]), Some(vec!["a_1".into(), "b".into()]));
    assert_eq!(labels(&[("s", "xyz")]), Some(vec!["s_x*".into()]));
}

proptest! {
    /// Every hit is tallied once: above the limit or within it.
    #[test]
    fn tallies_add_up(limit in 0u32..50, before in 0u64..80, hits in 1u64..40) {
        let table = table(&format!("- {{key: k, rate_limit: {{unit: day, requests_per_unit: {limit}}}}}\n"));
        let options = Options::default();
        let mut request = request(&[&[("k", "v")]]);
        request.descriptors[0].hits_addend = Some(hits);
        let plan = plan(&table, &request, NOW, &options).unwrap();
        let after = before + hits;
        let verdict = settle(&plan, &counts(&[after]), &options);
        let tally = verdict.tallies[0];
        let limit = u64::from(limit);
        prop_assert_eq!(verdict.over, after > limit);
        prop_assert_eq!(tally.total, hits);
        prop_assert!(tally.near + tally.over <= hits);
        if after > limit {
            prop_assert_eq!(tally.over, hits.min(after - limit));
            prop_assert_eq!(tally.within, 0);
        } else {
            prop_assert_eq!(tally.within, hits);
            prop_assert_eq!(u64::from(verdict.statuses[0].remaining), limit - after);
        }
    }
}
