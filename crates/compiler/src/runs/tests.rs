use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

impl RunKey for u16 {
    fn ends(&self) -> bool {
        self.is_multiple_of(7)
    }
}

type Elements = BTreeMap<u16, Vec<u8>>;

fn encode(elements: &Elements) -> impl Fn(Span<'_, u16>, &mut Vec<u8>) {
    move |span, run| run.extend(elements.range::<u16, _>(span).flat_map(|(_, bytes)| bytes))
}

fn whole(elements: &Elements) -> Runs<u16> {
    let ends = elements.keys().copied().filter(RunKey::ends);
    Runs::new(ends, encode(elements))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Batches of edits lead to the runs that the elements have in the end, and
    /// to no others.
    #[test]
    fn edited_runs_equal_new_ones(
        batches in prop::collection::vec(
            prop::collection::vec((0..60_u16, prop::option::of(0..4_usize)), 1..6), 1..30),
    ) {
        let mut elements = Elements::new();
        let mut runs = whole(&elements);
        for batch in batches {
            for (key, length) in &batch {
                match length {
                    Some(length) => elements.insert(*key, vec![*key as u8; *length]),
                    None => elements.remove(key),
                };
            }
            let changed = batch.iter().map(|(key, _)| (*key, elements.contains_key(key)));
            runs.edit(changed, encode(&elements));
            let expected = whole(&elements);
            prop_assert_eq!(&runs.runs, &expected.runs);
            prop_assert_eq!(runs.len(), elements.values().map(Vec::len).sum::<usize>());
            let mut writer = Writer::default();
            runs.append(&mut writer);
            let bytes: Vec<u8> = elements.values().flatten().copied().collect();
            prop_assert_eq!(writer.finish().to_bytes(), bytes);
        }
    }
}
