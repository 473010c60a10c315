//! How a publisher finds out whether its instance is well. The Node keeps it; who carries it out is the daemon's business.

use crate::limits::HEALTH_PATH_LENGTH_MAX;
use crate::target::Target;
use minicbor::{Decode, Encode};
use std::fmt;
use std::str::FromStr;
use wire::service::Protocol;

/// A check of an instance. Its text is `none`, `tcp`, or `http:` and a path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HealthCheck {
    /// It counts as well while its publisher is there.
    #[default]
    None,
    /// It accepts connections.
    Tcp,
    /// It answers a GET of this path with a status from 200 to 399.
    Http(HttpPath),
}

/// Path and query of an HTTP request: begins with a slash and has visible ASCII characters only, so that it can end no line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPath(String);

/// Why a text is no [`HealthCheck`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HealthCheckError {
    /// No such check.
    #[error("a health check is none, tcp, or http: and a path, like http:/healthz")]
    Word,
    /// Not a path.
    #[error(
        "the path of a health check begins with / and has at most {HEALTH_PATH_LENGTH_MAX} visible ASCII characters"
    )]
    Path,
}

impl HealthCheck {
    /// The check of whoever asks for none in particular. What a host beside us takes only that host knows, so it is asked,
    /// where a connection says anything about it.
    #[must_use]
    pub fn usual(protocol: Protocol, target: Option<&Target>) -> Self {
        match (protocol, target) {
            (Protocol::Tcp, Some(_)) => Self::Tcp,
            (Protocol::Udp, Some(_)) | (_, None) => Self::None,
        }
    }
}

impl HttpPath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HttpPath {
    type Err = HealthCheckError;

    fn from_str(text: &str) -> Result<Self, HealthCheckError> {
        let is_path = text.starts_with('/')
            && text.len() <= HEALTH_PATH_LENGTH_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_path { Ok(Self(text.to_owned())) } else { Err(HealthCheckError::Path) }
    }
}

impl FromStr for HealthCheck {
    type Err = HealthCheckError;

    fn from_str(text: &str) -> Result<Self, HealthCheckError> {
        match text {
            "none" => Ok(Self::None),
            "tcp" => Ok(Self::Tcp),
            other => match other.strip_prefix("http:") {
                Some(path) => Ok(Self::Http(path.parse()?)),
                None => Err(HealthCheckError::Word),
            },
        }
    }
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Tcp => f.write_str("tcp"),
            Self::Http(path) => write!(f, "http:{}", path.as_str()),
        }
    }
}

impl<C> Encode<C> for HealthCheck {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.to_string())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for HealthCheck {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(|_| minicbor::decode::Error::message("not a health check"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_read_back_from_text_and_from_bytes() {
        for text in ["none", "tcp", "http:/", "http:/healthz?deep=1", &format!("http:/{}", "a".repeat(254))] {
            let check: HealthCheck = text.parse().unwrap();
            assert_eq!(check.to_string(), text);
            let bytes = wire::cbor::encode(&check);
            assert_eq!(wire::cbor::decode::<HealthCheck>(&bytes), Ok(check));
        }
    }

    #[test]
    fn only_a_target_that_takes_connections_is_checked_unasked() {
        let target: Target = "printer:631".parse().unwrap();
        assert_eq!(HealthCheck::usual(Protocol::Tcp, Some(&target)), HealthCheck::Tcp);
        assert_eq!(HealthCheck::usual(Protocol::Udp, Some(&target)), HealthCheck::None);
        assert_eq!(HealthCheck::usual(Protocol::Tcp, None), HealthCheck::None);
    }

    #[test]
    fn a_path_cannot_smuggle_a_line_in() {
        for (text, why) in [
            ("", HealthCheckError::Word),
            ("TCP", HealthCheckError::Word),
            ("https:/", HealthCheckError::Word),
            ("http:", HealthCheckError::Path),
            ("http:healthz", HealthCheckError::Path),
            ("http:/a b", HealthCheckError::Path),
            ("http:/a\r\nHost: x", HealthCheckError::Path),
            ("http:/é", HealthCheckError::Path),
            (&format!("http:/{}", "a".repeat(255)), HealthCheckError::Path),
        ] {
            assert_eq!(text.parse::<HealthCheck>(), Err(why), "{text:?}");
        }
    }
}
