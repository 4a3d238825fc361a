//! The overview as a page. Plain HTML: no script, nothing fetched from outside.

use std::fmt::Write as _;

use serde_json::Value;

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<title>Nuncio diagnostics</title><style>\
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25em .75em .25em 0;\
border-bottom:1px solid #ccc;vertical-align:top}.error{color:#a00}</style></head><body>";

/// Writes the page.
pub(super) fn page(all: &Value) -> String {
    let mut html = String::from(HEAD);
    let system = &all["system"];
    let _infallible = write!(
        html,
        "<h1>Nuncio diagnostics</h1><p>version {}, id {}, namespace {}, up {}</p>",
        text(&system["version"]),
        text(&system["ambassador_id"]),
        text(&system["ambassador_namespace"]),
        text(&system["hr_uptime"]),
    );
    let columns = ["severity", "object", "field", "message", "remedy"];
    table(
        &mut html,
        "Findings",
        &columns,
        rows(&all["findings"], |finding| {
            let object = &finding["object"];
            let object = format!(
                "{} {}/{}",
                text(&object["kind"]),
                text(&object["namespace"]),
                text(&object["name"])
            );
            let field = |name: &str| text(&finding[name]);
            vec![field("severity"), object, field("field"), field("message"), field("remedy")]
        }),
    );
    let columns = ["host", "method", "prefix", "service", "source"];
    table(
        &mut html,
        "Routes",
        &columns,
        rows(&all["route_info"], |route| {
            let field = |name: &str| text(&route[name]);
            let service = text(&route["clusters"][0]["service"]);
            vec![field("host"), field("method"), field("prefix"), service, field("_source")]
        }),
    );
    table(
        &mut html,
        "Services",
        &["type", "service", "source"],
        rows(&all["ambassador_services"], |service| {
            let field = |name: &str| text(&service[name]);
            vec![field("type"), field("name"), field("_source")]
        }),
    );
    let columns = ["node", "agent", "protocol", "settled"];
    table(
        &mut html,
        "xDS clients",
        &columns,
        rows(&all["clients"], |client| columns.iter().map(|name| text(&client[*name])).collect()),
    );
    html.push_str("<p><a href=\"?json=true\">the same as JSON</a></p></body></html>\n");
    html
}

fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().into_iter().flatten().map(row).collect()
}

fn table(html: &mut String, title: &str, columns: &[&str], rows: Vec<Vec<String>>) {
    let _infallible = write!(html, "<h2>{title}</h2>");
    if rows.is_empty() {
        html.push_str("<p>none</p>");
        return;
    }
    html.push_str("<table><tr>");
    for column in columns {
        let _infallible = write!(html, "<th>{column}</th>");
    }
    html.push_str("</tr>");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            let _infallible = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</table>");
}

/// Writes a value as text that HTML takes literally.
fn text(value: &Value) -> String {
    let plain = match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut safe = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_users_wrote_is_shown_and_not_run() {
        let all = json!({"route_info": [{"prefix": "<script>alert(1)</script>", "host": "*"}]});
        let html = page(&all);
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(!html.contains("<script>"));
    }
}
