//! What the state says of who reaches whom.

use serde_json::{Value, json};

use super::super::picture::{NODES_MAX, PAIRS_MAX, Picture};
use super::{house, mesh, why};

fn state(status: &api::StatusReply, mesh: &api::MeshReply, whys: &[api::WhyReply]) -> Value {
    let services = api::ServicesReply { parts: 1, ..<_>::default() };
    serde_json::to_value(Picture::new(status, mesh, &services, whys)).unwrap()
}

/// `[from, to, kind, way, why]` of each pair.
fn reach(state: &Value) -> Vec<Value> {
    let pair = |pair: &Value| json!([pair["from"], pair["to"], pair["kind"], pair["way"], pair["why"]]);
    state["reach"].as_array().unwrap().iter().map(pair).collect()
}

#[test]
fn each_pair_says_how_and_why_not_directly() {
    let whys = [why("c0c1")];
    let state = state(&house(), &mesh(), &whys);
    let names: Vec<_> = state["nodes"].as_array().unwrap().iter().map(|node| node["name"].clone()).collect();
    assert_eq!(names, ["a", "b", "c", "e"], "who was revoked is on no map");
    assert_eq!(
        reach(&state),
        [
            json!(["a", "c", "via", "via b", "both NATs are hard; to do: forward a port"]),
            json!(["a", "b", "direct", "direct 203.0.113.5:41641", ""]),
            json!(["a", "e", "none", "none", "see `hopmesh why e`"]),
            json!(["b", "c", "direct", "direct", ""]),
            json!(["b", "e", "unknown", "not known", "e has not told of its links"]),
            json!(["c", "e", "unknown", "not known", "e has not told of its links"]),
        ]
    );
    assert_eq!(state["nodes"][1]["is_anchor"], true);
    assert_eq!(state["nodes"][1]["nat"], "a NAT of b");
    assert_eq!(state["reach"][3]["rtt_ms"], 12.0);
}

#[test]
fn others_reach_each_other_over_hops_that_carry_and_not_over_others() {
    let mut mesh = mesh();
    let e = api::MeshNode {
        name: "e".to_owned(),
        id: "e0".to_owned(),
        links: mesh.nodes[1].links[..1].to_vec(),
        ..<_>::default()
    };
    let to_e = api::MeshLink { node: "e".to_owned(), id: "e0".to_owned(), rtt_ms: 1.0 };
    mesh.nodes[0].links.push(to_e);
    mesh.nodes.push(e);
    let before = "before c: a NAT of c; before e: not known";
    let last = |mesh: &api::MeshReply| reach(&state(&house(), mesh, &[])).pop().unwrap();
    assert_eq!(last(&mesh), json!(["c", "e", "via", "via b, a, as their links tell", before]));
    mesh.nodes[0].is_hop = false;
    let none = format!("no link leads from one to the other; {before}");
    assert_eq!(last(&mesh), json!(["c", "e", "none", "none", none]));
}

#[test]
fn who_rests_is_not_out_of_reach() {
    let mut house = house();
    house.peers[3].set_state(api::PeerState::Resting);
    let said = reach(&state(&house, &mesh(), &[])).into_iter().find(|pair| pair[0] == "a" && pair[1] == "e");
    assert_eq!(said.unwrap()[4], "nobody needs a session now: the next packet makes one");
}

#[test]
fn a_large_network_is_cut_to_what_can_be_looked_at_and_says_so() {
    let mut house = house();
    let other =
        |n: usize| api::Peer { name: format!("p{n:03}"), id: format!("p{n:03}"), ..house.peers[3].clone() };
    let others: Vec<_> = (0..500).map(other).collect();
    house.peers.extend(others);
    let state = state(&house, &mesh(), &[]);
    assert_eq!(state["nodes"].as_array().unwrap().len(), NODES_MAX);
    assert_eq!(state["left_out"], 504 - NODES_MAX);
    let pairs = (NODES_MAX - 1) * (NODES_MAX - 2) / 2;
    assert_eq!(state["pairs_left_out"], pairs - PAIRS_MAX);
    assert_eq!(state["reach"].as_array().unwrap().len(), NODES_MAX - 1 + PAIRS_MAX);
    let names = |at: usize| state["nodes"][at]["name"].clone();
    assert_eq!([names(0), names(1), names(2)], ["a", "b", "c"], "whom one is connected with comes first");
    // Two that tell of no link may well reach each other there.
    let unknown = reach(&state).into_iter().find(|pair| pair[0] == "b" && pair[1] == "e").unwrap();
    assert_eq!(unknown[2], "unknown");
}

#[test]
fn a_daemon_that_says_nothing_makes_an_empty_picture() {
    let state = state(&<_>::default(), &<_>::default(), &[]);
    assert_eq!((&state["nodes"], &state["reach"]), (&json!([]), &json!([])));
}
