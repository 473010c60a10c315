//! Subnets and exits, as the control protocol says it.

use overlay::{ExitState, ExitView, RouteState, RouteView, RouterView};

/// An exit.
pub(in crate::daemon) fn exit(view: &ExitView) -> api::Exit {
    let state = match view.state {
        ExitState::Reached => api::ExitState::Reached,
        ExitState::Silent => api::ExitState::Silent,
        ExitState::NotOffered => api::ExitState::NotOffered,
        ExitState::Gone => api::ExitState::Gone,
    };
    api::Exit {
        node: view.name.to_string(),
        id: view.node.to_string(),
        state: state.into(),
        ipv4: view.families.v4,
        ipv6: view.families.v6,
        is_chosen: view.is_chosen,
    }
}

/// All subnets.
pub(in crate::daemon) fn routes(views: &[RouteView]) -> api::RoutesReply {
    api::RoutesReply { routes: views.iter().map(route).collect() }
}

fn route(view: &RouteView) -> api::Route {
    let (state, via, reason) = match &view.state {
        RouteState::Taken(node) => {
            let router = view.routers.iter().find(|router| router.node == *node);
            (api::RouteState::Taken, router.map(|router| router.name.to_string()), None)
        }
        RouteState::Served => (api::RouteState::Served, None, None),
        RouteState::Waiting => (api::RouteState::Waiting, None, None),
        RouteState::Refused(refusal) => (api::RouteState::Refused, None, Some(refusal.to_string())),
    };
    api::Route {
        prefix: view.prefix.to_string(),
        state: state.into(),
        via: via.unwrap_or_default(),
        reason: reason.unwrap_or_default(),
        routers: view.routers.iter().map(router).collect(),
    }
}

fn router(view: &RouterView) -> api::SubnetRouter {
    api::SubnetRouter {
        node: view.name.to_string(),
        id: view.node.to_string(),
        is_approved: view.is_approved,
        is_offered: view.offer.is_some(),
        behind: view.offer.and_then(|offer| offer.behind).map(|behind| behind.to_string()),
        no_snat: view.offer.is_some_and(|offer| !offer.is_masqueraded),
    }
}
