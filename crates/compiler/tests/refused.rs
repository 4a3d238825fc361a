//! What Envoy alone can judge is left out once it has refused it, and what was
//! good last stays.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nuncio_api::{Change, Kind, ObjectKey};
use nuncio_compiler::{Compiler, ResourceName, Rope, Settings, Subject, TypeUrl};
use nuncio_testing::manifests;

const SCRIPT: &str = "l: script load error: [string \"bad\"]:1: '=' expected near '<eof>'";
const EXPRESSION: &str = "Not able to parse expression: INVALID_ARGUMENT: ERROR: <input>:1:9: Syntax error: no\n | request.\n | ........^";

fn site(config: &str, mapping: &str) -> String {
    let head = "---\napiVersion: getambassador.io/v3alpha1\n";
    [
        format!("{head}kind: Listener\nmetadata: {{name: l}}\nspec: {{port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {{namespace: {{from: ALL}}}}}}\n"),
        format!("{head}kind: Module\nmetadata: {{name: ambassador}}\nspec: {{config: {{{config}}}}}\n"),
        format!("{head}kind: Mapping\nmetadata: {{name: m}}\nspec: {{hostname: '*', prefix: /m/, service: m{mapping}}}\n"),
    ]
    .concat()
}

fn compiled(config: &str, mapping: &str) -> Compiler {
    let mut compiler = Compiler::new(Settings::default());
    compiler.apply(manifests::changes(&site(config, mapping)));
    compiler
}

/// Lets Envoy say a message; returns how many texts it blames.
fn refuse(compiler: &mut Compiler, message: &str) -> usize {
    let blamed = compiler.blamed(message).into_iter();
    let blamed: Vec<_> = blamed.map(|(text, reason)| Change::Refused { text, reason }).collect();
    let count = blamed.len();
    compiler.apply(blamed);
    count
}

fn of(compiler: &Compiler, type_url: TypeUrl) -> Vec<Rope> {
    let all = compiler.resources().filter(|resource| resource.name.type_url == type_url);
    all.map(|resource| resource.bytes.clone()).collect()
}

fn told(compiler: &Compiler, kind: Kind, name: &str) -> Vec<(&'static str, String)> {
    let subject = Subject::Object(ObjectKey::new(kind, "default", name));
    let findings = compiler.diagnostics().get(&subject).into_iter().flatten();
    findings.map(|finding| (finding.code, finding.field.clone())).collect()
}

#[test]
fn a_refused_script_is_left_out_and_nothing_else() {
    let mut compiler = compiled("lua_scripts: bad, server_name: s", "");
    assert_eq!(refuse(&mut compiler, "cannot bind"), 0);
    assert_eq!(refuse(&mut compiler, SCRIPT), 1);
    let without = compiled("server_name: s", "");
    assert_eq!(of(&compiler, TypeUrl::Listener), of(&without, TypeUrl::Listener));
    let field = "spec.config.lua_scripts".to_owned();
    assert_eq!(told(&compiler, Kind::Module, "ambassador"), [("refused-by-envoy", field)]);
    assert_eq!(refuse(&mut compiler, SCRIPT), 0, "there is nothing left to blame");
}

#[test]
fn the_last_good_script_stays_until_the_text_is_good_again() {
    let mut compiler = compiled("lua_scripts: good", "");
    let good = of(&compiler, TypeUrl::Listener);
    compiler.apply(manifests::changes(&site("lua_scripts: bad", "")));
    assert_ne!(of(&compiler, TypeUrl::Listener), good);
    assert_eq!(refuse(&mut compiler, SCRIPT), 1);
    assert_eq!(of(&compiler, TypeUrl::Listener), good);
    let codes: Vec<_> =
        told(&compiler, Kind::Module, "ambassador").into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["refused-by-envoy", "last-good-kept"]);
    // A later edit of another setting takes effect beside it.
    compiler.apply(manifests::changes(&site("lua_scripts: bad, server_name: s", "")));
    let expected = compiled("lua_scripts: good, server_name: s", "");
    assert_eq!(of(&compiler, TypeUrl::Listener), of(&expected, TypeUrl::Listener));
    compiler.apply(manifests::changes(&site("lua_scripts: best", "")));
    let expected = compiled("lua_scripts: best", "");
    assert_eq!(of(&compiler, TypeUrl::Listener), of(&expected, TypeUrl::Listener));
    assert!(compiler.diagnostics().is_empty(), "{:?}", compiler.diagnostics());
}

#[test]
fn a_mapping_steps_back_from_a_refused_expression() {
    let bad = ", add_request_headers: {x-a: {value: '%CEL(request.)%'}}";
    let mut compiler = compiled("", "");
    let good = of(&compiler, TypeUrl::RouteConfiguration);
    compiler.apply(manifests::changes(&site("", bad)));
    assert_ne!(of(&compiler, TypeUrl::RouteConfiguration), good);
    assert_eq!(refuse(&mut compiler, EXPRESSION), 1);
    assert_eq!(of(&compiler, TypeUrl::RouteConfiguration), good);
    let codes: Vec<_> =
        told(&compiler, Kind::Mapping, "m").into_iter().map(|(code, _)| code).collect();
    assert!(codes.contains(&"refused-by-envoy") && codes.contains(&"last-good-kept"), "{codes:?}");
    // From the start there is nothing to step back to.
    let mut compiler = compiled("", bad);
    refuse(&mut compiler, EXPRESSION);
    let name = ResourceName::new(TypeUrl::Cluster, "cluster_m_default");
    assert!(compiler.resource(&name).is_none(), "the Mapping is out of effect");
}

#[test]
fn a_refused_expression_takes_only_its_body_of_error_answers_along() {
    let rules = |second: &str| {
        format!(
            "error_response_overrides: [{{on_status_code: 404, body: {{text_format: a}}}}{second}]"
        )
    };
    let bad = ", {on_status_code: 503, body: {text_format: '%CEL(request.)%'}}";
    let mut compiler = compiled(&rules(bad), "");
    assert_eq!(refuse(&mut compiler, EXPRESSION), 1);
    let expected = compiled(&rules(""), "");
    assert_eq!(of(&compiler, TypeUrl::Listener), of(&expected, TypeUrl::Listener));
}
