use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use nuncio_api::core::Secret;
use nuncio_api::manifest::{SYNTAX, TOO_LARGE};
use nuncio_api::{Diagnostic, Kind, ObjectKey, Spec};
use nuncio_process::Context;
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn host(name: &str, hostname: &str) -> String {
    format!(
        "---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: {name}}}\n\
         spec: {{hostname: \"{hostname}\"}}\n"
    )
}

/// An opened folder and what has been told of it.
struct Watched {
    root: TempDir,
    source: Source,
    context: Context,
    hosts: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    inputs: BTreeMap<String, Vec<Diagnostic>>,
    findings: BTreeMap<ObjectKey, Vec<Diagnostic>>,
    synced: bool,
}

impl Watched {
    async fn open(root: TempDir) -> Self {
        let context = Context::new("test");
        let settings = FolderSettings {
            folder: root.path().join("folder"),
            state: root.path().join("state"),
            reading: Reading::of_namespace("default"),
        };
        let source = Source::folder(settings, &context).await.unwrap();
        let mut watched = Self {
            root,
            source,
            context,
            hosts: BTreeMap::new(),
            secrets: BTreeMap::new(),
            inputs: BTreeMap::new(),
            findings: BTreeMap::new(),
            synced: false,
        };
        watched.until("the first read", |watched| watched.synced).await;
        watched
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("folder").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn hosts(&self) -> Vec<(&str, &str)> {
        self.hosts.iter().map(|(name, host)| (name.as_str(), host.as_str())).collect()
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Apply { object, findings } => {
                self.findings.insert(object.key(), findings);
                let name = object.meta.name.clone();
                match &object.spec {
                    Spec::Host(host) => {
                        self.hosts.insert(name, host.hostname.clone().unwrap_or_default());
                    }
                    Spec::Secret(secret) => {
                        let text = secret.text("k").unwrap_or_default().to_owned();
                        self.secrets.insert(name, text);
                    }
                    _ => {}
                }
            }
            Change::Registered { .. } => unreachable!("a folder is no registry"),
            Change::Broken { key, findings, .. } => {
                self.findings.insert(key, findings);
            }
            Change::Delete(key) => {
                self.findings.remove(&key);
                self.hosts.remove(&key.name);
                self.secrets.remove(&key.name);
            }
            Change::Input { name, findings } if findings.is_empty() => {
                self.inputs.remove(&*name);
            }
            Change::File { .. } | Change::Refused { .. } => {
                unreachable!("a folder tells of objects alone")
            }
            Change::Input { name, findings } => {
                self.inputs.insert(name.to_string(), findings);
            }
        }
    }

    async fn until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        while !reached(self) {
            let event = timeout(PATIENCE, self.source.events.recv())
                .await
                .unwrap_or_else(|_| panic!("{what}: nothing more happens; hosts {:?}", self.hosts));
            match event.expect("the source ended") {
                Event::Changes(changes) => changes.into_iter().for_each(|c| self.take(c)),
                Event::Synced => self.synced = true,
            }
        }
    }
}

fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("folder")).unwrap();
    root
}

async fn watched(files: &[(&str, &str)]) -> Watched {
    let root = root();
    for (name, text) in files {
        let path = root.path().join("folder").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Watched::open(root).await
}

#[test]
fn a_folder_is_read_whole_and_only_manifests_count() {
    let root = root();
    let folder = root.path().join("folder");
    for (name, text) in [
        ("a.yaml", host("a", "a")),
        ("nested/deep/b.yml", host("b", "b")),
        (
            "c.json",
            "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"c\"}}"
                .to_owned(),
        ),
        ("kustomization.yaml", "resources: [a.yaml]".to_owned()),
        ("README.md", "# not YAML: [".to_owned()),
        (".hidden/x.yaml", "a: [".to_owned()),
        (".x.yaml.swp", "a: [".to_owned()),
        ("x.yaml~", "a: [".to_owned()),
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    // Loops and pipes are no reason to wait for ever.
    symlink("..", folder.join("nested/up")).unwrap();
    nix::unistd::mkfifo(&folder.join("pipe.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let changes = load(&folder, &Reading::of_namespace("default")).unwrap();
    let shown: Vec<String> = changes
        .iter()
        .map(|change| match change {
            Change::Apply { object, .. } => {
                format!("{} {}", object.key(), object.origin.file.as_deref().unwrap())
            }
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        shown,
        ["Host default/a a.yaml", "Host default/b nested/deep/b.yml", "Namespace c c.json",]
    );
}

#[test]
fn a_missing_folder_is_an_error_and_an_empty_one_is_not() {
    let root = root();
    assert_eq!(load(&root.path().join("folder"), &Reading::of_namespace("default")).unwrap(), []);
    let error = load(&root.path().join("nowhere"), &Reading::of_namespace("default")).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn a_missing_folder_gets_no_state_folder() {
    let root = root();
    let settings = FolderSettings {
        folder: root.path().join("nowhere"),
        state: root.path().join("state"),
        reading: Reading::of_namespace("default"),
    };
    let error = Source::folder(settings, &Context::new("test")).await.unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(!root.path().join("state").exists());
}

#[test]
fn files_too_large_or_unreadable_are_told_and_spare_the_others() {
    let root = root();
    let folder = root.path().join("folder");
    fs::write(folder.join("a.yaml"), host("a", "a")).unwrap();
    fs::File::create(folder.join("big.yaml")).unwrap().set_len(100 << 20).unwrap();
    symlink("nowhere.yaml", folder.join("lost.yaml")).unwrap();
    let changes = load(&folder, &Reading::of_namespace("default")).unwrap();
    let told: Vec<(&str, &str)> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Input { name, findings } => Some((&**name, findings[0].code)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [("big.yaml", TOO_LARGE), ("lost.yaml", UNREADABLE)]);
    assert_eq!(changes.len(), 3);
}

#[tokio::test]
async fn files_are_watched_from_their_making_to_their_end() {
    let mut watched = watched(&[("a.yaml", &host("a", "1"))]).await;
    assert_eq!(watched.hosts(), [("a", "1")]);
    watched.write("a.yaml", &host("a", "2"));
    watched.until("a change", |w| w.hosts() == [("a", "2")]).await;
    fs::create_dir_all(watched.path("new/folder")).unwrap();
    watched.write("new/folder/b.yaml", &host("b", "1"));
    watched.until("a new folder", |w| w.hosts() == [("a", "2"), ("b", "1")]).await;
    fs::remove_dir_all(watched.path("new")).unwrap();
    watched.until("its end", |w| w.hosts() == [("a", "2")]).await;
    watched.context.drain.start();
    watched.context.tasks.until_stopped(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn editors_that_rename_and_replace_cause_no_gap() {
    let mut watched = watched(&[("a.yaml", &host("a", "1"))]).await;
    for n in 2..6 {
        fs::rename(watched.path("a.yaml"), watched.path("a.yaml~")).unwrap();
        // Long enough for a look in between.
        tokio::time::sleep(Duration::from_millis(60)).await;
        watched.write(".new", &host("a", &n.to_string()));
        fs::rename(watched.path(".new"), watched.path("a.yaml")).unwrap();
        let wanted = n.to_string();
        watched
            .until("the new version", |w| {
                assert!(w.hosts.contains_key("a"), "the Host was gone for a moment");
                w.hosts["a"] == wanted
            })
            .await;
    }
}

#[tokio::test]
async fn a_file_that_stops_parsing_keeps_its_objects_and_is_told_with_its_line() {
    let mut watched = watched(&[("a.yaml", &(host("a", "1") + &host("b", "1")))]).await;
    watched.write("a.yaml", &(host("a", "2") + "---\nkind: Host\n x: [\n"));
    watched.until("the finding", |w| w.inputs.contains_key("a.yaml")).await;
    let finding = &watched.inputs["a.yaml"][0];
    assert_eq!((finding.code, finding.origin.line), (SYNTAX, 8));
    watched.until("the good part", |w| w.hosts() == [("a", "2"), ("b", "1")]).await;
    watched.write("a.yaml", &host("a", "3"));
    watched.until("the repair", |w| w.hosts() == [("a", "3")] && w.inputs.is_empty()).await;
}

#[tokio::test]
async fn a_half_written_file_changes_nothing() {
    let whole = host("a", "1") + &host("b", "1");
    let mut watched = watched(&[("a.yaml", &whole)]).await;
    for part in [0, 20, whole.len() / 2 + 10] {
        watched.write("a.yaml", &whole[..part]);
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    watched.write("a.yaml", &(whole + &host("c", "1")));
    watched
        .until("the whole file", |w| {
            assert!(w.hosts.contains_key("a") && w.hosts.contains_key("b"));
            assert!(w.inputs.is_empty());
            w.hosts.contains_key("c")
        })
        .await;
}

#[tokio::test]
async fn kubernetes_volumes_are_swapped_whole() {
    let root = root();
    let folder = root.path().join("folder");
    let version = |n: &str| {
        let data = folder.join(format!("..{n}"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("a.yaml"), host("a", n)).unwrap();
        symlink(format!("..{n}"), folder.join("..new")).unwrap();
        fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    };
    version("1");
    symlink("..data/a.yaml", folder.join("a.yaml")).unwrap();
    let mut watched = Watched::open(root).await;
    assert_eq!(watched.hosts(), [("a", "1")]);
    version("2");
    fs::remove_dir_all(folder.join("..1")).unwrap();
    watched.until("the swap", |w| w.hosts() == [("a", "2")]).await;
}

#[tokio::test]
async fn a_deleted_folder_keeps_its_objects_until_it_is_back() {
    let mut watched = watched(&[("a.yaml", &host("a", "1"))]).await;
    fs::remove_dir_all(watched.path("")).unwrap();
    watched.until("the finding", |w| w.inputs.contains_key(".")).await;
    assert_eq!(watched.hosts(), [("a", "1")]);
    fs::create_dir(watched.path("")).unwrap();
    watched.write("b.yaml", &host("b", "1"));
    watched.until("the new folder", |w| w.hosts() == [("b", "1")] && w.inputs.is_empty()).await;
    // The new folder is watched like the old one.
    watched.write("b.yaml", &host("b", "2"));
    watched.until("a change in it", |w| w.hosts() == [("b", "2")]).await;
}

#[tokio::test]
async fn two_files_with_one_object_are_told_by_name() {
    let mut watched = watched(&[("a.yaml", &host("a", "1")), ("b.yaml", &host("a", "2"))]).await;
    assert_eq!(watched.hosts(), [("a", "2")]);
    let key = ObjectKey::new(Kind::Host, "default", "a");
    let text = watched.findings[&key][0].to_string();
    assert!(text.contains("a.yaml:2") && text.contains("b.yaml:2"), "{text}");
    fs::remove_file(watched.path("b.yaml")).unwrap();
    watched.until("the other one", |w| w.hosts() == [("a", "1")]).await;
}

#[tokio::test]
async fn secrets_written_back_are_objects_and_survive_a_restart() {
    let mut watched = watched(&[]).await;
    let mut secret = Secret { kind: "kubernetes.io/tls".to_owned(), ..Secret::default() };
    secret.data.insert("k".to_owned(), b"made".to_vec());
    watched.source.sink.write_secret("default", "s", &secret).await.unwrap();
    watched.until("the Secret", |w| w.secrets.get("s").is_some_and(|text| text == "made")).await;

    let mut watched = Watched::open(watched.root).await;
    assert_eq!(watched.secrets["s"], "made");
    watched.write(
        "s.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: own}\n",
    );
    watched.until("the user's own", |w| w.secrets["s"] == "own").await;
    fs::remove_file(watched.path("s.yaml")).unwrap();
    watched.until("the made one again", |w| w.secrets["s"] == "made").await;
    watched.source.sink.remove_secret("default", "s").await.unwrap();
    watched.until("its end", |w| w.secrets.is_empty()).await;
}

#[tokio::test]
async fn a_state_folder_within_the_folder_holds_no_manifests() {
    let root = root();
    let context = Context::new("test");
    let folder = root.path().join("folder");
    let settings = FolderSettings {
        folder: folder.clone(),
        state: folder.join("state"),
        reading: Reading::of_namespace("default"),
    };
    let mut source = Source::folder(settings, &context).await.unwrap();
    let key = ObjectKey::new(Kind::Host, "default", "a");
    source.sink.write_status(&key, &serde_json::json!({"state": "Ready"})).await.unwrap();
    fs::write(folder.join("a.yaml"), host("a", "1")).unwrap();
    let mut changes = Vec::new();
    while changes.is_empty() {
        match timeout(PATIENCE, source.events.recv()).await.unwrap().unwrap() {
            Event::Changes(more) => changes.extend(more),
            Event::Synced => {}
        }
    }
    assert!(matches!(changes.as_slice(), [Change::Apply { .. }]), "{changes:?}");
}
