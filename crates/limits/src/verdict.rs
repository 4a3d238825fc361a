//! From counts to the answer.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::answer::Facts;
use crate::plan::{Act, Charge, Counted, Item, Options, Plan};
use crate::rule::{Now, Rule, Window, Windowed};
use crate::status::{CurrentLimit, Status};
use crate::unit::Unit;

/// A count after a charge, as a store reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Hits in the window including those of the charge, also where they were
    /// not kept because the limit was reached.
    pub after: u64,
    /// When a sliding window next forgets hits, Unix milliseconds; 0 when it
    /// holds none. Unused for fixed windows.
    pub relief: u64,
    /// Denied from memory, without asking the store.
    pub cached: bool,
}

impl Count {
    /// Makes the count of a fixed window.
    pub const fn fixed(after: u64) -> Self {
        Self { after, relief: 0, cached: false }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict<'a> {
    /// The request is denied.
    pub over: bool,
    /// One for each descriptor, in order.
    pub statuses: Vec<Status<'a>>,
    /// For the client.
    pub response_headers: Vec<(String, String)>,
    /// For the upstream; empty when denied.
    pub request_headers: Vec<(String, String)>,
    /// Body of the denial; empty for Envoy's own.
    pub body: String,
    /// Dynamic metadata, an object.
    pub metadata: Option<Value>,
    /// One for each descriptor that a rule counted.
    pub tallies: Vec<Tally<'a>>,
}

/// What to add to the metrics of a rule, in hits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tally<'a> {
    /// `None` when the request brought its own limit.
    pub rule: Option<&'a Rule>,
    /// Place of the descriptor in the request.
    pub descriptor: usize,
    /// All hits.
    pub total: u64,
    /// Hits above the limit.
    pub over: u64,
    /// Hits above the near-limit share.
    pub near: u64,
    /// Hits that passed.
    pub within: u64,
    /// Hits that passed only because of shadow mode.
    pub shadow: u64,
    /// Hits denied without asking the store.
    pub cached: u64,
}

/// Judges a request by the counts its charges returned, one for each of
/// [`Plan::charges`]; a count that is missing counts as the limit exceeded.
pub fn settle<'a>(plan: &Plan<'a>, counts: &[Count], options: &Options) -> Verdict<'a> {
    let mut judged: Vec<Judged<'a>> = Vec::with_capacity(plan.items.len());
    for (descriptor, item) in plan.items.iter().enumerate() {
        judged.push(judge(plan, descriptor, item, counts, options));
    }
    let denied = overall(&judged, options);
    let over = denied && !options.shadow_mode;
    let statuses: Vec<Status<'a>> = judged.iter().map(|j| j.status).collect();
    let mut verdict = Verdict {
        over,
        response_headers: Vec::new(),
        request_headers: Vec::new(),
        body: String::new(),
        metadata: metadata(plan, &judged, options),
        tallies: judged.iter().filter_map(|j| j.tally).collect(),
        statuses,
    };
    informative_headers(&mut verdict, options);
    if judged.iter().any(|j| j.rule.is_some_and(|rule| rule.answer.is_some())) {
        answers(&mut verdict, &judged);
    }
    verdict
}

struct Judged<'a> {
    status: Status<'a>,
    rule: Option<&'a Rule>,
    /// Over, shadow mode or not.
    exceeded: bool,
    tally: Option<Tally<'a>>,
}

fn judge<'a>(
    plan: &Plan<'a>,
    descriptor: usize,
    item: &Item<'a>,
    counts: &[Count],
    options: &Options,
) -> Judged<'a> {
    let free = |rule, remaining| Judged {
        status: Status { over: false, limit: None, remaining, reset: Duration::ZERO },
        rule,
        exceeded: false,
        tally: None,
    };
    match item {
        Item::Free => free(None, 0),
        Item::Unlimited(rule) => free(Some(*rule), u32::MAX),
        Item::Counted(counted) => {
            let charge = &plan.charges[counted.charge];
            let missing = Count::fixed(u64::MAX);
            let count = counts.get(counted.charge).copied().unwrap_or(missing);
            judge_counted(plan.now, descriptor, counted, charge, count, options)
        }
    }
}

fn judge_counted<'a>(
    now: Now,
    descriptor: usize,
    counted: &Counted<'a>,
    charge: &Charge,
    count: Count,
    options: &Options,
) -> Judged<'a> {
    let limit = counted.limit;
    let exceeded = match charge.act {
        // What would the next hit meet: the limit reached is over.
        Act::Look if !options.probe_compat => count.after >= limit.hits,
        _ => count.after > limit.hits,
    };
    let shadow = counted.rule.is_some_and(|rule| rule.shadow);
    let remaining = limit.hits.saturating_sub(count.after);
    let status = Status {
        over: exceeded && !shadow,
        limit: Some(CurrentLimit {
            requests_per_unit: limit.requests_per_unit,
            unit: limit.unit,
            name: counted.rule.map_or("", |rule| rule.name.as_str()),
        }),
        remaining: if exceeded { 0 } else { u32::try_from(remaining).unwrap_or(u32::MAX) },
        reset: reset(now, limit.window, charge, count),
    };
    let tally = tally(counted, descriptor, charge, count, exceeded, shadow, options);
    Judged { status, rule: counted.rule, exceeded, tally: Some(tally) }
}

/// Whole seconds, rounded up: a client that waits so long finds the window
/// gone.
fn reset(now: Now, window: Window, charge: &Charge, count: Count) -> Duration {
    let end = match window {
        Window::Fixed { .. } => charge.span.end,
        Window::Sliding { .. } => count.relief.max(now.millis()),
    };
    Duration::from_secs(end.saturating_sub(now.millis()).div_ceil(1_000))
}

/// Splits hits between below and above the limit as envoyproxy/ratelimit does.
fn tally<'a>(
    counted: &Counted<'a>,
    descriptor: usize,
    charge: &Charge,
    count: Count,
    exceeded: bool,
    shadow: bool,
    options: &Options,
) -> Tally<'a> {
    let hits = match charge.act {
        Act::Add(hits) => hits,
        Act::Look | Act::Refund(_) => 0,
    };
    let Windowed { hits: limit, .. } = counted.limit;
    let before = count.after.saturating_sub(hits);
    let near_from = near_threshold(limit, options.near_limit_ratio);
    let mut tally = Tally {
        rule: counted.rule,
        descriptor,
        total: hits,
        over: 0,
        near: 0,
        within: 0,
        shadow: 0,
        cached: if count.cached { hits } else { 0 },
    };
    if exceeded && hits > 0 {
        if before >= limit {
            tally.over = hits;
        } else {
            tally.over = count.after - limit;
            tally.near = limit - near_from.max(before).min(limit);
        }
    } else if !exceeded {
        tally.within = hits;
        tally.near = count.after.saturating_sub(near_from.max(before)).min(hits);
    }
    if shadow {
        tally.shadow = tally.over;
    }
    tally
}

fn near_threshold(limit: u64, ratio: f64) -> u64 {
    // Precision is lost only far above any limit that can be configured.
    (limit as f64 * ratio.clamp(0.0, 1.0)).floor() as u64
}

/// One exceeded rule denies; quotas deny only when all are used up.
fn overall(judged: &[Judged<'_>], options: &Options) -> bool {
    let is_quota = |j: &Judged<'_>| options.quota_mode || j.rule.is_some_and(|rule| rule.quota);
    let (quotas, rules): (Vec<_>, Vec<_>) =
        judged.iter().filter(|j| j.status.limit.is_some()).partition(|j| is_quota(j));
    let used_up = !quotas.is_empty() && quotas.iter().all(|j| j.status.over);
    used_up || rules.iter().any(|j| j.status.over)
}

/// The three headers tell of the tightest limit, an exceeded one before all.
fn informative_headers(verdict: &mut Verdict<'_>, options: &Options) {
    let Some(names) = &options.headers else { return };
    let limited = || verdict.statuses.iter().filter(|s| s.limit.is_some());
    // Of several exceeded ones the last, as in envoyproxy/ratelimit.
    let tightest = limited().rfind(|s| s.over);
    let tightest = tightest.or_else(|| limited().min_by_key(|s| s.remaining));
    let Some(Status { limit: Some(limit), remaining, reset, .. }) = tightest.copied() else {
        return;
    };
    let values = [u64::from(limit.requests_per_unit), u64::from(remaining), reset.as_secs()];
    let headers = names.iter().zip(values).map(|(name, value)| (name.clone(), value.to_string()));
    verdict.response_headers.extend(headers);
    if verdict.over {
        let longest = longest_reset(&verdict.statuses);
        verdict.response_headers.push(retry_after(longest));
    }
}

fn longest_reset(statuses: &[Status<'_>]) -> Duration {
    statuses.iter().filter(|s| s.over).map(|s| s.reset).max().unwrap_or_default()
}

fn retry_after(wait: Duration) -> (String, String) {
    ("retry-after".into(), wait.as_secs().max(1).to_string())
}

/// Adds what the limits of RateLimit objects say.
fn answers(verdict: &mut Verdict<'_>, judged: &[Judged<'_>]) {
    let wait = if verdict.over { longest_reset(&verdict.statuses) } else { Duration::ZERO };
    let facts = Facts::new(verdict.over, &verdict.statuses, wait);
    let answers = || judged.iter().filter_map(|j| j.rule?.answer.as_deref());
    verdict.response_headers.extend(answers().flat_map(|a| a.response_headers(&facts)));
    if !verdict.over {
        verdict.request_headers.extend(answers().flat_map(|a| a.request_headers(&facts)));
        return;
    }
    if !verdict.response_headers.iter().any(|(name, _)| name == "retry-after") {
        verdict.response_headers.push(retry_after(wait));
    }
    // The denial is told in the words of the limit that lasts longest.
    if let Some(answer) =
        exceeded(judged).filter(|j| j.status.over).and_then(|j| j.rule?.answer.as_deref())
    {
        let (headers, body) = answer.denial(&facts);
        verdict.response_headers.extend(headers);
        verdict.body = body;
    }
}

/// Returns the exceeded limit of a RateLimit object that metadata and denial
/// speak of: Enforce before LogOnly, then the longest reset, then the first.
fn exceeded<'j, 'a>(judged: &'j [Judged<'a>]) -> Option<&'j Judged<'a>> {
    let of_objects =
        judged.iter().filter(|j| j.exceeded && j.rule.is_some_and(|rule| rule.answer.is_some()));
    of_objects.rev().max_by_key(|j| (j.status.over, j.status.reset))
}

fn metadata(plan: &Plan<'_>, judged: &[Judged<'_>], options: &Options) -> Option<Value> {
    let mut fields = Map::new();
    if let Some(worst) = exceeded(judged)
        && let Some(rule) = worst.rule
        && let Some(answer) = &rule.answer
    {
        fields.insert("aes.ratelimit.name".into(), rule.name.as_str().into());
        fields.insert("aes.ratelimit.action".into(), answer.action().into());
        fields.insert("aes.ratelimit.retry_after".into(), worst.status.reset.as_secs().into());
    }
    if options.dynamic_metadata {
        describe(plan, judged, &mut fields);
    }
    (!fields.is_empty()).then_some(Value::Object(fields))
}

/// Describes the request and the metadata of its passing rules, in
/// envoyproxy/ratelimit's form.
fn describe(plan: &Plan<'_>, judged: &[Judged<'_>], fields: &mut Map<String, Value>) {
    let descriptors: Vec<Value> = plan
        .request
        .descriptors
        .iter()
        .map(|descriptor| {
            let entries: Vec<String> =
                descriptor.entries.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let mut described = json!({ "entries": entries });
            if let Some(limit) = descriptor.limit {
                // The message in Go's text form.
                let unit = limit.unit.map_or("UNKNOWN", Unit::as_str);
                let text = format!("requests_per_unit:{} unit:{unit}", limit.requests_per_unit);
                described["limit"] = text.into();
            }
            if let Some(hits) = descriptor.hits_addend {
                described["hitsAddend"] = hits.into();
            }
            described
        })
        .collect();
    fields.insert("domain".into(), plan.request.domain.into());
    fields.insert("descriptors".into(), descriptors.into());
    if plan.request.hits_addend != 0 {
        fields.insert("hitsAddend".into(), plan.request.hits_addend.into());
    }
    let mut merged = Map::new();
    let counted = judged.iter().filter(|j| j.tally.is_some() && !j.status.over);
    for metadata in counted.filter_map(|j| j.rule?.metadata.as_ref()) {
        if let Value::Object(metadata) = metadata {
            merge(&mut merged, metadata);
        }
    }
    if !merged.is_empty() {
        fields.insert("metadata".into(), merged.into());
    }
}

/// Adds what is not there yet; objects of one name are joined.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(name), value) {
            (None, value) => drop(into.insert(name.clone(), value.clone())),
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            (Some(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests;
