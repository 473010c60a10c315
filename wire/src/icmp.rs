//! ICMP errors for packets that cannot be delivered (RFC 792, RFC 4443).
