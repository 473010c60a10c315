//! The page in a real browser, where there is one. `cargo xtask test` installs it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{FakeDaemon, Site, script};

/// Debian's names, the smaller one first.
const BROWSERS: [&str; 2] = ["chromium-headless-shell", "chromium"];
/// The page as it is after some updates.
const BUDGET_MS: u32 = 6000;

/// A browser on PATH, by its name. Without one, everybody is told that nothing was tried.
fn browser() -> Option<&'static str> {
    let runs = |name: &&str| {
        let version =
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let found = BROWSERS.into_iter().find(runs);
    if found.is_none() {
        // Past the test harness, which keeps what a test prints.
        let said = "\nSKIPPED: the page was tried in no browser: `apt-get install chromium-headless-shell`\n";
        let _nobody_listens = std::io::stderr().write_all(said.as_bytes());
    }
    found
}

/// Opens an address in a browser of its own, and gives the document that came of it.
fn browse(browser: &str, home: &Path, url: &str) -> String {
    let net_log = home.join("net.json");
    let done = Command::new(browser)
        // Root has no other way, and the page is ours.
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"])
        .args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        // Its maker's servers are not for a test to find.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .arg(format!("--virtual-time-budget={BUDGET_MS}"))
        .arg(format!("--user-data-dir={}", home.join("profile").display()))
        .arg(format!("--log-net-log={}", net_log.display()))
        .arg(url)
        .env("HOME", home)
        .output()
        .expect("it said its version a moment ago");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
    String::from_utf8(done.stdout).unwrap()
}

/// Every address that a page of `origin` asked for, as the browser's log tells. What the browser asks for itself has another
/// origin, or none.
fn asked_by(origin: &str, home: &Path) -> BTreeSet<String> {
    let log: Value = serde_json::from_slice(&std::fs::read(home.join("net.json")).unwrap()).unwrap();
    let events = log["events"].as_array().unwrap().iter().map(|event| &event["params"]);
    let by_page = events.filter(|params| params["initiator"] == origin);
    by_page.filter_map(|params| params["url"].as_str()).map(str::to_owned).collect()
}

#[test]
fn a_browser_shows_everything_and_asks_nobody_else() {
    let Some(browser) = browser() else { return };
    let daemon = FakeDaemon::new(script);
    let site = Site::new(daemon.directory());
    let home = tempfile::tempdir().unwrap();
    let page = browse(browser, home.path(), &format!("http://127.0.0.1:{}{}", site.port, site.token));
    for words in [
        "<title>home: Hopmesh</title>",
        "This node is a (admin), 10.7.0.1, fd12::1. Up for 2 h 5 min, version 0.1.0. 2 of 4 peers connected.",
        "<li>UDP is blocked: open port 41641</li>",
        "<th scope=\"row\">b</th><td>10.7.0.2 fd12::2</td><td>connected</td>\
         <td class=\"path direct\">direct 203.0.113.5:41641</td><td class=\"figure\">0.8 ms</td>",
        "both NATs are hard; to do: forward a port",
        "10.7.0.2:8080 tcp",
        "<td class=\"unhealthy\">unhealthy</td>",
        ">b (anchor)</text>",
        ">e (offline)</text>",
        "<polyline points=",
    ] {
        assert!(page.contains(words), "no {words} in\n{page}");
    }
    assert!(page.contains("<span id=\"age\" class=\"\"></span>"), "it is up to date:\n{page}");
    let here = format!("http://127.0.0.1:{}", site.port);
    let asked = asked_by(&here, home.path());
    let files = ["/page.css", "/page.js", "/state.json"].map(|file| format!("{here}{file}"));
    assert!(files.iter().all(|file| asked.contains(file)), "{asked:?}");
    let elsewhere: Vec<_> = asked.iter().filter(|url| !url.starts_with(&format!("{here}/"))).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    let again = tempfile::tempdir().unwrap();
    let page = browse(browser, again.path(), &format!("{here}{}", site.token));
    assert!(page.contains("it was used") && !page.contains("203.0.113.5"), "{page}");
}
