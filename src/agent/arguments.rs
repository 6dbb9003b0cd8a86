//! The agent's command line, small enough to read without a library.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How to call it.
pub const USAGE: &str = "usage: leakproof-agent --control unix:PATH | tcp:ADDRESS:PORT
the token comes from the environment variable LEAKPROOF_AGENT_TOKEN";

/// Where the agent waits for control streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlAddress {
    /// A unix socket: the harness started the agent on this machine, and the agent ends with it.
    Unix(PathBuf),
    /// A TCP address: the agent runs on in its pod.
    Tcp(SocketAddr),
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// What the agent was started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// Where to wait for control streams.
    pub control: ControlAddress,
    /// What the harness must show.
    pub token: String,
}

/// A command line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// Work.
    Orders(Orders),
    /// Say how to call it.
    Help,
}

/// Why a command line was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// An argument nobody knows.
    #[error("unknown argument `{0}`")]
    Unknown(String),
    /// `--control` without its value.
    #[error("`--control` needs a value")]
    NoValue,
    /// No `--control`.
    #[error("`--control` is missing")]
    NoControl,
    /// `--control` twice.
    #[error("`--control` is given twice")]
    TwoControls,
    /// Not an address.
    #[error("`{0}` is neither `unix:PATH` nor `tcp:ADDRESS:PORT`")]
    NoAddress(String),
    /// No token: then anybody could give orders.
    #[error("the environment variable `LEAKPROOF_AGENT_TOKEN` is missing or empty")]
    NoToken,
}

/// Understands the arguments (without the program's name) and the token.
///
/// # Errors
/// When they are not understood.
pub fn parse(arguments: impl Iterator<Item = String>, token: Option<String>) -> Result<Parsed, ArgumentError> {
    let mut arguments = arguments;
    let mut control = None;
    while let Some(argument) = arguments.next() {
        let value = match argument.as_str() {
            "--help" | "-h" => return Ok(Parsed::Help),
            "--control" => arguments.next().ok_or(ArgumentError::NoValue)?,
            other => match other.strip_prefix("--control=") {
                Some(value) => value.to_owned(),
                None => return Err(ArgumentError::Unknown(argument)),
            },
        };
        if control.replace(address(&value)?).is_some() {
            return Err(ArgumentError::TwoControls);
        }
    }
    let control = control.ok_or(ArgumentError::NoControl)?;
    let token = token.filter(|token| !token.is_empty()).ok_or(ArgumentError::NoToken)?;
    Ok(Parsed::Orders(Orders { control, token }))
}

fn address(value: &str) -> Result<ControlAddress, ArgumentError> {
    let unknown = || ArgumentError::NoAddress(value.to_owned());
    if let Some(path) = value.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(ControlAddress::Unix(path.into()));
    }
    let tcp = value.strip_prefix("tcp:").ok_or_else(unknown)?;
    tcp.parse().map(ControlAddress::Tcp).map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_understood_or_refused_with_the_reason() {
        let orders = |control| Ok(Parsed::Orders(Orders { control, token: "t".to_owned() }));
        let unix = || ControlAddress::Unix("/run/a.sock".into());
        let tcp = || ControlAddress::Tcp("127.0.0.1:7000".parse().unwrap());
        for (line, token, expected) in [
            ("--control unix:/run/a.sock", Some("t"), orders(unix())),
            ("--control=tcp:127.0.0.1:7000", Some("t"), orders(tcp())),
            ("--help", None, Ok(Parsed::Help)),
            ("", Some("t"), Err(ArgumentError::NoControl)),
            ("--control", Some("t"), Err(ArgumentError::NoValue)),
            ("--control unix:", Some("t"), Err(ArgumentError::NoAddress("unix:".to_owned()))),
            ("--control tcp:localhost", Some("t"), Err(ArgumentError::NoAddress("tcp:localhost".to_owned()))),
            ("--control unix:/a --control unix:/b", Some("t"), Err(ArgumentError::TwoControls)),
            ("--verbose", Some("t"), Err(ArgumentError::Unknown("--verbose".to_owned()))),
            ("--control unix:/run/a.sock", None, Err(ArgumentError::NoToken)),
            ("--control unix:/run/a.sock", Some(""), Err(ArgumentError::NoToken)),
        ] {
            let arguments = line.split_whitespace().map(str::to_owned);
            assert_eq!(parse(arguments, token.map(str::to_owned)), expected, "`{line}`");
        }
    }
}
