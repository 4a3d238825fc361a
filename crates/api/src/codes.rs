//! Codes of findings about text, before any rule of the gateway is asked.

/// Code: a field has the wrong type.
pub const WRONG_TYPE: &str = "wrong-type";
/// Code: a field has the right type and an impossible value.
pub const BAD_VALUE: &str = "bad-value";
/// Code: a required field is absent.
pub const REQUIRED_FIELD: &str = "required-field";
/// Code: a field that nothing knows.
pub const UNKNOWN_FIELD: &str = "unknown-field";
/// Code: a kind of our API group that does not exist.
pub const UNKNOWN_KIND: &str = "unknown-kind";
/// Code: a version of our API group that does not exist.
pub const UNSUPPORTED_VERSION: &str = "unsupported-version";
/// Code: something that is not a Kubernetes object.
pub const NOT_AN_OBJECT: &str = "not-an-object";
/// Code: text that cannot be parsed.
pub const SYNTAX: &str = "syntax";
/// Code: a file or document too large to be read.
pub const TOO_LARGE: &str = "too-large";
/// Code: the same key twice in one map.
pub const DUPLICATE_KEY: &str = "duplicate-key";
/// Code: an annotation that cannot be read.
pub const BAD_ANNOTATION: &str = "bad-annotation";
