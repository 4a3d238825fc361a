//! Writes `src/render/envoy.binpb`: descriptors of the Envoy messages that the
//! compiler emits, cut out of the set that envoy-types was generated from.
//!
//! Run by `make gen`, from the workspace root. Comments and unused files are
//! dropped, which leaves a tenth of the set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

const OUTPUT: &str = "crates/compiler/src/render/envoy.binpb";

/// Files whose messages are emitted as resources or stand in an `Any` of one;
/// what they import comes along. A name that ends in `/` means the folder.
const ROOTS: [&str; 32] = [
    "envoy/config/bootstrap/v3/bootstrap.proto",
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/endpoint/v3/endpoint.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/config/trace/v3/",
    "envoy/extensions/access_loggers/",
    "envoy/extensions/compression/",
    "envoy/extensions/filters/http/buffer/",
    "envoy/extensions/filters/http/compressor/",
    "envoy/extensions/filters/http/cors/",
    "envoy/extensions/filters/http/custom_response/",
    "envoy/extensions/filters/http/ext_authz/",
    "envoy/extensions/filters/http/grpc_http1_bridge/",
    "envoy/extensions/filters/http/grpc_stats/",
    "envoy/extensions/filters/http/grpc_web/",
    "envoy/extensions/filters/http/header_to_metadata/",
    "envoy/extensions/filters/http/health_check/",
    "envoy/extensions/filters/http/lua/",
    "envoy/extensions/filters/http/ratelimit/",
    "envoy/extensions/filters/http/rbac/",
    "envoy/extensions/filters/http/router/",
    "envoy/extensions/filters/listener/",
    "envoy/extensions/filters/network/http_connection_manager/",
    "envoy/extensions/filters/network/tcp_proxy/",
    "envoy/extensions/http/",
    "envoy/extensions/load_balancing_policies/",
    "envoy/extensions/transport_sockets/",
    "envoy/extensions/upstreams/http/",
    "envoy/type/matcher/",
    "api/ratelimit/config/ratelimit/v3/",
    "xds/type/matcher/",
];

fn main() -> anyhow::Result<()> {
    let source = envoy_types()?.join("src/generated/types.bin");
    let bytes = std::fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
    let all = FileDescriptorSet::decode(&*bytes).context("decoding the descriptor set")?;
    let files: BTreeMap<&str, &FileDescriptorProto> =
        all.file.iter().map(|file| (file.name(), file)).collect();
    let mut wanted = BTreeSet::new();
    for root in ROOTS {
        let mut named = files
            .keys()
            .filter(|name| **name == root || (root.ends_with('/') && name.starts_with(root)))
            .peekable();
        ensure!(named.peek().is_some(), "`{root}` names no file");
        named.for_each(|name| include(name, &files, &mut wanted));
    }
    let file = all
        .file
        .iter()
        .filter(|file| wanted.contains(file.name()))
        .map(|file| FileDescriptorProto { source_code_info: None, ..file.clone() })
        .collect();
    std::fs::write(OUTPUT, FileDescriptorSet { file }.encode_to_vec())
        .with_context(|| format!("writing {OUTPUT}"))
}

fn include<'a>(
    name: &'a str,
    files: &BTreeMap<&'a str, &'a FileDescriptorProto>,
    wanted: &mut BTreeSet<&'a str>,
) {
    let Some(file) = files.get(name) else { return };
    if wanted.insert(name) {
        for import in &file.dependency {
            include(import, files, wanted);
        }
    }
}

/// Finds the sources of the envoy-types version that the lock file names.
fn envoy_types() -> anyhow::Result<PathBuf> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .context("running cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "envoy-types")
        .and_then(|package| package["manifest_path"].as_str())
        .and_then(|manifest| PathBuf::from(manifest).parent().map(PathBuf::from))
        .context("envoy-types is not in the dependency graph")
}
