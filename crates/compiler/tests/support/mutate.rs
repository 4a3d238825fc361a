//! Random worlds out of known ones, steered by bytes: objects of the golden
//! cases, of which some values are replaced by awkward ones.
//!
//! Every field that users can write has a golden case, so every field is
//! reached, those too that come to be later. The same bytes give the same
//! world, which is what a fuzzer needs.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

/// Texts that are wrong in most places, each in its own way.
const TEXTS: &[&str] = &[
    "",
    " ",
    "*",
    "**",
    "*.",
    ".",
    "%",
    "%%",
    "%REQ(x)%",
    "%REQ()%",
    "%BAD%",
    "%START_TIME(%f)%",
    "(",
    ")",
    "a{1000}",
    "(a{30}){30}",
    "[[:alpha:]]",
    "(?i)a",
    "(?x)a",
    r"\",
    r"\1",
    r"\9",
    r"\d+",
    r"\p{Greek}",
    "/",
    "//",
    "/%zz",
    "?",
    "#",
    "/a?b#c",
    "a b",
    "a\nb",
    "\t",
    "\0",
    "é",
    "x:y",
    ":path",
    ":authority",
    "host",
    "Host",
    "content-length",
    "x_y",
    "-1s",
    "1h",
    "10s",
    "0s",
    "1.5s",
    "1ms",
    "99999999999999s",
    "s",
    "0.0.0.0",
    "::1",
    "[::1]:80",
    "10.0.0.0/99",
    "2001:db8::/129",
    "localhost:99999",
    "http://",
    "https://x:0",
    "ftp://x",
    "a..b",
    "-a",
    "a.b.c.d.e",
    "v9",
    "v1.3",
    "TLS_NOPE",
    "HIGH",
    "default",
    "300",
    "-1",
    "1e9",
    "true",
    "null",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

const NUMBERS: &[i64] =
    &[0, 1, -1, 2, 99, 100, 101, 255, 599, 65535, 65536, 4_294_967_295, 4_294_967_296, i64::MAX];

/// What serves the objects of a world that bring no Listener and no Host.
const STAGE: &[&str] = &[
    "apiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: stage}\nspec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}\n",
    "apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {name: stage}\nspec: {hostname: '*', requestPolicy: {insecure: {action: Route}}}\n",
];

/// Choices that bytes make; when they are used up, every choice is the first.
#[derive(Debug, Clone)]
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Chooses a number below `count`, which is not 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let (now, rest) = self.0.split_at(self.0.len().min(2));
        self.0 = rest;
        now.iter().fold(0, |number, byte| number * 256 + usize::from(*byte)) % count
    }

    fn of<'b, T>(&mut self, list: &'b [T]) -> &'b T {
        &list[self.below(list.len())]
    }
}

/// The objects to start from.
#[derive(Debug)]
pub(crate) struct Corpus {
    objects: Vec<Value>,
    texts: Vec<String>,
}

impl Corpus {
    /// Reads the golden cases in a folder.
    pub(crate) fn golden(folder: &Path) -> Self {
        let mut corpus = Self { objects: Vec::new(), texts: Vec::new() };
        corpus.read(folder);
        assert!(corpus.objects.len() > 100, "the golden cases are there");
        corpus
    }

    fn read(&mut self, folder: &Path) {
        let entries = fs::read_dir(folder).expect("the golden cases can be listed");
        let mut paths: Vec<_> =
            entries.map(|entry| entry.expect("the golden cases can be listed").path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.read(&path);
            } else if path.file_name().is_some_and(|name| name == "in.yaml") {
                let text = fs::read_to_string(&path).expect("a golden case can be read");
                // A case of what cannot be read has nothing to change.
                let documents = text.split("\n---").map(serde_saphyr::from_str::<Value>);
                self.objects.extend(documents.flatten().filter(|it| it["kind"].is_string()));
                self.texts.push(text);
            }
        }
    }

    /// Returns text that is nearly YAML of objects.
    pub(crate) fn text(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        let mut text = choices.of(&self.texts).clone().into_bytes();
        for _ in 0..choices.below(12) {
            let at = choices.below(text.len().max(1)).min(text.len());
            match choices.below(5) {
                0 if at < text.len() => text[at] = choices.below(256).to_le_bytes()[0],
                1 => text.truncate(at),
                2 => {
                    let other = choices.of(&self.texts).as_bytes();
                    let from = choices.below(other.len());
                    let length = choices.below(64).min(other.len() - from);
                    text.splice(at..at, other[from..from + length].iter().copied());
                }
                3 => {
                    let end = (at + choices.below(32)).min(text.len());
                    text.drain(at..end);
                }
                _ => {
                    text.splice(at..at, choices.of(TEXTS).bytes());
                }
            }
        }
        text
    }

    /// Returns objects, one document each, the first ones those of the stage.
    pub(crate) fn world(&self, choices: &mut Choices<'_>) -> Vec<String> {
        let count = 1 + choices.below(12);
        let own = (0..count).map(|number| self.object(number, choices).to_string() + "\n");
        STAGE.iter().map(|text| (*text).to_owned()).chain(own).collect()
    }

    fn object(&self, number: usize, choices: &mut Choices<'_>) -> Value {
        let mut object = choices.of(&self.objects).clone();
        // Mostly names of their own, for equal ones replace each other.
        if choices.below(4) > 0 && object["kind"] != "Secret" && object["kind"] != "Module" {
            object["metadata"]["name"] = json!(format!("o{number}"));
        }
        for _ in 0..choices.below(4) {
            match choices.below(4) {
                0 => self.graft(&mut object, choices),
                _ => self.change(&mut object["spec"], choices),
            }
        }
        object
    }

    /// Gives an object a field of another one of its kind.
    fn graft(&self, object: &mut Value, choices: &mut Choices<'_>) {
        let kind = object["kind"].clone();
        let same: Vec<&Value> = self.objects.iter().filter(|it| it["kind"] == kind).collect();
        let Some(fields) = choices.of(&same)["spec"].as_object() else { return };
        let all: Vec<(&String, &Value)> = fields.iter().collect();
        if let (false, Some(spec)) = (all.is_empty(), object["spec"].as_object_mut()) {
            let (name, value) = *choices.of(&all);
            spec.insert(name.clone(), value.clone());
        }
    }

    /// Changes one value somewhere below.
    fn change(&self, value: &mut Value, choices: &mut Choices<'_>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let names: Vec<String> = fields.keys().cloned().collect();
                let name = choices.of(&names);
                match choices.below(12) {
                    0 => {
                        fields.remove(name);
                    }
                    1 => rename(fields, name, choices),
                    _ => self.change(&mut fields[name], choices),
                }
            }
            Value::Array(list) if !list.is_empty() => {
                let at = choices.below(list.len());
                match choices.below(8) {
                    0 => {
                        list.remove(at);
                    }
                    1 => {
                        let again = list[at].clone();
                        list.push(again);
                    }
                    _ => self.change(&mut list[at], choices),
                }
            }
            Value::Bool(flag) => *flag = !*flag,
            Value::Number(_) => *value = json!(choices.of(NUMBERS)),
            Value::String(text) if choices.below(4) == 0 => {
                let more: &str = choices.of::<&str>(TEXTS);
                text.push_str(more);
            }
            _ => *value = json!(choices.of(TEXTS)),
        }
    }
}

/// Gives the value of a field another key, as of a header.
fn rename(fields: &mut Map<String, Value>, name: &str, choices: &mut Choices<'_>) {
    if let Some(value) = fields.remove(name) {
        fields.insert((*choices.of(TEXTS)).to_owned(), value);
    }
}
