//! One spelling for each host.

/// A host as it arrived and as it is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    authority: String,
    /// Length of the name in `authority`.
    name: usize,
}

/// A host that no policy can be chosen for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// `user@host`.
    #[error("the host holds user information")]
    UserInformation,
    /// A character that no host has.
    #[error("the host holds characters that no host name has")]
    Character,
    /// Text after the name that is no port.
    #[error("the port of the host is not a number")]
    Port,
}

impl Host {
    /// Normalises an authority: lower case, no trailing dot, port apart.
    ///
    /// # Errors
    /// When the text is no `host[:port]`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.contains('@') {
            return Err(HostError::UserInformation);
        }
        let bad = |c: char| !c.is_ascii_graphic() || "/\\?#%<>\"'`{}|^,;*".contains(c);
        if text.contains(bad) {
            return Err(HostError::Character);
        }
        let (name, port) = match text.rfind(']') {
            Some(end) => (&text[..=end], text[end + 1..].strip_prefix(':').unwrap_or("")),
            None => text.split_once(':').unwrap_or((text, "")),
        };
        if !port.is_empty() && port.parse::<u16>().is_err() {
            return Err(HostError::Port);
        }
        let mut authority = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let name = authority.len();
        if !port.is_empty() {
            authority.push(':');
            authority.push_str(port);
        }
        Ok(Self { authority, name })
    }

    /// Returns the name without port.
    pub fn name(&self) -> &str {
        &self.authority[..self.name]
    }

    /// Returns the name with its port, if one was sent.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_host_are_equal() {
        for text in
            ["example.com", "EXAMPLE.com", "example.com.", "Example.Com.:8443", "example.com:80"]
        {
            assert_eq!(Host::parse(text).unwrap().name(), "example.com", "{text}");
        }
        assert_eq!(Host::parse("[2001:DB8::1]:443").unwrap().name(), "[2001:db8::1]");
        assert_eq!(Host::parse("a.b:81").unwrap().authority(), "a.b:81");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["u@example.com", "a/b", "a b", "a:b", "a:99999", "a\u{0}", "é", "a,b", "a:1:2"]
        {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }
}
