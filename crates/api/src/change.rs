//! How a set of objects changes, as sources tell it to the compiler.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{Diagnostic, EnvoyText, Object, ObjectKey, Origin};

/// The text of a file, or why there is none.
pub type FileText = Result<Arc<str>, Arc<str>>;

/// One change of the set of objects.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The object is new or has changed; `findings` replace earlier ones.
    Apply {
        /// The object as it is now.
        object: Arc<Object>,
        /// What decoding found: unknown fields and the like.
        findings: Vec<Diagnostic>,
    },
    /// The object exists, but its present text cannot be used. Its last good
    /// version, if there is one, stays in effect.
    Broken {
        /// The object.
        key: ObjectKey,
        /// Where the bad text stands.
        origin: Origin,
        /// Why it cannot be used; at least one error.
        findings: Vec<Diagnostic>,
    },
    /// The object is gone.
    Delete(ObjectKey),
    /// A registry outside the objects tells who stands behind a service of its
    /// own. Replaces what it told of the same service before.
    Registered {
        /// The service, as the compiler names its endpoints: for Consul
        /// `consul/<datacenter>/<service>`.
        service: Arc<str>,
        /// IP addresses with ports, none of which is an answer too; `None` when
        /// nothing is known any more.
        endpoints: Option<BTreeSet<(String, u16)>>,
    },
    /// What is wrong with a file or another input as a whole, such as text
    /// that is not YAML. Replaces what was said of the same input before; an
    /// empty list clears it.
    Input {
        /// The file, relative to the watched folder.
        name: Arc<str>,
        /// The findings.
        findings: Vec<Diagnostic>,
    },
    /// What a file holds that some object names.
    File {
        /// The name, as objects write it.
        name: Arc<str>,
        /// The text. Replaces what was told of the same file before.
        text: FileText,
    },
    /// Envoy refused a text of which it alone can judge. Counts as long as some
    /// object or file holds the text; of a text that none holds, it says
    /// nothing.
    Refused {
        /// The text.
        text: EnvoyText,
        /// What Envoy said, in one line.
        reason: Arc<str>,
    },
}

impl Change {
    /// Returns the object that the change is of; `None` for what is not of one.
    pub fn key(&self) -> Option<ObjectKey> {
        match self {
            Self::Apply { object, .. } => Some(object.key()),
            Self::Broken { key, .. } | Self::Delete(key) => Some(key.clone()),
            Self::Input { .. }
            | Self::File { .. }
            | Self::Registered { .. }
            | Self::Refused { .. } => None,
        }
    }
}
