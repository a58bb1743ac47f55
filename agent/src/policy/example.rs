//! A rule's own examples: what it must match and what it must not, checked
//! whenever the policy is loaded.
//!
//! An example of an exec is a list: the program's path, then the arguments
//! behind `argv[0]`. An example of a connect is a text: protocol, address, port,
//! and behind them the connecting program if the rule looks at it. One of a local
//! socket is a text too: its path or `@` name, and the program likewise. Behind that,
//! if the rule looks at it, the program that listens.

use std::net::IpAddr;

use super::{
    Attempt, Listener, Reads,
    document::{Value, list, text},
    error::Fault,
    matcher::Matcher,
    parse::protocol_named,
};

/// Fails unless `matcher` matches each of `examples` (or none, if `wanted` is
/// false). Gives how many there are.
pub(super) fn check(
    matcher: &Matcher,
    examples: Vec<Value<'_>>,
    wanted: bool,
) -> Result<usize, Fault> {
    let count = examples.len();
    for value in examples {
        let at = value.span().start;
        let (example, shown) = match matcher {
            Matcher::Exec(_) => exec(value)?,
            Matcher::Connect(_) => connect(value, matcher.reads())?,
            Matcher::Unix(_) => unix(value, matcher.reads())?,
        };
        if matcher.matches(&example.attempt()) != wanted {
            let problem = if wanted {
                format!("it does not match its example {shown}")
            } else {
                format!("it matches {shown}, which not_match says it must not")
            };
            return Err(Fault::new(at, problem, "correct the rule or the example"));
        }
    }
    Ok(count)
}

enum Example {
    Exec {
        exe: Vec<u8>,
        argv: Vec<Vec<u8>>,
    },
    Connect {
        protocol: u32,
        address: IpAddr,
        port: u16,
        programs: Programs,
    },
    Unix {
        name: Vec<u8>,
        programs: Programs,
    },
}

/// Who connects and who listens, each empty if the rule does not look at it.
#[derive(Default)]
struct Programs {
    exe: Vec<u8>,
    listener: Vec<u8>,
}

impl Programs {
    /// The words behind what else an example says; none if they are not those that
    /// the rule wants. A path may have blanks in it where nothing follows.
    fn read(words: &[&str], reads: Reads) -> Option<Self> {
        let (exe, listener) = match (reads.listener, words) {
            (_, []) if !reads.exe && !reads.listener => return Some(Self::default()),
            (_, []) => return None,
            (false, _) => (words.join(" "), String::new()),
            (true, [listener]) if !reads.exe => (String::new(), (*listener).to_owned()),
            (true, [exe, listener]) => ((*exe).to_owned(), (*listener).to_owned()),
            (true, _) => return None,
        };
        let wrong = |path: &str| !path.is_empty() && !path.starts_with('/');
        if wrong(&exe) || wrong(&listener) {
            return None;
        }
        Some(Self {
            exe: exe.into_bytes(),
            listener: listener.into_bytes(),
        })
    }

    fn listener(&self) -> Option<Listener<'_>> {
        (!self.listener.is_empty()).then_some(Listener {
            exe: &self.listener,
            exe_is_hosts: true,
        })
    }
}

impl Example {
    fn attempt(&self) -> Attempt<'_> {
        match self {
            Self::Exec { exe, argv } => Attempt::Exec {
                exe,
                exe_is_hosts: true,
                single_link: true,
                argv,
            },
            Self::Connect {
                protocol,
                address,
                port,
                programs,
            } => Attempt::Connect {
                address: *address,
                port: *port,
                protocol: *protocol,
                exe: &programs.exe,
                exe_is_hosts: true,
                listener: programs.listener(),
            },
            Self::Unix { name, programs } => Attempt::Unix {
                name,
                name_is_hosts: true,
                exe: &programs.exe,
                exe_is_hosts: true,
                listener: programs.listener(),
            },
        }
    }
}

fn exec(value: Value<'_>) -> Result<(Example, String), Fault> {
    let at = value.span().start;
    if !value.get_ref().is_array() {
        return Err(not_an_exec(at));
    }
    let words = list(value, "an example")?
        .into_iter()
        .map(|word| text(word, "an argument").map(|text| text.value))
        .collect::<Result<Vec<_>, _>>()?;
    let exe = words
        .first()
        .filter(|exe| exe.starts_with('/'))
        .ok_or_else(|| not_an_exec(at))?
        .clone()
        .into_bytes();
    let shown = format!("{words:?}");
    // The path stands in for argv[0], at which no rule looks.
    let argv = words.into_iter().map(String::into_bytes).collect();
    Ok((Example::Exec { exe, argv }, shown))
}

fn not_an_exec(at: usize) -> Fault {
    Fault::new(
        at,
        "this is no example of an exec",
        "write a list of the program's absolute path and its arguments, like \
         [\"/usr/bin/curl\", \"-T\", \"notes.txt\"]",
    )
}

/// How to write an example of `what`.
fn mend(what: &str, like: &str, reads: Reads) -> String {
    let (looks, programs, more) = match (reads.exe, reads.listener) {
        (false, false) => ("", "", ""),
        (true, false) => ("the rule looks at exe: ", " and program", " /usr/bin/curl"),
        (false, true) => (
            "the rule looks at listener: ",
            " and the program that listens",
            " /usr/sbin/squid",
        ),
        (true, true) => (
            "the rule looks at exe and listener: ",
            ", program and the program that listens",
            " /usr/bin/curl /usr/sbin/squid",
        ),
    };
    format!("{looks}write {what}{programs}, like \"{like}{more}\"")
}

fn connect(value: Value<'_>, reads: Reads) -> Result<(Example, String), Fault> {
    let at = value.span().start;
    let mend = mend("protocol, address, port", "tcp 10.1.2.3 443", reads);
    let wrong = || Fault::new(at, "this is no example of a connect for this rule", &*mend);
    if !value.get_ref().is_str() {
        return Err(wrong());
    }
    let text = text(value, "an example")?.value;
    let words: Vec<&str> = text.split(' ').collect();
    let [protocol, address, port, programs @ ..] = words.as_slice() else {
        return Err(wrong());
    };
    let protocol = protocol_named(protocol)
        .and_then(|numbers| numbers.first().copied())
        .or_else(|| protocol.parse().ok())
        .ok_or_else(wrong)?;
    let example = Example::Connect {
        protocol,
        address: address.parse().map_err(|_| wrong())?,
        port: port.parse().map_err(|_| wrong())?,
        programs: Programs::read(programs, reads).ok_or_else(wrong)?,
    };
    Ok((example, format!("{text:?}")))
}

fn unix(value: Value<'_>, reads: Reads) -> Result<(Example, String), Fault> {
    let at = value.span().start;
    let mend = mend("the path of a socket", "/run/docker.sock", reads);
    let wrong = || {
        Fault::new(
            at,
            "this is no example of a local socket for this rule",
            &*mend,
        )
    };
    if !value.get_ref().is_str() {
        return Err(wrong());
    }
    let text = text(value, "an example")?.value;
    let words: Vec<&str> = text.split(' ').collect();
    let [name, programs @ ..] = words.as_slice() else {
        return Err(wrong());
    };
    let name = match name.strip_prefix('@') {
        Some(abstract_name) => format!("\0{abstract_name}"),
        None if name.starts_with('/') => (*name).to_owned(),
        None => return Err(wrong()),
    };
    let example = Example::Unix {
        name: name.into_bytes(),
        programs: Programs::read(programs, reads).ok_or_else(wrong)?,
    };
    Ok((example, format!("{text:?}")))
}
