//! Secrets in the place of their names.

use anyhow::Context as _;
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, TransportSocket, data_source, transport_socket,
};
use envoy_types::pb::envoy::extensions::transport_sockets::quic::v3::QuicDownstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;

use super::change;

/// Puts a certificate in the place of files that this machine does not have.
pub(super) fn fill_secret(secret: &mut tls::Secret) -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed(vec!["a.example.com".to_owned()])
        .context("no certificate can be made")?;
    let put = |source: &mut Option<DataSource>, text: String| {
        let Some(source) = source else { return };
        if matches!(source.specifier, Some(data_source::Specifier::Filename(_))) {
            source.specifier = Some(data_source::Specifier::InlineString(text));
        }
    };
    match &mut secret.r#type {
        Some(tls::secret::Type::TlsCertificate(pair)) => {
            put(&mut pair.certificate_chain, made.cert.pem());
            put(&mut pair.private_key, made.signing_key.serialize_pem());
        }
        Some(tls::secret::Type::ValidationContext(context)) => {
            put(&mut context.trusted_ca, made.cert.pem());
        }
        _ => {}
    }
    Ok(())
}

/// Makes a transport socket take its secrets from the static ones.
pub(super) fn fill_socket(socket: &mut Option<TransportSocket>) -> anyhow::Result<()> {
    let Some(transport_socket::ConfigType::TypedConfig(any)) =
        socket.as_mut().and_then(|socket| socket.config_type.as_mut())
    else {
        return Ok(());
    };
    change(any, |context: &mut tls::UpstreamTlsContext| {
        fill_tls(&mut context.common_tls_context);
        Ok(())
    })?;
    change(any, |context: &mut tls::DownstreamTlsContext| {
        fill_tls(&mut context.common_tls_context);
        Ok(())
    })?;
    change(any, |transport: &mut QuicDownstreamTransport| {
        if let Some(context) = &mut transport.downstream_tls_context {
            fill_tls(&mut context.common_tls_context);
        }
        Ok(())
    })
}

fn fill_tls(context: &mut Option<tls::CommonTlsContext>) {
    use tls::common_tls_context::ValidationContextType;
    let Some(context) = context else { return };
    for secret in &mut context.tls_certificate_sds_secret_configs {
        secret.sds_config = None;
    }
    match &mut context.validation_context_type {
        Some(ValidationContextType::ValidationContextSdsSecretConfig(secret)) => {
            secret.sds_config = None;
        }
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            if let Some(secret) = &mut combined.validation_context_sds_secret_config {
                secret.sds_config = None;
            }
        }
        _ => {}
    }
}
