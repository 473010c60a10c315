//! Who gets in, by the head of a request.

use hyper::Request;

use super::super::door::{Door, Refusal, Wish};

struct House {
    door: Door,
    token: String,
}

impl House {
    fn new() -> Self {
        let (door, url) = Door::new("127.0.0.1:8080".parse().unwrap());
        let token = url.strip_prefix("http://127.0.0.1:8080/?token=").unwrap().to_owned();
        Self { door, token }
    }

    fn opened() -> Self {
        let mut house = Self::new();
        let path = format!("/?token={}", house.token);
        assert_eq!(house.ask("GET", &path, &[("host", "127.0.0.1:8080")]), Ok(Wish::Cookie));
        house
    }

    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Wish, Refusal> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.door.judge(&request.body(()).unwrap().into_parts().0)
    }

    /// With the cookie, and these headers besides.
    fn ask_known(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Wish, Refusal> {
        let cookie = self.door.cookie();
        let cookie = cookie.split(';').next().unwrap();
        self.ask("GET", path, &[&[("cookie", cookie)], headers].concat())
    }
}

const HERE: (&str, &str) = ("host", "127.0.0.1:8080");

#[test]
fn the_token_is_long_and_opens_once() {
    let mut house = House::new();
    assert_eq!(house.token.len(), 64);
    assert_ne!(house.token, House::new().token);
    let path = format!("/?token={}", house.token);
    for wrong in ["", "0", &path[9..], &format!("{}0", &path[8..]), &"0".repeat(64)] {
        assert_eq!(house.ask("GET", &format!("/?token={wrong}"), &[HERE]), Err(Refusal::Token), "{wrong}");
    }
    assert_eq!(house.ask("GET", &path, &[HERE]), Ok(Wish::Cookie));
    assert_eq!(house.ask("GET", &path, &[HERE]), Err(Refusal::Used));
    assert_eq!(house.ask_known(&path, &[HERE]), Err(Refusal::Used), "not even for who has the cookie");
}

#[test]
fn who_was_refused_for_another_reason_has_not_used_the_token_up() {
    let mut house = House::new();
    let path = format!("/?token={}", house.token);
    assert_eq!(house.ask("GET", &path, &[("host", "evil.example:8080")]), Err(Refusal::Host));
    assert_eq!(house.ask("HEAD", &path, &[HERE]), Err(Refusal::Method), "a preview");
    assert_eq!(house.ask("GET", &path, &[HERE, ("origin", "http://evil.example")]), Err(Refusal::Origin));
    assert_eq!(house.ask("GET", &path, &[HERE]), Ok(Wish::Cookie));
}

#[test]
fn the_cookie_opens_all_that_there_is_and_nothing_opens_without() {
    let mut house = House::opened();
    for (path, wish) in [
        ("/", Wish::Page),
        ("/page.css", Wish::Style),
        ("/page.js", Wish::Script),
        ("/state.json", Wish::State),
        ("/state.json?x", Wish::State),
    ] {
        assert_eq!(house.ask_known(path, &[HERE]), Ok(wish));
        assert_eq!(house.ask("GET", path, &[HERE]), Err(Refusal::Cookie));
        for cookie in ["hopmesh-8080=", "hopmesh-8080=0123", "hopmesh-8081=x; a=b", "hopmesh-8080"] {
            assert_eq!(house.ask("GET", path, &[HERE, ("cookie", cookie)]), Err(Refusal::Cookie), "{cookie}");
        }
    }
    assert_eq!(house.ask_known("/", &[HERE, ("cookie", "theme=dark; hopmesh-80=1")]), Ok(Wish::Page));
    assert_eq!(house.ask_known("/../etc/passwd", &[HERE]), Err(Refusal::Path));
    assert_eq!(house.ask("GET", "/nothing", &[HERE]), Err(Refusal::Cookie), "strangers learn no names");
    let cookie = house.door.cookie();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(&house.token));
}

#[test]
fn only_our_own_names_are_meant() {
    let mut house = House::opened();
    for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080"] {
        assert_eq!(house.ask_known("/", &[("host", host)]), Ok(Wish::Page));
    }
    for host in [
        "127.0.0.1",
        "127.0.0.1:8081",
        "evil.example",
        "evil.example:8080",
        "localhost:8080.evil.example",
        "",
    ] {
        assert_eq!(house.ask_known("/", &[("host", host)]), Err(Refusal::Host), "{host}");
    }
    assert_eq!(house.ask_known("/", &[]), Err(Refusal::Host));
    assert_eq!(house.ask_known("/", &[HERE, ("host", "evil.example")]), Err(Refusal::Host));
    assert_eq!(house.ask_known("http://evil.example/", &[HERE]), Err(Refusal::Host));
    assert_eq!(house.ask_known("http://127.0.0.1:8080/", &[HERE]), Ok(Wish::Page));
}

#[test]
fn other_pages_get_nothing_though_the_browser_sends_the_cookie() {
    let mut house = House::opened();
    let fine =
        [("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")];
    for header in fine {
        assert_eq!(house.ask_known("/state.json", &[HERE, header]), Ok(Wish::State), "{header:?}");
    }
    for header in [
        ("origin", "null"),
        ("origin", "http://127.0.0.1:8081"),
        ("origin", "https://127.0.0.1:8080"),
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(house.ask_known("/state.json", &[HERE, header]), Err(Refusal::Origin), "{header:?}");
    }
}

#[test]
fn nothing_is_taken_but_questions() {
    let mut house = House::opened();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "HEAD", "BREW"] {
        assert_eq!(house.ask(method, "/", &[HERE]), Err(Refusal::Method), "{method}");
    }
}
