//! Filter kinds of a build's own.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use nuncio_auth::Extensions;
use nuncio_auth::authz::{
    BoxFuture, ConfigError, Ctx, Denial, Filter, FilterFactory, Mutations, RequestView, Verdict,
};
use serde_json::{Value, json};

use crate::support::{Service, filter, policy};

struct Teapot([HeaderName; 1]);

impl Filter for Teapot {
    fn evaluate<'a>(&'a self, request: RequestView<'a>, cx: &'a mut Ctx) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            match request.value("x-mode").as_deref() {
                Some("panic") => panic!("expected by this test"),
                Some("deny") => Verdict::Respond(Denial::new(http::StatusCode::IM_A_TEAPOT)),
                _ => {
                    let mut changes = Mutations::new();
                    let argument = cx.arguments["say"].as_str().unwrap_or_default();
                    let value = HeaderValue::from_str(argument).unwrap();
                    changes.set(self.0[0].clone(), value);
                    Verdict::Continue(changes)
                }
            }
        })
    }

    fn injectable_headers(&self) -> &[HeaderName] {
        &self.0
    }
}

struct Factory;

impl FilterFactory for Factory {
    fn kind(&self) -> &'static str {
        "teapot"
    }

    fn build(&self, config: &Value) -> Result<Arc<dyn Filter>, ConfigError> {
        let name = config["header"].as_str().and_then(|name| name.parse().ok());
        let name = name.ok_or_else(|| ConfigError::new("header", "is no header name"))?;
        Ok(Arc::new(Teapot([name])))
    }
}

#[tokio::test]
async fn a_registered_kind_allows_denies_and_cannot_crash_the_service() {
    let objects = |config: Value| {
        vec![
            filter("tea", &json!({"Custom": {"kind": "teapot", "config": config}})),
            policy(&json!([{"filters": [{"name": "tea", "arguments": {"say": "hello"}}]}])),
        ]
    };
    let extensions = Extensions::default().with(Factory);
    let service = Service::start_with(&objects(json!({"header": "x-tea"})), extensions, &[]).await;
    let allowed = service.check("/", &[("x-tea", "spoofed")]).await;
    assert_eq!(allowed.status(), 200);
    assert_eq!(allowed.set()["x-tea"], "hello");
    assert_eq!(service.check("/", &[("x-mode", "panic")]).await.status(), 500);
    // Envoy knows no 418.
    assert_eq!(service.check("/", &[("x-mode", "deny")]).await.status(), 403);
    let plain = Service::start(&objects(json!({"header": "x-tea"}))).await;
    assert_eq!(plain.check("/", &[]).await.status(), 500, "not part of that build");
}
