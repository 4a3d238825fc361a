//! Settings, under envoyproxy/ratelimit's variable names where the meaning is
//! equal.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use nuncio_process::{Args, HasArgs, Hidden};

mod environment;
mod values;

pub use environment::{Refused, check_environment};
pub use values::{ConfigType, KeyFormat};
use values::{parse_bool, parse_duration};

/// Everything the service can be told.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "nuncio-ratelimit", version, about = "Rate-limit service for Envoy")]
pub struct Settings {
    /// Logs and drain.
    #[command(flatten)]
    pub process: Args,
    /// Addresses.
    #[command(flatten)]
    pub listen: Listen,
    /// Where the limits come from.
    #[command(flatten)]
    pub rules: RuleSource,
    /// Where the counters live.
    #[command(flatten)]
    pub store: StoreSettings,
    /// What answers carry.
    #[command(flatten)]
    pub answer: Answer,
}

/// Addresses; port 0 takes any free port.
#[derive(Debug, Clone, clap::Args)]
pub struct Listen {
    /// HTTP address: `/json`, `/healthcheck`.
    #[arg(long = "http-host", env = "HOST", default_value_t = ANY)]
    pub host: IpAddr,
    /// HTTP port.
    #[arg(long = "http-port", env = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// gRPC address.
    #[arg(long, env = "GRPC_HOST", default_value_t = ANY)]
    pub grpc_host: IpAddr,
    /// gRPC port.
    #[arg(long, env = "GRPC_PORT", default_value_t = 8081)]
    pub grpc_port: u16,
    /// Admin address: `/rlconfig`, `/stats`, `/metrics`, `/ready`, `/live`.
    #[arg(long = "admin-host", env = "DEBUG_HOST", default_value_t = ANY)]
    pub debug_host: IpAddr,
    /// Admin port.
    #[arg(long = "admin-port", env = "DEBUG_PORT", default_value_t = 6070)]
    pub debug_port: u16,
}

/// Where the limits come from.
#[derive(Debug, Clone, clap::Args)]
pub struct RuleSource {
    /// `FILE`, `GRPC_XDS_SOTW`, `GRPC_XDS_DELTA`, or `NONE` for no limits.
    #[arg(long, env = "CONFIG_TYPE", value_enum, ignore_case = true, default_value_t = ConfigType::File)]
    pub config_type: ConfigType,
    /// Folder, or symlink to a folder, of the limits' files.
    #[arg(long, env = "RUNTIME_ROOT", default_value = "/srv/runtime_data/current")]
    pub runtime_root: PathBuf,
    /// Folder below the root; may be empty.
    #[arg(long, env = "RUNTIME_SUBDIRECTORY", default_value = "")]
    pub runtime_subdirectory: String,
    /// Folder below that, which holds the `.yaml` files.
    #[arg(long, env = "RUNTIME_APPDIRECTORY", default_value = "config")]
    pub runtime_appdirectory: String,
    /// Skip files whose name begins with a dot.
    #[arg(long, env = "RUNTIME_IGNOREDOTFILES", default_value = "false", value_parser = parse_bool)]
    pub runtime_ignore_dotfiles: bool,
    /// Join files of one domain instead of refusing the second.
    #[arg(long, env = "MERGE_DOMAIN_CONFIG", default_value = "false", value_parser = parse_bool)]
    pub merge_domain_config: bool,
    /// Start without limits when the first load fails.
    #[arg(long, env = "FORCE_START_WITHOUT_INITIAL_CONFIG", default_value = "false", value_parser = parse_bool)]
    pub force_start: bool,
    /// Ready only with at least one domain loaded.
    #[arg(long, env = "HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED", default_value = "false", value_parser = parse_bool)]
    pub ready_needs_config: bool,
    /// Control plane, `host:port` or a URL.
    #[arg(long, env = "CONFIG_GRPC_XDS_SERVER_URL", default_value = "localhost:18000")]
    pub xds_server: String,
    /// Node id told to the control plane.
    #[arg(long, env = "CONFIG_GRPC_XDS_NODE_ID", default_value = "default")]
    pub xds_node_id: String,
}

/// Where the counters live.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreSettings {
    /// Redis: a URL (`redis://[user:password@]host:port/db`), `host:port`, or
    /// the path of a unix socket. Without it counters live in this process.
    #[arg(long = "redis", env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<Hidden<String>>,
    /// `password` or `user:password`, when the URL has none.
    #[arg(long, env = "REDIS_AUTH", hide_env_values = true)]
    pub redis_auth: Option<Hidden<String>>,
    /// Longest time a check waits for the store; below Envoy's 20 ms, so that
    /// the answer is ours.
    #[arg(long, env = "NUNCIO_RATELIMIT_STORE_DEADLINE", default_value = "10ms", value_parser = parse_duration)]
    pub store_deadline: Duration,
    /// Put before every key in Redis.
    #[arg(long, env = "CACHE_KEY_PREFIX", default_value = "")]
    pub key_prefix: String,
    /// `nuncio`: hashed keys that no client value can collide with; `er`:
    /// envoyproxy/ratelimit's text, to share counters during a migration.
    #[arg(long, env = "KEY_FORMAT", value_enum, ignore_case = true, default_value_t = KeyFormat::Nuncio)]
    pub key_format: KeyFormat,
    /// Upper bound of a random addition to each key's time to live, in seconds.
    #[arg(long, env = "EXPIRATION_JITTER_MAX_SECONDS", default_value_t = 0)]
    pub expiration_jitter: u32,
    /// Most counters kept in this process, about 64 bytes each.
    #[arg(long, env = "NUNCIO_RATELIMIT_MAX_COUNTERS", default_value_t = 1_000_000)]
    pub max_counters: usize,
    /// Remember denials in this process and answer them without Redis, in
    /// about this many bytes; 0 asks Redis every time.
    #[arg(long, env = "LOCAL_CACHE_SIZE_IN_BYTES", default_value_t = 0)]
    pub local_cache_bytes: usize,
}

/// What answers carry.
#[derive(Debug, Clone, clap::Args)]
pub struct Answer {
    /// Add the three headers below, and `Retry-After` to denials.
    #[arg(long, env = "LIMIT_RESPONSE_HEADERS_ENABLED", default_value = "false", value_parser = parse_bool)]
    pub headers: bool,
    /// Name of the header with the limit.
    #[arg(long, env = "LIMIT_LIMIT_HEADER", default_value = "RateLimit-Limit")]
    pub limit_header: String,
    /// Name of the header with what remains.
    #[arg(long, env = "LIMIT_REMAINING_HEADER", default_value = "RateLimit-Remaining")]
    pub remaining_header: String,
    /// Name of the header with the seconds until the window ends.
    #[arg(long, env = "LIMIT_RESET_HEADER", default_value = "RateLimit-Reset")]
    pub reset_header: String,
    /// Never deny, only count.
    #[arg(long, env = "SHADOW_MODE", default_value = "false", value_parser = parse_bool)]
    pub shadow_mode: bool,
    /// Treat every limit as a quota: deny only when all are used up.
    #[arg(long, env = "QUOTA_MODE", default_value = "false", value_parser = parse_bool)]
    pub quota_mode: bool,
    /// Tell Envoy which limits were looked at, as dynamic metadata.
    #[arg(long, env = "RESPONSE_DYNAMIC_METADATA", default_value = "false", value_parser = parse_bool)]
    pub dynamic_metadata: bool,
    /// Share of a limit above which hits count as near it.
    #[arg(long, env = "NEAR_LIMIT_RATIO", default_value_t = 0.8)]
    pub near_limit_ratio: f64,
    /// A look without hits (`hits_addend: 0`) says over only when the count is
    /// above the limit, as envoyproxy/ratelimit does, not when it is reached.
    #[arg(long, env = "PROBE_COMPAT", default_value = "false", value_parser = parse_probe)]
    pub probe_compat: bool,
}

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The built-in defaults; the environment is not read.
impl Default for Settings {
    fn default() -> Self {
        Self {
            process: Args::default(),
            listen: Listen {
                host: ANY,
                port: 8080,
                grpc_host: ANY,
                grpc_port: 8081,
                debug_host: ANY,
                debug_port: 6070,
            },
            rules: RuleSource {
                config_type: ConfigType::File,
                runtime_root: "/srv/runtime_data/current".into(),
                runtime_subdirectory: String::new(),
                runtime_appdirectory: "config".into(),
                runtime_ignore_dotfiles: false,
                merge_domain_config: false,
                force_start: false,
                ready_needs_config: false,
                xds_server: "localhost:18000".into(),
                xds_node_id: "default".into(),
            },
            store: StoreSettings {
                redis_url: None,
                redis_auth: None,
                store_deadline: Duration::from_millis(10),
                key_prefix: String::new(),
                key_format: KeyFormat::Nuncio,
                expiration_jitter: 0,
                max_counters: 1_000_000,
                local_cache_bytes: 0,
            },
            answer: Answer {
                headers: false,
                limit_header: "RateLimit-Limit".into(),
                remaining_header: "RateLimit-Remaining".into(),
                reset_header: "RateLimit-Reset".into(),
                shadow_mode: false,
                quota_mode: false,
                dynamic_metadata: false,
                near_limit_ratio: 0.8,
                probe_compat: false,
            },
        }
    }
}

impl Settings {
    /// Returns settings for one machine: every port free and on loopback, no
    /// limits, counters in process.
    pub fn local() -> Self {
        let listen = Listen {
            host: LOOPBACK,
            port: 0,
            grpc_host: LOOPBACK,
            grpc_port: 0,
            debug_host: LOOPBACK,
            debug_port: 0,
        };
        let mut settings = Self { listen, ..Self::default() };
        settings.rules.config_type = ConfigType::None;
        settings
    }

    /// Takes limits from a control plane over delta ADS.
    #[must_use]
    pub fn with_control_plane(mut self, server: impl Into<String>) -> Self {
        self.rules.config_type = ConfigType::GrpcXdsDelta;
        self.rules.xds_server = server.into();
        self
    }

    /// Keeps counters in Redis.
    #[must_use]
    pub fn with_redis(mut self, url: impl Into<String>) -> Self {
        self.store.redis_url = Some(Hidden::new(url.into()));
        self
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Listen {
    pub(crate) fn grpc(&self) -> SocketAddr {
        (self.grpc_host, self.grpc_port).into()
    }

    pub(crate) fn http(&self) -> SocketAddr {
        (self.host, self.port).into()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        (self.debug_host, self.debug_port).into()
    }
}

impl RuleSource {
    /// Returns the folder of the limits' files.
    pub(crate) fn folder(&self) -> PathBuf {
        self.runtime_root.join(&self.runtime_subdirectory).join(&self.runtime_appdirectory)
    }
}

impl HasArgs for Settings {
    fn args(&self) -> &Args {
        &self.process
    }
}

fn parse_probe(text: &str) -> Result<bool, String> {
    match text {
        "er" => Ok(true),
        other => parse_bool(other),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn the_defaults_in_code_are_those_of_the_command_line() {
        let parsed = Settings::try_parse_from(["nuncio-ratelimit"]).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Settings::default()));
    }

    #[test]
    fn the_folder_joins_root_subdirectory_and_appdirectory() {
        let mut rules = Settings::default().rules;
        assert_eq!(rules.folder(), PathBuf::from("/srv/runtime_data/current/config"));
        rules.runtime_subdirectory = "ratelimit".into();
        assert_eq!(rules.folder(), PathBuf::from("/srv/runtime_data/current/ratelimit/config"));
    }
}
