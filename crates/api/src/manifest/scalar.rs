//! Plain YAML scalars as Kubernetes reads them.
//!
//! Source: the resolution rules of sigs.k8s.io/yaml, which are those of YAML
//! 1.1 for booleans and octal numbers.

use serde_json::{Number, Value};

/// Returns the value of an unquoted scalar.
pub(super) fn plain(text: &str) -> Value {
    // Most scalars are words; numbers begin in few ways.
    let Some(first) = text.bytes().next() else { return Value::Null };
    match first {
        b'0'..=b'9' | b'+' | b'-' | b'.' => {
            number(text).unwrap_or_else(|| Value::String(text.to_owned()))
        }
        _ => match text {
            "~" | "null" | "Null" | "NULL" => Value::Null,
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                Value::Bool(true)
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => Value::Bool(false),
            _ => Value::String(text.to_owned()),
        },
    }
}

/// Returns the text of a map's key, which may be any scalar.
pub(super) fn key(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn number(text: &str) -> Option<Value> {
    let compact;
    let digits = if text.contains('_') {
        compact = text.replace('_', "");
        compact.as_str()
    } else {
        text
    };
    if let Some(whole) = whole(digits) {
        return Some(whole);
    }
    if !is_decimal(digits) {
        return None;
    }
    // A number too large for JSON stays a text.
    digits.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number)
}

fn whole(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // `from_str_radix` would take a second sign.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude).map(Value::from)
    } else {
        Some(Value::from(magnitude))
    }
}

/// Shape: sign, digits, one point, exponent; at least one digit before the
/// exponent.
fn is_decimal(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    !(before.is_empty() && after.is_empty())
        && all_digits(before)
        && all_digits(after)
        && exponent_fits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_what_kubernetes_takes_them_for() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("yes", json!(true)),
            ("y", json!(true)),
            ("Off", json!(false)),
            ("yEs", json!("yEs")),
            ("80", json!(80)),
            ("-1", json!(-1)),
            ("+7", json!(7)),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("0o17", json!(15)),
            ("017", json!(15)),
            ("0080", json!(80.0)),
            ("1_000", json!(1000)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("-9223372036854775808", json!(i64::MIN)),
            (".", json!(".")),
            ("-", json!("-")),
            ("+-1", json!("+-1")),
            ("1.2.3", json!("1.2.3")),
            ("10.0.0.1", json!("10.0.0.1")),
            ("1e", json!("1e")),
            (".nan", json!(".nan")),
            ("1e999", json!("1e999")),
            ("2024-01-02", json!("2024-01-02")),
            ("5s", json!("5s")),
            ("*", json!("*")),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }
}
