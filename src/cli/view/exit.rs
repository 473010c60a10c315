//! The JSON of `exit list`.

use serde_json::{Value, json};

/// One exit, here and in `status`.
pub(in crate::cli) fn exit_json(exit: &api::Exit) -> Value {
    json!({
        "node": exit.node,
        "id": exit.id,
        "state": state_word(exit.state()),
        "ipv4": exit.ipv4,
        "ipv6": exit.ipv6,
        "is_chosen": exit.is_chosen,
    })
}

fn state_word(state: api::ExitState) -> &'static str {
    match state {
        api::ExitState::Reached => "reached",
        api::ExitState::Silent => "silent",
        api::ExitState::NotOffered => "not_offered",
        api::ExitState::Gone => "gone",
        api::ExitState::Unspecified => "unknown",
    }
}
