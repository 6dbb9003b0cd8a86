//! What nobody can guess: agents' tokens, and names in shared folders.

use std::fs::File;
use std::io::{self, Read};

/// 128 random bits as text.
///
/// # Errors
/// Where this machine has no source of randomness.
pub fn secret() -> io::Result<String> {
    let mut bits = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bits)?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}
