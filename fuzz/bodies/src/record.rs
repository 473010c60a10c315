//! Records: what is verified keeps its bytes, what is judged can be said again.

use crate::world;
use std::collections::BTreeMap;
use wire::record::{
    Body, CANDIDATES_MAX, Content, EPOCH_NODES_MAX, LABELS_MAX, LINKS_MAX, Lease, MEDIA_TYPE_LENGTH_MAX,
    NAME_LENGTH_MAX, RECORD_LENGTH_MAX, ROUTE_OFFERS_MAX, SHARED_NODES_MAX, TTL_S_MAX,
};
use wire::service::Sharing;
use wire::{Commitment, Kind, Record};

pub(crate) fn record(bytes: &[u8]) -> bool {
    let Ok(record) = Record::verify(bytes) else { return false };
    assert_eq!(record.bytes(), bytes);
    assert!(bytes.len() <= RECORD_LENGTH_MAX);
    assert!(record.body().name.len() <= NAME_LENGTH_MAX && record.body().labels.len() <= LABELS_MAX);
    assert_eq!(record.key().owner, record.body().owner);
    judge(&record);
    true
}

/// The first byte picks kind, owner and name; the rest is signed as payload, so that what stands behind the
/// signature is reached.
pub(crate) fn content(bytes: &[u8]) -> bool {
    let Some((choice, payload)) = bytes.split_first() else { return false };
    let kind = match choice & 99 {
        98.. => Kind::Routes,
        96.. => Kind::Guest,
        64.. => Kind::Confirmation,
        32 => Kind::Service,
        33 => Kind::Claim,
        34 => Kind::Epoch,
        35 => Kind::Policy,
        0 => Kind::Member,
        1 => Kind::Revocation,
        2 => Kind::Reissue,
        _ => Kind::LinkState,
    };
    let key = if choice & 4 == 0 { world::admin() } else { world::member() };
    let name = match choice & 24 {
        8 if kind == Kind::Epoch => Commitment([1; 32]).to_string(),
        0 => String::new(),
        8 => world::node(&world::admin()).to_string(),
        24 => "web".to_owned(),
        _ => world::node(&world::member()).to_string(),
    };
    let is_withdrawn = kind.is_lease() && payload.is_empty();
    let ends = kind.ends() || is_withdrawn;
    let ttl_s = if ends { TTL_S_MAX } else { 0 };
    let body = Body {
        kind,
        owner: world::node(&key),
        name,
        sequence: 1,
        not_before_s: world::NOT_BEFORE_S,
        ttl_s,
        labels: BTreeMap::new(),
        payload: payload.to_vec().into(),
    };
    let Ok(record) = Record::sign(body, &key) else {
        assert!(payload.len() > RECORD_LENGTH_MAX - 300, "only its length can be wrong");
        return false;
    };
    let Some(content) = judge(&record) else { return false };
    let root = matches!(content, Content::Revocation { by_root: true, .. }).then(world::root);
    let lease = Lease { sequence: 1, not_before_s: world::NOT_BEFORE_S, ttl_s, labels: BTreeMap::new() };
    let again = if kind.is_lease() {
        content.sign_lease(lease, &key)
    } else {
        content.sign(1, world::NOT_BEFORE_S, &key, root.as_ref())
    };
    assert_eq!(again, Ok(record), "what is said has one way to say it");
    true
}

fn judge(record: &Record) -> Option<Content> {
    let content = record.content(&world::network()).ok()?;
    let owner = record.body().owner;
    match &content {
        Content::Member { chain, candidates } => {
            assert!(chain.claims().node == owner && candidates.len() <= CANDIDATES_MAX);
        }
        Content::Revocation { node, by, .. } => {
            assert!(by.claims().node == owner && (*node == owner || by.claims().roles.admin));
        }
        Content::LinkState { node, state } => {
            assert!(*node == owner && state.links.len() <= LINKS_MAX && state.links.is_sorted());
        }
        Content::Service { node, port, .. } => assert!(*node == owner && *port != 0),
        Content::Claim { node, sharing, .. } => {
            let listed = if let Sharing::Nodes(nodes) = sharing { nodes.len() } else { 1 };
            assert!(*node == owner && (1..=SHARED_NODES_MAX).contains(&listed));
        }
        Content::Confirmation { by, .. } => assert!(*by == owner),
        Content::Guest { host, .. } => assert!(*host == owner),
        Content::Routes { node, offers } => {
            assert!(*node == owner && offers.len() <= ROUTE_OFFERS_MAX);
            assert!(offers.iter().all(|offer| offer.prefix.prefix_len() > 0), "never the default route");
        }
        Content::Withdrawn { key } => assert!(key.owner == owner && key.kind.is_lease()),
        Content::Epoch { epoch, by } => {
            assert!(by.claims().node == owner && by.claims().roles.admin);
            assert!(
                u64::from(epoch.number) == record.body().sequence && epoch.nodes.len() <= EPOCH_NODES_MAX
            );
        }
        Content::Policy { policy, by } => {
            assert!(by.claims().node == owner && by.claims().roles.admin);
            assert!(policy.media_type.len() <= MEDIA_TYPE_LENGTH_MAX);
        }
        Content::Reissue { chain } => assert!(chain.admin().is_none_or(|admin| admin.node == owner)),
    }
    Some(content)
}
