use crate::config::{ConfigError, DomainConfig, Label, PatternLimit};
use crate::{Table, parse_yaml};

fn table(text: &str) -> Table {
    Table::build(&[parse_yaml("limits.yaml", text).unwrap()], false).unwrap()
}

fn refused(text: &str) -> ConfigError {
    Table::build(&[parse_yaml("limits.yaml", text).unwrap()], false).unwrap_err()
}

fn found<'t>(table: &'t Table, entries: &[(&str, &str)]) -> Option<&'t str> {
    table.lookup("d", entries).map(|matched| matched.rule.path.as_str())
}

const TREE: &str = "
domain: d
descriptors:
- key: k
  value: exact
  rate_limit: {unit: day, requests_per_unit: 1}
  descriptors:
  - {key: sub, rate_limit: {unit: day, requests_per_unit: 1}}
- key: k
  value: ex*
  rate_limit: {unit: day, requests_per_unit: 2}
- key: k
  value: '*t*'
  rate_limit: {unit: day, requests_per_unit: 3}
- key: k
  rate_limit: {unit: day, requests_per_unit: 4}
  descriptors:
  - {key: other, rate_limit: {unit: day, requests_per_unit: 5}}
";

#[test]
fn the_exact_value_wins_then_the_first_pattern_then_any() {
    let table = table(TREE);
    assert_eq!(found(&table, &[("k", "exact")]), Some("k_exact"));
    assert_eq!(found(&table, &[("k", "ext")]), Some("k_ex*"));
    assert_eq!(found(&table, &[("k", "at")]), Some("k_*t*"));
    assert_eq!(found(&table, &[("k", "foo")]), Some("k"));
    assert_eq!(found(&table, &[("x", "foo")]), None);
}

#[test]
fn a_chosen_branch_never_falls_back_to_its_sibling() {
    let table = table(TREE);
    assert_eq!(found(&table, &[("k", "foo"), ("other", "1")]), Some("k.other"));
    assert_eq!(found(&table, &[("k", "exact"), ("other", "1")]), None);
}

#[test]
fn a_rule_applies_only_at_its_own_depth() {
    let table = table(TREE);
    assert_eq!(found(&table, &[("k", "exact"), ("sub", "1")]), Some("k_exact.sub"));
    assert_eq!(found(&table, &[("k", "exact"), ("sub", "1"), ("more", "2")]), None);
    assert!(table.lookup("other", &[("k", "exact")]).is_none());
}

#[test]
fn key_and_value_are_never_joined() {
    let table = table(
        "domain: d\ndescriptors:\n- {key: a, value: b_c, rate_limit: {unit: day, requests_per_unit: 1}}\n",
    );
    assert_eq!(found(&table, &[("a", "b_c")]), Some("a_b_c"));
    assert_eq!(found(&table, &[("a_b", "c")]), None);
}

#[test]
fn faults_between_rules_are_refused_with_their_place() {
    let limit = "rate_limit: {unit: day, requests_per_unit: 1";
    let cases = [
        ("{key: '', value: x}", "descriptors[0].key: descriptor has empty key"),
        (
            "{key: a, value: b}\n- {key: a, value: b}",
            "descriptors[1]: duplicate descriptor composite key 'd.a_b'",
        ),
        ("{key: a}\n- {key: a}", "descriptors[1]: duplicate descriptor composite key 'd.a'"),
        (
            &format!("{{key: a, {limit}, name: x, replaces: [{{name: x}}]}}}}"),
            "replaces should not",
        ),
        (&format!("{{key: a, {limit}, replaces: [{{name: ''}}]}}}}"), "empty replaces"),
        ("{key: a, value: b, share_threshold: true}", "descriptors[0].share_threshold: "),
    ];
    for (descriptors, wanted) in cases {
        let error = refused(&format!("domain: d\ndescriptors:\n- {descriptors}\n")).to_string();
        assert!(error.starts_with("limits.yaml: "), "{error}");
        assert!(error.contains(wanted), "{error}");
    }
    let nested = "domain: d\ndescriptors:\n- key: a\n  descriptors:\n  - {key: b}\n  - {key: b}\n";
    let error = refused(nested).to_string();
    assert!(error.contains("descriptors[0].descriptors[1]: "), "{error}");
    assert!(error.contains("'d.a.b'"), "{error}");
}

#[test]
fn two_files_of_one_domain_are_refused_unless_merged() {
    let file = |key: &str| {
        parse_yaml(key, &format!("domain: d\ndescriptors:\n- {{key: {key}, rate_limit: {{unit: day, requests_per_unit: 1}}}}\n")).unwrap()
    };
    let both = [file("a"), file("b")];
    let error = Table::build(&both, false).unwrap_err();
    assert_eq!(error.to_string(), "b: domain: duplicate domain 'd' in config file");
    let merged = Table::build(&both, true).unwrap();
    assert_eq!(found(&merged, &[("a", "1")]), Some("a"));
    assert_eq!(found(&merged, &[("b", "1")]), Some("b"));
}

fn pattern(positions: &[&[(&str, &str)]]) -> Vec<Vec<Label>> {
    let label = |(key, value): &(&str, &str)| Label { key: (*key).into(), value: (*value).into() };
    positions.iter().map(|labels| labels.iter().map(label).collect()).collect()
}

fn patterns(limits: &[(&str, Vec<Vec<Label>>)]) -> Table {
    let limits = limits.iter().map(|(name, pattern)| PatternLimit {
        name: (*name).into(),
        patterns: vec![pattern.clone()],
        rate: 1,
        unit_seconds: 60,
        ..PatternLimit::default()
    });
    let config =
        DomainConfig { domain: "d".into(), limits: limits.collect(), ..Default::default() };
    Table::build(&[config], false).unwrap()
}

#[test]
fn a_descriptor_must_begin_with_the_pattern_and_the_longest_wins() {
    let table = patterns(&[
        ("short", pattern(&[&[("a", "1")]])),
        ("long", pattern(&[&[("a", "*")], &[("b", "")]])),
        ("later", pattern(&[&[("b", "2")]])),
    ]);
    assert_eq!(found(&table, &[("a", "1")]), Some("short"));
    assert_eq!(found(&table, &[("a", "1"), ("x", "y")]), Some("short"));
    assert_eq!(found(&table, &[("a", "1"), ("b", "9"), ("c", "3")]), Some("long"));
    assert_eq!(found(&table, &[("x", "y"), ("a", "1")]), None);
    assert_eq!(table.lookup("d", &[("a", "1"), ("x", "y")]).unwrap().depth, 1);
}

#[test]
fn any_pair_of_a_position_matches_and_exact_values_win_ties() {
    let table = patterns(&[
        ("any", pattern(&[&[("a", "*"), ("b", "1")]])),
        ("exact", pattern(&[&[("a", "7")]])),
        ("again", pattern(&[&[("a", "7")]])),
    ]);
    assert_eq!(found(&table, &[("b", "1")]), Some("any"));
    assert_eq!(found(&table, &[("b", "2")]), None);
    assert_eq!(found(&table, &[("a", "0")]), Some("any"));
    assert_eq!(found(&table, &[("a", "7")]), Some("exact"));
}

#[test]
fn limits_that_cannot_be_counted_are_refused() {
    let with = |change: fn(&mut PatternLimit)| {
        let mut limit = PatternLimit {
            patterns: vec![pattern(&[&[("a", "1")]])],
            rate: 1,
            unit_seconds: 60,
            ..PatternLimit::default()
        };
        change(&mut limit);
        let config = DomainConfig { domain: "d".into(), limits: vec![limit], ..Default::default() };
        Table::build(&[config], false).map(drop)
    };
    assert!(with(|_| {}).is_ok());
    assert!(with(|l| l.unit_seconds = 0).is_err());
    assert!(with(|l| l.unit_seconds = u64::MAX).is_err());
    assert!(with(|l| (l.rate, l.burst_factor) = (u64::MAX, 2)).is_err());
    assert!(with(|l| l.patterns = vec![vec![]]).is_err());
    assert!(with(|l| l.patterns = vec![vec![vec![]]]).is_err());
}
