//! Objects as the passes see them: with the place where errors belong.

use std::sync::Arc;

use nuncio_api::{Diagnostic, Meta, Object, ObjectKey, Severity};

/// Identity and processing order of an item.
///
/// Items are processed in string order of Emissary's resource key; "first"
/// always means first in this order, never creation time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ItemId {
    /// Emissary's resource key.
    pub(crate) order: Arc<str>,
    /// The object a person wrote.
    pub(crate) source: Arc<ObjectKey>,
    /// Position among the items made of that object.
    pub(crate) index: u32,
}

/// One object of a kind the compiler works on. Objects made of an Ingress keep
/// the Ingress as their source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) id: ItemId,
    pub(crate) object: Arc<Object>,
}

impl ItemId {
    /// The identity of an object that stands for itself.
    pub(crate) fn own(key: ObjectKey) -> Self {
        Self { order: key.resource_key().into(), source: Arc::new(key), index: 0 }
    }
}

impl Item {
    /// An object that stands for itself.
    pub(crate) fn own(object: Arc<Object>) -> Self {
        Self { id: ItemId::own(object.key()), object }
    }

    /// The `index`th object made of another one; it is processed under its own
    /// name.
    pub(crate) fn derived(of: &Self, index: u32, object: Object) -> Self {
        let order = format!("{}.{}.{index}", object.meta.name, object.meta.namespace).into();
        let id = ItemId { order, source: of.id.source.clone(), index };
        Self { id, object: Arc::new(object) }
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.object.meta
    }

    /// Emissary's flat name within a kind, were it the only one.
    pub(crate) fn name(&self) -> &str {
        &self.object.meta.name
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.object.meta.namespace
    }

    pub(crate) fn error(
        &self,
        code: &'static str,
        field: &str,
        message: impl Into<String>,
        remedy: &str,
    ) -> Diagnostic {
        self.finding(Severity::Error, code, field, message.into(), remedy)
    }

    pub(crate) fn warning(
        &self,
        code: &'static str,
        field: &str,
        message: impl Into<String>,
        remedy: &str,
    ) -> Diagnostic {
        self.finding(Severity::Warning, code, field, message.into(), remedy)
    }

    pub(crate) fn notice(
        &self,
        code: &'static str,
        field: &str,
        message: impl Into<String>,
        remedy: &str,
    ) -> Diagnostic {
        self.finding(Severity::Notice, code, field, message.into(), remedy)
    }

    fn finding(
        &self,
        severity: Severity,
        code: &'static str,
        field: &str,
        message: String,
        remedy: &str,
    ) -> Diagnostic {
        Diagnostic {
            severity,
            code,
            object: Some((*self.id.source).clone()),
            origin: self.object.origin.clone(),
            field: field.to_owned(),
            message,
            remedy: remedy.to_owned(),
        }
    }
}
