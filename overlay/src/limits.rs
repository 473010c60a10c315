//! Every limit and every duration of the overlay, with its reason. Nothing is unbounded.

use std::time::Duration;

/// A session is replaced at this age (WireGuard's figure; keys live minutes, not hours).
pub const REKEY_AFTER: Duration = Duration::from_secs(120);
/// The responder of a session replaces it only this much later, so that the two do not do it at once.
pub const RESPONDER_REKEY_DELAY: Duration = Duration::from_secs(10);
/// A session of this age neither seals nor opens: three rekeys have failed by then.
pub const REJECT_AFTER: Duration = Duration::from_secs(180);
/// A session that has carried no packet is replaced at this age only: of 100 idle peers, new keys every two minutes were most
/// of what a node sent. As soon as it has carried one it counts as any other.
pub const IDLE_REKEY_AFTER: Duration = Duration::from_secs(1800);
/// Counters end here: the replay window's words hold 32 bits of a counter's upper part.
pub const REJECT_AFTER_COUNTER: u64 = 1 << 46;

/// First wait for a response; doubles with every attempt, up to [`HANDSHAKE_RETRY_MAX`].
pub const HANDSHAKE_RETRY: Duration = Duration::from_secs(1);
/// While nobody answers, ask this often: a machine that wakes up asks by itself at once.
pub const HANDSHAKE_RETRY_MAX: Duration = Duration::from_secs(30);
/// A peer that has answered nothing for this long is called offline, not connecting.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(10);
/// An attempt lives this long: a response to it is taken even when the next attempt is on its way.
pub const HANDSHAKE_LIFE: Duration = Duration::from_secs(5);

/// A packet waits this long for a session; after that its sender is told that the host is unreachable.
pub const STAGED_LIFE: Duration = Duration::from_secs(3);
/// Packets that may wait for one peer; the oldest goes first.
pub const STAGED_PACKETS_MAX: usize = 64;
/// Packets that may wait for all peers.
pub const STAGED_PACKETS_TOTAL_MAX: usize = 1024;

/// Peers a node knows at most; further members are known by their records alone.
pub const PEERS_MAX: usize = 4096;
/// A cookie that a peer gave us is shown this long; the peer changes its secret as often.
pub const COOKIE_LIFE: Duration = Duration::from_secs(120);
/// Cookie replies to one initiation that are answered: one from each address that it went to.
pub const COOKIES_PER_ATTEMPT_MAX: u8 = 8;
/// Initiations a second that are answered without a cookie. One costs about 0.4 ms of a core: 4 %.
pub const INITIATIONS_WITHOUT_COOKIE: u32 = 100;
/// Initiations a second that are looked at at all: 10 % of a core.
pub const INITIATIONS_MAX: u32 = 250;
/// Initiations a second from one /32 or /64 whose address is proved.
pub const INITIATIONS_PER_PREFIX: u32 = 20;
/// Prefixes whose initiations are counted at the same time.
pub const COUNTED_PREFIXES_MAX: usize = 1024;

/// Earlier network secrets that a member keeps: one that missed as many revocations still finds its network. A stranger's
/// datagram costs no more for them.
pub const EARLIER_SECRETS_MAX: usize = 16;
/// And how long after they were replaced, in seconds (400 days): a machine that is used once a year comes back.
pub const EARLIER_SECRET_LIFE_S: u64 = 400 * 24 * 3600;
/// Handshake messages under earlier secrets that workers hand over between two looks of the Node: a share of what fits in
/// their channel. Who was revoked can make as many as it likes.
pub const EARLIER_HANDED_OVER_MAX: u32 = 8;
/// Initiations a second under earlier secrets that are answered without a cookie.
pub const EARLIER_WITHOUT_COOKIE: u32 = 10;
/// Initiations a second under earlier secrets that are looked at at all: 1 % of a core.
pub const EARLIER_INITIATIONS_MAX: u32 = 25;
/// Earlier secrets that a peer which does not answer is tried under, in turn, with every further initiation: it may have
/// been away. Of sixteen all are tried within 8 of them; after that it is one with each.
pub const EARLIER_TRIED: usize = 2;
/// Initiations without an answer after which a peer with which there is a session may have lost it, and what it knew of epochs.
pub const EARLIER_IN_USE_AFTER: usize = 3;
/// Between two epochs: revocations in a short time have one new secret between them.
pub const EPOCH_PAUSE: Duration = Duration::from_secs(10);
/// An admin that hears of a revocation for whose sake there is no new secret makes one after this long: who has revoked
/// does it itself, and records come in any order to who was away.
pub const EPOCH_PATIENCE: Duration = Duration::from_secs(3);
/// Each admin waits so much longer than the one before it, by their ids, so that one does it: a record is everywhere by then.
pub const EPOCH_TURN: Duration = Duration::from_secs(2);
/// But no admin waits for more than so many others.
pub const EPOCH_TURNS_MAX: u32 = 15;
/// Who holds the record of an epoch and not its secret asks so many peers at a time...
pub const SECRET_ASKED: usize = 2;
/// ...after this long, in which it comes by itself from who has made it...
pub const SECRET_ASK_DELAY: Duration = Duration::from_millis(150);
/// ...and again after twice as long, and so on, up to this.
pub const SECRET_ASK_PAUSE_MAX: Duration = Duration::from_secs(8);
/// One peer is told the secret at most this often.
pub const SECRET_TELL_PAUSE: Duration = Duration::from_millis(100);
/// When nobody has told it for this long, people are told that it is missing.
pub const SECRET_MISSED_AFTER: Duration = Duration::from_secs(5);
/// When nobody has told it for this long, an admin makes another: who had it may be gone.
pub const SECRET_LOST_AFTER: Duration = Duration::from_secs(30);

/// Bytes of all service names that one credential delegates: it must fit into a member's record.
pub const DELEGATED_LENGTH_MAX: usize = 96;
/// Invites that an admin keeps, open, used and expired together.
pub const INVITES_MAX: usize = 1024;
/// Used and expired invites are remembered this long, so that their holders are told what is wrong.
pub const INVITE_MEMORY_S: u64 = 30 * 24 * 3600;
/// Longest validity of an invite.
pub const INVITE_LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Enrolments under way at one issuer; each has shown its invite's secret before it gets a place.
pub const ENROLMENTS_MAX: usize = 16;
/// An enrolment must be finished in this time.
pub const ENROLMENT_LIFE: Duration = Duration::from_secs(20);
/// Of them, those that one member has put through: a bad one leaves room for others.
pub const ENROLMENTS_THROUGH_MAX: usize = ENROLMENTS_MAX / 2;
/// Members that an admin asks to vouch for its invites: one of them will be up.
pub const VOUCHING_MEMBERS_MAX: usize = 3;
/// They are told again this often, in case the first word got lost; and with every new session.
pub const VOUCH_INTERVAL: Duration = Duration::from_secs(180);
/// Invites that a member vouches for, of one admin. The latest are what people use.
pub const VOUCHED_PER_ADMIN_MAX: usize = 64;
/// And of all admins together.
pub const VOUCHED_MAX: usize = 256;
/// Joiners that a member puts through at the same time, and of them those with one invite: one machine that tries again
/// and again is no obstacle to others.
pub const JOINERS_MAX: usize = 16;
/// See [`JOINERS_MAX`].
pub const JOINERS_PER_INVITE_MAX: usize = 4;
/// Datagrams of joiners that a member puts through in a second: ten joiners, at two datagrams each.
pub const PUT_THROUGH_PER_SECOND: u32 = 20;
/// The joiner asks again after this long without an answer.
pub const ENROLMENT_RETRY: Duration = Duration::from_millis(500);
/// Who has answered the joiner and is silent for this long may be gone: all are asked again.
pub const ENROLMENT_ASK_ALL_AFTER: Duration = Duration::from_secs(2);
/// And after this long the joiner begins anew: the issuer may have been started again, and know nothing of it.
pub const ENROLMENT_BEGIN_ANEW_AFTER: Duration = Duration::from_secs(7);
/// The joiner gives up after this long without any answer.
pub const ENROLMENT_PATIENCE: Duration = Duration::from_secs(20);

/// The interface goes on taking packets of a length that no path carries any more for this long, so that a peer which comes and
/// goes does not change it each time: what is too long is cut or refused meanwhile.
pub const INTERFACE_MTU_KEPT: Duration = Duration::from_secs(600);

/// Validity of a credential. Admins renew what they have signed when a third of it is left.
pub const CREDENTIAL_LIFE_S: u64 = 3 * 365 * 24 * 3600;
/// How often an admin looks for credentials to renew and for addresses claimed twice.
pub const REVIEW_INTERVAL: Duration = Duration::from_secs(5);

/// Records and contacts are written this long after they changed, so that a burst is one write.
pub const PERSIST_DELAY: Duration = Duration::from_millis(500);
/// A write that failed is tried again after this long: it takes people to empty a disk.
pub const PERSIST_RETRY: Duration = Duration::from_secs(5);
/// Peers are asked whether they have the same records this long after there was news; who has others is told what we have
/// at most this often.
pub const SYNC_RETRY: Duration = Duration::from_millis(700);
/// While records stay different, comparing them becomes as rare as this.
pub const SYNC_WAIT_MAX: Duration = Duration::from_secs(30);
/// Peers that are asked at a time. A round of all nodes then reaches nearly all nodes.
pub const SYNC_PEERS: usize = 3;
/// When as many have the same as we, nobody else is asked: what gets lost among so many is found by others.
pub const SYNC_AGREED: usize = 8;
/// While there is news all the time, somebody is told what we have only this often: it is as many datagrams as there are dozens
/// of records.
pub const SYNC_WHILE_NEWS: Duration = Duration::from_secs(2);
/// A node that has just started claims no name until a peer has the same records, or until this long: by then somebody
/// would have answered, were anybody there.
pub const CLAIM_PATIENCE: Duration = Duration::from_secs(10);
/// And looks this often whether one has.
pub const CLAIM_LOOK: Duration = Duration::from_millis(200);
/// While what is held is not all there is, or only a part, it is looked this often whether that is right.
pub const SHARE_INTERVAL: Duration = Duration::from_secs(1);
/// Members are counted at most this often when records come in fast.
pub const SHARE_COUNT_PAUSE: Duration = Duration::from_secs(1);
/// A node that was alone for this long knows nothing any more of what others publish.
pub const LONG_ALONE: Duration = Duration::from_secs(10);
/// Where nobody knows anything of a part, as after a power cut, a node takes what it has for all there is after this long.
pub const KNOWN_PATIENCE: Duration = Duration::from_secs(10);
/// There must be room for the other half for this long before it is taken in: services come and go.
pub const WIDEN_AFTER: Duration = Duration::from_secs(60);
/// And when nobody has told what is in it after this long it is left again.
pub const HALF_PATIENCE: Duration = Duration::from_secs(300);
/// Members that are kept of each half of our part: one of three is alive when the others have just died.
pub const MATES_KEPT: usize = 3;
/// Records that are not held are remembered, so that neighbours can ask for them, and known again: as many as come within some seconds
/// when very many are published.
pub const PASSED_ON_MAX: usize = 1024;
/// And only known again: so many that none goes round and round.
pub const PASSED_ON_KNOWN_MAX: usize = 16_384;
/// Members that are asked for a name at the same time: a liar alone does not decide that there is nothing.
pub const ASKED_AT_ONCE: usize = 2;
/// And for one name altogether: of nodes of which a third is dead some are alive.
pub const ASKED_PER_NAME_MAX: usize = 8;
/// Who has not answered in this time may be gone: another one is asked besides.
pub const ASK_TIME: Duration = Duration::from_millis(500);
/// An ask ends after this long: programs ask a DNS server again after 5 s.
pub const FIND_TIME: Duration = Duration::from_secs(2);
/// When one has answered the other one is waited for this long; and it is looked this often what is to be done for a name.
pub const FIND_WAIT: Duration = Duration::from_millis(200);
/// Names asked for at the same time: each holds up to 150 kB of answers.
pub const ASKS_MAX: usize = 64;
/// Names that were asked for and are kept.
pub const FOUND_NAMES_MAX: usize = 1024;
/// A name is kept for this long after it was last asked for.
pub const FOUND_KEPT: Duration = Duration::from_secs(30);
/// For so long an answer counts; news is heard anyhow.
pub const FOUND_FRESH: Duration = Duration::from_secs(10);
/// And for so long that there is nothing: what is published is to be found everywhere within 3 s.
pub const NOT_FOUND_FRESH: Duration = Duration::from_secs(1);
/// Names of our own that others hold are asked for this often, in case news of them got lost.
pub const OWN_NAMES_INTERVAL: Duration = Duration::from_secs(60);
/// What we say about a name that others hold has come to them after this long, or is told again.
pub const CHECK_DELAY: Duration = Duration::from_secs(1);
/// And this long after somebody came who may not know of them.
pub const OWN_NAMES_PAUSE: Duration = Duration::from_secs(4);
/// Records that one peer is told in a second because it asks for names: 300 kB.
pub const TOLD_PER_SECOND: u32 = 256;
/// An admin looks at names at most this often when something about them has changed: with as many as there may be, that is much work.
pub const CONFIRM_PAUSE: Duration = Duration::from_secs(1);
/// A claim has held its name for this long before an admin confirms it: until then one that was made at the same time would be known.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(3);
/// And this much later for each admin that comes before it, so that mostly one of them does it.
pub const CONFIRM_STEP: Duration = Duration::from_secs(4);
/// Admins that come before one, at most: names do not wait longer for being looked after by many.
pub const CONFIRM_STEPS_MAX: u32 = 7;
/// Confirmations that an admin signs at a time, with [`CONFIRM_PAUSE`] between: as many as others pass on.
pub const CONFIRM_AT_ONCE: usize = 16;
/// A confirmation is withdrawn this long after its claim was seen no more: its owner may have lost its credentials for a moment, when the
/// admin that had signed them was revoked.
pub const CONFIRMATION_GRACE: Duration = Duration::from_secs(60);
/// An admin that was away knows of no claim but those it is told: for this long it takes none for ended that was not withdrawn.
pub const CONFIRMATION_PATIENCE: Duration = Duration::from_secs(600);
/// Leases that end within so short a time end together: one waking for many.
pub const LEASE_SLACK: Duration = Duration::from_millis(500);
/// A host whose guests want addresses that could not be given is looked at again after this time.
pub const GRANT_PAUSE: Duration = Duration::from_secs(60);
/// What is remembered of leases is written this long after it changed: it serves against old records only, of which
/// others know as well, and is not small. An admin's own confirmations are written at once.
pub const LEASES_DELAY: Duration = Duration::from_secs(30);
/// Between two zones.
pub const ZONE_PAUSE: Duration = Duration::from_millis(50);
/// And longer for each instance that it has: making it takes up to 3 µs for each, a tenth of this.
pub const ZONE_PAUSE_PER_SERVICE: Duration = Duration::from_micros(30);
/// Round trips are looked at this often, while there are instances to put in order.
pub const ROUND_TRIP_INTERVAL: Duration = Duration::from_secs(5);
/// A member that answers from another port of its own is asked to do so this often.
pub const DIAL_BACK_INTERVAL: Duration = Duration::from_secs(600);
/// An answer from another port takes at most this long.
pub const DIAL_BACK_TIME: Duration = Duration::from_secs(2);
/// Members that are asked for it at the same time.
pub const DIAL_BACKS_MAX: usize = 3;
/// Two such answers make an anchor for this long; asked for again before it ends.
pub const ANCHOR_LIFE: Duration = Duration::from_secs(900);
/// Anchors that a node keeps (nat/README.md section 5).
pub const ANCHORS_KEPT: usize = 3;
/// Peers with which a node keeps sessions whatever happens, while there are no more: a small network is ready at once for every
/// packet, and shows all its machines in `status`. To 20 idle ones a node sends 110 bytes a second.
pub const COMPANY_ALL_MAX: usize = 20;
/// Anchors that an anchor keeps: circuits lead over them from everybody to everybody.
pub const ANCHOR_COMPANY_MAX: usize = 16;
/// How often it is looked at who is still needed.
pub const COMPANY_INTERVAL: Duration = Duration::from_secs(5);
/// A peer is wanted for so long after the last packet, ping or handshake: programs come back, and a session is 2 kB of handshakes.
pub const USED_LIFE: Duration = Duration::from_secs(180);
/// And for so long after a handshake by which nothing has come yet: a node that looks for neighbours asks and goes.
pub const GREETED_LIFE: Duration = Duration::from_secs(30);
/// Who wants no session says so this often, while the other does not agree.
pub const REST_INTERVAL: Duration = Duration::from_secs(60);
/// Initiations to somebody who may become a neighbour; then the next one is tried. A circuit through hops is found by then.
pub const NEIGHBOUR_TRIES: u32 = 3;
/// Members that are remembered when neighbours are wanting: some of them will be up.
pub const RECALLED_MAX: usize = 8;
/// Peers that are asked for sessions because they are linked to one that no way leads to.
pub const APPROACHED_MAX: usize = 2;
/// Fresh sockets have this long to learn where they are seen.
pub const SAMPLE_TIME: Duration = Duration::from_millis(800);
/// Fresh sockets at the same time: they find the bounds of a block of ports.
pub const SAMPLES_MAX: u16 = 48;
/// From a call's answer to the first probe: openers go out before.
pub const CALL_LEAD: Duration = Duration::from_millis(200);
/// Sockets of an attempt stay open for so long after it: the peer may use another of them than the one that won, and hears of that
/// within [`nat::CHALLENGE_TIME`].
pub const PUNCH_CLOSE_DELAY: Duration = Duration::from_secs(2);
/// A call is answered in this time or not at all: over four hops, and with fresh sockets asking first.
pub const CALL_TIME: Duration = Duration::from_secs(3);
/// After a call without an answer.
pub const CALL_PAUSE: Duration = Duration::from_secs(5);
/// A hard attempt costs both sides hundreds of datagrams: only for a peer whose packets went over hops for this long.
pub const RELAYED_BEFORE_HARD: Duration = Duration::from_secs(10);
/// Nobody answers by UDP for this long: TCP is tried (nat/README.md section 5).
pub const STREAM_AFTER: Duration = Duration::from_secs(3);
/// A joiner dials by TCP sooner: somebody looks on, the few addresses of its invite are asked every second, and what it costs is
/// a connection that may not be needed.
pub const JOINER_STREAM_AFTER: Duration = Duration::from_millis(1500);
/// Initiations to a peer behind a NAT that go by hops alone, while there are hops; then its addresses are tried as well.
pub const KNOCK_AFTER: u32 = 2;
/// Streams that are begun at the same time.
pub const STREAM_DIALS_MAX: usize = 6;
/// And again after this long, to other addresses.
pub const STREAM_RETRY: Duration = Duration::from_secs(10);
/// A stream that others began has brought a peer's session or a joiner's message by then, or is closed: there are few
/// places for streams. Three lost packets of a handshake.
pub const STREAM_PROOF_TIME: Duration = Duration::from_secs(15);
/// And it is looked at again this often.
pub const STREAM_LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// TCP port that nearly every network lets through.
pub const STREAM_PORT: u16 = 443;
/// Peers that are reached over TCP are tried by UDP this often.
pub const UDP_RETRY: Duration = Duration::from_secs(60);
/// Overlay pings under way at the same time.
pub const PINGS_MAX: usize = 64;

/// Labels that a node knows: ends of its own circuits, and two for each circuit through it.
pub const LABELS_MAX: usize = 4096;
/// Circuits to one peer: the one in use, the one kept, the one being made.
pub const CIRCUITS_PER_PEER_MAX: usize = 3;
/// Circuits that one neighbour may have through us.
pub const TRANSITS_PER_NEIGHBOUR_MAX: usize = 512;
/// A circuit that is not there after this long will not be: four hops of 250 ms and back.
pub const CIRCUIT_OPEN_TIME: Duration = Duration::from_secs(2);
/// And where the round trips are short, after this.
pub const CIRCUIT_OPEN_TIME_MIN: Duration = Duration::from_millis(400);
/// A circuit to the same peer is asked for at most this often. The first answer may go to where we were a moment ago, while the hop makes
/// sure of our new address; with the second packets are to flow again within a second.
pub const CIRCUIT_RETRY: Duration = Duration::from_millis(500);
/// A circuit by which no session came after this long is dead: longer than two handshakes over four hops, one of them lost.
pub const CIRCUIT_TRIAL: Duration = Duration::from_secs(4);
/// To a peer that no hop reaches, a circuit is asked for at least this often.
pub const CIRCUIT_RETRY_MAX: Duration = Duration::from_secs(20);
/// First hops that are told apart when a peer is not reached by one of them.
pub const TRIED_HOPS_MAX: usize = 8;
/// A circuit that carries nothing for this long is closed: longer than the rarest probe of a path in use.
pub const TRANSIT_IDLE_TIME: Duration = Duration::from_secs(120);
/// Budgets of those that have datagrams carried, or use an exit, are filled this often.
pub const BUDGET_INTERVAL: Duration = Duration::from_millis(50);
/// After this many intervals in which nobody sent, budgets rest.
pub const BUDGET_REST_INTERVALS: u32 = 20;
/// Who uses an exit after a pause may take this part of an interval's bytes before its share is made: enough for a question and the
/// first packets of an answer, and little of the rate even when many do so every second.
pub const EXIT_REST_PART: i64 = 4;
/// Links are told of this long after they changed, so that a burst is one record.
pub const LINK_STATE_DELAY: Duration = Duration::from_millis(100);
/// Between two times that links are told of. While they go on changing it doubles: what one node says goes to all, some
/// times over, and in a network that comes together all have something to say.
pub const LINK_STATE_PAUSE: Duration = Duration::from_millis(400);
/// Up to this: others still hear of a new way in time to use it when theirs is lost.
pub const LINK_STATE_PAUSE_MAX: Duration = Duration::from_millis(3200);
/// After this long without a change the next one is told of soon again.
pub const LINK_STATE_REST: Duration = Duration::from_secs(8);
/// Links that are told of, of more (a record has room for [`wire::record::LINKS_MAX`]): enough that some of them last. Those to anchors come first, then those told of already, so
/// that what is told seldom changes in a network where everybody has hundreds.
pub const LINKS_TOLD_MAX: usize = 16;
/// Nodes in a picture of who reaches whom: nobody sees more at once, and the answer stays within a megabyte.
pub const MESH_SHOWN_MAX: usize = 256;
/// Round trips are looked at this often.
pub const LINK_STATE_INTERVAL: Duration = Duration::from_secs(30);
/// And so often while nobody is there; a link that comes is told of at once.
pub const LINK_STATE_INTERVAL_ALONE: Duration = Duration::from_secs(3600);
/// Routes that were found hold this long, unless something changes for ourselves: in a large network others' links change
/// all the time.
pub const ROUTES_LIFE: Duration = Duration::from_millis(200);

/// Beacons while a member is missing that may be on the LAN: a datagram of 356 bytes each.
pub const BEACON_INTERVAL: Duration = Duration::from_secs(30);
/// Beacons while nobody is: for those that only others miss.
pub const BEACON_INTERVAL_CONTENT: Duration = Duration::from_secs(300);
/// Hints a second that are looked at: a signature to verify and one to make take 0.1 ms, 1 % of a core.
pub const HINTS_MAX: u32 = 100;
/// Hints a second from one /32 or /64.
pub const HINTS_PER_PREFIX: u32 = 10;
/// Peers of which only a hint tells: any member can make up nodes.
pub const HINTED_STRANGERS_MAX: usize = 16;
/// Such a peer must have proved itself in a handshake by then.
pub const HINTED_STRANGER_LIFE: Duration = Duration::from_secs(60);
/// After a hint its node is asked this often...
pub const HINT_URGENT_RETRY: Duration = Duration::from_secs(2);
/// ...for this long: a NAT that saw nobody answer forgets after 30 s.
pub const HINT_URGENT_TIME: Duration = Duration::from_secs(30);
/// A hint that says nothing new has that effect this often.
pub const HINT_URGENT_PAUSE: Duration = Duration::from_secs(60);
/// What was made by a clock that is so much ahead does not make later hints old ones.
pub const CLOCK_SKEW_S: u64 = 3600;
/// Pauses between tries to find somebody, the last one for ever.
pub const SEEK_PAUSES: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(300),
];
/// Addresses of seeds that are asked who they are.
pub const SEED_ADDRESSES_MAX: usize = 64;
/// Addresses without a key that may be asked at the same time.
pub const ASKED_MAX: usize = 64;
/// An address is asked who it is at most this often.
pub const ASK_AGAIN: Duration = Duration::from_secs(4);
/// Asks are the same datagram for this long, and are answered as long.
pub const ASK_ROUND_TIME: Duration = Duration::from_secs(30);
/// Our hint is left in the DHT at most this often: its nodes count what an address stores.
pub const DHT_PUT_PAUSE: Duration = Duration::from_secs(60);
/// And at least this often: DHT nodes forget after two hours, and come and go.
pub const DHT_PUT_AGAIN: Duration = Duration::from_secs(1800);
/// What an anchor leaves there for members that were away, under one earlier secret after the other, comes this long after the
/// last: each of 16 is there anew before DHT nodes forget it.
pub const DHT_EARLIER_PUT_PAUSE: Duration = Duration::from_secs(400);
/// Slots that are looked up at the same time.
pub const DHT_LOOKUPS_MAX: usize = 4;
/// A look-up whose end was not told is over after this.
pub const DHT_LOOKUP_TIME: Duration = Duration::from_secs(30);
/// DHT nodes that are asked where they see us: a majority of three.
pub const DHT_PINGED_MAX: usize = 3;
/// They are asked this often: it also keeps a NAT's mapping, which lasts 30 s with the worst.
pub const DHT_PING_INTERVAL: Duration = Duration::from_secs(25);
/// Invites whose mailboxes an admin looks into: the latest are what people use, and a look is some 50 datagrams.
pub const MAILBOXES_MAX: usize = 4;
/// An invite is young for this long, or an admin that was started: somebody may stand before the machine that is to join.
pub const MAILBOX_YOUNG_TIME: Duration = Duration::from_secs(600);
/// Meanwhile its mailbox is looked into this often, and while a joiner is there: as long as a look takes.
pub const MAILBOX_LOOK_YOUNG: Duration = Duration::from_secs(5);
/// And later: a joiner waits for [`MAILBOX_PATIENCE`], in which this fits.
pub const MAILBOX_LOOK_OLD: Duration = Duration::from_secs(60);
/// What is left for a joiner is left anew at most this often: DHT nodes count what an address stores.
pub const MAILBOX_PUT_PAUSE: Duration = Duration::from_secs(5);
/// Addresses of a joiner that openers go to: what it has behind two NATs, in both families.
pub const OPENER_ADDRESSES_MAX: usize = 4;
/// Between openers: NATs keep what was not answered for 20 s and more, and one may get lost.
pub const OPENER_INTERVAL: Duration = Duration::from_secs(2);
/// Openers go on for this long after a joiner's latest word, which it repeats in [`JOINER_PUT_AGAIN`]; then our answer
/// has been read, or will not be.
pub const OPENERS_TIME: Duration = Duration::from_secs(30);
/// How many routers pass on the first openers, in turn: enough for our own NATs and too few for the joiner's, which may
/// take a stranger's packet ill. Later ones go all the way, since those did not do.
pub const OPENER_TTLS: [u8; 6] = [2, 4, 2, 4, 2, 4];
/// Openers for all joiners with one invite: ten joiners that wait in vain. Who shows an invite has no more sent for it.
pub const OPENERS_PER_INVITE_MAX: u32 = 4000;
/// A joiner begins with the DHT after this long without an answer: three tries at each address.
pub const JOINER_DHT_AFTER: Duration = Duration::from_secs(2);
/// A joiner looks for the issuer's answer this often: both NATs are open only for some seconds.
pub const JOINER_LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// What a joiner leaves for the issuer is left anew this often, so that openers go on.
pub const JOINER_PUT_AGAIN: Duration = Duration::from_secs(20);
/// Of what a joiner has left, that which it takes answers to.
pub const JOINER_WORDS_KEPT: usize = 3;
/// A joiner that has left word for the issuer gives up after this long.
pub const MAILBOX_PATIENCE: Duration = Duration::from_secs(120);
/// Longest path of a health check, in bytes: longer than any that people choose, and a request stays one small segment.
pub const HEALTH_PATH_LENGTH_MAX: usize = 255;
