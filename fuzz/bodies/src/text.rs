//! Texts from people: invites, names, the configuration.

use wire::{Invite, Name};

pub(crate) fn invite(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(invite) = text.parse::<Invite>() else { return false };
    let line = invite.to_string();
    assert_eq!(line, text.trim().to_ascii_lowercase(), "one invite is one word");
    assert_eq!(line.parse(), Ok(invite));
    true
}

pub(crate) fn name(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(name) = text.parse::<Name>() else { return false };
    assert_eq!(name.as_str(), text.to_ascii_lowercase());
    assert!(
        name.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    );
    let numbered = name.numbered(u32::MAX);
    assert_eq!(numbered.as_str().parse(), Ok(numbered), "a numbered name is a name");
    true
}

pub(crate) fn configuration(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match config::parse(text) {
        Ok(settings) => {
            // Behind the text alone: before it may stand a byte order mark, which only counts at the very beginning.
            assert_eq!(
                config::parse(&format!("{text}\n# a comment\n")),
                Ok(settings),
                "comments change nothing"
            );
            true
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "nothing for the terminal in {message:?}");
            let line = message.strip_prefix("line ").and_then(|rest| rest.split_once(':'));
            let line: usize = line.and_then(|(line, _)| line.parse().ok()).expect("every refusal has a line");
            assert!((1..=text.split('\n').count()).contains(&line), "{message}");
            false
        }
    }
}
