//! One operation on one line, and the parts of it that several views share.

use std::net::IpAddr;

use holdpoint_proto::v1::{Connect, Exec, FileIdentity, Request, RequestContext, operation::Kind};

use crate::escape;

/// The operation of a request.
pub(crate) fn kind(request: &Request) -> Option<&Kind> {
    let operation = request.context.as_ref()?.operation.as_ref()?;
    operation.kind.as_ref()
}

/// The operation as one line of ASCII, uncut.
pub(crate) fn line(request: &Request) -> String {
    request
        .context
        .as_ref()
        .map_or_else(|| line_of(&RequestContext::default()), line_of)
}

/// The operation of `context` as one line of ASCII, uncut.
pub(crate) fn line_of(context: &RequestContext) -> String {
    let operation = context.operation.as_ref();
    match operation.and_then(|operation| operation.kind.as_ref()) {
        Some(Kind::Exec(exec)) => exec_line(exec),
        Some(Kind::Connect(connect)) => {
            let process = context.process.as_ref();
            let by = process.map_or_else(String::new, |process| {
                format!(" by {}", escape::word(&process.executable))
            });
            format!("connect {}{by}", destination(connect))
        }
        None => "an operation this version does not know".to_owned(),
    }
}

fn exec_line(exec: &Exec) -> String {
    let (name, arguments) = match exec.argv.split_first() {
        Some((name, arguments)) => (name.as_slice(), arguments),
        None => (&b""[..], &[][..]),
    };
    // A program may be told any name for itself; the usual ones say nothing new.
    let base = exec.path.rsplit(|byte| *byte == b'/').next();
    let mut words = vec!["exec".to_owned(), escape::word(&exec.path)];
    if name != exec.path && Some(name) != base {
        words.push(format!("(as {})", escape::word(name)));
    }
    words.extend(arguments.iter().map(|argument| escape::word(argument)));
    words.join(" ")
}

/// `tcp 192.0.2.1:443`, `unix /run/docker.sock`.
pub(crate) fn destination(connect: &Connect) -> String {
    if let Some(local) = &connect.local {
        return format!("unix {}", socket_name(&local.name));
    }
    let protocol = protocol_name(connect.protocol).map_or_else(
        || format!("protocol {}", connect.protocol),
        ToOwned::to_owned,
    );
    match address(connect) {
        Some(IpAddr::V4(address)) => format!("{protocol} {address}:{}", connect.port),
        Some(IpAddr::V6(address)) => format!("{protocol} [{address}]:{}", connect.port),
        None => format!(
            "{protocol} to an address that is none, port {}",
            connect.port
        ),
    }
}

/// A path, or `@` and a name of the abstract kind.
pub(crate) fn socket_name(name: &[u8]) -> String {
    match name.strip_prefix(b"\0") {
        Some(abstract_name) => escape::word(&[b"@", abstract_name].concat()),
        None if name.is_empty() => "socket without a name".to_owned(),
        None => escape::word(name),
    }
}

/// What kind of local socket it is.
pub(crate) fn socket_kind(number: u32) -> String {
    match number {
        1 => "stream".to_owned(),
        2 => "datagrams".to_owned(),
        5 => "packets in sequence".to_owned(),
        other => format!("type {other}"),
    }
}

/// The destination's address, if it has the length of one.
pub(crate) fn address(connect: &Connect) -> Option<IpAddr> {
    let bytes = connect.address.as_slice();
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// The name of an IP protocol number.
pub(crate) fn protocol_name(number: u32) -> Option<&'static str> {
    Some(match number {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        58 => "icmpv6",
        132 => "sctp",
        136 => "udplite",
        255 => "raw",
        262 => "mptcp",
        _ => return None,
    })
}

/// `major:minor` of the file's device.
pub(crate) fn device(file: &FileIdentity) -> String {
    const MINOR_BITS: u32 = 20;
    let minor = file.device & ((1 << MINOR_BITS) - 1);
    format!("{}:{minor}", file.device >> MINOR_BITS)
}
