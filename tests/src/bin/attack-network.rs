//! Tries to change where packets go: by the configuration of the network, or by what
//! a socket may choose beside its destination.
//!
//! `attack-network behind ADDRESS`: gives this host the address, by a netlink message
//! behind another one that only asks. Then says whether it could bind to it.
//! `attack-network ioctl ADDRESS`: the same by the older call.
//! `attack-network label`: makes an IPv6 flow label that carries a routing header.
//! `attack-network bound OWN PORT`: binds to the address OWN and connects to 0.0.0.0.
//! `attack-network bound-datagram OWN PORT`: the same, a datagram.
//! `attack-network device|index|unicast|unicast6 NUMBER`: chooses an interface by option.
//! `attack-network pktinfo NUMBER OWN TO`: chooses interface and own address with a
//! datagram to TO; `0` and `0.0.0.0` leave it to the kernel.
//! `attack-network join|join6`: joins a multicast group on loopback.
//! `attack-network serve ADDRESS`: listens, says `listens` and counts who comes.
//!
//! Says `NAME errno N`; 0 is success.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{
    env, mem,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsRawFd as _, OwnedFd},
};

use raw::{Address, errno, said, socket_of};

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let errno = match words[..] {
        ["behind", address] => configured(address, behind),
        ["ioctl", address] => configured(address, by_ioctl),
        ["label"] => label(),
        ["bound", own, port] => bound(libc::SOCK_STREAM, own, port),
        ["bound-datagram", own, port] => bound(libc::SOCK_DGRAM, own, port),
        ["device", _] => option(libc::AF_INET, libc::SOL_SOCKET, 25, b"lo\0"),
        ["index", number] => option(libc::AF_INET, libc::SOL_SOCKET, 62, &word(number)),
        ["unicast", number] => option(libc::AF_INET, libc::IPPROTO_IP, 50, &big(number)),
        ["unicast6", number] => option(libc::AF_INET6, libc::IPPROTO_IPV6, 76, &big(number)),
        ["pktinfo", number, own, to] => packet_info(number, own, to),
        ["join"] => option(
            libc::AF_INET,
            libc::IPPROTO_IP,
            35,
            &[239, 1, 2, 3, 127, 0, 0, 1],
        ),
        ["join6"] => {
            let group: Ipv6Addr = "ff01::1:2:3".parse().expect("a group");
            let membership = [&group.octets()[..], &1_u32.to_ne_bytes()].concat();
            option(libc::AF_INET6, libc::IPPROTO_IPV6, 20, &membership)
        }
        ["serve", on] => serve(on),
        _ => panic!("not understood: {words:?}"),
    };
    println!("{} errno {errno}", words[0]);
}

fn word(number: &str) -> [u8; 4] {
    number.parse::<u32>().expect("a number").to_ne_bytes()
}

fn big(number: &str) -> [u8; 4] {
    number.parse::<u32>().expect("a number").to_be_bytes()
}

fn set(socket: &OwnedFd, level: i32, option: i32, value: &[u8]) -> i32 {
    let len = u32::try_from(value.len()).expect("short");
    // SAFETY: the value is as long as said.
    let returned = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_ptr().cast(),
            len,
        )
    };
    said(returned.into())
}

fn option(family: i32, level: i32, option: i32, value: &[u8]) -> i32 {
    set(&socket_of(family, libc::SOCK_DGRAM), level, option, value)
}

/// What `change` says; and says itself whether the address is this host's now.
fn configured(address: &str, change: impl Fn(Ipv4Addr) -> i32) -> i32 {
    let address: Ipv4Addr = address.parse().expect("an address");
    let errno = change(address);
    println!("bound {}", UdpSocket::bind((address, 0)).is_ok());
    errno
}

fn behind(address: Ipv4Addr) -> i32 {
    const RTM_NEWADDR: u16 = 20;
    const RTM_GETLINK: u16 = 18;
    let message = |kind: u16, flags: u16, body: &[u8]| {
        let len = u32::try_from(16 + body.len()).expect("short");
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes
    };
    // `struct ifinfomsg`: of interface 1.
    let mut asks = [0; 16];
    asks[4] = 1;
    // `struct ifaddrmsg` and two attributes: the address, for interface 1.
    let mut gives = vec![2, 32, 0, 0, 1, 0, 0, 0];
    for attribute in [1_u16, 2] {
        gives.extend(8_u16.to_ne_bytes());
        gives.extend(attribute.to_ne_bytes());
        gives.extend(address.octets());
    }
    let mut all = message(RTM_GETLINK, 1, &asks);
    // NLM_F_REQUEST, _ACK, _CREATE, _EXCL.
    all.extend(message(RTM_NEWADDR, 0x601 | 4, &gives));
    let socket = socket_of(libc::AF_NETLINK, libc::SOCK_RAW);
    // SAFETY: the messages are as long as said.
    let sent = unsafe { libc::send(socket.as_raw_fd(), all.as_ptr().cast(), all.len(), 0) };
    said(sent as i64)
}

fn by_ioctl(address: Ipv4Addr) -> i32 {
    // `struct ifreq`: a name of the interface, then a `struct sockaddr_in`.
    let mut request = [0_u8; 40];
    request[..4].copy_from_slice(b"lo:7");
    request[16..18].copy_from_slice(&2_u16.to_ne_bytes());
    request[20..24].copy_from_slice(&address.octets());
    let socket = socket_of(libc::AF_INET, libc::SOCK_DGRAM);
    // SAFETY: the request has the size of its structure.
    let returned =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR, request.as_mut_ptr()) };
    said(returned.into())
}

/// A label to `::1` whose options name another host to go to first.
fn label() -> i32 {
    // `struct in6_flowlabel_req`: destination, label, action, share, flags, expires,
    // linger, and the control messages.
    let mut request = Ipv6Addr::LOCALHOST.octets().to_vec();
    request.extend(0x1234_u32.to_be_bytes());
    request.extend([0, 1]);
    request.extend(1_u16.to_ne_bytes());
    request.extend(60_u16.to_ne_bytes());
    request.extend(60_u16.to_ne_bytes());
    request.extend([0; 4]);
    let via: Ipv6Addr = "fd00::77".parse().expect("an address");
    // A routing header of type 2, with one address left.
    let mut header = vec![0, 2, 2, 1, 0, 0, 0, 0];
    header.extend(via.octets());
    request.extend((16 + header.len() as u64).to_ne_bytes());
    request.extend(libc::IPPROTO_IPV6.to_ne_bytes());
    request.extend(57_i32.to_ne_bytes());
    request.extend(header);
    option(libc::AF_INET6, libc::IPPROTO_IPV6, 32, &request)
}

fn bound(kind: i32, own: &str, port: &str) -> i32 {
    let socket = socket_of(libc::AF_INET, kind);
    let own = Address::from(
        format!("{own}:0")
            .parse::<SocketAddr>()
            .expect("an address"),
    );
    let to = format!("0.0.0.0:{port}");
    let to = Address::from(to.parse::<SocketAddr>().expect("a port"));
    // SAFETY: both addresses are as long as said.
    unsafe {
        let bound = libc::bind(socket.as_raw_fd(), own.bytes.as_ptr().cast(), own.len);
        assert_eq!(bound, 0, "errno {}", errno());
        let fd = socket.as_raw_fd();
        if kind == libc::SOCK_STREAM {
            said(libc::connect(fd, to.bytes.as_ptr().cast(), to.len).into())
        } else {
            let sent = libc::sendto(
                fd,
                b"hello".as_ptr().cast(),
                5,
                0,
                to.bytes.as_ptr().cast(),
                to.len,
            );
            said(sent as i64)
        }
    }
}

fn packet_info(number: &str, own: &str, to: &str) -> i32 {
    let socket = socket_of(libc::AF_INET, libc::SOCK_DGRAM);
    let to = Address::from(to.parse::<SocketAddr>().expect("an address with a port"));
    let own: Ipv4Addr = own.parse().expect("an address");
    // `cmsghdr`: length, level, type; then `struct in_pktinfo`.
    let mut control = [0_u8; 32];
    control[..8].copy_from_slice(&28_u64.to_ne_bytes());
    control[12..16].copy_from_slice(&8_i32.to_ne_bytes());
    control[16..20].copy_from_slice(&word(number));
    control[20..24].copy_from_slice(&own.octets());
    let mut words = libc::iovec {
        iov_base: b"hello".as_ptr().cast_mut().cast(),
        iov_len: 5,
    };
    // SAFETY: all zeros are an empty message.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = to.bytes.as_ptr().cast_mut().cast();
    message.msg_namelen = to.len;
    message.msg_iov = &raw mut words;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len();
    // SAFETY: everything the message points to outlives the call.
    said(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) } as i64)
}

fn serve(on: &str) -> i32 {
    let listener = match TcpListener::bind(on) {
        Ok(listener) => listener,
        Err(error) => return error.raw_os_error().unwrap_or(-1),
    };
    println!("listens");
    let mut open = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        open.push(stream);
        println!("heard {}", open.len());
    }
    0
}
