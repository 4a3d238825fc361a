//! Core `ConfigMap` and `Namespace`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Texts by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigMap {
    /// The texts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
}

/// A namespace; its labels, in the metadata, are all that matters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {}
