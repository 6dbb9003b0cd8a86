//! Ports as written: `5432/tcp`, and `http=8080/tcp` where it has a name.

use crate::model::port::{Port, Protocol, ServedPort};
use crate::scenario::world::ServicePort;
use std::num::NonZeroU16;

/// What is wrong with a port, and what to write in its place, where that can be told.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::scenario) struct PortError {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub better: Option<String>,
}

fn wrong(message: impl Into<String>, better: Option<String>) -> PortError {
    PortError { message: message.into(), better }
}

/// Reads `5432/tcp`.
pub(in crate::scenario) fn port(text: &str) -> Result<Port, PortError> {
    let Some((number, protocol)) = text.split_once('/') else {
        let better = number(text).ok().map(|number| format!("{number}/tcp"));
        return Err(wrong(format!("the port `{text}` has no protocol"), better));
    };
    let number = self::number(number).map_err(|why| wrong(format!("`{number}` is no port number: {why}"), None))?;
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => {
            let lower = other.to_lowercase();
            let better = matches!(lower.as_str(), "tcp" | "udp" | "sctp").then(|| format!("{number}/{lower}"));
            return Err(wrong(format!("`{other}` is no protocol: there are `tcp`, `udp` and `sctp`"), better));
        }
    };
    Ok(Port { number, protocol })
}

/// Reads `5432/tcp` or `http=8080/tcp`.
pub(in crate::scenario) fn served(text: &str) -> Result<ServedPort, PortError> {
    let Some((name, rest)) = text.split_once('=') else {
        return Ok(ServedPort { port: port(text)?, name: None });
    };
    check_name(name).map_err(|why| wrong(format!("`{name}` is no name for a port: {why}"), None))?;
    let port = port(rest).map_err(|e| wrong(e.message, e.better.map(|better| format!("{name}={better}"))))?;
    Ok(ServedPort { port, name: Some(name.to_owned()) })
}

/// Reads `80/tcp -> 8080/tcp`, or `5432/tcp` where the pods behind serve the same.
pub(in crate::scenario) fn service(text: &str) -> Result<ServicePort, PortError> {
    let (own, behind) = text.split_once("->").map_or((text, text), |(own, behind)| (own.trim(), behind.trim()));
    let (port, target) = (self::port(own)?, self::port(behind)?);
    if port.protocol != target.protocol {
        let better = Some(format!("{own} -> {}/{}", target.number, port.protocol));
        return Err(wrong("a Service changes the number of a port, not its protocol", better));
    }
    Ok(ServicePort { port, target: target.number })
}

fn number(text: &str) -> Result<NonZeroU16, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let why = "it must be from 1 to 65535";
    if digits { text.parse().map_err(|_| why) } else { Err(why) }
}

/// Checks a port's name as the API server does (an IANA service name, RFC 6335 section 5.1).
pub(in crate::scenario) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.len() > 15 {
        return Err("it has more than 15 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("only lower case letters, digits and `-` may stand in it");
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err("it has no letter");
    }
    if name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        return Err("no `-` may stand at its ends or beside another");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_and_a_protocol_and_may_have_a_name() {
        let rows = [
            ("5432/tcp", Some("5432/tcp"), None, "the plain form"),
            ("53/udp", Some("53/udp"), None, "UDP"),
            ("http=8080/tcp", Some("http=8080/tcp"), None, "with a name"),
            ("5432", None, Some("5432/tcp"), "no protocol"),
            ("5432/TCP", None, Some("5432/tcp"), "upper case"),
            ("web=80", None, Some("web=80/tcp"), "a name and no protocol"),
            ("0/tcp", None, None, "zero is no port"),
            ("65536/tcp", None, None, "past the end"),
            ("080/tcp", None, None, "a leading zero"),
            ("+80/tcp", None, None, "a sign"),
            ("tcp/80", None, None, "the wrong way round"),
            ("80/icmp", None, None, "a protocol that NetworkPolicy does not know"),
            ("http=http=80/tcp", None, None, "two names"),
            ("a-name-of-sixteen=80/tcp", None, None, "a name that is too long"),
            ("8080=8080/tcp", None, None, "a name without a letter"),
            ("a--b=80/tcp", None, None, "two dashes side by side"),
            ("=80/tcp", None, None, "an empty name"),
        ];
        for (text, good, better, why) in rows {
            let result = served(text);
            assert_eq!(result.as_ref().ok().map(ToString::to_string).as_deref(), good, "{why}");
            assert_eq!(result.err().and_then(|e| e.better).as_deref(), better, "{why}");
        }
    }

    #[test]
    fn a_services_port_leads_to_a_port_of_the_same_protocol() {
        let rows = [
            ("80/tcp -> 8080/tcp", Some("80/tcp -> 8080/tcp"), None, "another number behind"),
            ("80/tcp->8080/tcp", Some("80/tcp -> 8080/tcp"), None, "without blanks"),
            ("53/udp", Some("53/udp"), None, "the same number behind"),
            ("80/tcp -> 53/udp", None, Some("80/tcp -> 53/tcp"), "another protocol behind"),
            ("80 -> 8080", None, Some("80/tcp"), "no protocol"),
            ("80/tcp -> ", None, None, "nothing behind"),
            ("80/tcp -> 81/tcp -> 82/tcp", None, None, "one too many"),
        ];
        for (text, good, better, why) in rows {
            let result = service(text);
            assert_eq!(result.as_ref().ok().map(ToString::to_string).as_deref(), good, "{why}");
            assert_eq!(result.err().and_then(|e| e.better).as_deref(), better, "{why}");
        }
    }
}
