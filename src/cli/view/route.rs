//! The JSON of `route list`.

use serde_json::{Value, json};

/// One subnet.
pub(in crate::cli) fn route_json(route: &api::Route) -> Value {
    let routers = route.routers.iter().map(|router| {
        json!({
            "node": router.node,
            "id": router.id,
            "is_approved": router.is_approved,
            "is_offered": router.is_offered,
            "behind": router.behind,
            "no_snat": router.no_snat,
        })
    });
    let or_null = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "prefix": route.prefix,
        "state": state_word(route.state()),
        "via": or_null(&route.via),
        "reason": or_null(&route.reason),
        "routers": routers.collect::<Vec<_>>(),
    })
}

fn state_word(state: api::RouteState) -> &'static str {
    match state {
        api::RouteState::Taken => "taken",
        api::RouteState::Served => "served",
        api::RouteState::Waiting => "waiting",
        api::RouteState::Refused => "refused",
        api::RouteState::Unspecified => "unknown",
    }
}
