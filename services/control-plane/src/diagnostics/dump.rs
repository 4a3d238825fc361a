//! Everything that is served, with Envoy's field names.

use nuncio_compiler::{Resource, ResourceName, TypeUrl as CompiledType, render};
use nuncio_xds::{TypeUrl, version_text};
use serde_json::{Map, Value, json};

use crate::Fleet;

/// Returns every served resource by type and name. Of keys only the names are
/// shown.
pub(super) fn dump(fleet: &Fleet) -> Value {
    let cache = fleet.cache();
    let mut types = Map::new();
    for compiled in CompiledType::ALL {
        let type_url = TypeUrl::from(compiled.as_str());
        let mut resources = Map::new();
        for payload in cache.all(&type_url) {
            let shown = if compiled == CompiledType::Secret {
                Value::Null
            } else {
                let name = ResourceName::new(compiled, payload.name().clone());
                let resource = Resource::new(name, payload.message(), Vec::new().into());
                render::json(&resource).unwrap_or(Value::Null)
            };
            let entry = json!({"version": version_text(payload.version()), "resource": shown});
            resources.insert(payload.name().to_string(), entry);
        }
        types.insert(type_url.short().to_owned(), Value::Object(resources));
    }
    let refused: Vec<Value> = cache
        .refused()
        .map(|(type_url, name, reason)| {
            json!({"type": type_url.short(), "name": &**name, "reason": &**reason})
        })
        .collect();
    json!({"resources": types, "refused": refused})
}
