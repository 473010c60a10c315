use super::*;
use crate::limits::{
    ACTIVE_ENOUGH, ACTIVE_MAX, ANSWER_TIMEOUT, ANSWER_TRIES, ATTEMPTS_MAX, CONFIRM_INTERVAL, JOINS_AT_ONCE,
    MIX_INTERVAL, MIX_RECALL_TIME, PASSIVE_MAX, PER_SOURCE_MAX, PROMOTION_PAUSE_MAX, SHUFFLE_INTERVAL,
    START_DELAY, WALK_TTL,
};
use std::collections::BTreeMap;
use std::time::Duration;
use wire::view::{SAMPLE_MAX, Sampled};

const LOW: ViewMessage = ViewMessage::Neighbour { is_high_priority: false };
const HIGH: ViewMessage = ViewMessage::Neighbour { is_high_priority: true };
const YES: ViewMessage = ViewMessage::NeighbourAnswer { is_accepted: true };
const NO: ViewMessage = ViewMessage::NeighbourAnswer { is_accepted: false };

#[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
fn beginning() -> Instant {
    Instant::now()
}

fn node(number: u16) -> NodeId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    NodeId(bytes)
}

/// Everything that is to be done at this moment.
fn outputs(views: &mut Views, now: Instant) -> Vec<ViewOutput> {
    let mut outputs = Vec::new();
    loop {
        let output = views.poll_output(now);
        if let ViewOutput::Wait(at) = output {
            assert!(at > now, "it would spin");
            return outputs;
        }
        outputs.push(output);
    }
}

fn sent(views: &mut Views, now: Instant) -> Vec<(NodeId, ViewMessage)> {
    let outputs = outputs(views, now).into_iter();
    outputs.filter_map(|o| if let ViewOutput::Send(to, m) = o { Some((to, m)) } else { None }).collect()
}

/// A node with as many neighbours, 1, 2, …, each a second younger than the one before.
fn with_neighbours(count: u16, seed: u64, now: Instant) -> Views {
    let mut views = Views::new(node(0), seed, now);
    for number in 1..=count {
        views.handle_message(node(number), &HIGH, now + Duration::from_secs(number.into()));
    }
    assert_eq!(views.active().count(), usize::from(count));
    outputs(&mut views, now + Duration::from_secs(count.into()));
    views
}

/// Nodes whose messages arrive at once.
struct Lab {
    now: Instant,
    nodes: BTreeMap<NodeId, Views>,
    /// Whose messages are lost, although they run.
    deaf: Vec<NodeId>,
}

impl Lab {
    fn new(count: u16) -> Self {
        let now = beginning();
        let mut nodes = BTreeMap::new();
        for number in 0..count {
            let mut views = Views::new(node(number), number.into(), now);
            if number > 0 {
                views.handle_known(node(number - 1), now);
            }
            nodes.insert(node(number), views);
        }
        Self { now, nodes, deaf: vec![] }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
            let next = ids.iter().map(|id| self.drain(*id)).min().unwrap();
            if ids.iter().all(|id| self.is_idle(id)) {
                self.now = next.min(end);
            }
        }
    }

    fn is_idle(&self, id: &NodeId) -> bool {
        self.nodes[id].outputs.is_empty()
    }

    fn drain(&mut self, id: NodeId) -> Instant {
        let now = self.now;
        loop {
            match self.nodes.get_mut(&id).unwrap().poll_output(now) {
                ViewOutput::Wait(at) => return at,
                ViewOutput::Connect(to) if self.nodes.contains_key(&to) => {
                    self.nodes.get_mut(&to).unwrap().handle_connected(id, now);
                    self.nodes.get_mut(&id).unwrap().handle_connected(to, now);
                }
                ViewOutput::Connect(to) => self.nodes.get_mut(&id).unwrap().handle_unreachable(&to, now),
                ViewOutput::Send(to, message) if !self.deaf.contains(&id) => {
                    if let Some(views) = self.nodes.get_mut(&to) {
                        views.handle_message(id, &message, now);
                    }
                }
                ViewOutput::Send(..) | ViewOutput::Joined(_) | ViewOutput::Left(_) | ViewOutput::Recall => {}
            }
        }
    }

    fn is_symmetric(&self) -> bool {
        let mutual = |id: &NodeId, other: NodeId| self.nodes.get(&other).is_some_and(|o| o.is_active(id));
        self.nodes.iter().all(|(id, views)| views.active().all(|other| mutual(id, other)))
    }

    /// How many nodes can be reached from the first.
    fn component(&self) -> usize {
        let mut found = vec![*self.nodes.keys().next().unwrap()];
        let mut next = 0;
        while let Some(id) = found.get(next).copied() {
            next += 1;
            for other in self.nodes.get(&id).into_iter().flat_map(Views::active) {
                if !found.contains(&other) && self.nodes.contains_key(&other) {
                    found.push(other);
                }
            }
        }
        found.len()
    }
}

#[test]
fn a_new_node_joins_and_others_hear_of_it() {
    let now = beginning();
    let mut new = Views::new(node(9), 1, now);
    new.handle_known(node(0), now);
    let later = now + START_DELAY;
    assert_eq!(outputs(&mut new, later), [ViewOutput::Connect(node(0))]);
    new.handle_connected(node(0), later);
    assert_eq!(sent(&mut new, later), [(node(0), ViewMessage::Join)]);

    let mut contact = with_neighbours(3, 1, now);
    let later = now + Duration::from_secs(4);
    contact.handle_message(node(9), &ViewMessage::Join, later);
    let walk = ViewMessage::ForwardJoin { node: node(9), ttl: WALK_TTL };
    let walks: Vec<_> = (1..=3).map(|n| (node(n), walk.clone())).collect();
    assert_eq!(sent(&mut contact, later), [vec![(node(9), YES)], walks].concat());
    contact.handle_message(node(9), &ViewMessage::Join, later);
    assert_eq!(sent(&mut contact, later), [(node(9), YES)], "who asks twice is announced once");

    new.handle_message(node(0), &YES, later);
    assert_eq!(outputs(&mut new, later), [ViewOutput::Joined(node(0)), ViewOutput::Recall]);
    assert!(contact.is_active(&node(9)) && new.is_active(&node(0)));
}

#[test]
fn a_walk_is_remembered_on_its_way_and_ends_with_an_attempt() {
    let now = beginning();
    let mut views = with_neighbours(2, 1, now);
    let later = now + Duration::from_secs(3);
    let walk = |ttl| ViewMessage::ForwardJoin { node: node(9), ttl };
    views.handle_message(node(1), &walk(u8::MAX), later);
    assert_eq!(sent(&mut views, later), [(node(2), walk(WALK_TTL - 1))], "walks are not longer than ours");
    assert_eq!(views.passive().count(), 0);
    views.handle_message(node(1), &walk(3), later);
    assert_eq!(sent(&mut views, later), [(node(2), walk(2))]);
    assert_eq!(views.passive().collect::<Vec<_>>(), [node(9)]);
    // It is a candidate now, and asked whether it will.
    let mut views = with_neighbours(5, 1, now);
    let later = now + Duration::from_secs(6);
    views.handle_message(node(1), &walk(0), later);
    assert_eq!(outputs(&mut views, later), [ViewOutput::Connect(node(9))]);
    views.handle_connected(node(9), later);
    assert_eq!(sent(&mut views, later), [(node(9), LOW)]);
    views.handle_message(node(9), &YES, later);
    assert!(views.is_active(&node(9)) && views.active().count() == ACTIVE_MAX, "room is made for it");
    views.handle_message(node(77), &walk(0), later);
    assert_eq!(
        outputs(&mut views, later).last(),
        Some(&ViewOutput::Send(node(77), ViewMessage::Disconnect)),
        "who is no neighbour hands us no walks"
    );
}

#[test]
fn a_full_view_refuses_low_priority_and_never_drops_its_oldest() {
    let now = beginning();
    let mut dropped = BTreeMap::new();
    for seed in 0..200 {
        let mut views = with_neighbours(5, seed, now);
        let later = now + Duration::from_secs(6);
        views.handle_message(node(8), &LOW, later);
        assert_eq!(sent(&mut views, later), [(node(8), NO)]);
        views.handle_message(node(9), &HIGH, later);
        let outputs = outputs(&mut views, later);
        let [ViewOutput::Left(left), ViewOutput::Send(told, ViewMessage::Disconnect), ..] = &outputs[..]
        else {
            panic!("{outputs:?}");
        };
        assert_eq!(left, told);
        assert_eq!(outputs[2..], [ViewOutput::Joined(node(9)), ViewOutput::Send(node(9), YES)]);
        assert!(views.passive().any(|known| known == *left), "it stays known");
        *dropped.entry(*left).or_insert(0) += 1;
    }
    assert!(!dropped.contains_key(&node(1)), "the oldest stays");
    assert!(dropped[&node(5)] > dropped[&node(2)], "the youngest go first: {dropped:?}");
    assert_eq!(dropped.len(), 4, "but not always");
}

#[test]
fn who_does_not_answer_is_asked_again_and_given_up() {
    let mut now = beginning();
    let mut views = with_neighbours(1, 1, now);
    now += Duration::from_secs(2);
    views.handle_known(node(7), now);
    assert_eq!(outputs(&mut views, now), [ViewOutput::Connect(node(7))]);
    views.handle_connected(node(7), now);
    for _ in 0..ANSWER_TRIES {
        assert_eq!(sent(&mut views, now), [(node(7), ViewMessage::Neighbour { is_high_priority: false })]);
        now += ANSWER_TIMEOUT;
    }
    assert_eq!(outputs(&mut views, now), [ViewOutput::Recall], "there is nobody else to ask");
    assert!(!views.is_wanted(&node(7)) && !views.is_active(&node(7)));
}

#[test]
fn refusals_make_the_search_slow_and_a_loss_makes_it_quick() {
    let mut now = beginning();
    let mut views = with_neighbours(4, 1, now);
    now += Duration::from_secs(5);
    views.handle_known(node(7), now);
    let (mut last, mut pauses) = (now, Vec::new());
    while pauses.len() < 12 {
        for neighbour in 1..=4 {
            views.handle_message(node(neighbour), &YES, now);
        }
        for output in outputs(&mut views, now) {
            if output == ViewOutput::Connect(node(7)) {
                pauses.push(now - last);
                last = now;
                views.handle_connected(node(7), now);
                views.handle_message(node(7), &NO, now);
            }
        }
        now += Duration::from_secs(1);
    }
    assert!(pauses[11] > PROMOTION_PAUSE_MAX / 2, "{pauses:?}");
    views.handle_message(node(4), &ViewMessage::Disconnect, now);
    assert!(outputs(&mut views, now).contains(&ViewOutput::Connect(node(7))), "at once");
}

#[test]
fn a_neighbour_that_does_not_have_us_is_noticed() {
    let mut lab = Lab::new(2);
    lab.run(Duration::from_secs(1));
    assert!(lab.is_symmetric() && lab.component() == 2);
    // One has forgotten the other, and the word of it was lost.
    let forgetful = lab.nodes.get_mut(&node(1)).unwrap();
    forgetful.handle_message(node(0), &ViewMessage::Disconnect, lab.now);
    forgetful.handle_gone(&node(0), lab.now);
    for number in 10..15 {
        forgetful.handle_message(node(number), &HIGH, lab.now);
    }
    lab.drain(node(1));
    assert!(lab.nodes[&node(0)].is_active(&node(1)));
    // The five answer whatever they are asked; only the other one is looked at.
    let end = lab.now + CONFIRM_INTERVAL * 5 / 4;
    while lab.now < end && lab.nodes[&node(0)].is_active(&node(1)) {
        lab.now = lab.drain(node(0)).min(end);
        lab.drain(node(1));
    }
    assert!(!lab.nodes[&node(0)].is_active(&node(1)), "it asked, and was refused");
}

#[test]
fn a_silent_neighbour_is_lost_and_replaced() {
    let mut lab = Lab::new(12);
    lab.run(Duration::from_secs(60));
    assert!(lab.is_symmetric());
    lab.deaf = vec![node(3)];
    lab.run(Duration::from_secs(400));
    let holders = lab.nodes.iter().filter(|(id, v)| **id != node(3) && v.is_active(&node(3))).count();
    assert_eq!(holders, 0, "nobody keeps a neighbour that says nothing");
    lab.deaf.clear();
    lab.run(PROMOTION_PAUSE_MAX * 2);
    assert_eq!(lab.component(), 12);
}

#[test]
fn many_become_one_whole_and_stay_so_when_half_of_them_die() {
    let mut lab = Lab::new(40);
    lab.run(Duration::from_secs(300));
    assert_eq!(lab.component(), 40);
    assert!(lab.nodes.values().all(|views| views.active().count() >= ACTIVE_ENOUGH));
    for number in (0..40).filter(|number| number % 2 == 0) {
        lab.nodes.remove(&node(number));
    }
    lab.run(SHUFFLE_INTERVAL * 2);
    assert_eq!(lab.component(), 20);
    assert!(lab.is_symmetric());
}

#[test]
fn who_was_alone_for_a_while_finds_back() {
    let mut lab = Lab::new(3);
    lab.run(Duration::from_secs(10));
    let others: Vec<_> = [node(0), node(1)].map(|id| (id, lab.nodes.remove(&id).unwrap())).into();
    lab.run(Duration::from_secs(3600));
    assert_eq!(lab.nodes[&node(2)].active().count(), 0);
    let now = lab.now;
    lab.nodes.extend(others);
    lab.run(PROMOTION_PAUSE_MAX * 2);
    assert_eq!(lab.component(), 3, "after {:?}", lab.now - now);
}

#[test]
fn parts_that_keep_to_themselves_grow_together() {
    let now = beginning();
    let mut views = with_neighbours(5, 1, now);
    let mut later = now + MIX_INTERVAL * 5 / 4;
    (1..=5).for_each(|number| views.handle_message(node(number), &YES, later));
    assert!(outputs(&mut views, later).contains(&ViewOutput::Recall));
    views.handle_known(node(9), later);
    assert_eq!(outputs(&mut views, later), [ViewOutput::Connect(node(9))], "although the view is full");
    views.handle_connected(node(9), later);
    assert_eq!(sent(&mut views, later), [(node(9), HIGH)]);
    views.handle_message(node(9), &YES, later);
    assert!(views.is_active(&node(9)) && views.active().count() == ACTIVE_MAX);
    outputs(&mut views, later);
    // Nobody is recalled: one of the passive view will do.
    later += MIX_INTERVAL * 5 / 4;
    let members: Vec<NodeId> = views.active().collect();
    members.iter().for_each(|member| views.handle_message(*member, &YES, later));
    assert!(outputs(&mut views, later).contains(&ViewOutput::Recall));
    let outputs = outputs(&mut views, later + MIX_RECALL_TIME);
    assert!(matches!(outputs[..], [ViewOutput::Connect(_)]), "{outputs:?}");
}

#[test]
fn one_neighbour_fills_a_third_of_the_passive_view() {
    let now = beginning();
    let mut views = with_neighbours(5, 1, now);
    for round in 0..100 {
        let sample: Vec<_> = (0..8).map(|n| Sampled { node: node(1000 + round * 8 + n), age: 64 }).collect();
        let origin = node(500 + round);
        views.handle_message(node(1), &ViewMessage::Shuffle { origin, ttl: 0, sample }, now);
    }
    assert_eq!(views.passive().count(), PER_SOURCE_MAX);
    assert!(views.passive().any(|known| known >= node(1700)), "its latest word counts");
}

#[test]
fn an_answer_to_a_shuffle_goes_back_the_way_it_came() {
    let now = beginning();
    let mut views = with_neighbours(2, 1, now);
    let later = now + Duration::from_secs(3);
    let sample = vec![Sampled { node: node(50), age: 1 }];
    let shuffle = |ttl| ViewMessage::Shuffle { origin: node(40), ttl, sample: sample.clone() };
    let answer = ViewMessage::ShuffleAnswer { origin: node(40), sample: sample.clone() };
    views.handle_message(node(1), &shuffle(2), later);
    assert_eq!(sent(&mut views, later), [(node(2), shuffle(1))]);
    views.handle_message(node(1), &answer, later);
    assert_eq!(sent(&mut views, later), [], "it was not asked");
    views.handle_message(node(2), &answer, later);
    assert_eq!(sent(&mut views, later), [(node(1), answer.clone())]);
    views.handle_message(node(2), &answer, later);
    assert_eq!(sent(&mut views, later), [], "once");
    assert_eq!(views.passive().count(), 0, "who passes it on learns nothing");
}

#[test]
fn no_message_makes_more_than_a_few_others_or_state_grow() {
    let now = beginning();
    let mut views = with_neighbours(5, 1, now);
    let mut random = Random::new(3);
    let mut any = |count: usize| node(random.below(count) as u16);
    for round in 0..20_000 {
        let (from, about) = (any(40), any(3000));
        let sample = vec![Sampled { node: about, age: 9 }; round % (SAMPLE_MAX + 2)];
        let ttl = (round % 9) as u8;
        let message = match round % 11 {
            0 => ViewMessage::Join,
            1 => HIGH,
            2 => LOW,
            3 => YES,
            4 => NO,
            5 => ViewMessage::Disconnect,
            6..8 => ViewMessage::ForwardJoin { node: about, ttl },
            8 => ViewMessage::Shuffle { origin: about, ttl, sample },
            9 => ViewMessage::Shuffle { origin: node(0), ttl, sample },
            _ => ViewMessage::ShuffleAnswer { origin: about, sample },
        };
        views.handle_message(from, &message, now);
        assert!(views.outputs.len() <= ACTIVE_MAX + 4, "{message:?}: {:?}", views.outputs);
        views.outputs.clear();
        views.handle_connected(from, now);
        views.outputs.clear();
        assert!(views.active().count() <= ACTIVE_MAX && views.passive().count() <= PASSIVE_MAX);
        assert!(views.active().chain(views.passive()).all(|known| known != node(0)), "not of ourselves");
        assert!(views.passive().all(|known| !views.is_active(&known)));
        let wanted = || (0..3000).filter(|number| views.is_wanted(&node(*number))).count();
        assert!(round % 500 != 0 || wanted() <= ATTEMPTS_MAX);
        outputs(&mut views, now);
    }
}

#[test]
fn joins_are_announced_at_a_bounded_pace() {
    let now = beginning();
    let mut views = with_neighbours(5, 1, now);
    let later = now + Duration::from_secs(6);
    let mut walks = 0;
    for number in 100..200 {
        views.handle_message(node(number), &ViewMessage::Join, later);
        let sent = sent(&mut views, later);
        assert!(sent.contains(&(node(number), YES)), "everybody gets in");
        walks += sent.iter().filter(|(_, m)| matches!(m, ViewMessage::ForwardJoin { .. })).count();
    }
    assert_eq!(walks, JOINS_AT_ONCE as usize * (ACTIVE_MAX - 1));
}

#[test]
fn nothing_stays_of_who_is_gone() {
    let now = beginning();
    let mut views = with_neighbours(5, 1, now);
    let later = now + Duration::from_secs(6);
    views.handle_known(node(9), later);
    views.handle_gone(&node(9), later);
    views.handle_gone(&node(1), later);
    assert_eq!(outputs(&mut views, later), [ViewOutput::Left(node(1))]);
    assert!(!views.active().chain(views.passive()).any(|known| [node(1), node(9)].contains(&known)));
}

#[test]
fn the_same_seed_does_the_same() {
    let mut labs = [Lab::new(15), Lab::new(15)];
    labs.iter_mut().for_each(|lab| lab.run(Duration::from_secs(600)));
    let [a, b] = labs.map(|lab| lab.nodes.values().map(|v| v.passive().collect()).collect::<Vec<Vec<_>>>());
    assert_eq!(a, b);
}
