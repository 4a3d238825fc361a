//! What the types of the `api` crate look like to those who write YAML, read
//! from its sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nuncio_api::Kind;
use regex::Regex;

/// Structs, and enums whose variants carry one, by name.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    types: BTreeMap<String, BTreeMap<String, String>>,
}

/// How a value of a type is written.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Fields by name, each with its type.
    Struct(BTreeMap<String, String>),
    /// Any keys, with values of one type.
    Map(String),
    /// Text, number, choice, or anything.
    Scalar,
}

impl Shape {
    pub(crate) fn fields(&self) -> BTreeMap<String, String> {
        match self {
            Self::Struct(fields) => fields.clone(),
            Self::Map(inner) => [("*".to_owned(), inner.clone())].into(),
            Self::Scalar => BTreeMap::new(),
        }
    }
}

impl Schema {
    /// Reads every `.rs` file below a folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut schema = Self::default();
        let entries = fs::read_dir(folder).expect("the sources can be listed");
        let mut paths: Vec<_> =
            entries.map(|entry| entry.expect("the sources can be listed").path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                schema.types.extend(Self::read(&path).types);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                schema.add(&fs::read_to_string(&path).expect("a source can be read"));
            }
        }
        schema
    }

    /// Returns the shape of a kind's spec.
    pub(crate) fn kind(&self, kind: Kind) -> Shape {
        self.resolve(&format!("{kind:?}"))
    }

    /// Returns the shape of a type as the sources write it. Wrappers that YAML
    /// does not show are looked through; lists are written like one element.
    pub(crate) fn resolve(&self, text: &str) -> Shape {
        let text = text.trim();
        for wrapper in ["Option<", "Vec<", "Box<"] {
            if let Some(inner) = text.strip_prefix(wrapper) {
                return self.resolve(inner.strip_suffix('>').expect("brackets come in pairs"));
            }
        }
        if let Some(inner) = text.strip_prefix("BTreeMap<String,") {
            let inner = inner.strip_suffix('>').expect("brackets come in pairs").trim();
            return match self.resolve(inner) {
                Shape::Scalar => Shape::Scalar,
                _ => Shape::Map(inner.to_owned()),
            };
        }
        // What a Module's configuration means goes by the Module's name.
        let name = if text == "ModuleConfig" { "AmbassadorModule" } else { text };
        let name = name.rsplit("::").next().expect("a path has a last part");
        self.types.get(name).map_or(Shape::Scalar, |fields| Shape::Struct(fields.clone()))
    }

    fn add(&mut self, source: &str) {
        let block = Regex::new(
            r"(?ms)((?:^#\[[^\n]*\n|^    rename_all[^\n]*\n|^\)\]\n)*)^pub (struct|enum) (\w+) \{\n(.*?)^\}",
        )
        .expect("a constant pattern");
        let field = Regex::new(
            r"(?ms)((?:^    #\[serde\(.*?\)\]\n)?)^    (?:pub )?(\w+)(?:: ([^\n]+)|\((\w+)\)),\n",
        )
        .expect("a constant pattern");
        for found in block.captures_iter(source) {
            let (head, is_enum, name) = (&found[1], &found[2] == "enum", &found[3]);
            // An untagged choice looks like what it holds; one of them is a scalar.
            if head.contains("untagged") {
                continue;
            }
            let camel = head.contains("rename_all = \"camelCase\"");
            let mut fields = BTreeMap::new();
            for found in field.captures_iter(&found[4]) {
                let attributes = &found[1];
                let Some(kind) = found.get(3).or_else(|| found.get(4)) else { continue };
                if is_enum != found.get(4).is_some() || attributes.contains("flatten") {
                    continue;
                }
                let name = match renamed(attributes) {
                    Some(name) => name,
                    None if is_enum => snake(&found[2]),
                    None if camel => camel_case(&found[2]),
                    None => found[2].to_owned(),
                };
                fields.insert(name, kind.as_str().to_owned());
            }
            if !fields.is_empty() {
                self.types.insert(name.to_owned(), fields);
            }
        }
    }
}

fn renamed(attributes: &str) -> Option<String> {
    let rest = attributes.split_once("rename = \"")?.1;
    Some(rest.split_once('"')?.0.to_owned())
}

fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (head, tail) = part.split_at(part.len().min(1));
        text + &head.to_ascii_uppercase() + tail
    })
}

fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}
