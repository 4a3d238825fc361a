//! How Go prints values: `%v`, `printf`, and JSON.

use serde_json::Value;

use super::Item;
use super::item::lossy;

/// Prints as `{{ . }}` does.
pub(super) fn plain(item: &Item<'_>) -> String {
    match item {
        Item::None => "<no value>".to_owned(),
        other => verb_v(other),
    }
}

/// Prints as `%v` does.
pub(super) fn verb_v(item: &Item<'_>) -> String {
    match item {
        Item::None => "<nil>".to_owned(),
        Item::Bool(value) => value.to_string(),
        Item::Int(int) => int.to_string(),
        Item::Float(float) => float_g(*float),
        Item::Text(text) => text.clone().into_owned(),
        Item::Json(Value::Array(list)) => {
            let parts: Vec<_> = list.iter().map(|value| verb_v(&Item::json(value))).collect();
            format!("[{}]", parts.join(" "))
        }
        Item::Json(Value::Object(map)) => {
            let mut parts: Vec<_> = map.iter().collect();
            parts.sort_by_key(|(key, _)| key.as_str());
            let parts: Vec<_> = parts
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", verb_v(&Item::json(value))))
                .collect();
            format!("map[{}]", parts.join(" "))
        }
        Item::Json(value) => verb_v(&Item::json(value)),
        Item::Texts(list) => format!("[{}]", list.join(" ")),
        Item::Headers(headers) => {
            let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
            names.sort_unstable();
            let parts: Vec<_> = names
                .into_iter()
                .map(|name| {
                    let values: Vec<_> =
                        headers.get_all(name).iter().map(|v| lossy(v.as_bytes())).collect();
                    format!("{name}:[{}]", values.join(" "))
                })
                .collect();
            format!("map[{}]", parts.join(" "))
        }
        Item::Fields(fields) => {
            let parts: Vec<_> = fields
                .iter()
                .filter(|field| field.shown)
                .map(|field| format!("{}:{}", field.name, verb_v(&field.item)))
                .collect();
            format!("map[{}]", parts.join(" "))
        }
    }
}

/// Prints a float64 as `%v` and `%g` do: the fewest digits that read back as
/// the same number, with an exponent below -4 or from 6 on.
///
/// Source: `strconv.FormatFloat(f, 'g', -1, 64)`.
pub(super) fn float_g(float: f64) -> String {
    if let Some(special) = special(float) {
        return special.to_owned();
    }
    let (digits, exponent) = shortest(float);
    if float != 0.0 && !(-4..6).contains(&exponent) {
        return with_exponent(float.is_sign_negative(), &digits, exponent);
    }
    format!("{float}")
}

fn special(float: f64) -> Option<&'static str> {
    match float {
        f if f.is_nan() => Some("NaN"),
        f if f == f64::INFINITY => Some("+Inf"),
        f if f == f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// Returns the fewest decimal digits of a finite number, and the exponent of
/// the first of them.
fn shortest(float: f64) -> (String, i64) {
    let text = format!("{:e}", float.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

fn with_exponent(negative: bool, digits: &str, exponent: i64) -> String {
    let (first, rest) = digits.split_at(1);
    let sign = if negative { "-" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.abs())
}

/// Prints as `%.<precision>e` does.
fn float_e(float: f64, precision: usize) -> String {
    let text = format!("{:.precision$e}", float.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let sign = if float.is_sign_negative() { "-" } else { "" };
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{mantissa}e{direction}{:02}", exponent.abs())
}

/// Prints a value as JSON, as `encoding/json` does: HTML characters escaped,
/// keys sorted, no newline at the end; `indent` empty means one line.
pub(super) fn json(item: &Item<'_>, indent: &str) -> String {
    let mut out = String::new();
    write_json(&mut out, &to_value(item), indent, 0);
    out
}

fn to_value(item: &Item<'_>) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Bool(value) => Value::Bool(*value),
        Item::Int(int) => Value::from(*int),
        Item::Float(float) => number(*float),
        Item::Text(text) => Value::String(text.clone().into_owned()),
        Item::Json(value) => (*value).clone(),
        Item::Texts(list) => list.iter().cloned().map(Value::String).collect(),
        Item::Headers(headers) => headers
            .keys()
            .map(|name| {
                let values = headers.get_all(name).iter().map(|v| Value::from(lossy(v.as_bytes())));
                (name.as_str().to_owned(), Value::Array(values.collect()))
            })
            .collect(),
        Item::Fields(fields) => fields
            .iter()
            .filter(|field| field.shown)
            .map(|field| (field.name.to_owned(), to_value(&field.item)))
            .collect(),
    }
}

/// Go prints whole floats without a fraction.
fn number(float: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() == 0.0 && float.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        return Value::from(float as i64);
    }
    Value::from(float)
}

fn write_json(out: &mut String, value: &Value, indent: &str, depth: usize) {
    let newline = |out: &mut String, depth: usize| {
        if !indent.is_empty() {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str(indent));
        }
    };
    match value {
        Value::Array(list) if !list.is_empty() => {
            for (at, value) in list.iter().enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                newline(out, depth + 1);
                write_json(out, value, indent, depth + 1);
            }
            newline(out, depth);
            out.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            for (at, (key, value)) in entries.into_iter().enumerate() {
                out.push(if at == 0 { '{' } else { ',' });
                newline(out, depth + 1);
                out.push_str(&escape_html(&Value::from(key.as_str()).to_string()));
                out.push_str(if indent.is_empty() { ":" } else { ": " });
                write_json(out, value, indent, depth + 1);
            }
            newline(out, depth);
            out.push('}');
        }
        Value::Number(_) => match value.as_f64() {
            Some(float) => out.push_str(&number(float).to_string()),
            None => out.push_str(&value.to_string()),
        },
        other => out.push_str(&escape_html(&other.to_string())),
    }
}

fn escape_html(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Formats as Go's `Sprintf` does; faults of the format show up in the text as
/// in Go (`%!d(string=x)`), they are no error.
pub(super) fn printf(format: &str, arguments: &[Item<'_>]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '+' | '#' | ' ' | '0')) {
            match flag {
                '-' => spec.left = true,
                '+' => spec.plus = true,
                '0' => spec.zero = true,
                ' ' => spec.space = true,
                _ => spec.sharp = true,
            }
        }
        spec.width = digits(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut chars).unwrap_or(0));
        }
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        match arguments.next() {
            Some(argument) => out.push_str(&spec.format(verb, argument)),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
        }
    }
    let rest: Vec<_> =
        arguments.map(|item| format!("{}={}", item.type_name(), verb_v(item))).collect();
    if !rest.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", rest.join(", ")));
    }
    out
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(super::MAX_OUTPUT));
    }
    number
}

#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Spec {
    fn format(&self, verb: char, item: &Item<'_>) -> String {
        let text = match (verb, item) {
            ('v', Item::Float(float)) => self.signed(self.general(*float)),
            ('v', Item::Int(int)) => self.signed(int.to_string()),
            ('v', other) => verb_v(other),
            ('s', Item::Text(text)) => self.cut(text),
            ('s', Item::Texts(_) | Item::Json(_)) => verb_v(item),
            ('q', Item::Text(text)) => Value::from(self.cut(text)).to_string(),
            ('d', Item::Int(int)) => self.signed(int.to_string()),
            ('x', Item::Int(int)) => format!("{int:x}"),
            ('X', Item::Int(int)) => format!("{int:X}"),
            ('o', Item::Int(int)) => format!("{int:o}"),
            ('b', Item::Int(int)) => format!("{int:b}"),
            ('c', Item::Int(int)) => {
                u32::try_from(*int).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').into()
            }
            ('x', Item::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
            ('X', Item::Text(text)) => text.bytes().map(|b| format!("{b:02X}")).collect(),
            ('t', Item::Bool(value)) => value.to_string(),
            ('e' | 'f' | 'F' | 'g', Item::Float(float)) if special(*float).is_some() => {
                special(*float).unwrap_or_default().to_owned()
            }
            ('f' | 'F', Item::Float(float)) => {
                self.signed(format!("{float:.*}", self.precision.unwrap_or(6)))
            }
            ('e', Item::Float(float)) => self.signed(float_e(*float, self.precision.unwrap_or(6))),
            ('g', Item::Float(float)) => self.signed(self.general(*float)),
            ('T', item) => item.type_name().to_owned(),
            (verb, Item::None) => return format!("%!{verb}(<nil>)"),
            (verb, item) => return format!("%!{verb}({}={})", item.type_name(), verb_v(item)),
        };
        self.pad(text, matches!(item, Item::Int(_) | Item::Float(_)))
    }

    fn general(&self, float: f64) -> String {
        let Some(precision) = self.precision else { return float_g(float) };
        let precision = precision.max(1);
        let rounded = float_e(float, precision - 1);
        let exponent: i64 =
            rounded.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or_default();
        let limit = i64::try_from(precision).unwrap_or(i64::MAX);
        if (-4..limit).contains(&exponent) {
            let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
            trim_zeros(&format!("{float:.decimals$}"))
        } else {
            let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "+00"));
            format!("{}e{exponent}", trim_zeros(mantissa))
        }
    }

    fn signed(&self, text: String) -> String {
        match (text.starts_with('-'), self.plus, self.space) {
            (false, true, _) => format!("+{text}"),
            (false, false, true) => format!(" {text}"),
            _ => text,
        }
    }

    fn cut(&self, text: &str) -> String {
        match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        }
    }

    fn pad(&self, text: String, is_number: bool) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if missing == 0 {
            return text;
        }
        if self.left {
            return text + &" ".repeat(missing);
        }
        if self.zero && is_number {
            let sign = text.find(|c: char| !matches!(c, '-' | '+' | ' ')).unwrap_or(0);
            return format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..]);
        }
        " ".repeat(missing) + &text
    }
}

fn trim_zeros(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    }
}
