//! Flags and variables that say which objects of a source count.

use nuncio_api::{Environment, FieldQuery, LabelQuery, Reading, Selection, Variables};

/// Which objects count, and which variables they may name: the same for
/// everything that opens a source. Flatten it into a service's settings with
/// `#[command(flatten)]`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Scope {
    /// Any value but an empty one, even `false`: only objects of the own
    /// namespace count, and no IngressClass.
    #[arg(
        long,
        env = "AMBASSADOR_SINGLE_NAMESPACE",
        default_value = "",
        hide_default_value = true,
        value_name = "ANY"
    )]
    pub single_namespace: String,

    /// Only objects with these labels count, of every kind.
    #[arg(
        long,
        env = "AMBASSADOR_LABEL_SELECTOR",
        default_value = "",
        hide_default_value = true,
        value_name = "SELECTOR"
    )]
    pub label_selector: LabelQuery,

    /// Only objects with these fields count, of every kind: `metadata.name`
    /// and `metadata.namespace`.
    #[arg(
        long,
        env = "AMBASSADOR_FIELD_SELECTOR",
        default_value = "",
        hide_default_value = true,
        value_name = "SELECTOR"
    )]
    pub field_selector: FieldQuery,

    /// Variables that objects may name as `$NAME` or `${NAME}`: `all`, `none`,
    /// or names with commas between them. Those that begin with NUNCIO_,
    /// REDIS_, CONSUL_HTTP_ or OTEL_ are never told.
    #[arg(long, env = "NUNCIO_OBJECT_VARIABLES", default_value = "all", value_name = "NAMES")]
    pub object_variables: Variables,
}

// === impl Scope ===

impl Scope {
    /// Returns how objects are to be read by a gateway of this namespace, with
    /// the variables of this process.
    pub fn reading(&self, namespace: &str) -> Reading {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Reading {
            default_namespace: namespace.to_owned(),
            environment: Environment::new(variables, &self.object_variables),
            selection: Selection {
                kinds: None,
                namespace: (!self.single_namespace.is_empty()).then(|| namespace.to_owned()),
                labels: self.label_selector.clone(),
                fields: self.field_selector.clone(),
            },
        }
    }
}
