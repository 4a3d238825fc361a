use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData as _};

use super::*;

struct Made {
    pem: String,
    key: Vec<u8>,
}

const NOW: i64 = 1_800_000_000;

/// Makes a chain of leaf and CA, valid from `from` to `to` seconds around now.
fn chain(names: &[&str], from: i64, to: i64) -> Made {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "the authority");
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let at = |offset| time::OffsetDateTime::from_unix_timestamp(NOW + offset).unwrap();
    (params.not_before, params.not_after) = (at(from), at(to));
    let leaf = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    Made { pem: format!("{}{ca_pem}", leaf.pem()), key: key.subject_public_key_info() }
}

fn names(names: &[&str]) -> BTreeSet<Name> {
    names.iter().map(|name| Name::parse(name).unwrap()).collect()
}

fn judge(made: &Made, wanted: &[&str]) -> Result<Chain, ChainFault> {
    check(&made.pem, &names(wanted), &made.key, UnixTime(NOW))
}

#[test]
fn a_good_chain_passes_with_its_facts() {
    let made = chain(&["a.org", "b.org", "10.0.0.1"], -60, 90 * 24 * 3600);
    let chain = judge(&made, &["b.org", "a.org", "10.0.0.1"]).unwrap();
    assert_eq!(chain.pem.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(chain.leaf.validity.not_before, UnixTime(NOW - 60));
    assert_eq!(Leaf::parse(&chain.pem).unwrap(), chain.leaf);
}

#[test]
fn a_leaf_of_another_key_or_other_names_is_refused() {
    let mut made = chain(&["a.org"], -60, 90 * 24 * 3600);
    assert!(matches!(judge(&made, &["b.org"]), Err(ChainFault::WrongNames { .. })));
    assert!(matches!(judge(&made, &["a.org", "b.org"]), Err(ChainFault::WrongNames { .. })));
    made.key = chain(&["a.org"], -60, 60).key;
    assert_eq!(judge(&made, &["a.org"]), Err(ChainFault::WrongKey));
}

#[test]
fn a_chain_out_of_order_is_refused() {
    let mut made = chain(&["a.org"], -60, 90 * 24 * 3600);
    let other = chain(&["x.org"], -60, 90 * 24 * 3600);
    made.pem = made.pem.clone() + &other.pem;
    assert_eq!(judge(&made, &["a.org"]), Err(ChainFault::Unlinked(2)));
}

#[test]
fn a_leaf_not_valid_yet_or_nearly_over_is_refused() {
    let judge = |from, to| judge(&chain(&["a.org"], from, to), &["a.org"]);
    assert!(judge(290, 90 * 24 * 3600).is_ok());
    assert!(matches!(judge(400, 90 * 24 * 3600), Err(ChainFault::Early(_))));
    assert!(matches!(judge(-90 * 24 * 3600, 3500), Err(ChainFault::Late(_))));
    assert!(judge(-1, 600).is_ok(), "a short life may be short");
    assert!(matches!(judge(-500, 100), Err(ChainFault::Late(_))));
}

#[test]
fn a_wildcard_covers_one_label() {
    let leaf = Leaf::parse(&chain(&["*.a.org"], -60, 600).pem).unwrap();
    assert!(leaf.covers(&Name::parse("x.a.org").unwrap()));
    assert!(!leaf.covers(&Name::parse("a.org").unwrap()));
    assert!(!leaf.covers(&Name::parse("y.x.a.org").unwrap()));
}

#[test]
fn texts_without_a_certificate_are_refused() {
    assert_eq!(Leaf::parse("").unwrap_err(), ChainFault::Empty);
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(Leaf::parse(garbage).unwrap_err(), ChainFault::Unreadable(1));
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in "\\PC{0,200}", bytes: Vec<u8>) {
        let _ = Leaf::parse(&text);
        let wrapped = pem::encode(&pem::Pem::new("CERTIFICATE", bytes));
        let _ = check(&wrapped, &BTreeSet::new(), &[], UnixTime(0));
    }
}
