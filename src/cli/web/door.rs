//! Who may see the page: whoever was told the token, once, and from then on has the cookie.
//!
//! Other programs of this machine reach a loopback port, and so does any web site that a browser of this machine shows: by
//! a form or a script of its own, or by a name that it lets mean 127.0.0.1 (DNS rebinding). So a request counts only when
//! it is meant for us by name, comes from our own page or from nobody's, and carries a secret that only one browser has.

use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use hyper::header::{COOKIE, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use subtle::ConstantTimeEq;

use crate::io::entropy;
use crate::io::loopback::{hosts, is_meant};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Bytes of a secret: nobody guesses half of them.
const SECRET_LENGTH: usize = 32;

/// A secret as hexadecimal digits.
struct Secret(String);

impl Secret {
    fn new() -> Self {
        let mut bytes = [0; SECRET_LENGTH];
        entropy::fill(&mut bytes);
        Self(HEXLOWER.encode(&bytes))
    }

    /// In a time that tells nothing of where they differ.
    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// The token against the cookie.
    Cookie,
    Page,
    Style,
    Script,
    State,
}

/// Why a request gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is meant for somebody else, or says not for whom.
    Host,
    /// Another page made it.
    Origin,
    /// It would change something, or does not want what it asks for.
    Method,
    /// The token is another one.
    Token,
    /// The token was used.
    Used,
    /// There is no cookie, or another one.
    Cookie,
    /// There is nothing of that name.
    Path,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin | Self::Token | Self::Used | Self::Cookie => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Path => StatusCode::NOT_FOUND,
        }
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Host => "This is not the address that `hopmesh web` has printed: open that one.",
            Self::Origin => {
                "Another page asks for this: open the address that `hopmesh web` has printed yourself."
            }
            Self::Method => "This page only shows: it takes GET alone.",
            Self::Token => "This token is another one: open the address that `hopmesh web` has printed.",
            Self::Used => {
                "This address works once, and it was used: start `hopmesh web` again for a new one."
            }
            Self::Cookie => {
                "This browser has not opened the address that `hopmesh web` has printed: open that one."
            }
            Self::Path => "There is nothing here.",
        }
    }
}

/// The secrets, and the names by which we are meant.
pub(super) struct Door {
    hosts: [String; 2],
    cookie_name: String,
    /// Absent once it was used.
    token: Option<Secret>,
    session: Secret,
}

impl Door {
    /// The door of the page at this address, and the address that opens it once.
    pub(super) fn new(address: SocketAddr) -> (Self, String) {
        let token = Secret::new();
        let url = format!("http://{address}/?token={}", token.0);
        let door = Self {
            hosts: hosts(address),
            // Cookies are the same for all ports of a host.
            cookie_name: format!("hopmesh-{}", address.port()),
            token: Some(token),
            session: Secret::new(),
        };
        (door, url)
    }

    /// The cookie that is given for the token.
    pub(super) fn cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name, self.session.0)
    }

    /// What a request may have. Whoever brings the token uses it up.
    pub(super) fn judge(&mut self, request: &Parts) -> Result<Wish, Refusal> {
        if !is_meant(request, &self.hosts) {
            return Err(Refusal::Host);
        }
        self.check_origin(request)?;
        if request.method != Method::GET {
            return Err(Refusal::Method);
        }
        let query = request.uri.query().unwrap_or_default();
        if let ("/", Some(token)) = (request.uri.path(), query.strip_prefix("token=")) {
            return self.use_up(token);
        }
        if !self.has_cookie(request) {
            return Err(Refusal::Cookie);
        }
        match request.uri.path() {
            "/" => Ok(Wish::Page),
            "/page.css" => Ok(Wish::Style),
            "/page.js" => Ok(Wish::Script),
            "/state.json" => Ok(Wish::State),
            _ => Err(Refusal::Path),
        }
    }

    /// A browser says where a script or form comes from; what people type or open comes from nowhere.
    fn check_origin(&self, request: &Parts) -> Result<(), Refusal> {
        let is_ours = |origin: &str| {
            origin.strip_prefix("http://").is_some_and(|host| self.hosts.iter().any(|ours| ours == host))
        };
        let all = |name, is_fine: &dyn Fn(&str) -> bool| {
            request.headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(is_fine))
        };
        let is_here = |site: &str| ["same-origin", "none"].contains(&site);
        if all(&ORIGIN, &is_ours) && all(&FETCH_SITE, &is_here) { Ok(()) } else { Err(Refusal::Origin) }
    }

    fn use_up(&mut self, token: &str) -> Result<Wish, Refusal> {
        let Some(ours) = &self.token else { return Err(Refusal::Used) };
        if !ours.is(token) {
            return Err(Refusal::Token);
        }
        self.token = None;
        Ok(Wish::Cookie)
    }

    fn has_cookie(&self, request: &Parts) -> bool {
        let lines = request.headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies =
            lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        cookies.any(|(name, value)| name == self.cookie_name && self.session.is(value))
    }
}
