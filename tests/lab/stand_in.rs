//! A program that can be started as an agent is, and does the least of what one does: it takes streams, and serves
//! what it is told to.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

use leakproof::model::port::Protocol;
use leakproof::wire::{FromAgent, Serve, ToAgent};

/// Answers `Hello` with a refusal that names the token it was started with, so that a trial can see it is the right
/// one, and serves all the same.
pub fn agent() -> ExitCode {
    if nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).is_err() {
        return ExitCode::FAILURE;
    }
    let path = std::env::args().nth(3).unwrap_or_default();
    let path = path.strip_prefix("unix:").unwrap_or_default().to_owned();
    let Ok(listener) = UnixListener::bind(path) else { return ExitCode::FAILURE };
    let token = std::env::var("LEAKPROOF_AGENT_TOKEN").unwrap_or_default();
    for stream in listener.incoming().flatten() {
        let Ok(mut writer) = stream.try_clone() else { continue };
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let answer = match serde_json::from_str(&line) {
                Ok(ToAgent::Hello { token: shown, .. }) if shown != token => FromAgent::Refused { why: token.clone() },
                Ok(ToAgent::Serve(serve)) => {
                    listen(&serve);
                    FromAgent::Serving { failed: Vec::new(), lacks: Vec::new() }
                }
                _ => continue,
            };
            let _ = writeln!(writer, "{}", serde_json::to_string(&answer).unwrap_or_default());
        }
    }
    ExitCode::SUCCESS
}

fn listen(serve: &Serve) {
    for port in &serve.ports {
        let name = serve.name.clone();
        let at = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port.number.get());
        match port.protocol {
            Protocol::Tcp => {
                let listener = TcpListener::bind(at).expect("bound");
                std::thread::spawn(move || {
                    for mut stream in listener.incoming().flatten() {
                        let _ = stream.write_all(name.as_bytes());
                    }
                });
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(at).expect("bound");
                std::thread::spawn(move || {
                    while let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                        let _ = socket.send_to(name.as_bytes(), from);
                    }
                });
            }
            Protocol::Sctp => {}
        }
    }
}
