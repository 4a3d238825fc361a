//! What Envoy alone can judge: a script, a log file, an expression. The bad
//! setting is left out, everything else takes effect, from the start too.

use nuncio_integration_tests::{Client, Stack, eventually};
use reqwest::Method;

const GOOD: &str = "function envoy_on_response(h) h:headers():add(\"x-script\", \"good\") end";
const BAD: &str = "function envoy_on_response(";

/// Waits until the diagnostics say all of `parts`.
async fn is_told(stack: &Stack, parts: &[&str]) {
    eventually(&format!("{parts:?} is told"), async || {
        let page = stack.ask_admin("/ambassador/v0/diag/?json=true").await.body;
        parts.iter().all(|part| page.contains(part)).then_some(())
    })
    .await;
}

/// The header that the script adds.
async fn script(stack: &Stack, path: &str) -> Option<String> {
    let reply = Client::send(stack.request(Method::GET, path)).await?;
    let found = reply.headers.get("x-script").and_then(|value| value.to_str().ok());
    (reply.status == 200).then(|| found.unwrap_or("none").to_owned())
}

async fn until_script(stack: &Stack, path: &str, expected: &str) {
    eventually(&format!("{path} is answered with script {expected}"), async || {
        (script(stack, path).await.as_deref() == Some(expected)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn settings_that_envoy_alone_finds_bad_are_left_out_from_the_start() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("good", "/good/", "first")
        .object(
            "Mapping",
            "bad",
            "{hostname: \"*\", prefix: /bad/, service: first, add_request_headers: {x-a: {value: \"%CEL(request.)%\"}}}",
        )
        .module(&format!(
            "{{lua_scripts: '{BAD}', envoy_log_path: /nowhere/at/all, envoy_log_format: \"%CEL(1 +)%\"}}"
        ))
        .start()
        .await;
    stack.until_status("/good/", 200).await;
    stack.until_status("/bad/", 404).await;
    is_told(&stack, &["refused-by-envoy", "spec.config.lua_scripts", "expected near '<eof>'"])
        .await;
    is_told(&stack, &["spec.config.envoy_log_path", "/nowhere/at/all", "No such file"]).await;
    is_told(&stack, &["spec.config.envoy_log_format", "%CEL(1 +)%", "Syntax error"]).await;
    is_told(&stack, &["spec.add_request_headers", "%CEL(request.)%"]).await;
}

#[tokio::test]
async fn the_last_good_script_stays_and_other_edits_take_effect() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("good", "/good/", "first")
        .module(&format!("{{lua_scripts: '{GOOD}'}}"))
        .start()
        .await;
    until_script(&stack, "/good/", "good").await;
    stack.put_module(&format!("{{lua_scripts: '{BAD}', server_name: later}}"));
    // Beside the script is what is found in every listener.
    eventually("the rest of the Module takes effect", async || {
        let reply = Client::send(stack.request(Method::GET, "/nowhere")).await?;
        (reply.headers.get("server")? == "later").then_some(())
    })
    .await;
    is_told(&stack, &["refused-by-envoy", "spec.config.lua_scripts", "last-good-kept"]).await;
    stack.put("Mapping", "next", "{hostname: \"*\", prefix: /next/, service: first}");
    until_script(&stack, "/next/", "good").await;
    stack.put_module(&format!("{{lua_scripts: '{}'}}", GOOD.replace("good", "better")));
    until_script(&stack, "/good/", "better").await;
}
