use http::HeaderMap;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn run(template: &str, claims: &serde_json::Value) -> Result<Rendered, TemplateError> {
    let mut headers = HeaderMap::new();
    headers.append("x-first", "one".parse().unwrap());
    headers.append("x-first", "two".parse().unwrap());
    let token = Item::fields(vec![
        Field { name: "Raw", shown: true, item: Item::Text("a.b.c".into()) },
        Field { name: "Claims", shown: true, item: Item::Json(claims) },
    ]);
    let data = Item::fields(vec![
        Field { name: "token", shown: true, item: token },
        Field { name: "httpRequestHeader", shown: true, item: Item::Headers(&headers) },
    ]);
    Template::parse(template, Functions::Bodies)?.render(&data)
}

fn text(template: &str) -> String {
    let claims = json!({
        "sub": "ann", "n": 1_516_239_022, "small": 7, "half": 0.5, "yes": true, "null": null,
        "list": ["a", "b"], "map": {"b": 2, "a": "x"}, "neg": -12_345_678.5, "tiny": 0.00001,
    });
    match run(template, &claims) {
        Ok(Rendered::Text(text)) => text,
        other => panic!("{template}: {other:?}"),
    }
}

/// Each row is Go's own output for the same template and data.
#[test]
fn output_is_that_of_go() {
    for (template, expected) in [
        ("plain", "plain"),
        ("{{ .token.Claims.sub }}", "ann"),
        ("{{.token.Claims.n}}", "1.516239022e+09"),
        ("{{.token.Claims.small}} {{.token.Claims.half}}", "7 0.5"),
        ("{{.token.Claims.neg}} {{.token.Claims.tiny}}", "-1.23456785e+07 1e-05"),
        ("{{.token.Claims.absent}}|{{.token.Claims.null}}", "<no value>|<no value>"),
        ("{{printf \"%.0f\" .token.Claims.n}}", "1516239022"),
        ("{{.token.Claims.n | printf \"%.0f\"}}", "1516239022"),
        ("{{printf \"%d\" .token.Claims.small}}", "%!d(float64=7)"),
        (
            "{{printf \"%05d|%-4s|%4s|%q|%x\" 42 \"a\" \"b\" \"c\" \"hi\"}}",
            "00042|a   |   b|\"c\"|6869",
        ),
        ("{{printf \"%s %s\" \"a\"}}", "a %!s(MISSING)"),
        ("{{printf \"%s\" \"a\" 1}}", "a%!(EXTRA int=1)"),
        (
            "{{printf \"%t %v %v %.2f %e\" true nil .token.Claims.list 1.5 1.5}}",
            "true <nil> [a b] 1.50 1.500000e+00",
        ),
        ("{{.token.Claims.list}} {{.token.Claims.map}}", "[a b] map[a:x b:2]"),
        ("{{index .token.Claims.list 1}}{{index .token.Claims \"sub\"}}", "bann"),
        ("{{index .token.Claims.map \"a\"}}{{(index .token.Claims \"map\").a}}", "xx"),
        ("{{len .token.Claims.list}}{{len \"abc\"}}", "23"),
        ("{{ .httpRequestHeader.Get \"x-FIRST\" }}", "one"),
        ("{{ \"X-First\" | .httpRequestHeader.Get }}", "one"),
        ("{{ .httpRequestHeader.Values \"X-First\" }}", "[one two]"),
        ("{{ index .httpRequestHeader \"X-First\" }}", "[one two]"),
        ("{{ index .httpRequestHeader \"x-first\" }}", "<no value>"),
        ("{{ .httpRequestHeader.Get \"x-none\" }}.", "."),
        ("{{if .token.Claims.yes}}y{{else}}n{{end}}", "y"),
        (
            "{{if .token.Claims.absent}}y{{else if eq .token.Claims.sub \"ann\"}}e{{else}}n{{end}}",
            "e",
        ),
        ("{{range .token.Claims.list}}<{{.}}>{{end}}", "<a><b>"),
        ("{{range $i, $v := .token.Claims.list}}{{$i}}={{$v}};{{end}}", "0=a;1=b;"),
        ("{{range $k, $v := .token.Claims.map}}{{$k}}={{$v}};{{end}}", "a=x;b=2;"),
        ("{{range .token.Claims.list}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
        ("{{range .token.Claims.absent}}x{{else}}none{{end}}", "none"),
        (
            "{{with .token.Claims.map}}{{.a}}{{end}}{{with .token.Claims.absent}}x{{else}}-{{end}}",
            "x-",
        ),
        (
            "{{$x := .token.Claims.sub}}{{range .token.Claims.list}}{{$x}}{{$.token.Raw}}{{end}}",
            "anna.b.canna.b.c",
        ),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("a {{- 1 -}} b", "a1b"),
        ("a {{/* note */}}b{{- /* note */ -}} c", "a bc"),
        ("{{and 1 0}}{{or 0 \"x\"}}{{not 0}}", "0xtrue"),
        ("{{eq 1 2 1}} {{ne \"a\" \"b\"}} {{lt 1 2}} {{ge 2.5 2.5}}", "true true true true"),
        ("{{eq .token.Claims.small 7.0}}", "true"),
        ("{{hasKey .token.Claims \"sub\"}}{{hasKey .token.Claims \"zip\"}}", "truefalse"),
        ("{{print 1 2 \"a\" 3}}{{println \"x\"}}", "1 2a3x\n"),
        ("{{slice \"abcdef\" 1 3}}", "bc"),
        ("{{urlquery \"a b&c\"}} {{html \"<a>\"}}", "a+b%26c &lt;a&gt;"),
        ("{{json \"\" .token.Claims.map}}", "{\"a\":\"x\",\"b\":2}"),
        ("{{.token.Claims.map | json \"  \"}}", "{\n  \"a\": \"x\",\n  \"b\": 2\n}"),
        ("{{json \"\" \"<&>\"}}", "\"\\u003c\\u0026\\u003e\""),
        ("{{\"quoted \\\"}}\\\"\"}}{{`raw`}}{{'a'}}", "quoted \"}}\"raw97"),
    ] {
        assert_eq!(text(template), expected, "{template}");
    }
}

#[test]
fn do_not_set_ends_the_rendering() {
    let claims = json!({});
    let template =
        "{{if hasKey .token.Claims \"a\"}}{{.token.Claims.a}}{{else}}{{doNotSet}}{{end}}";
    assert_eq!(run(template, &claims), Ok(Rendered::DoNotSet));
    assert_eq!(run(template, &json!({"a": "v"})), Ok(Rendered::Text("v".to_owned())));
}

#[test]
fn what_is_unsupported_or_wrong_is_refused_at_load_by_name() {
    for (template, message) in [
        ("{{template \"x\"}}", "{{template}} is not supported"),
        ("{{define \"x\"}}{{end}}", "{{define}} is not supported"),
        ("{{js .}}", "function `js` is not supported"),
        ("{{.a", "unclosed action"),
        ("{{if .a}}x", "without {{end}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("x\n{{else}}", "line 2: unexpected {{else}}"),
        ("{{$x}}", "undefined variable `$x`"),
        ("{{}}", "missing value"),
        ("{{(.a}}", "unclosed `(`"),
        ("{{.a)}}", "unexpected `)`"),
        ("{{1 2}}", "not a function"),
        ("{{break}}", "outside {{range}}"),
        ("{{\"x}}", "unclosed"),
        ("{{.a | 1}}", "not a function"),
    ] {
        let error = Template::parse(template, Functions::Headers).unwrap_err().to_string();
        assert!(error.contains(message), "{template}: {error}");
    }
    let json_in_header = Template::parse("{{json \"\" .}}", Functions::Headers);
    assert!(json_in_header.is_err(), "json is for bodies only");
}

#[test]
fn values_that_do_not_fit_are_errors() {
    for template in [
        "{{.nope}}",
        "{{.token.Claims.absent.more}}",
        "{{.token.Claims.sub.more}}",
        "{{index .token.Claims.list 9}}",
        "{{len .token.Claims.small}}",
        "{{lt 1 \"a\"}}",
        "{{.httpRequestHeader.Del \"x\"}}",
    ] {
        let claims = json!({"sub": "a", "small": 1, "list": []});
        assert!(matches!(run(template, &claims), Err(TemplateError::Render(_))), "{template}");
    }
}

#[test]
fn rendering_is_bounded() {
    let list: Vec<_> = (0..200).collect();
    let claims = json!({ "l": list });
    let cube = "{{range .token.Claims.l}}{{range $.token.Claims.l}}{{end}}{{end}}";
    assert!(matches!(run(cube, &claims), Err(TemplateError::Bound { unit: "steps", .. })));
    let long = json!({"l": "x".repeat(MAX_OUTPUT + 1)});
    let outcome = run("{{.token.Claims.l}}", &long);
    assert!(matches!(outcome, Err(TemplateError::Bound { unit: "bytes of output", .. })));
    let deep = format!("{{{{{}1{}}}}}", "(".repeat(1000), ")".repeat(1000));
    assert!(Template::parse(&deep, Functions::Headers).is_err());
    let nested = format!("{}{}", "{{if 1}}".repeat(1000), "{{end}}".repeat(1000));
    assert!(Template::parse(&nested, Functions::Headers).is_err());
    let chain = format!("{{{{if 1}}}}{}{{{{end}}}}", "{{else if 1}}".repeat(5000));
    assert!(Template::parse(&chain, Functions::Headers).is_err());
}

proptest! {
    #[test]
    fn templates_are_total(text in "\\PC{0,60}", pieces in prop::collection::vec(
        prop::sample::select(vec![
            "{{", "}}", "-", " ", ".", ".token", ".Claims", "$", "$x", ":=", "=", "|", "(", ")",
            "if", "else", "end", "range", "with", "index", "printf", "\"%d%s%!\"", "\"", "`", "'",
            "1", "-1.5", "eq", "and", "break", "json", "{{if 1}}", "{{end}}", "{{range .}}", "é",
        ]), 0..24))
    {
        for template in [text, pieces.concat()] {
            if let Ok(parsed) = Template::parse(&template, Functions::Bodies) {
                let value = json!({"a": [1, {"b": null}]});
                let _total = parsed.render(&Item::Json(&value));
            }
        }
    }
}
