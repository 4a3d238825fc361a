//! The configuration an Envoy starts with: who it is, and where the rest is.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// Cluster of the control plane in every Envoy; Emissary's name for it.
const ADS_CLUSTER: &str = "xds_cluster";

/// Largest compiled size of a regular expression, in RE2's instructions.
const REGEX_PROGRAM_SIZE: u32 = 1000;

const HTTP_OPTIONS: &str =
    "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const HTTP_MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const HEALTH_CHECK: &str =
    "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck";
/// By which Datadog's agent knows the pod.
const ENTITY_TAG: &str = "dd.internal.entity_id";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

/// What an Envoy must know before it can ask for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap {
    /// `node.id`: one name for each Envoy, such as `<namespace>/<pod>`.
    pub node_id: String,
    /// `node.cluster`: the fleet whose configuration it runs.
    pub cluster: String,
    /// Host of the control plane: an IP address or a DNS name.
    pub ads_host: String,
    /// gRPC port of the control plane.
    pub ads_port: u16,
    /// Where Envoy's admin interface listens; it must not be reachable for
    /// strangers.
    pub admin: SocketAddr,
    /// Where `GET /ready` answers 200 once the first configuration is in
    /// effect; Emissary's port is 8006.
    pub ready: SocketAddr,
    /// Where Envoy sends its statistics, besides showing them.
    pub statsd: Option<Statsd>,
}

/// A collector of statistics that speaks StatsD over UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statsd {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it understands tags, as Datadog's agent does; otherwise tags
    /// are part of the names.
    pub dog: bool,
    /// Seconds between two reports, 1 to 300.
    pub flush_seconds: u16,
    /// Value of the tag `dd.internal.entity_id` on everything sent.
    pub entity: Option<String>,
}

// === impl Bootstrap ===

impl Bootstrap {
    /// Returns the configuration as Envoy reads it, as indented JSON (which is
    /// also YAML), with a newline at the end.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", self.value())
    }

    fn value(&self) -> Value {
        // No timeout: an Envoy without configuration must not begin to serve.
        let over_ads =
            json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        let mut value = json!({
            "node": {"id": self.node_id, "cluster": self.cluster},
            "admin": {"address": socket_address(self.admin)},
            // Patterns come from the cluster's own objects; Envoy's default of
            // 100 refuses ordinary ones.
            "layered_runtime": {"layers": [{
                "name": "static",
                "static_layer": {"re2.max_program_size.error_level": REGEX_PROGRAM_SIZE},
            }]},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": ADS_CLUSTER}}],
                },
                "cds_config": over_ads,
                "lds_config": over_ads,
            },
            "static_resources": {
                "clusters": [self.ads_cluster()],
                "listeners": [self.ready_listener()],
            },
        });
        if let Some(statsd) = &self.statsd {
            value["stats_sinks"] = json!([statsd.sink()]);
            value["stats_flush_interval"] = json!(format!("{}s", statsd.flush_seconds));
            if let Some(entity) = &statsd.entity {
                let tag = json!({"tag_name": ENTITY_TAG, "fixed_value": entity});
                value["stats_config"] = json!({"stats_tags": [tag]});
            }
        }
        value
    }

    fn ads_cluster(&self) -> Value {
        let is_address = self.ads_host.parse::<std::net::IpAddr>().is_ok();
        let endpoint = json!({"endpoint": {"address": {"socket_address": {
            "address": self.ads_host, "port_value": self.ads_port,
        }}}});
        json!({
            "name": ADS_CLUSTER,
            "type": if is_address { "STATIC" } else { "STRICT_DNS" },
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": ADS_CLUSTER,
                "endpoints": [{"lb_endpoints": [endpoint]}],
            },
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": HTTP_OPTIONS,
                    "explicit_http_config": {"http2_protocol_options": {
                        "connection_keepalive": {"interval": "30s", "timeout": "10s"},
                    }},
                },
            },
            "upstream_connection_options": {"tcp_keepalive": {}},
        })
    }

    /// A listener of its own, because the admin interface also stops processes.
    fn ready_listener(&self) -> Value {
        let manager = json!({
            "@type": HTTP_MANAGER,
            "stat_prefix": "ready_http",
            "route_config": {"name": "ready", "virtual_hosts": []},
            "http_filters": [
                {"name": "envoy.filters.http.health_check", "typed_config": {
                    "@type": HEALTH_CHECK,
                    "pass_through_mode": false,
                    "headers": [{"name": ":path", "string_match": {"exact": "/ready"}}],
                }},
                {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}},
            ],
        });
        json!({
            "name": "nuncio-ready",
            "address": socket_address(self.ready),
            "bypass_overload_manager": true,
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager,
            }]}],
        })
    }
}

impl Statsd {
    fn sink(&self) -> Value {
        let (name, kind) = if self.dog {
            ("envoy.stat_sinks.dog_statsd", "envoy.config.metrics.v3.DogStatsdSink")
        } else {
            ("envoy.stat_sinks.statsd", "envoy.config.metrics.v3.StatsdSink")
        };
        json!({"name": name, "typed_config": {
            "@type": format!("type.googleapis.com/{kind}"),
            "address": socket_address(self.address),
        }})
    }
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {
        "address": address.ip().to_string(), "port_value": address.port(),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap(ads_host: &str) -> Value {
        bootstrap_with(ads_host, None)
    }

    fn bootstrap_with(ads_host: &str, statsd: Option<Statsd>) -> Value {
        let bootstrap = Bootstrap {
            node_id: "default/pod-1".into(),
            cluster: "default-default".into(),
            ads_host: ads_host.into(),
            ads_port: 18000,
            admin: "127.0.0.1:8001".parse().unwrap(),
            ready: "[::1]:8006".parse().unwrap(),
            statsd,
        };
        serde_json::from_str(&bootstrap.to_json()).unwrap()
    }

    #[test]
    fn names_are_resolved_and_addresses_are_not() {
        let kind = |host| bootstrap(host)["static_resources"]["clusters"][0]["type"].clone();
        assert_eq!(kind("127.0.0.1"), "STATIC");
        assert_eq!(kind("::1"), "STATIC");
        assert_eq!(kind("control-plane.nuncio"), "STRICT_DNS");
    }

    #[test]
    fn addresses_of_both_families_are_written_without_brackets() {
        let listener = &bootstrap("::1")["static_resources"]["listeners"][0]["address"];
        assert_eq!(listener["socket_address"]["address"], "::1");
        assert_eq!(listener["socket_address"]["port_value"], 8006);
    }

    #[test]
    fn statistics_go_to_statsd_where_it_is_wanted() {
        assert!(bootstrap("::1")["stats_sinks"].is_null());
        let statsd = |dog, entity: Option<&str>| Statsd {
            address: "192.0.2.1:8125".parse().unwrap(),
            dog,
            flush_seconds: 2,
            entity: entity.map(str::to_owned),
        };
        let plain = bootstrap_with("::1", Some(statsd(false, None)));
        assert_eq!(plain["stats_sinks"][0]["name"], "envoy.stat_sinks.statsd");
        assert_eq!(plain["stats_flush_interval"], "2s");
        assert!(plain["stats_config"].is_null());
        let dog = bootstrap_with("::1", Some(statsd(true, Some("pod-1"))));
        assert_eq!(dog["stats_sinks"][0]["name"], "envoy.stat_sinks.dog_statsd");
        assert_eq!(dog["stats_config"]["stats_tags"][0]["fixed_value"], "pod-1");
    }
}
