//! A bare resolv.conf and the real C library: it goes to the next server when ours refuses, or is gone.

use std::fs;

use hopmesh::resolver::{Host, Kind, Resolver, restore};
use hopmesh::store::StateDirectory;

use crate::machine::{OURS, OURS_ON_LOOPBACK, THEIRS, alone, look_up, plan, put_resolv_conf};
use crate::server::{OUR_ANSWER, Server, THEIR_ANSWER};

#[test]
fn the_c_library_goes_on_where_ours_refuses_or_is_gone() {
    alone(&[], |_| async {
        let found = format!("nameserver {THEIRS}\noptions timeout:30\n");
        put_resolv_conf(&found);
        let theirs = Server::theirs(THEIRS);
        let ours = Server::ours(OURS_ON_LOOPBACK);
        let host = Host::default();
        let mut resolver = Resolver::detect(host.clone()).await;
        assert_eq!(*resolver.kind(), Kind::File);
        let state = StateDirectory::open("/run/state".as_ref()).unwrap();
        resolver.apply(&plan(7, &[OURS, OURS_ON_LOOPBACK]), &state).await.unwrap();

        assert_eq!(look_up("a.home.internal").as_deref(), Some(OUR_ANSWER));
        assert_eq!(theirs.asked(), [""; 0], "names of the mesh got out");
        assert_eq!(look_up("www.example.org").as_deref(), Some(THEIR_ANSWER));
        assert!(ours.asked().contains(&"www.example.org".to_owned()), "ours was not asked first");

        // As after a kill -9: nobody listens, and the system says so at once.
        drop(ours);
        assert_eq!(look_up("mail.example.org").as_deref(), Some(THEIR_ANSWER));
        assert!(restore(&host, &state).await.unwrap());
        assert_eq!(fs::read_to_string("/etc/resolv.conf").unwrap(), found);
        assert!(!restore(&host, &state).await.unwrap());
    });
}

#[test]
fn a_file_that_is_mounted_is_named_and_left() {
    alone(&[], |_| async {
        put_resolv_conf(&format!("nameserver {THEIRS}\n"));
        rustix::mount::mount_bind("/etc/resolv.conf", "/etc/resolv.conf").unwrap();
        let state = StateDirectory::open("/run/state".as_ref()).unwrap();
        let mut resolver = Resolver::detect(Host::default()).await;
        let error = resolver.apply(&plan(7, &[OURS]), &state).await.unwrap_err();
        assert!(error.to_string().contains("mounted from outside"), "{error}");
        assert_eq!(fs::read_to_string("/etc/resolv.conf").unwrap(), format!("nameserver {THEIRS}\n"));
        assert!(!resolver.is_in_effect());
    });
}
