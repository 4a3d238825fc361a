//! Random edits, and what is left of the world at their end.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use nuncio_api::{
    Carrier, Change, Diagnostic, EnvoyText, Kind, Object, ObjectKey, Origin, Severity,
};
use nuncio_compiler::{Address, Compiler, Settings};
use nuncio_testing::manifests;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::objects;

/// One step.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// An object appears or changes.
    Apply(Text),
    /// The text of an object cannot be read any more.
    Break(Index),
    /// An object goes.
    Delete(Index),
    /// Envoy refuses a text of which it alone can judge.
    Refuse(Index),
}

/// An object, shown as it is written.
#[derive(Clone)]
pub(crate) struct Text {
    yaml: String,
    object: Arc<Object>,
}

impl Text {
    fn new(yaml: String, line: u32, carrier: Option<(&str, u32)>) -> Self {
        let mut object = (*at_line(line, &manifests::object(&yaml))).clone();
        object.origin.carrier =
            carrier.filter(|_| object.spec.kind().is_emissary()).map(|(name, index)| Carrier {
                kind: Kind::Service,
                namespace: object.meta.namespace.clone(),
                name: name.to_owned(),
                index,
            });
        Self { yaml, object: Arc::new(object) }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.object.origin.line)?;
        if let Some(carrier) = &self.object.origin.carrier {
            write!(f, ", document {} of Service {}", carrier.index, carrier.name)?;
        }
        write!(f, ":\n{}", self.yaml)
    }
}

/// The same object, found in another line.
pub(crate) fn at_line(line: u32, object: &Object) -> Arc<Object> {
    let mut object = object.clone();
    object.origin.line = line;
    Arc::new(object)
}

/// Settings, and edits of every kind.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    settings: Settings,
    edits: Vec<Edit>,
}

/// Settings with every service of the gateway's own.
pub(crate) fn settings() -> Settings {
    Settings {
        resolve_defined_services: true,
        auth: Some(Address::new("127.0.0.1", 8500)),
        rate_limit: Some(Address::new("127.0.0.1", 8081)),
        challenges: Some(Address::new("127.0.0.1", 8402)),
        admin: Some(Address::new("127.0.0.1", 8877)),
        ..Default::default()
    }
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let cluster = Settings {
        strict_label_selectors: false,
        endpoint_routing: false,
        admin: settings().admin,
        ..Default::default()
    };
    prop_oneof![3 => Just(settings()), 1 => Just(cluster)]
}

/// Random scripts.
pub(crate) fn script() -> impl Strategy<Value = Script> {
    script_of(1..80)
}

/// Random scripts of so many edits.
pub(crate) fn script_of(length: Range<usize>) -> impl Strategy<Value = Script> {
    // Annotations hold namesakes of other objects, before and after them.
    let carrier =
        prop_oneof![7 => Just(None), 1 => (select(vec!["a", "z"]), 1..3_u32).prop_map(Some)];
    let apply = (objects::any_object(), 1..3_u32, carrier)
        .prop_map(|(yaml, line, carrier)| Edit::Apply(Text::new(yaml, line, carrier)));
    let delete = any::<Index>().prop_map(Edit::Delete);
    let unread = any::<Index>().prop_map(Edit::Break);
    let refuse = any::<Index>().prop_map(Edit::Refuse);
    let edit = prop_oneof![16 => apply, 3 => delete, 1 => unread, 1 => refuse];
    let edits = prop::collection::vec(edit, length);
    (any_settings(), edits).prop_map(|(settings, edits)| Script { settings, edits })
}

/// What is left at the end of a script.
///
/// For each object the changes that still count: the version in effect, those
/// before it where Envoy may refuse it, and after it the one that cannot be
/// used, if that came later. A last good
/// version that is kept is history on purpose.
pub(crate) type World = BTreeMap<ObjectKey, Vec<Change>>;

/// A script, played step by step.
pub(crate) struct Played {
    settings: Settings,
    pub(crate) changes: Vec<Change>,
    pub(crate) world: World,
    pub(crate) compiler: Compiler,
}

/// Plays a script.
pub(crate) fn play(script: &Script) -> Played {
    let mut compiler = Compiler::new(script.settings.clone());
    compiler.apply(Vec::new());
    let mut played = Played {
        settings: script.settings.clone(),
        changes: Vec::new(),
        world: World::new(),
        compiler,
    };
    for edit in &script.edits {
        if let Some(change) = change(edit, &played.world, &played.compiler) {
            played.apply(change);
        }
    }
    played
}

fn change(edit: &Edit, world: &World, compiler: &Compiler) -> Option<Change> {
    let pick = |index: &Index| {
        let keys: Vec<&ObjectKey> = world.keys().collect();
        (!keys.is_empty()).then(|| (*index.get(&keys)).clone())
    };
    Some(match edit {
        Edit::Apply(Text { object, .. }) => apply(object),
        Edit::Break(index) => broken(&pick(index)?),
        Edit::Delete(index) => Change::Delete(pick(index)?),
        Edit::Refuse(index) => {
            let asked: Vec<&EnvoyText> = compiler.judged_by_envoy().collect();
            let text = (*index.get(asked.first().map(|_| &asked[..])?)).clone();
            Change::Refused { text, reason: "no".into() }
        }
    })
}

/// The change that brings an object.
pub(crate) fn apply(object: &Arc<Object>) -> Change {
    Change::Apply { object: object.clone(), findings: Vec::new() }
}

fn broken(key: &ObjectKey) -> Change {
    let finding = Diagnostic {
        severity: Severity::Error,
        code: "invalid-type",
        object: Some(key.clone()),
        origin: Origin::default(),
        field: "spec".to_owned(),
        message: "must be of type object".to_owned(),
        remedy: "correct it".to_owned(),
    };
    Change::Broken { key: key.clone(), origin: Origin::default(), findings: vec![finding] }
}

impl Played {
    fn apply(&mut self, change: Change) {
        self.changes.push(change.clone());
        self.compiler.apply(vec![change.clone()]);
        let key = match &change {
            Change::Apply { object, .. } => object.key(),
            Change::Broken { key, .. } => key.clone(),
            Change::Delete(key) => {
                self.world.remove(key);
                return;
            }
            Change::Input { .. }
            | Change::File { .. }
            | Change::Registered { .. }
            | Change::Refused { .. } => return,
        };
        let kept = self.compiler.versions(&key);
        let counts = |change: &Change| match change {
            Change::Apply { object, .. } => kept.iter().any(|kept| Arc::ptr_eq(kept, object)),
            _ => false,
        };
        let changes = self.world.entry(key).or_default();
        changes.retain(counts);
        changes.push(change);
    }

    /// What Envoy refused that still counts.
    pub(crate) fn refused(&self) -> Vec<Change> {
        let refused = self.compiler.refused();
        refused.map(|(text, reason)| Change::Refused { text, reason: reason.clone() }).collect()
    }

    /// A compiler that saw nothing yet.
    pub(crate) fn fresh(&self) -> Compiler {
        Compiler::new(self.settings.clone())
    }

    /// A compiler that saw every change that still counts, at once.
    pub(crate) fn full(&self) -> Compiler {
        let mut compiler = self.fresh();
        compiler.apply(self.world.values().flatten().cloned().chain(self.refused()).collect());
        compiler
    }
}
