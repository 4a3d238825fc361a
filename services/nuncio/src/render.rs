//! `nuncio render`: the Envoy configuration of a folder.

use std::borrow::Cow;
use std::process::ExitCode;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{Secret, secret};
use nuncio_compiler::{Resource, TypeUrl, render};
use prost::Message as _;

use crate::objects::Objects;
use crate::output;

/// Print the resources that Envoy and the services would be sent, as YAML.
///
/// One document a resource, in the order in which they are best sent. Private
/// keys are left out. Findings go to `nuncio check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    objects: Objects,

    /// Print only this type.
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    only: Option<Type>,

    /// Print only resources of this name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Print private keys and other secrets too.
    #[arg(long)]
    secrets: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Type {
    /// Clusters.
    Cluster,
    /// Endpoints of clusters.
    Endpoint,
    /// Certificates, keys and authorities.
    Secret,
    /// Listeners.
    Listener,
    /// Route configurations.
    Route,
    /// Limits of the rate-limit service.
    Limit,
    /// Filters of the auth service.
    Filter,
    /// Policies of the auth service.
    Policy,
}

impl Type {
    const fn url(self) -> TypeUrl {
        match self {
            Self::Cluster => TypeUrl::Cluster,
            Self::Endpoint => TypeUrl::ClusterLoadAssignment,
            Self::Secret => TypeUrl::Secret,
            Self::Listener => TypeUrl::Listener,
            Self::Route => TypeUrl::RouteConfiguration,
            Self::Limit => TypeUrl::RateLimitConfig,
            Self::Filter => TypeUrl::Filter,
            Self::Policy => TypeUrl::FilterPolicy,
        }
    }
}

pub(crate) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let compiled = settings.objects.compile()?;
    let wanted = compiled.resources().iter().filter(|resource| {
        settings.only.is_none_or(|only| resource.name.type_url == only.url())
            && settings.name.as_deref().is_none_or(|name| *resource.name.name == *name)
    });
    let shown: Vec<Cow<'_, Resource>> = wanted
        .map(|resource| match settings.secrets {
            true => Cow::Borrowed(resource.as_ref()),
            false => hide(resource),
        })
        .collect();
    output::text(&render::yaml(shown.iter().map(AsRef::as_ref))?);
    Ok(ExitCode::SUCCESS)
}

/// Returns the resource with `[hidden]` wherever a secret stands.
fn hide(resource: &Resource) -> Cow<'_, Resource> {
    if resource.name.type_url != TypeUrl::Secret {
        return Cow::Borrowed(resource);
    }
    // What does not decode has no place for a secret that could be found.
    let mut secret = Secret::decode(resource.bytes.to_bytes()).unwrap_or_default();
    let hidden = || DataSource {
        specifier: Some(data_source::Specifier::InlineString("[hidden]".into())),
        ..DataSource::default()
    };
    match &mut secret.r#type {
        Some(secret::Type::TlsCertificate(certificate)) => {
            certificate.private_key = Some(hidden());
            certificate.password = certificate.password.as_ref().map(|_| hidden());
        }
        Some(secret::Type::GenericSecret(generic)) => {
            generic.secret = generic.secret.as_ref().map(|_| hidden());
            generic.secrets.values_mut().for_each(|value| *value = hidden());
        }
        Some(secret::Type::SessionTicketKeys(tickets)) => {
            tickets.keys.iter_mut().for_each(|key| *key = hidden());
        }
        Some(secret::Type::ValidationContext(_)) | None => {}
    }
    let (name, sources) = (resource.name.clone(), Arc::clone(&resource.sources));
    Cow::Owned(Resource::new(name, secret.encode_to_vec(), sources))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::TlsCertificate;
    use nuncio_compiler::ResourceName;

    use super::*;

    #[test]
    fn private_keys_are_hidden_and_certificates_are_not() {
        let inline = |text: &str| {
            let specifier = Some(data_source::Specifier::InlineString(text.into()));
            Some(DataSource { specifier, ..DataSource::default() })
        };
        let secret = Secret {
            name: "a".into(),
            r#type: Some(secret::Type::TlsCertificate(TlsCertificate {
                certificate_chain: inline("public"),
                private_key: inline("private"),
                ..TlsCertificate::default()
            })),
        };
        let name = ResourceName::new(TypeUrl::Secret, "a");
        let resource = Resource::new(name, secret.encode_to_vec(), [].into());
        let text = render::yaml([hide(&resource).as_ref()]).unwrap();
        assert!(text.contains("public") && !text.contains("private\n"), "{text}");
        assert!(text.contains("[hidden]"), "{text}");
    }
}
