//! The server end to end: a real socket, a real client, and a task in place of the control thread.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use overlay::{Title, Zone, ZoneService};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::Code;
use wire::NodeId;
use wire::record::RouteOffer;

use super::door::Admission;
use super::server::{CONNECTIONS_MAX, converse};
use super::service::Service;
use super::*;

/// A served socket in a directory of its own.
struct House {
    directory: tempfile::TempDir,
    requests: mpsc::Receiver<Request>,
    shutdown: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl House {
    fn new(requests_max: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = Socket::bind(&directory.path().join("control.sock")).unwrap();
        let (sender, requests) = mpsc::channel(requests_max);
        let (shutdown, stop) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(socket, sender, async {
            let _ = stop.await;
        }));
        Self { directory, requests, shutdown: Some(shutdown), server }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    async fn client(&self) -> api::ControlClient {
        api::connect(&self.path()).await.unwrap()
    }

    /// Takes the next request, which must be `command`, and answers it.
    async fn answer(&mut self, command: &Command, reply: Result<Reply, Refusal>) {
        let request = self.requests.recv().await.unwrap();
        assert_eq!(request.command, *command);
        request.reply.send(reply).unwrap();
    }
}

/// Runs a call against the answer it is to get.
macro_rules! call {
    ($house:expr, $method:ident, $message:expr, $command:expr, $reply:expr) => {{
        let mut client = $house.client().await;
        let (result, ()) = tokio::join!(client.$method($message), $house.answer(&$command, $reply));
        result.map(tonic::Response::into_inner)
    }};
}

fn node(node: &str) -> String {
    node.to_owned()
}

async fn exits_go_both_ways(house: &mut House) {
    for withdraw in [false, true] {
        let command = Command::OfferExit { is_offered: !withdraw };
        assert!(
            call!(house, offer_exit, api::OfferExitRequest { withdraw }, command, Ok(Reply::Done)).is_ok()
        );
    }
    let reply = api::UseExitReply { node: "b".to_owned(), id: "abcd".to_owned(), allow_lan: true };
    for node in [Some("b".to_owned()), None] {
        let request = api::UseExitRequest { node: node.clone(), allow_lan: true };
        let (command, answer) =
            (Command::UseExit { node, allow_lan: true }, Ok(Reply::ExitUsed(reply.clone())));
        assert_eq!(call!(house, use_exit, request, command, answer).unwrap(), reply);
    }
    let exits = api::ExitsReply { exits: vec![api::Exit::default()], allow_lan: false, is_offered: true };
    let answer = Ok(Reply::Exits(exits.clone()));
    assert_eq!(call!(house, exits, api::ExitsRequest {}, Command::Exits, answer).unwrap(), exits);
}

async fn routes_go_both_ways(house: &mut House) {
    let (prefix, behind) = ("10.50.1.0/24", "192.168.1.0/24");
    let offer =
        RouteOffer { prefix: prefix.parse().unwrap(), behind: behind.parse().ok(), is_masqueraded: false };
    let request =
        api::AdvertiseRouteRequest { prefix: node(prefix), behind: Some(node(behind)), no_snat: true };
    let advertised = api::AdvertiseRouteReply { node: node("b"), ..api::AdvertiseRouteReply::default() };
    let (command, answer) = (Command::AdvertiseRoute { offer }, Ok(Reply::Advertised(advertised.clone())));
    assert_eq!(call!(house, advertise_route, request, command, answer).unwrap(), advertised);
    let approve = |is_approved| Command::ApproveRoute { node: node("b"), prefix: offer.prefix, is_approved };
    let approved = || Ok(Reply::Approved(node("b"), node("abcd")));
    let (request, command) =
        (api::ApproveRouteRequest { node: node("b"), prefix: node(prefix) }, approve(true));
    assert_eq!(call!(house, approve_route, request, command, approved()).unwrap().id, "abcd");
    let (request, command) =
        (api::RejectRouteRequest { node: node("b"), prefix: node(prefix) }, approve(false));
    assert_eq!(call!(house, reject_route, request, command, approved()).unwrap().id, "abcd");
    let request = api::WithdrawRouteRequest { prefix: node(prefix) };
    let command = Command::WithdrawRoute { prefix: offer.prefix };
    assert!(call!(house, withdraw_route, request, command, Ok(Reply::Done)).is_ok());
    let routes = api::RoutesReply { routes: vec![api::Route::default()] };
    let answer = Ok(Reply::Routes(routes.clone()));
    assert_eq!(call!(house, routes, api::RoutesRequest {}, Command::Routes, answer).unwrap(), routes);
    let mut client = house.client().await;
    for (prefix, behind) in [("nonsense", None), (prefix, Some("10.0.0.0/8")), (prefix, Some(prefix))] {
        let request =
            api::AdvertiseRouteRequest { prefix: node(prefix), behind: behind.map(node), no_snat: false };
        let refused = client.advertise_route(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{prefix} {behind:?}");
    }
}

#[tokio::test]
async fn every_call_becomes_its_command_and_every_reply_its_message() {
    let mut house = House::new(REQUESTS_MAX);
    let status = api::StatusReply {
        version: "0.1.0".to_owned(),
        uptime_s: 7,
        drops: BTreeMap::from([("no route".to_owned(), 3)]),
        ..api::StatusReply::default()
    };
    let reply = call!(
        house,
        status,
        api::StatusRequest {},
        Command::Status,
        Ok(Reply::Status(Box::new(status.clone())))
    );
    assert_eq!(reply.unwrap(), status);

    let request = api::InviteRequest {
        node_name: Some("Web-1".to_owned()),
        address: Some("10.7.0.9".to_owned()),
        role: api::Role::Admin.into(),
        expires_s: 60,
        services: vec!["Web".to_owned()],
    };
    let command = Command::Invite {
        node_name: Some("web-1".parse().unwrap()),
        address: Some(IpAddr::from([10, 7, 0, 9])),
        role: Role::Admin,
        expires: Duration::from_mins(1),
        services: vec!["web".parse().unwrap()],
    };
    let invite = api::InviteReply { invite: "hm1-x".to_owned(), expires_unix: 5 };
    let reply = call!(house, invite, request, command, Ok(Reply::Invite(invite.clone())));
    assert_eq!(reply.unwrap(), invite);

    let request = api::PingRequest { node: node("b"), timeout_ms: 1500 };
    let command = Command::Ping { node: node("b"), timeout: Duration::from_millis(1500) };
    let pong = api::PingReply { rtt_ms: 0.8, ..api::PingReply::default() };
    let reply = call!(house, ping, request, command, Ok(Reply::Ping(pong.clone())));
    assert_eq!(reply.unwrap(), pong);

    let request = api::AssignRequest { node: node("b"), address: "fd00::1".to_owned() };
    let command = Command::Assign { node: node("b"), address: "fd00::1".parse().unwrap() };
    let assigned = api::AssignReply { address: "fd00::1".to_owned(), ..api::AssignReply::default() };
    let reply = call!(house, assign, request, command, Ok(Reply::Assigned(assigned.clone())));
    assert_eq!(reply.unwrap(), assigned);

    services_go_both_ways(&mut house).await;
    let command = Command::Revoke { node: node("b") };
    let revoked = api::RevokeReply { node: node("b"), id: "abcd".to_owned() };
    let request = api::RevokeRequest { node: node("b") };
    let reply = call!(house, revoke, request, command, Ok(Reply::Revoked(revoked.clone())));
    assert_eq!(reply.unwrap(), revoked);

    routes_go_both_ways(&mut house).await;
    exits_go_both_ways(&mut house).await;
    let netcheck = api::NetcheckReply { is_anchor: true, ..api::NetcheckReply::default() };
    let answer = Ok(Reply::Netcheck(Box::new(netcheck.clone())));
    let reply = call!(house, netcheck, api::NetcheckRequest {}, Command::Netcheck, answer);
    assert_eq!(reply.unwrap(), netcheck);

    let mesh = api::MeshReply { left_out: 3, ..api::MeshReply::default() };
    let answer = Ok(Reply::Mesh(Box::new(mesh.clone())));
    assert_eq!(call!(house, mesh, api::MeshRequest {}, Command::Mesh, answer).unwrap(), mesh);

    let why = api::WhyReply { reason: "so".to_owned(), ..api::WhyReply::default() };
    let request = api::WhyRequest { node: node("b") };
    let command = Command::Why { node: node("b") };
    let reply = call!(house, why, request, command, Ok(Reply::Why(Box::new(why.clone()))));
    assert_eq!(reply.unwrap(), why);

    assert!(call!(house, down, api::DownRequest {}, Command::Down, Ok(Reply::Done)).is_ok());
    let request = api::LeaveRequest { force: true };
    assert!(call!(house, leave, request, Command::Leave { force: true }, Ok(Reply::Done)).is_ok());
}

async fn services_go_both_ways(house: &mut House) {
    let name = || "web".parse::<wire::Name>().unwrap();
    let request = api::DelegateRequest { node: node("b"), services: vec!["Web".to_owned()] };
    let command = Command::Delegate { node: node("b"), services: vec![name()] };
    let delegated = api::DelegateReply { node: node("b"), ..api::DelegateReply::default() };
    let reply = call!(house, delegate, request, command, Ok(Reply::Delegated(delegated.clone())));
    assert_eq!(reply.unwrap(), delegated);
    let request = api::UnpublishRequest { name: "Web".to_owned(), version: Some("2".to_owned()) };
    let command = Command::Unpublish { name: name(), version: Some("2".parse().unwrap()) };
    let gone = api::UnpublishReply { withdrawn: 1, ..api::UnpublishReply::default() };
    let reply = call!(house, unpublish, request, command, Ok(Reply::Unpublished(gone.clone())));
    assert_eq!(reply.unwrap(), gone);

    let request = api::PublishRequest { name: "web".to_owned(), port: 80, ..api::PublishRequest::default() };
    let published = api::PublishReply { name: "web".to_owned(), ..api::PublishReply::default() };
    let mut client = house.client().await;
    let call = tokio::spawn(async move { client.publish(request).await });
    let Request { command, reply } = house.requests.recv().await.unwrap();
    let Command::Publish { publication, sharing_nodes } = command else { panic!("{command:?}") };
    assert_eq!((publication.name, publication.port, publication.ttl_s), (name(), 80, 60));
    assert_eq!((publication.sharing, sharing_nodes), (overlay::Sharing::Owner, vec![]));
    reply.send(Ok(Reply::Published(published.clone()))).unwrap();
    assert_eq!(call.await.unwrap().unwrap().into_inner(), published);

    let mut zone = Zone::empty(name(), NodeId([1; 32]));
    zone.services
        .insert(name(), ZoneService { owner: NodeId([1; 32]), title: Title::Confirmed, instances: vec![] });
    let zone = Arc::new(zone);
    let reply = call!(
        house,
        services,
        api::ServicesRequest {},
        Command::Services,
        Ok(Reply::Services(zone.clone(), <_>::default()))
    );
    assert_eq!(reply.unwrap().services[0].name, "web");
    let request = api::ResolveRequest { name: "web".to_owned(), ..api::ResolveRequest::default() };
    let reply = call!(house, resolve, request, Command::Zone, Ok(Reply::Zone(zone)));
    assert_eq!(reply.unwrap_err().code(), Code::FailedPrecondition);
    let request = api::ResolveRequest { name: "db".to_owned(), ..api::ResolveRequest::default() };
    let zone = Arc::new(Zone::empty(name(), NodeId([1; 32])));
    let reply = call!(house, resolve, request, Command::Zone, Ok(Reply::Zone(zone)));
    assert_eq!(reply.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_watcher_that_goes_leaves_nothing_behind() {
    let mut house = House::new(REQUESTS_MAX);
    let mut client = house.client().await;
    let zone = Arc::new(Zone::empty("home".parse().unwrap(), NodeId([1; 32])));
    let (sender, zones) = broadcast::channel(ZONES_MAX);
    let reply = Ok(Reply::Watching(Watching { zone, zones }));
    let (stream, ()) =
        tokio::join!(client.watch(api::WatchRequest { name: None }), house.answer(&Command::Watch, reply));
    let mut stream = stream.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!(first.kind(), api::ChangeKind::Present);
    assert_eq!(sender.receiver_count(), 1);
    drop(stream);
    while sender.receiver_count() > 0 {
        tokio::task::yield_now().await;
    }
    // The daemon's end is the stream's end.
    let zone = Arc::new(Zone::empty("home".parse().unwrap(), NodeId([1; 32])));
    let reply = Ok(Reply::Watching(Watching { zone, zones: sender.subscribe() }));
    let (stream, ()) =
        tokio::join!(client.watch(api::WatchRequest { name: None }), house.answer(&Command::Watch, reply));
    let mut stream = stream.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    drop(sender);
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn refusals_keep_kind_and_words() {
    let mut house = House::new(REQUESTS_MAX);
    for (kind, code) in [
        (RefusalKind::InvalidArgument, Code::InvalidArgument),
        (RefusalKind::NotFound, Code::NotFound),
        (RefusalKind::Precondition, Code::FailedPrecondition),
        (RefusalKind::Timeout, Code::DeadlineExceeded),
        (RefusalKind::Exhausted, Code::ResourceExhausted),
        (RefusalKind::Internal, Code::Internal),
    ] {
        let refusal = Refusal::new(kind, "no node is called b");
        let status = call!(house, status, api::StatusRequest {}, Command::Status, Err(refusal)).unwrap_err();
        assert_eq!((status.code(), status.message()), (code, "no node is called b"));
    }
    let status = call!(house, status, api::StatusRequest {}, Command::Status, Ok(Reply::Done)).unwrap_err();
    assert_eq!(status.code(), Code::Internal, "an answer to another question");
}

#[tokio::test]
async fn malformed_requests_never_reach_the_control_thread() {
    let mut house = House::new(REQUESTS_MAX);
    let mut client = house.client().await;
    let good = api::InviteRequest { expires_s: 60, ..api::InviteRequest::default() };
    for request in [
        api::InviteRequest { expires_s: 0, ..good.clone() },
        api::InviteRequest { expires_s: u64::MAX, ..good.clone() },
        api::InviteRequest { node_name: Some("no.label".to_owned()), ..good.clone() },
        api::InviteRequest { services: vec!["a.b".to_owned()], ..good.clone() },
        api::InviteRequest { address: Some("10.0.0".to_owned()), ..good.clone() },
    ] {
        assert_eq!(client.invite(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    for name in ["", "a\x1b[2J", &"x".repeat(256)] {
        let request = api::RevokeRequest { node: name.to_owned() };
        assert_eq!(client.revoke(request).await.unwrap_err().code(), Code::InvalidArgument, "{name:?}");
        let request = api::WhyRequest { node: name.to_owned() };
        assert_eq!(client.why(request).await.unwrap_err().code(), Code::InvalidArgument, "{name:?}");
    }
    let good = api::PublishRequest { name: node("web"), port: 80, ..api::PublishRequest::default() };
    for request in [
        api::PublishRequest { name: node("no.label"), ..good.clone() },
        api::PublishRequest { port: 0, ..good.clone() },
        api::PublishRequest { port: 65_536, ..good.clone() },
        api::PublishRequest { version: Some(node("a b")), ..good.clone() },
        api::PublishRequest { health: node("ping"), ..good.clone() },
        api::PublishRequest { health: node("http:/a\r\nb"), ..good.clone() },
        api::PublishRequest { sharing: api::Sharing::Nodes.into(), ..good.clone() },
        api::PublishRequest { sharing_nodes: vec![node("b")], ..good.clone() },
        api::PublishRequest {
            sharing: api::Sharing::Nodes.into(),
            sharing_nodes: vec![node("b"); 25],
            ..good.clone()
        },
    ] {
        let status = client.publish(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{request:?}");
    }
    let request = api::WatchRequest { name: Some(node("a.b")) };
    assert_eq!(client.watch(request).await.unwrap_err().code(), Code::InvalidArgument);
    for timeout_ms in [0, 60_001] {
        let request = api::PingRequest { node: node("b"), timeout_ms };
        assert_eq!(client.ping(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let huge = api::RevokeRequest { node: "x".repeat(1 << 20) };
    assert!(client.revoke(huge).await.is_err());
    assert!(house.requests.try_recv().is_err());
    // The connection is as good as before.
    let reply =
        call!(house, status, api::StatusRequest {}, Command::Status, Ok(Reply::Status(<_>::default())));
    assert!(reply.is_ok());
}

#[tokio::test]
async fn a_busy_and_an_ending_daemon_say_so() {
    let mut house = House::new(1);
    let mut first = house.client().await;
    let waiting = tokio::spawn(async move { first.status(api::StatusRequest {}).await });
    let request = house.requests.recv().await.unwrap();
    let mut second = house.client().await;
    let fills = tokio::spawn({
        let mut second = second.clone();
        async move { second.status(api::StatusRequest {}).await }
    });
    while house.requests.is_empty() {
        tokio::task::yield_now().await;
    }
    let status = second.status(api::StatusRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(request);
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), Code::Unavailable);
    house.requests.close();
    assert_eq!(second.status(api::StatusRequest {}).await.unwrap_err().code(), Code::Unavailable);
    drop(house.requests.recv().await);
    assert_eq!(fills.await.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn at_shutdown_the_answer_under_way_still_leaves() {
    let mut house = House::new(REQUESTS_MAX);
    let mut client = house.client().await;
    let mut idle = house.client().await;
    let path = house.path();
    let call = tokio::spawn(async move { client.down(api::DownRequest {}).await });
    let request = house.requests.recv().await.unwrap();
    house.shutdown.take().unwrap().send(()).unwrap();
    wait_gone(&path).await;
    assert!(matches!(api::connect(&path).await, Err(api::ConnectError::NoDaemon)));
    request.reply.send(Ok(Reply::Done)).unwrap();
    assert!(call.await.unwrap().is_ok());
    house.server.await.unwrap();
    assert!(idle.status(api::StatusRequest {}).await.is_err(), "no call outlives the server");
}

async fn wait_gone(path: &Path) {
    while path.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let mut house = House::new(REQUESTS_MAX);
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut client = house.client().await;
        let call = client.status(api::StatusRequest {});
        let (reply, ()) =
            tokio::join!(call, house.answer(&Command::Status, Ok(Reply::Status(<_>::default()))));
        reply.unwrap();
        clients.push(client);
    }
    let path = house.path();
    let mut late = tokio::spawn(async move {
        let mut client = api::connect(&path).await.unwrap();
        client.status(api::StatusRequest {}).await
    });
    let beyond = tokio::time::timeout(Duration::from_millis(100), house.requests.recv());
    assert!(beyond.await.is_err(), "no slot, no request");
    clients.pop();
    tokio::select! {
        () = house.answer(&Command::Status, Ok(Reply::Status(<_>::default()))) => {}
        _ = &mut late => panic!("answered by nobody"),
    }
    assert!(late.await.unwrap().is_ok());
}

#[tokio::test]
async fn who_may_not_is_told_so_and_asks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    // Closed: a call that got past the door would be told that the daemon is going down.
    let (sender, mut requests) = mpsc::channel(REQUESTS_MAX);
    requests.close();
    let (_closing, closed) = tokio::sync::watch::channel(());
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        converse(stream, Service::new(sender), Admission::Denied { uid: Some(1000) }, closed).await;
    });
    let mut client = api::connect(&path).await.unwrap();
    let status = client.down(api::DownRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().starts_with("user 1000 may not"), "{}", status.message());
    drop(client);
    server.await.unwrap();
}
