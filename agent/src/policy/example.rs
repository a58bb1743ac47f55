//! A rule's own examples: what it must match and what it must not, checked
//! whenever the policy is loaded.
//!
//! An example of an exec is a list: the program's path, then the arguments
//! behind `argv[0]`. An example of a connect is a text: protocol, address, port,
//! and behind them the connecting program if the rule looks at it.

use std::net::IpAddr;

use super::{
    Attempt,
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
            Matcher::Connect(_) => connect(value, matcher.reads_exe())?,
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
        exe: Vec<u8>,
    },
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
                exe,
            } => Attempt::Connect {
                address: *address,
                port: *port,
                protocol: *protocol,
                exe,
                exe_is_hosts: true,
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

fn connect(value: Value<'_>, reads_exe: bool) -> Result<(Example, String), Fault> {
    let at = value.span().start;
    let mend = if reads_exe {
        "the rule looks at exe: write protocol, address, port and program, like \
         \"tcp 10.1.2.3 443 /usr/bin/curl\""
    } else {
        "write protocol, address and port, like \"tcp 10.1.2.3 443\""
    };
    let wrong = || Fault::new(at, "this is no example of a connect for this rule", mend);
    if !value.get_ref().is_str() {
        return Err(wrong());
    }
    let text = text(value, "an example")?.value;
    let mut words = text.splitn(4, ' ');
    let mut word = || words.next().ok_or_else(wrong);
    let protocol = word()?;
    let protocol = protocol_named(protocol)
        .and_then(|numbers| numbers.first().copied())
        .or_else(|| protocol.parse().ok())
        .ok_or_else(wrong)?;
    let address = word()?.parse().map_err(|_| wrong())?;
    let port = word()?.parse().map_err(|_| wrong())?;
    let exe = words.next();
    if exe.is_some_and(|exe| !exe.starts_with('/')) || (reads_exe && exe.is_none()) {
        return Err(wrong());
    }
    let exe = exe.unwrap_or_default().as_bytes().to_vec();
    let example = Example::Connect {
        protocol,
        address,
        port,
        exe,
    };
    Ok((example, format!("{text:?}")))
}
