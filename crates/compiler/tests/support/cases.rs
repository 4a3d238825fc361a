//! The cases in `tests/golden`, read and compiled.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nuncio_api::{Change, Environment, Reading, Variables};
use nuncio_compiler::{Address, Compiler, Resource, Settings};
use nuncio_testing::manifests;

/// What a case without Listener is served on.
const LISTENER: &str = "
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: cleartext, namespace: default}
spec: {port: 8080, protocol: HTTP, securityModel: INSECURE, hostBinding: {namespace: {from: ALL}}}
";

/// A message, and the way to the part of it that is the point of a case.
#[derive(Debug)]
pub(crate) struct Show {
    pub(crate) message: String,
    pub(crate) path: Vec<String>,
}

/// One folder of `tests/golden`.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) folder: PathBuf,
    pub(crate) input: String,
    pub(crate) shows: Vec<Show>,
    pub(crate) own_routes: bool,
    pub(crate) defined_services: bool,
    /// What objects may name as `$NAME`.
    variables: Vec<(String, String)>,
}

/// What the compiler makes of a case.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Sorted by type and name.
    pub(crate) resources: Vec<Arc<Resource>>,
    /// One line a diagnostic.
    pub(crate) report: String,
}

/// Returns every case, sorted by folder.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    collect(&root, &mut cases);
    cases.sort_by(|a, b| a.folder.cmp(&b.folder));
    cases
}

fn collect(folder: &Path, cases: &mut Vec<Case>) {
    if let Ok(input) = fs::read_to_string(folder.join("in.yaml")) {
        cases.push(Case::new(folder, input));
        return;
    }
    for entry in fs::read_dir(folder).expect("the folder of cases can be read") {
        let path = entry.expect("the folder of cases can be listed").path();
        if path.is_dir() {
            collect(&path, cases);
        }
    }
}

impl Case {
    fn new(folder: &Path, input: String) -> Self {
        let mut shows = Vec::new();
        let (mut own_routes, mut defined_services) = (false, false);
        let mut variables = Vec::new();
        for line in input.lines().take_while(|line| line.starts_with('#')) {
            if line == "# with: own routes" {
                own_routes = true;
            } else if line == "# with: defined services" {
                defined_services = true;
            } else if let Some(variable) = line.strip_prefix("# with: variable ") {
                let (name, value) = variable.split_once('=').expect("a variable is NAME=value");
                variables.push((name.to_owned(), value.to_owned()));
            } else if let Some(wanted) = line.strip_prefix("# show: ") {
                let (message, path) = wanted.split_once(' ').unwrap_or((wanted, ""));
                let path = path.split('/').filter(|step| !step.is_empty()).map(Into::into);
                shows.push(Show { message: message.into(), path: path.collect() });
            }
        }
        assert!(!shows.is_empty(), "{}: what is shown?", folder.display());
        Self { folder: folder.to_owned(), input, shows, own_routes, defined_services, variables }
    }

    /// Returns `<kind>.<field>/<idea>`.
    pub(crate) fn name(&self) -> String {
        let parts: Vec<_> = self.folder.iter().rev().take(2).collect();
        format!("{}/{}", parts[1].display(), parts[0].display())
    }

    /// Returns what a source would tell of the case.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let environment = Environment::new(self.variables.iter().cloned(), &Variables::All);
        let reading = Reading { environment, ..Reading::of_namespace("default") };
        let mut changes = manifests::changes_with("in.yaml", &self.input, &reading);
        if !self.input.contains("kind: Listener") {
            changes.extend(manifests::changes(LISTENER));
        }
        changes.extend(self.files(&changes));
        changes
    }

    /// Files that the objects name are those of the case with the same last
    /// part of the name.
    fn files(&self, changes: &[Change]) -> Vec<Change> {
        let read = |name: &str| {
            let path = self.folder.join(Path::new(name).file_name().unwrap_or_default());
            let text = fs::read_to_string(path).map(Into::into);
            let text = text.map_err(|_| "cannot be read".into());
            Change::File { name: name.into(), text }
        };
        let objects = changes.iter().filter_map(|change| match change {
            Change::Apply { object, .. } => Some(object),
            _ => None,
        });
        objects.flat_map(|object| object.spec.files()).map(read).collect()
    }

    pub(crate) fn compile(&self) -> Compiled {
        let own = |port| Some(Address::new("127.0.0.1", port));
        let mut compiler = Compiler::new(Settings {
            auth: own(8500),
            rate_limit: own(8081),
            challenges: own(8402),
            admin: own(8877),
            istio_secret_dir: Some("/etc/istio-certs/".into()),
            resolve_defined_services: self.defined_services,
            ..Settings::default()
        });
        let delta = compiler.apply(self.changes());
        let lines = delta.report.iter().flat_map(|(_, findings)| findings);
        let mut lines: Vec<String> = lines.map(|finding| format!("{finding}\n")).collect();
        lines.sort();
        lines.dedup();
        Compiled { resources: delta.changed, report: lines.concat() }
    }
}
