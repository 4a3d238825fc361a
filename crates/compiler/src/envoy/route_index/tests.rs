use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::xds::r#type::matcher::v3::matcher as tree;
use proptest::prelude::*;
use prost::Message;

use super::*;
use tables::{Condition, table};

mod tables;

fn stem(route: &Condition) -> Stem<'_> {
    Stem::of(route.path(), route.case_sensitive)
}

fn trie<'a>(table: impl Iterator<Item = (usize, &'a Condition)>, least: u32) -> Trie<usize> {
    let mut trie = Trie::new(least);
    for (position, route) in table {
        trie.insert(&stem(route), position);
    }
    trie.settle();
    trie
}

fn index(table: &[Condition], least: u32) -> RouteIndex {
    RouteIndex::of(&trie(table.iter().enumerate(), least))
}

#[test]
fn a_tree_tries_every_route_that_can_hold_in_the_order_of_the_list() {
    let checked = Cell::new(0);
    let config = ProptestConfig { cases: 640, failure_persistence: None, ..Default::default() };
    proptest!(config, |((table, paths) in table(1..120))| {
        let models: Vec<_> = table.iter().map(Condition::model).collect();
        for least in [1, LEAST] {
            let index = index(&table, least);
            for path in &paths {
                let expected: Vec<usize> =
                    (0..table.len()).filter(|route| models[*route](path)).collect();
                let found: Vec<usize> = index
                    .candidates(path)
                    .iter()
                    .copied()
                    .filter(|route| models[*route](path))
                    .collect();
                prop_assert_eq!(found, expected, "{} in {:?}", path, index);
                checked.set(checked.get() + 1);
            }
        }
    });
    assert!(checked.get() >= 100_000, "only {} requests", checked.get());
}

#[test]
fn all_lists_together_hold_at_most_twice_as_many_routes_as_the_table() {
    proptest!(ProptestConfig { failure_persistence: None, ..Default::default() }, |((table, _) in table(1..120))| {
        let index = index(&table, 1);
        prop_assert!(index.size().1 <= 2 * table.len());
        let listed: BTreeSet<usize> =
            index.leaves.iter().flat_map(|leaf| leaf.routes.clone()).collect();
        prop_assert_eq!(listed.len(), table.len());
    });
}

type Lists = BTreeMap<String, Vec<usize>>;

fn lists(trie: &Trie<usize>) -> Lists {
    trie.keys().into_iter().map(|(key, node)| (key, trie.list(node))).collect()
}

/// Routes come, go and are replaced in batches. After each the lists are those
/// of a tree made anew, and what was told of them is what became of the former.
#[test]
fn an_edited_tree_is_the_tree_of_its_routes() {
    let edits = |routes| {
        let batch = prop::collection::vec((0..routes, any::<bool>()), 1..12);
        prop::collection::vec(batch, 1..16)
    };
    let tables = table(1..60).prop_flat_map(|(table, _)| {
        let edits = edits(table.len());
        (Just(table), edits)
    });
    let config = ProptestConfig { failure_persistence: None, ..Default::default() };
    proptest!(config, |((table, batches) in tables, least in 1..=LEAST)| {
        let mut present = BTreeSet::new();
        let mut edited = Trie::new(least);
        let mut followed = Lists::from([(String::new(), Vec::new())]);
        for batch in batches {
            let mut versions = BTreeSet::new();
            for (route, stays) in batch {
                if stays {
                    edited.insert(&stem(&table[route]), route);
                    present.insert(route);
                    versions.insert(route);
                } else {
                    edited.remove(&stem(&table[route]), &route);
                    present.remove(&route);
                }
            }
            let settled = edited.settle();
            let fresh = trie(present.iter().map(|route| (*route, &table[*route])), least);
            prop_assert_eq!(lists(&edited), lists(&fresh));
            prop_assert_eq!(edited.is_worth_it(), fresh.is_worth_it());
            prop_assert_eq!(edited.is_large(), fresh.is_large());
            prop_assert_eq!(edited.broad(), fresh.broad());
            for gone in settled.gone {
                followed.remove(&gone);
            }
            for node in &settled.changed {
                followed.insert(edited.text(*node), edited.list(*node));
            }
            prop_assert_eq!(&followed, &lists(&fresh));
            // A new version of a route shows in every list that holds it.
            for (_, node) in edited.keys() {
                let renewed = edited.list(node).iter().any(|route| versions.contains(route));
                prop_assert!(!renewed || settled.changed.contains(&node));
            }
            prop_assert_eq!(edited.settle(), Default::default());
        }
    });
}

fn prefixes(texts: impl IntoIterator<Item = String>) -> Vec<Condition> {
    let prefix = |text| Condition { kind: 0, text, case_sensitive: true };
    texts.into_iter().map(prefix).collect()
}

fn plan(table: &[Condition]) -> RouteTable {
    let entries: Vec<RouteEntry<'_>> = table.iter().map(Condition::entry).collect();
    RouteTable::plan(&entries)
}

#[test]
fn a_small_table_stays_a_list() {
    let table = prefixes((0..THRESHOLD - 1).map(|n| format!("/{n}/")));
    assert!(matches!(plan(&table), RouteTable::Linear { broad } if broad.is_empty()));
}

#[test]
fn a_walk_does_not_grow_with_the_table() {
    let mut table = prefixes((0..10_000).map(|n| format!("/svc-{n:05}/")));
    table.extend(prefixes(["/".to_owned()]));
    let RouteTable::Indexed(index) = plan(&table) else { panic!("a list") };
    for n in [0, 1234, 9999] {
        let walk = index.candidates(&format!("/svc-{n:05}/x?y")).len();
        assert!(walk <= 12, "{walk} routes are tried");
    }
    assert_eq!(index.candidates("/other"), [10_000]);
}

#[test]
fn routes_that_hold_everywhere_keep_a_table_a_list_and_are_told() {
    let mut table = prefixes((0..40).map(|n| format!("/svc-{n:02}/")));
    table.extend(prefixes((0..60).map(|_| "/".to_owned())));
    let RouteTable::Linear { broad } = plan(&table) else { panic!("a tree") };
    assert_eq!(broad, (40..100).collect::<Vec<_>>());
}

#[test]
fn the_bytes_are_the_message_that_they_stand_for() {
    let mut table = prefixes((0..40).map(|n| format!("/svc-{n:02}/")));
    table.extend(prefixes(["/".to_owned(), String::new()]));
    let encoded: Vec<Vec<u8>> = (0..table.len())
        .map(|n| pb::Route { name: "n".repeat(n * 10), ..Default::default() }.encode_to_vec())
        .collect();
    let entries: Vec<RouteEntry<'_>> = table
        .iter()
        .zip(&encoded)
        .map(|(route, encoded)| RouteEntry { encoded, ..route.entry() })
        .collect();
    let RouteTable::Indexed(index) = RouteTable::plan(&entries) else { panic!("a list") };
    let mut bytes = Vec::new();
    index.append_matcher(&entries, &mut bytes);

    let matcher = pb::VirtualHost::decode(&*bytes).unwrap().matcher.unwrap();
    let Some(pb_tree) = matcher.matcher_type else { panic!("no tree") };
    let envoy_types::pb::xds::r#type::matcher::v3::matcher::MatcherType::MatcherTree(pb_tree) =
        pb_tree
    else {
        panic!("not a tree")
    };
    let input = pb_tree.input.unwrap();
    assert_eq!(input.typed_config.unwrap().value, b"\x0a\x05:path");
    let Some(tree::matcher_tree::TreeType::PrefixMatchMap(map)) = pb_tree.tree_type else {
        panic!("no map")
    };
    assert_eq!(map.map.len() + 1, index.size().0);
    for leaf in &index.leaves {
        let on_match = if leaf.key.is_empty() {
            matcher.on_no_match.as_deref().unwrap()
        } else {
            &map.map[&leaf.key]
        };
        let Some(tree::on_match::OnMatch::Action(action)) = &on_match.on_match else {
            panic!("no action")
        };
        let any = action.typed_config.as_ref().unwrap();
        assert_eq!(any.type_url, "type.googleapis.com/envoy.config.route.v3.RouteList");
        let names: Vec<usize> = pb::RouteList::decode(&*any.value)
            .unwrap()
            .routes
            .iter()
            .map(|route| route.name.len() / 10)
            .collect();
        assert_eq!(names, leaf.routes, "{}", leaf.key);
    }
}
