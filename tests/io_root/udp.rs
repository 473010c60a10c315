//! The UDP sockets where the network is not as loopback is.

use hopmesh::io::udp::{BindError, Udp};
use rustix::net::sockopt::{socket_recv_buffer_size, socket_send_buffer_size};
use rustix::thread::CapabilitySet;

use crate::namespace::{add_interface, alone, give_up, ip};

#[test]
fn buffers_are_as_large_as_asked_for_whatever_the_limit() {
    alone(|| {
        let udp = Udp::bind(0).unwrap();
        for fd in [Some(udp.v4_fd()), udp.v6_fd()].into_iter().flatten() {
            assert!(socket_recv_buffer_size(fd).unwrap() >= 4 << 20);
            assert!(socket_send_buffer_size(fd).unwrap() >= 4 << 20);
        }
        give_up(CapabilitySet::NET_ADMIN);
        Udp::bind(0).expect("smaller buffers will do without the right to large ones");
    });
}

#[test]
fn no_route_is_an_ordinary_result() {
    alone(|| {
        let udp = Udp::bind(0).unwrap();
        let error = udp.send("198.51.100.1:9".parse().unwrap(), b"x").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NetworkUnreachable, "{error}");
        // With no address to send from, the kernel complains of that first.
        udp.send("[2001:db8::1]:9".parse().unwrap(), b"x").unwrap_err();
    });
}

#[test]
fn a_datagram_larger_than_the_interface_goes_in_fragments() {
    alone(|| {
        add_interface("eth7");
        ip("address add 192.168.5.7/24 dev eth7");
        ip("link set eth7 up");
        let udp = Udp::bind(0).unwrap();
        let remote = "192.168.5.8:9".parse().unwrap();
        udp.send(remote, &[0; 1472]).unwrap();
        udp.send(remote, &[0; 1473]).unwrap();
        udp.send(remote, &[0; 65_507]).unwrap();
        assert_eq!(udp.send(remote, &[0; 65_508]).unwrap_err().raw_os_error(), Some(90));
    });
}

#[test]
fn a_privileged_port_needs_the_right_to_it() {
    alone(|| {
        Udp::bind(500).unwrap();
        give_up(CapabilitySet::NET_BIND_SERVICE);
        let error = Udp::bind(500).unwrap_err();
        assert!(matches!(error, BindError::NotPermitted { port: 500 }), "{error}");
    });
}

#[test]
fn a_machine_with_ipv6_switched_off_keeps_ipv4() {
    alone(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
        ip("link set lo up");
        let udp = Udp::bind(0).unwrap();
        udp.send(format!("127.0.0.1:{}", udp.port()).parse().unwrap(), b"x").unwrap();
        udp.send(format!("[::1]:{}", udp.port()).parse().unwrap(), b"x").unwrap_err();
    });
}
