//! The `exec`, `connect` and `unix` tables of a rule.

use std::net::IpAddr;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    super::{
        document::{Table, Text, Value, list, text},
        error::Fault,
        matcher::{ConnectMatcher, ExecMatcher, UnixMatcher},
    },
    values,
};

pub(super) fn exec(value: Value<'_>) -> Result<ExecMatcher, Fault> {
    let mut table = Table::from_value(value, "exec")?;
    let empty = !["exe", "argv"].iter().any(|key| table.contains(key));
    let at = table.at;
    let exe = take_globs(&mut table, "exe")?;
    let argv = table
        .take_list("argv")?
        .map(|elements| elements.into_iter().map(alternatives).collect())
        .transpose()?;
    table.finish(&["exe", "argv"])?;
    if empty {
        return Err(says_nothing(at, "exec", "exe = [\"/**\"]"));
    }
    Ok(ExecMatcher { exe, argv })
}

pub(super) fn connect(value: Value<'_>) -> Result<ConnectMatcher, Fault> {
    const KEYS: &[&str] = &["cidr", "port", "protocol", "exe", "listener"];
    let mut table = Table::from_value(value, "connect")?;
    let empty = !KEYS.iter().any(|key| table.contains(key));
    let at = table.at;
    let cidr = each(table.take_list("cidr")?, network)?;
    let port = each(table.take_list("port")?, values::port)?;
    let protocol = each(table.take_list("protocol")?, values::protocol)?;
    let exe = take_globs(&mut table, "exe")?;
    let listener = take_globs(&mut table, "listener")?;
    table.finish(KEYS)?;
    if empty {
        return Err(says_nothing(
            at,
            "connect",
            "cidr = [\"0.0.0.0/0\", \"::/0\"]",
        ));
    }
    Ok(ConnectMatcher {
        cidr,
        port,
        protocol: protocol.map(|numbers| numbers.into_iter().flatten().collect()),
        exe,
        listener,
    })
}

pub(super) fn unix(value: Value<'_>) -> Result<UnixMatcher, Fault> {
    const KEYS: &[&str] = &["path", "exe", "listener"];
    let mut table = Table::from_value(value, "unix")?;
    let empty = !KEYS.iter().any(|key| table.contains(key));
    let at = table.at;
    let path = take_globs(&mut table, "path")?;
    let exe = take_globs(&mut table, "exe")?;
    let listener = take_globs(&mut table, "listener")?;
    table.finish(KEYS)?;
    if empty {
        return Err(says_nothing(at, "unix", "path = [\"/**\", \"@**\"]"));
    }
    Ok(UnixMatcher {
        path,
        exe,
        listener,
    })
}

fn says_nothing(at: usize, table: &str, everything: &str) -> Fault {
    Fault::new(
        at,
        format!("{table} is empty"),
        format!("say what it matches; {everything} matches everything"),
    )
}

fn each<'t, T>(
    list: Option<Vec<Value<'t>>>,
    read: impl Fn(Value<'t>) -> Result<T, Fault>,
) -> Result<Option<Vec<T>>, Fault> {
    list.map(|values| values.into_iter().map(read).collect())
        .transpose()
}

/// One element of an argv pattern: a text or a list of alternatives.
fn alternatives(value: Value<'_>) -> Result<Vec<String>, Fault> {
    if value.get_ref().is_array() {
        list(value, "a list of alternatives")?
            .into_iter()
            .map(argument)
            .collect()
    } else {
        argument(value).map(|argument| vec![argument])
    }
}

fn argument(value: Value<'_>) -> Result<String, Fault> {
    let argument = text(value, "an argument")?;
    if argument.value.contains('\0') {
        return Err(Fault::new(
            argument.at,
            "no argument can contain a zero byte, so this would match nothing",
            "remove it",
        ));
    }
    Ok(argument.value)
}

/// Globs over absolute paths; those of `path` may be abstract names too.
fn take_globs(table: &mut Table<'_>, key: &str) -> Result<Option<GlobSet>, Fault> {
    let Some(values) = table.take_list(key)? else {
        return Ok(None);
    };
    let mut set = GlobSetBuilder::new();
    let mut at = table.at;
    for value in values {
        let pattern = text(value, &format!("a pattern of {key}"))?;
        at = pattern.at;
        if key != "path" || !pattern.value.starts_with('@') {
            check_path(&pattern, key)?;
        }
        let glob = GlobBuilder::new(&pattern.value)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| bad_glob(at, key, &error))?;
        set.add(glob);
    }
    set.build()
        .map(Some)
        .map_err(|error| bad_glob(at, key, &error))
}

fn bad_glob(at: usize, key: &str, error: &globset::Error) -> Fault {
    Fault::new(
        at,
        format!("bad {key} pattern: {}", error.kind()),
        "use *, **, ?, [...] and {a,b}, and a backslash before such a character that is meant \
         literally",
    )
}

/// Refuses patterns that no path the kernel reports could match.
fn check_path(pattern: &Text, key: &str) -> Result<(), Fault> {
    let wrong = |problem: &str, mend: &str| {
        Err(Fault::new(
            pattern.at,
            format!("the {key} pattern {:?} {problem}", pattern.value),
            mend,
        ))
    };
    let Some(rest) = pattern.value.strip_prefix('/') else {
        return wrong(
            "is no absolute path",
            if key == "path" {
                "begin it with \"/\", or with \"@\" for a name of the abstract kind"
            } else {
                "begin it with \"/\"; write \"/**/curl\" for any directory"
            },
        );
    };
    if rest.contains('\0') || rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return wrong(
            "would match nothing",
            "write the path as the kernel names it: no \"//\", \".\", \"..\", zero byte, or \"/\" \
             at the end",
        );
    }
    Ok(())
}

/// The networks of `nat64`.
pub(super) fn translators(value: Value<'_>) -> Result<Vec<Ipv6Net>, Fault> {
    list(value, "nat64")?
        .into_iter()
        .map(|value| {
            let at = value.span().start;
            match network(value)? {
                IpNet::V6(network) if network.prefix_len() == 96 => Ok(network),
                other => Err(Fault::new(
                    at,
                    format!("{other} is no prefix of a translator"),
                    "write the IPv6 network with its 96 bits, like \"2001:db8:64::/96\"",
                )),
            }
        })
        .collect()
}

fn network(value: Value<'_>) -> Result<IpNet, Fault> {
    let text = text(value, "a network")?;
    let wrong = |problem: &str, mend: String| {
        Fault::new(text.at, format!("{:?} {problem}", text.value), mend)
    };
    let network: IpNet = text.value.parse().map_err(|_| {
        let mend = text.value.parse::<IpAddr>().map_or_else(
            |_| "write it like \"10.0.0.0/8\" or \"2001:db8::/32\"".to_owned(),
            |address| format!("write \"{}\"", IpNet::from(address)),
        );
        wrong("is no network", mend)
    })?;
    if network != network.trunc() {
        return Err(wrong(
            "has bits set behind its prefix",
            format!("write \"{}\"", network.trunc()),
        ));
    }
    let network = unmapped(network);
    if network.addr().is_unspecified() && network.prefix_len() == network.max_prefix_len() {
        return Err(wrong(
            "would match nothing: a connect to it goes to loopback and is compared as such",
            "write \"127.0.0.0/8\" or \"::1/128\"".to_owned(),
        ));
    }
    Ok(network)
}

/// A network of IPv4-mapped addresses as the IPv4 network it stands for.
fn unmapped(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    if let IpNet::V6(v6) = network
        && let Some(address) = v6.addr().to_ipv4_mapped()
        && let Some(prefix) = v6.prefix_len().checked_sub(MAPPED)
        && let Ok(v4) = Ipv4Net::new(address, prefix)
    {
        return v4.into();
    }
    network
}
