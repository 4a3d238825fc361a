//! Which objects all files together hold, and what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::manifest::{Item, Manifest};
use nuncio_api::{Change, Diagnostic, ObjectKey, Origin, Severity};

/// Code: two objects of one kind, namespace and name.
pub const DUPLICATE_OBJECT: &str = "duplicate-object";

/// The objects of all files, and what has been told of them.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    files: BTreeMap<Arc<str>, Entries>,
    /// Files that hold an object, sorted; the last one counts. Nearly always
    /// there is one.
    holders: BTreeMap<Arc<ObjectKey>, Vec<Arc<str>>>,
    /// Secrets the gateway made; used where the files have none.
    made: BTreeMap<Arc<ObjectKey>, Item>,
    told: BTreeMap<Arc<ObjectKey>, Item>,
    told_inputs: BTreeMap<Arc<str>, Vec<Diagnostic>>,
    dirty: BTreeSet<Arc<ObjectKey>>,
    dirty_inputs: BTreeSet<Arc<str>>,
    /// Findings that are not of a file's text, such as that it cannot be read.
    outer: BTreeMap<Arc<str>, Vec<Diagnostic>>,
}

/// What one file holds.
#[derive(Debug, Default)]
struct Entries {
    items: BTreeMap<Arc<ObjectKey>, Entry>,
    findings: Vec<Diagnostic>,
}

#[derive(Debug, Clone)]
struct Entry {
    item: Item,
    /// Earlier objects of the same identity in the same file.
    shadowed: Vec<Origin>,
}

impl Catalog {
    /// Counts the objects that a file holds.
    pub(super) fn count(&self, name: &str) -> usize {
        self.files.get(name).map_or(0, |entries| entries.items.len())
    }

    /// Takes in what a file holds now. Objects that the file held before stay
    /// when the part of its text that they were in could not be parsed.
    pub(super) fn put(&mut self, name: &Arc<str>, manifest: Manifest) {
        let mut entries = Entries { items: BTreeMap::new(), findings: manifest.findings };
        for item in manifest.items {
            let key = Arc::new(item.key());
            let mut entry = Entry { item, shadowed: Vec::new() };
            if let Some(earlier) = entries.items.remove(&key) {
                entry.shadowed = earlier.shadowed;
                entry.shadowed.push(earlier.item.origin().clone());
            }
            entries.items.insert(key, entry);
        }
        let before = self.files.remove(name).unwrap_or_default();
        for (key, entry) in before.items {
            if manifest.partial || manifest.half_read.iter().any(|c| key.is_carried_by(c)) {
                entries.items.entry(key).or_insert(entry);
            } else if !entries.items.contains_key(&key) {
                self.let_go(key, name);
            }
        }
        for key in entries.items.keys() {
            let holders = self.holders.entry(key.clone()).or_default();
            if let Err(at) = holders.binary_search(name) {
                holders.reserve_exact(1);
                holders.insert(at, Arc::clone(name));
            }
            self.dirty.insert(key.clone());
        }
        self.dirty_inputs.insert(Arc::clone(name));
        self.files.insert(Arc::clone(name), entries);
    }

    /// Forgets a file that is gone.
    pub(super) fn remove(&mut self, name: &Arc<str>) {
        for key in self.files.remove(name).unwrap_or_default().items.into_keys() {
            self.let_go(key, name);
        }
        self.dirty_inputs.insert(Arc::clone(name));
    }

    /// Sets what is wrong with a file or folder as such; empty clears it.
    pub(super) fn outer(&mut self, name: &Arc<str>, findings: Vec<Diagnostic>) {
        let before = if findings.is_empty() {
            self.outer.remove(name)
        } else {
            self.outer.insert(Arc::clone(name), findings)
        };
        if before.as_ref() != self.outer.get(name) {
            self.dirty_inputs.insert(Arc::clone(name));
        }
    }

    /// Returns the names that have findings of their own as such.
    pub(super) fn outer_names(&self) -> Vec<Arc<str>> {
        self.outer.keys().cloned().collect()
    }

    /// Sets the Secrets that the gateway made.
    pub(super) fn made(&mut self, items: Vec<Item>) {
        let items: BTreeMap<Arc<ObjectKey>, Item> =
            items.into_iter().map(|item| (Arc::new(item.key()), item)).collect();
        self.dirty.extend(self.made.keys().cloned());
        self.dirty.extend(items.keys().cloned());
        self.made = items;
    }

    /// Returns what has changed since the last time.
    ///
    /// Order: objects by identity, then files by name; the same state gives
    /// the same changes whichever way it came about.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let mut out = Vec::new();
        for key in std::mem::take(&mut self.dirty) {
            let Some(item) = self.effective(&key) else {
                if self.told.remove(&key).is_some() {
                    out.push(Change::Delete((*key).clone()));
                }
                continue;
            };
            if self.told.get(&key) != Some(&item) {
                self.told.insert(key, item.clone());
                out.push(item.into_change());
            }
        }
        for name in std::mem::take(&mut self.dirty_inputs) {
            let mut findings = self.outer.get(&name).cloned().unwrap_or_default();
            if let Some(entries) = self.files.get(&name) {
                findings.extend(entries.findings.iter().cloned());
            }
            let told = self.told_inputs.get(&name).map_or(&[][..], Vec::as_slice);
            if told == findings {
                continue;
            }
            if findings.is_empty() {
                self.told_inputs.remove(&name);
            } else {
                self.told_inputs.insert(Arc::clone(&name), findings.clone());
            }
            out.push(Change::Input { name, findings });
        }
        out
    }

    fn let_go(&mut self, key: Arc<ObjectKey>, name: &Arc<str>) {
        if let Some(holders) = self.holders.get_mut(&key) {
            holders.retain(|holder| holder != name);
            if holders.is_empty() {
                self.holders.remove(&key);
            }
        }
        self.dirty.insert(key);
    }

    /// Returns the object that counts, with a finding about each that does
    /// not.
    fn effective(&self, key: &ObjectKey) -> Option<Item> {
        let Some(holders) = self.holders.get(key) else {
            return self.made.get(key).cloned();
        };
        let mut entries: Vec<&Entry> =
            holders.iter().filter_map(|name| self.files.get(name)?.items.get(key)).collect();
        let last = entries.pop()?;
        let mut item = last.item.clone();
        let others: Vec<&Origin> = entries
            .iter()
            .flat_map(|entry| entry.shadowed.iter().chain([entry.item.origin()]))
            .chain(&last.shadowed)
            .collect();
        if others.is_empty() {
            return Some(item);
        }
        let (Item::Good { findings, .. } | Item::Bad { findings, .. }) = &mut item;
        findings.extend(others.into_iter().map(|other| duplicate(key, last.item.origin(), other)));
        Some(item)
    }
}

fn duplicate(key: &ObjectKey, counts: &Origin, other: &Origin) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: DUPLICATE_OBJECT,
        object: Some(key.clone()),
        origin: counts.clone(),
        field: "metadata.name".to_owned(),
        message: format!(
            "{key} is defined in {} too; the one in {} counts",
            place(other),
            place(counts)
        ),
        remedy: "rename or remove one of the two".to_owned(),
    }
}

/// Shape: `file:line`.
fn place(origin: &Origin) -> String {
    match &origin.file {
        Some(file) if origin.line > 0 => format!("{file}:{}", origin.line),
        Some(file) => file.to_string(),
        None => "another place".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use nuncio_api::manifest::Format;
    use nuncio_api::{Kind, Reading};

    use super::*;

    fn manifest(name: &str, text: &str) -> Manifest {
        Manifest::read(
            &Arc::from(name),
            text.as_bytes(),
            Format::Yaml,
            &Reading::of_namespace("default"),
        )
    }

    fn host(name: &str, hostname: &str) -> String {
        format!(
            "---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: {name}}}\n\
             spec: {{hostname: {hostname}}}\n"
        )
    }

    fn shown(changes: &[Change]) -> Vec<String> {
        changes
            .iter()
            .map(|change| match change {
                Change::Apply { object, findings } => {
                    let file = object.origin.file.as_deref().unwrap_or_default();
                    format!("apply {} of {file} {}", object.key(), findings.len())
                }
                Change::Broken { key, .. } => format!("broken {key}"),
                Change::Delete(key) => format!("delete {key}"),
                Change::Input { name, findings } => format!("input {name} {}", findings.len()),
                Change::Registered { service, .. } => format!("registered {service}"),
                Change::File { name, .. } => format!("file {name}"),
                Change::Refused { text, .. } => format!("refused {text:?}"),
            })
            .collect()
    }

    #[test]
    fn an_annotation_that_stops_parsing_keeps_its_last_objects() {
        let carrier = |config: &str| {
            manifest(
                "a.yaml",
                &format!(
                    "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations:\n    \
                     getambassador.io/config: {config:?}\n---\n{}",
                    host("y", "two")
                ),
            )
        };
        let name = Arc::from("a.yaml");
        let mut catalog = Catalog::default();
        let sound = "{apiVersion: ambassador/v2, kind: Host, name: x, hostname: one}";
        catalog.put(&name, carrier(sound));
        assert_eq!(catalog.changes().len(), 3);
        catalog.put(&name, carrier("{apiVersion: ["));
        let changes = catalog.changes();
        assert_eq!(shown(&changes), ["apply Service default/s of a.yaml 1"]);
        catalog.put(&name, carrier(""));
        assert_eq!(
            shown(&catalog.changes()),
            ["delete Host default/x", "apply Service default/s of a.yaml 0"]
        );
    }

    #[test]
    fn the_last_file_counts_and_both_are_named() {
        let (a, b) = (Arc::from("a.yaml"), Arc::from("b.yaml"));
        let mut forward = Catalog::default();
        forward.put(&a, manifest("a.yaml", &host("x", "one")));
        forward.put(&b, manifest("b.yaml", &host("x", "two")));
        let mut backward = Catalog::default();
        backward.put(&b, manifest("b.yaml", &host("x", "two")));
        backward.put(&a, manifest("a.yaml", &host("x", "one")));
        let changes = forward.changes();
        assert_eq!(changes, backward.changes());
        assert_eq!(shown(&changes), ["apply Host default/x of b.yaml 1"]);
        let Change::Apply { findings, .. } = &changes[0] else { panic!("expected apply") };
        assert_eq!(
            findings[0].message,
            "Host default/x is defined in a.yaml:2 too; the one in b.yaml:2 counts"
        );
        forward.remove(&b);
        assert_eq!(shown(&forward.changes()), ["apply Host default/x of a.yaml 0"]);
        forward.remove(&a);
        assert_eq!(shown(&forward.changes()), ["delete Host default/x"]);
        assert_eq!(forward.changes(), []);
    }

    #[test]
    fn two_objects_of_one_name_in_one_file_are_told() {
        let name = Arc::from("a.yaml");
        let mut catalog = Catalog::default();
        catalog.put(&name, manifest("a.yaml", &(host("x", "one") + &host("x", "two"))));
        assert_eq!(shown(&catalog.changes()), ["apply Host default/x of a.yaml 1"]);
    }

    #[test]
    fn text_that_stops_parsing_keeps_its_objects() {
        let name = Arc::from("a.yaml");
        let mut catalog = Catalog::default();
        catalog.put(&name, manifest("a.yaml", &(host("x", "one") + &host("z", "two"))));
        assert_eq!(catalog.changes().len(), 2);
        catalog.put(&name, manifest("a.yaml", &(host("x", "three") + "---\na: [\n")));
        assert_eq!(
            shown(&catalog.changes()),
            ["apply Host default/x of a.yaml 0", "input a.yaml 1",]
        );
        catalog.put(&name, manifest("a.yaml", &host("x", "three")));
        assert_eq!(shown(&catalog.changes()), ["delete Host default/z", "input a.yaml 0"]);
    }

    #[test]
    fn a_secret_of_the_user_hides_one_the_gateway_made() {
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
        let key = ObjectKey::new(Kind::Secret, "default", "s");
        let mut catalog = Catalog::default();
        catalog.made(manifest("made", secret).items);
        assert_eq!(shown(&catalog.changes()), ["apply Secret default/s of made 0"]);
        let name = Arc::from("a.yaml");
        catalog.put(&name, manifest("a.yaml", secret));
        assert_eq!(shown(&catalog.changes()), ["apply Secret default/s of a.yaml 0"]);
        catalog.made(Vec::new());
        assert_eq!(catalog.changes(), []);
        catalog.remove(&name);
        assert_eq!(catalog.changes(), [Change::Delete(key)]);
    }

    /// What a listener knows after all changes.
    #[derive(Debug, Default, PartialEq)]
    struct Known {
        items: BTreeMap<ObjectKey, Change>,
        inputs: BTreeMap<Arc<str>, Vec<Diagnostic>>,
    }

    impl Known {
        fn take(&mut self, changes: Vec<Change>) {
            for change in changes {
                match change {
                    Change::Apply { ref object, .. } => {
                        self.items.insert(object.key(), change);
                    }
                    Change::Broken { ref key, .. } => {
                        self.items.insert(key.clone(), change);
                    }
                    Change::Delete(key) => {
                        self.items.remove(&key).expect("only known objects are deleted");
                    }
                    Change::Input { name, findings } if findings.is_empty() => {
                        self.inputs.remove(&name).expect("only known findings are cleared");
                    }
                    Change::Input { name, findings } => {
                        self.inputs.insert(name, findings);
                    }
                    Change::Registered { .. } => unreachable!("a folder is no registry"),
                    Change::File { .. } | Change::Refused { .. } => {
                        unreachable!("a catalog knows objects alone")
                    }
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_known_in_the_end_depends_on_the_files_alone(
            steps in proptest::collection::vec((0..4_u8, 0..8_u8, proptest::bool::ANY), 0..30),
        ) {
            let mut catalog = Catalog::default();
            let mut known = Known::default();
            let mut files = BTreeMap::new();
            for (file, content, look) in steps {
                let name: Arc<str> = Arc::from(format!("{file}.yaml"));
                // Bits choose among two Hosts and one that is broken.
                let mut text = String::new();
                if content & 1 > 0 { text += &host("a", &format!("h{file}")); }
                if content & 2 > 0 { text += &host("b", &format!("h{content}")); }
                if content & 4 > 0 { text += &host("a", "[]"); }
                if content == 0 {
                    files.remove(&name);
                    catalog.remove(&name);
                } else {
                    catalog.put(&name, manifest(&name, &text));
                    files.insert(name, text);
                }
                if look { known.take(catalog.changes()); }
            }
            known.take(catalog.changes());
            let mut fresh = Catalog::default();
            for (name, text) in files.iter().rev() {
                fresh.put(name, manifest(name, text));
            }
            let mut wanted = Known::default();
            wanted.take(fresh.changes());
            proptest::prop_assert_eq!(known, wanted);
        }
    }
}
