//! Addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// `[::]`, which takes IPv4 too, is `0.0.0.0` on a machine without IPv6.
pub(crate) fn on_this_machine(address: SocketAddr) -> SocketAddr {
    let has_ipv6 = || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !has_ipv6() {
        (Ipv4Addr::UNSPECIFIED, address.port()).into()
    } else {
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ones_own_stays_and_any_address_takes_ipv4() {
        for own in ["127.0.0.1:80", "[::1]:80", "0.0.0.0:80"] {
            let own = own.parse().unwrap();
            assert_eq!(on_this_machine(own), own);
        }
        let any = on_this_machine("[::]:0".parse().unwrap());
        let socket = UdpSocket::bind(any).unwrap();
        let port = socket.local_addr().unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"x", ("127.0.0.1", port)).unwrap();
        assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    }
}
