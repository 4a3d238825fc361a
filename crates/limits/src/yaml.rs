//! Files of envoyproxy/ratelimit, read as strictly as it reads them: a key
//! that is misspelled must not silently limit nothing.

use crate::config::{ConfigError, DescriptorConfig, DomainConfig, Fault, RateLimit};
use crate::unit::Unit;

mod tree;

use tree::{Node, Scalar, Value, parse};

/// Parses one file. `file` names it in errors.
///
/// # Errors
/// Everything envoyproxy/ratelimit refuses while reading a single file, naming
/// file, path and line. Faults between rules (a duplicate, a self-reference)
/// are found by [`crate::Table::build`].
pub fn parse_yaml(file: &str, text: &str) -> Result<DomainConfig, ConfigError> {
    let root = parse(text).map_err(|fault| fault.at(file, ""))?;
    let mut config = DomainConfig { source: file.to_owned(), ..DomainConfig::default() };
    let root = root.filter(|node| node.scalar() != Some(Scalar::Null));
    let Some(root) = root else { return Err(Fault::EmptyDomain.at(file, "domain")) };
    let place = Place { file, path: String::new() };
    for (name, value) in place.fields(&root)? {
        let place = place.field(name);
        match name {
            "domain" => config.domain = place.text(value)?,
            "descriptors" => config.descriptors = descriptors(&place, value)?,
            _ => return Err(place.misplaced(name, value)),
        }
    }
    if config.domain.is_empty() {
        return Err(Fault::EmptyDomain.at(file, "domain"));
    }
    Ok(config)
}

fn descriptors(place: &Place<'_>, list: &Node) -> Result<Vec<DescriptorConfig>, ConfigError> {
    place.maps(list)?.map(|(place, node)| descriptor(&place?, node)).collect()
}

fn descriptor(place: &Place<'_>, node: &Node) -> Result<DescriptorConfig, ConfigError> {
    let mut descriptor = DescriptorConfig::default();
    for (name, value) in place.fields(node)? {
        let place = place.field(name);
        match name {
            "key" => descriptor.key = place.text(value)?,
            "value" => descriptor.value = place.text(value)?,
            "rate_limit" => descriptor.rate_limit = rate_limit(&place, value)?,
            "descriptors" => descriptor.descriptors = descriptors(&place, value)?,
            "shadow_mode" => descriptor.shadow_mode = place.boolean(value)?,
            "quota_mode" => descriptor.quota_mode = place.boolean(value)?,
            "detailed_metric" => descriptor.detailed_metric = place.boolean(value)?,
            "value_to_metric" => descriptor.value_to_metric = place.boolean(value)?,
            "share_threshold" => descriptor.share_threshold = place.boolean(value)?,
            "metadata" => descriptor.metadata = place.metadata(value)?,
            _ => return Err(place.misplaced(name, value)),
        }
    }
    Ok(descriptor)
}

fn rate_limit(place: &Place<'_>, node: &Node) -> Result<Option<RateLimit>, ConfigError> {
    if node.scalar() == Some(Scalar::Null) {
        return Ok(None);
    }
    let mut limit = RateLimit::default();
    let mut unit = None;
    for (name, value) in place.fields(node)? {
        let place = place.field(name);
        match name {
            "unit" => unit = Some(place.text(value)?).filter(|text| !text.is_empty()),
            "requests_per_unit" => limit.requests_per_unit = place.number(value)?,
            "unlimited" => limit.unlimited = place.boolean(value)?,
            "name" => limit.name = place.text(value)?,
            "replaces" => limit.replaces = replaces(&place, value)?,
            _ => return Err(place.misplaced(name, value)),
        }
    }
    limit.unit = match (unit, limit.unlimited) {
        (Some(_), true) => return Err(place.field("unit").error(Fault::UnitWithUnlimited)),
        (None, true) => None,
        (unit, false) => {
            let text = unit.unwrap_or_default();
            let parsed = Unit::parse(&text);
            Some(parsed.ok_or_else(|| place.field("unit").error(Fault::BadUnit(text)))?)
        }
    };
    Ok(Some(limit))
}

fn replaces(place: &Place<'_>, list: &Node) -> Result<Vec<String>, ConfigError> {
    let name_of = |place: Place<'_>, node: &Node| {
        let mut replaced = String::new();
        for (name, value) in place.fields(node)? {
            let place = place.field(name);
            match name {
                "name" => replaced = place.text(value)?,
                _ => return Err(place.misplaced(name, value)),
            }
        }
        Ok(replaced)
    };
    place.maps(list)?.map(|(place, node)| name_of(place?, node)).collect()
}

/// Where in which file the reader stands.
struct Place<'a> {
    file: &'a str,
    path: String,
}

/// An element of a list of maps with its place.
type Element<'a, 'n> = (Result<Place<'a>, ConfigError>, &'n Node);

impl<'a> Place<'a> {
    fn field(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { file: self.file, path: format!("{}{dot}{name}", self.path) }
    }

    fn error(&self, fault: Fault) -> ConfigError {
        fault.at(self.file, self.path.clone())
    }

    /// Returns the pairs of a map whose keys are distinct strings.
    fn fields<'n>(&self, node: &'n Node) -> Result<Vec<(&'n str, &'n Node)>, ConfigError> {
        let Value::Map(pairs) = &node.value else { return Err(self.wrong(node, "a map")) };
        let mut fields: Vec<(&str, &Node)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let Some(Scalar::Text(name)) = key.scalar() else {
                return Err(self.error(Fault::KeyNotString(key.describe(), key.line)));
            };
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(self.error(Fault::RepeatedKey(name.to_owned(), key.line)));
            }
            fields.push((name, value));
        }
        Ok(fields)
    }

    /// Walks a list whose elements are all maps; nothing counts as empty.
    fn maps<'n>(
        &'n self,
        node: &'n Node,
    ) -> Result<impl Iterator<Item = Element<'a, 'n>> + use<'a, 'n>, ConfigError> {
        let items: &[Node] = match &node.value {
            Value::List(items) => items,
            Value::Scalar { .. } if node.scalar() == Some(Scalar::Null) => &[],
            _ => return Err(self.wrong(node, "a list")),
        };
        Ok(items.iter().enumerate().map(move |(index, item)| {
            let place = Self { file: self.file, path: format!("{}[{index}]", self.path) };
            let place = match &item.value {
                Value::Map(_) => Ok(place),
                _ => Err(place.error(Fault::NotListOfMaps(item.describe(), item.line))),
            };
            (place, item)
        }))
    }

    fn text(&self, node: &Node) -> Result<String, ConfigError> {
        match (&node.value, node.scalar()) {
            (_, Some(Scalar::Null)) => Ok(String::new()),
            // An unquoted 404 or true is what it says; 1.5 is refused because
            // its spelling would be lost on the way through other parsers.
            (Value::Scalar { text, .. }, Some(scalar)) if scalar != Scalar::Float => {
                Ok(text.clone())
            }
            _ => Err(self.wrong(node, "a string")),
        }
    }

    fn boolean(&self, node: &Node) -> Result<bool, ConfigError> {
        match node.scalar() {
            Some(Scalar::Bool(value)) => Ok(value),
            Some(Scalar::Null) => Ok(false),
            _ => Err(self.wrong(node, "true or false")),
        }
    }

    fn number(&self, node: &Node) -> Result<u32, ConfigError> {
        let wrong = || self.wrong(node, "a whole number from 0 to 4294967295");
        match node.scalar() {
            Some(Scalar::Int(value)) => u32::try_from(value).map_err(|_range| wrong()),
            Some(Scalar::Null) => Ok(0),
            _ => Err(wrong()),
        }
    }

    fn metadata(&self, node: &Node) -> Result<Option<serde_json::Value>, ConfigError> {
        match &node.value {
            Value::Map(_) => Ok(Some(json(node))),
            _ if node.scalar() == Some(Scalar::Null) => Ok(None),
            _ => Err(self.wrong(node, "a map")),
        }
    }

    fn wrong(&self, node: &Node, expected: &'static str) -> ConfigError {
        self.error(Fault::WrongType { expected, found: node.describe(), line: node.line })
    }

    fn misplaced(&self, name: &str, value: &Node) -> ConfigError {
        self.error(Fault::UnknownKey(name.to_owned(), value.line))
    }
}

/// Turns free metadata into JSON; keys that are not strings are spelled.
fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(pairs) => serde_json::Value::Object(
            pairs
                .iter()
                .map(|(key, value)| {
                    let name = match &key.value {
                        Value::Scalar { text, .. } => text.clone(),
                        _ => key.describe(),
                    };
                    (name, json(value))
                })
                .collect(),
        ),
        Value::Scalar { text, .. } => match node.scalar() {
            Some(Scalar::Null) | None => serde_json::Value::Null,
            Some(Scalar::Bool(value)) => value.into(),
            Some(Scalar::Int(value)) => {
                i64::try_from(value).map_or_else(|_| text.as_str().into(), Into::into)
            }
            Some(Scalar::Float) => {
                text.parse::<f64>().map_or_else(|_| text.as_str().into(), Into::into)
            }
            Some(Scalar::Text(text)) => text.into(),
        },
    }
}

#[cfg(test)]
mod tests;
