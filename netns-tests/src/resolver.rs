//! A name server of the internet.

/// A program in Python that says on its output what it is asked, and knows one address for all names, 203.0.113.7.
pub const RESOLVER: &str = r#"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 53))
print("ready")
while True:
    q, a = s.recvfrom(512)
    i, labels = 12, []
    while q[i]:
        labels.append(q[i+1:i+1+q[i]].decode())
        i += q[i] + 1
    print(".".join(labels))
    s.sendto(q[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + q[12:i+5] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\7", a)
"#;
