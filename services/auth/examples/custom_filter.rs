//! A build of the auth service with a filter kind of its own: `Custom {kind:
//! office-hours, config: {from: 9, to: 17}}` lets requests through in those
//! hours (UTC) and tells the backend the hour.

use std::process::ExitCode;
use std::sync::Arc;

use nuncio_auth::Extensions;
use nuncio_auth::authz::{
    BoxFuture, ConfigError, Ctx, Denial, Filter, FilterFactory, Mutations, RequestView, Verdict,
};

struct OfficeHours(std::ops::Range<u64>, [http::HeaderName; 1]);

impl Filter for OfficeHours {
    fn evaluate<'a>(&'a self, _: RequestView<'a>, cx: &'a mut Ctx) -> BoxFuture<'a, Verdict> {
        let hour = cx.now.as_secs() / 3600 % 24;
        let mut changes = Mutations::new();
        changes.set(self.1[0].clone(), hour.into());
        Box::pin(std::future::ready(match self.0.contains(&hour) {
            true => Verdict::Continue(changes),
            false => Verdict::Respond(Denial::new(http::StatusCode::FORBIDDEN)),
        }))
    }

    fn injectable_headers(&self) -> &[http::HeaderName] {
        &self.1
    }
}

struct Factory;

impl FilterFactory for Factory {
    fn kind(&self) -> &'static str {
        "office-hours"
    }

    fn build(&self, config: &serde_json::Value) -> Result<Arc<dyn Filter>, ConfigError> {
        let hour = |name| config[name].as_u64().ok_or_else(|| ConfigError::new(name, "is no hour"));
        let header = http::HeaderName::from_static("x-office-hour");
        Ok(Arc::new(OfficeHours(hour("from")?..hour("to")?, [header])))
    }
}

fn main() -> ExitCode {
    nuncio_auth::main(Extensions::default().with(Factory))
}
