//! `nuncio certgen`: a throwaway authority and a certificate of it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::output;

/// Make a throwaway certificate authority and a certificate for local use.
///
/// Writes ca.crt, tls.crt and tls.key into a folder; keys are readable by
/// their owner alone. The authority's key is not kept: nobody can make a
/// second certificate that those who trust ca.crt would accept.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// DNS names and IP addresses of the certificate.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    /// Folder to write to; made when missing.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    out: PathBuf,
}

pub(crate) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let bundle = Bundle::generate(&settings.names)?;
    std::fs::create_dir_all(&settings.out)
        .with_context(|| format!("cannot make folder {}", settings.out.display()))?;
    for (name, text, mode) in [
        ("ca.crt", &bundle.authority, 0o644),
        ("tls.crt", &bundle.chain, 0o644),
        ("tls.key", &bundle.key, 0o600),
    ] {
        let path = settings.out.join(name);
        write(&path, text, mode).with_context(|| format!("cannot write {}", path.display()))?;
        output::line(path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// A certificate with its key and the authority that signed it, all PEM.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Certificate of the authority.
    pub authority: String,
    /// Leaf certificate.
    pub chain: String,
    /// Key of the leaf, PKCS#8.
    pub key: String,
}

impl Bundle {
    /// Makes an authority and a certificate for DNS names and IP addresses.
    ///
    /// # Errors
    ///
    /// When a name cannot stand in a certificate.
    pub fn generate(names: &[String]) -> Result<Self, rcgen::Error> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        authority.distinguished_name = named("Nuncio throwaway local authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_certificate = authority.self_signed(&authority_key)?;

        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(names)?;
        leaf.distinguished_name = named(names.first().map_or("localhost", String::as_str));
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let issuer = Issuer::new(authority, authority_key);
        let certificate = leaf.signed_by(&key, &issuer)?;
        Ok(Self {
            authority: authority_certificate.pem(),
            chain: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Writes a file anew, so that it has `mode` from its first byte on.
fn write(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::echo::server_config;

    #[test]
    fn the_certificate_belongs_to_its_key_and_covers_names_and_addresses() {
        let bundle = Bundle::generate(&["a.test".into(), "127.0.0.1".into()]).unwrap();
        server_config(bundle.chain.as_bytes(), bundle.key.as_bytes(), None).unwrap();
    }

    #[test]
    fn keys_are_readable_by_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { names: vec!["a.test".into()], out: folder.path().join("new") };
        for _again in 0..2 {
            run(&settings).unwrap();
        }
        let key = std::fs::metadata(folder.path().join("new/tls.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }
}
