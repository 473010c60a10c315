use super::*;
use std::collections::BTreeSet;

#[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
fn beginning() -> Instant {
    Instant::now()
}

fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

fn news(key: u64) -> HaveEntry {
    HaveEntry { key, sequence: 1 }
}

fn with_neighbours(count: u8) -> Broadcast {
    let mut broadcast = Broadcast::new();
    (1..=count).for_each(|number| broadcast.handle_neighbour_joined(node(number)));
    broadcast
}

fn outputs(broadcast: &mut Broadcast, now: Instant) -> Vec<BroadcastOutput> {
    let mut outputs = Vec::new();
    loop {
        let output = broadcast.poll_output(now);
        if let BroadcastOutput::Wait(at) = output {
            assert!(at.is_none_or(|at| at > now), "it would spin");
            return outputs;
        }
        outputs.push(output);
    }
}

fn nothing(_: &HaveEntry) -> bool {
    false
}

#[test]
fn news_goes_to_eager_neighbours_and_is_offered_to_the_others() {
    let now = beginning();
    let mut broadcast = with_neighbours(3);
    broadcast.handle_message(node(3), &NewsMessage::Prune, nothing, now);
    for key in [7, 8] {
        broadcast.handle_news(news(key), Some(node(1)), now);
        assert_eq!(outputs(&mut broadcast, now), [BroadcastOutput::SendRecord(node(2), news(key))]);
    }
    let offer = NewsMessage::Offer { news: vec![news(7), news(8)] };
    let later = now + OFFER_DELAY;
    assert_eq!(outputs(&mut broadcast, later), [BroadcastOutput::Send(node(3), offer)]);
    assert_eq!(broadcast.poll_output(later), BroadcastOutput::Wait(None));
}

#[test]
fn who_sends_what_is_here_is_pruned_once() {
    let mut broadcast = with_neighbours(2);
    broadcast.handle_duplicate(&news(7), node(1));
    broadcast.handle_duplicate(&news(8), node(1));
    broadcast.handle_duplicate(&news(8), node(9));
    let prune = BroadcastOutput::Send(node(1), NewsMessage::Prune);
    assert_eq!(outputs(&mut broadcast, beginning()), [prune]);
    assert!(!broadcast.is_eager(&node(1)) && broadcast.is_eager(&node(2)));
}

#[test]
fn what_was_offered_and_does_not_come_is_asked_for_one_after_the_other() {
    let now = beginning();
    let mut broadcast = with_neighbours(3);
    let offer = NewsMessage::Offer { news: vec![news(7), news(8)] };
    for from in [2, 3] {
        broadcast.handle_message(node(from), &NewsMessage::Prune, nothing, now);
        broadcast.handle_message(node(from), &offer, |held| held.key == 8, now);
    }
    let graft = |to| BroadcastOutput::Send(node(to), NewsMessage::Graft { news: vec![news(7)] });
    assert_eq!(outputs(&mut broadcast, now), []);
    assert_eq!(outputs(&mut broadcast, now + GRAFT_DELAY), [graft(2)]);
    assert!(broadcast.is_eager(&node(2)) && !broadcast.is_eager(&node(3)));
    assert_eq!(outputs(&mut broadcast, now + GRAFT_DELAY * 2), [graft(3)]);
    assert_eq!(outputs(&mut broadcast, now + GRAFT_DELAY * 3), []);
    assert_eq!(broadcast.poll_output(now + GRAFT_DELAY * 3), BroadcastOutput::Wait(None), "and is forgotten");
}

#[test]
fn what_comes_in_time_is_not_asked_for() {
    let now = beginning();
    let mut broadcast = with_neighbours(3);
    let older = HaveEntry { key: 7, sequence: 0 };
    broadcast.handle_message(node(2), &NewsMessage::Offer { news: vec![older] }, nothing, now);
    for (key, from) in [(7, 2), (8, 3), (9, 3)] {
        broadcast.handle_message(node(from), &NewsMessage::Offer { news: vec![news(key)] }, nothing, now);
    }
    broadcast.handle_news(news(7), Some(node(1)), now);
    broadcast.handle_duplicate(&news(8), node(1));
    broadcast.handle_neighbour_left(&node(3));
    outputs(&mut broadcast, now + OFFER_DELAY);
    assert_eq!(outputs(&mut broadcast, now + GRAFT_DELAY), []);
}

#[test]
fn a_graft_is_answered_with_what_is_here() {
    let now = beginning();
    let mut broadcast = with_neighbours(1);
    broadcast.handle_message(node(1), &NewsMessage::Prune, nothing, now);
    let graft = NewsMessage::Graft { news: vec![news(7), news(8)] };
    broadcast.handle_message(node(1), &graft, |held| held.key == 8, now);
    broadcast.handle_message(node(2), &graft, |_| true, now);
    assert_eq!(outputs(&mut broadcast, now), [BroadcastOutput::SendRecord(node(1), news(8))]);
    assert!(broadcast.is_eager(&node(1)));
}

#[test]
fn a_flood_of_offers_is_bounded() {
    let now = beginning();
    let mut broadcast = with_neighbours(2);
    for key in 0..10_000 {
        broadcast.handle_message(node(1), &NewsMessage::Offer { news: vec![news(key)] }, nothing, now);
    }
    broadcast.handle_message(node(2), &NewsMessage::Offer { news: vec![news(20_000)] }, nothing, now);
    let many = NewsMessage::Offer { news: vec![news(5); OFFER_MAX + 1] };
    broadcast.handle_message(node(2), &many, nothing, now);
    assert_eq!(broadcast.missing.len(), MISSING_PER_NEIGHBOUR + 1, "who lies leaves room for others");
    let asked: BTreeSet<NodeId> = outputs(&mut broadcast, now + GRAFT_DELAY)
        .into_iter()
        .map(|output| {
            let BroadcastOutput::Send(to, NewsMessage::Graft { news }) = output else { panic!("{output:?}") };
            assert!(news.len() <= OFFER_MAX);
            to
        })
        .collect();
    assert_eq!(asked, [node(1), node(2)].into());
}

#[test]
fn many_news_at_once_are_offered_in_datagrams_that_fit() {
    let now = beginning();
    let mut broadcast = with_neighbours(1);
    broadcast.handle_message(node(1), &NewsMessage::Prune, nothing, now);
    let mut offered = 0;
    (0..150).for_each(|key| broadcast.handle_news(news(key), None, now));
    for output in outputs(&mut broadcast, now + OFFER_DELAY) {
        let BroadcastOutput::Send(_, NewsMessage::Offer { news }) = output else { panic!("{output:?}") };
        assert!(news.len() <= OFFER_MAX);
        offered += news.len();
    }
    assert_eq!(offered, 150);
}
