//! Which objects count, and what they mean.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use nuncio_api::DEFAULT_ID;
use nuncio_source::Scope;

use super::ANY;

/// Which objects count, and what they mean: the same for everything that
/// compiles a configuration.
#[derive(Debug, Clone, clap::Args)]
pub struct Gateway {
    /// Objects whose `ambassador_id` lists this id, or is `_automatic_`, are
    /// used. Default: `default`.
    #[arg(long, env = "AMBASSADOR_ID", value_name = "NAME")]
    pub ambassador_id: Option<String>,
    /// Own namespace, and that of objects that name none.
    #[arg(long, env = "AMBASSADOR_NAMESPACE", default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// Address that Envoy's listeners bind to.
    #[arg(
        long,
        visible_alias = "bind-address",
        env = "AMBASSADOR_ENVOY_BIND_ADDRESS",
        default_value_t = ANY,
        value_name = "ADDRESS"
    )]
    pub envoy_bind_address: IpAddr,
    /// Any value but an empty one, even `false`: endpoint resolvers are not
    /// used.
    #[arg(
        long,
        env = "AMBASSADOR_DISABLE_ENDPOINTS",
        default_value = "",
        hide_default_value = true,
        value_name = "ANY"
    )]
    pub disable_endpoints: String,
    /// One matching label of a selector suffices.
    #[arg(
        long,
        env = "DISABLE_STRICT_LABEL_SELECTORS",
        default_value = "false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = parse_word,
        value_name = "BOOL"
    )]
    pub disable_strict_label_selectors: bool,
    /// Folder on the machine of Envoy into which Istio writes a certificate, the
    /// Secret `istio-certs` of the own namespace.
    #[arg(long, env = "AMBASSADOR_ISTIO_SECRET_DIR", value_name = "FOLDER")]
    pub istio_secret_dir: Option<String>,
    /// Every Mapping in effect gets a status.
    #[arg(
        long,
        env = "AMBASSADOR_UPDATE_MAPPING_STATUS",
        default_value = "false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = parse_word,
        value_name = "BOOL"
    )]
    pub update_mapping_status: bool,
    /// File with the labels of the own pod, of a downward API volume: the
    /// Service that selects it is where Ingresses are reached.
    #[arg(
        long,
        env = "NUNCIO_POD_LABELS",
        default_value = "/tmp/ambassador-pod-info/labels",
        value_name = "FILE"
    )]
    pub pod_labels: PathBuf,
    /// Which objects count.
    #[command(flatten)]
    pub scope: Scope,
}

// === impl Gateway ===

impl Gateway {
    /// Returns the id that objects are compared with.
    pub fn id(&self) -> &str {
        given(self.ambassador_id.as_deref()).unwrap_or(DEFAULT_ID)
    }

    /// Returns `node.cluster` of the Envoys that run this configuration.
    pub fn fleet(&self) -> String {
        fleet(self.ambassador_id.as_deref(), &self.namespace)
    }

    /// Returns what the compiler must know, without the services around it.
    ///
    /// Reads the labels of the own pod; without a file there are none.
    pub fn compiler(&self) -> nuncio_compiler::Settings {
        let labels = std::fs::read_to_string(&self.pod_labels).unwrap_or_default();
        nuncio_compiler::Settings {
            ambassador_id: self.id().to_owned(),
            namespace: self.namespace.clone(),
            bind_address: self.envoy_bind_address,
            endpoint_routing: self.disable_endpoints.is_empty(),
            strict_label_selectors: !self.disable_strict_label_selectors,
            istio_secret_dir: self.istio_secret_dir.clone().filter(|dir| !dir.is_empty()),
            pod_labels: parse_labels(&labels),
            mapping_status: self.update_mapping_status,
            threads: available_parallelism().unwrap_or(NonZeroUsize::MIN),
            ..nuncio_compiler::Settings::default()
        }
    }
}

/// Returns `node.cluster` of the Envoys of a gateway.
///
/// Shape: `<id>-<namespace>`; a gateway that is given no id is called
/// `ambassador` here. Source: Emissary.
pub fn fleet(ambassador_id: Option<&str>, namespace: &str) -> String {
    format!("{}-{namespace}", given(ambassador_id).unwrap_or("ambassador"))
}

fn given(ambassador_id: Option<&str>) -> Option<&str> {
    ambassador_id.filter(|id| !id.is_empty())
}

/// Parses the labels of a downward API volume.
///
/// Shape: `key="value"`, one a line, values as Go quotes them; other lines are
/// left out.
fn parse_labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        // Label values hold nothing that is quoted differently.
        Some((key.trim().to_owned(), serde_json::from_str(value.trim()).ok()?))
    });
    pairs.collect()
}

/// Parses the words that Emissary's compiler takes for booleans.
pub(super) fn parse_word(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Ok(true),
        "" | "n" | "no" | "f" | "false" | "off" | "0" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Settings;

    fn gateway(flags: &[&str]) -> super::Gateway {
        let all = ["nuncio-control-plane"].iter().chain(flags);
        Settings::try_parse_from(all).unwrap().gateway
    }

    #[test]
    fn a_gateway_without_id_keeps_emissarys_two_names_for_it() {
        let none = gateway(&[]);
        assert_eq!((none.id(), none.fleet().as_str()), ("default", "ambassador-default"));
        let empty = gateway(&["--ambassador-id="]);
        assert_eq!((empty.id(), empty.fleet().as_str()), ("default", "ambassador-default"));
        let named = gateway(&["--ambassador-id=blue", "--namespace=edge"]);
        assert_eq!((named.id(), named.fleet().as_str()), ("blue", "blue-edge"));
    }

    #[test]
    fn the_labels_of_the_pod_are_read_from_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "app.kubernetes.io/name=\"edge\"\nempty=\"\"\nnonsense\nbad=edge\n";
        std::fs::write(file.path(), text).unwrap();
        let flag = format!("--pod-labels={}", file.path().display());
        let labels = gateway(&[&flag]).compiler().pod_labels;
        let expected = [("app.kubernetes.io/name", "edge"), ("empty", "")];
        assert_eq!(labels, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert!(gateway(&["--pod-labels=/nowhere"]).compiler().pod_labels.is_empty());
    }

    #[test]
    fn any_text_is_true_for_emissarys_control_process_and_words_for_its_compiler() {
        let strange = gateway(&[
            "--disable-endpoints=false",
            "--disable-strict-label-selectors=false",
            "--single-namespace=false",
            "--namespace=own",
        ]);
        assert!(!strange.compiler().endpoint_routing);
        assert!(strange.compiler().strict_label_selectors);
        let selection = strange.scope.reading(&strange.namespace).selection;
        assert_eq!(selection.namespace.as_deref(), Some("own"));
        let usual = gateway(&["--disable-strict-label-selectors"]);
        assert!(usual.compiler().endpoint_routing && !usual.compiler().strict_label_selectors);
        assert_eq!(usual.scope.reading("own").selection.namespace, None);
        let flags = ["x", "--disable-strict-label-selectors=perhaps"];
        assert!(Settings::try_parse_from(flags).is_err());
    }
}
