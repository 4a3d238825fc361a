//! Fields of messages that are encoded without the generated types.
//!
//! There is a route and a cluster to each of many Mappings: a generated message
//! would own a copy of every text, to be encoded and dropped. Whoever writes
//! fields by hand writes them as the generated type would, in order of their
//! tags and without those that hold the default, and proves it by a test.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// Returns the length of a field of texts, bytes or a message of this length.
pub(super) fn field_len(tag: u32, length: usize) -> usize {
    key_len(tag) + encoded_len_varint(length as u64) + length
}

/// Begins such a field; its content is to follow.
pub(super) fn head(tag: u32, length: usize, out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

/// Appends a text, be it empty: one of a oneof, or an element of a list.
pub(super) fn text(tag: u32, text: &str, out: &mut Vec<u8>) {
    head(tag, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a text, of which the empty one is the default.
pub(super) fn plain_text(tag: u32, given: &str, out: &mut Vec<u8>) {
    if !given.is_empty() {
        text(tag, given, out);
    }
}

/// Appends a number, be it zero: one of a oneof.
pub(super) fn number(tag: u32, number: u64, out: &mut Vec<u8>) {
    encode_key(tag, WireType::Varint, out);
    encode_varint(number, out);
}

/// Appends a number, of which zero is the default.
pub(super) fn plain_number(tag: u32, given: u64, out: &mut Vec<u8>) {
    if given != 0 {
        number(tag, given, out);
    }
}

/// Appends a message whose fields `fields` appends.
pub(super) fn nested(tag: u32, out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
    encode_key(tag, WireType::LengthDelimited, out);
    // Room for a length below 128, which most have.
    let at = out.len();
    out.push(0);
    fields(out);
    let length = out.len() - at - 1;
    match u8::try_from(length) {
        Ok(short @ ..0x80) => out[at] = short,
        _ => {
            let mut prefix = [0; 10];
            let size = encoded_len_varint(length as u64);
            encode_varint(length as u64, &mut &mut prefix[..]);
            out.splice(at..=at, prefix[..size].iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_nested_message_has_its_length_before_it() {
        for length in [0, 1, 127, 128, 16_383, 16_384] {
            let mut out = vec![7];
            nested(3, &mut out, |out| out.resize(out.len() + length, 1));
            let mut expected = vec![7];
            prost::encoding::bytes::encode(3, &vec![1; length], &mut expected);
            assert_eq!(out, expected, "{length}");
            assert_eq!(out.len() - 1, field_len(3, length));
        }
        let mut out = Vec::new();
        plain_text(1, "", &mut out);
        plain_number(1, 0, &mut out);
        assert_eq!(out, String::new().encode_to_vec());
    }
}
