//! Whether a binary can run in an image that holds nothing but it: a program for the right processor that asks for no
//! loader.

use super::platform::Platform;

/// What is wrong with a binary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A script, an archive, a program of another system.
    #[error("it is no 64-bit little-endian ELF file")]
    NotElf,
    /// Its own tables lead out of it.
    #[error("it is cut short or damaged")]
    Damaged,
    /// An object file or a core dump.
    #[error("it is no program (its ELF type is {kind})")]
    NotRunnable {
        /// The type it says it has.
        kind: u16,
    },
    /// Built for another processor.
    #[error("it was built for {}", processor(*.machine))]
    Machine {
        /// The number of the processor it says it is for.
        machine: u16,
    },
    /// It wants a loader, and an image of one file has none.
    #[error("it is linked dynamically and needs `{loader}`, which the image does not have")]
    Dynamic {
        /// The loader it asks for.
        loader: String,
    },
}

const EXECUTABLE: u16 = 2;
/// Position-independent programs are shared objects to the kernel.
const SHARED: u16 = 3;
const X86_64: u16 = 62;
const AARCH64: u16 = 183;
/// The kind of program header that names a loader.
const INTERPRETER: u32 = 3;

fn processor(machine: u16) -> String {
    match machine {
        X86_64 => "amd64".to_owned(),
        AARCH64 => "arm64".to_owned(),
        other => format!("another processor (ELF machine {other})"),
    }
}

/// Checks a binary that is to run on `platform`.
///
/// # Errors
/// Says what is wrong with it.
pub fn check(file: &[u8], platform: Platform) -> Result<(), Unfit> {
    // Magic number, 64 bits, little-endian.
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return Err(Unfit::NotElf);
    }
    let kind = u16_at(file, 16)?;
    if kind != EXECUTABLE && kind != SHARED {
        return Err(Unfit::NotRunnable { kind });
    }
    let machine = u16_at(file, 18)?;
    let expected = match platform {
        Platform::Amd64 => X86_64,
        Platform::Arm64 => AARCH64,
    };
    if machine != expected {
        return Err(Unfit::Machine { machine });
    }
    let (table, size, count) = (u64_at(file, 32)?, u64::from(u16_at(file, 54)?), u64::from(u16_at(file, 56)?));
    for number in 0..count {
        let header = table.checked_add(number * size).ok_or(Unfit::Damaged)?;
        if u32_at(file, header)? == INTERPRETER {
            let (start, length) = (u64_at(file, beyond(header, 8)?)?, u64_at(file, beyond(header, 32)?)?);
            let name = usize::try_from(length).ok().and_then(|length| bytes(file, start, length));
            let name = name.ok_or(Unfit::Damaged)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            return Err(Unfit::Dynamic { loader: String::from_utf8_lossy(name).into_owned() });
        }
    }
    Ok(())
}

fn beyond(start: u64, by: u64) -> Result<u64, Unfit> {
    start.checked_add(by).ok_or(Unfit::Damaged)
}

fn bytes(file: &[u8], start: u64, length: usize) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    file.get(start..start.checked_add(length)?)
}

fn array<const N: usize>(file: &[u8], start: u64) -> Result<[u8; N], Unfit> {
    bytes(file, start, N).and_then(|found| found.try_into().ok()).ok_or(Unfit::Damaged)
}

fn u16_at(file: &[u8], start: u64) -> Result<u16, Unfit> {
    array(file, start).map(u16::from_le_bytes)
}

fn u32_at(file: &[u8], start: u64) -> Result<u32, Unfit> {
    array(file, start).map(u32::from_le_bytes)
}

fn u64_at(file: &[u8], start: u64) -> Result<u64, Unfit> {
    array(file, start).map(u64::from_le_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The least there is of a program: a header, and one program header that asks for a loader or does not.
    pub(in crate::image) fn program(machine: u16, loader: Option<&str>) -> Vec<u8> {
        let mut file = vec![0; 120];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[16..18].copy_from_slice(&SHARED.to_le_bytes());
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        file[56..58].copy_from_slice(&1u16.to_le_bytes());
        if let Some(loader) = loader {
            file[64..68].copy_from_slice(&INTERPRETER.to_le_bytes());
            file[72..80].copy_from_slice(&120u64.to_le_bytes());
            file[96..104].copy_from_slice(&(loader.len() as u64).to_le_bytes());
            file.extend(loader.as_bytes());
        }
        file
    }

    fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut file = program(X86_64, None);
        change(&mut file);
        file
    }

    #[test]
    fn what_would_not_run_is_told_apart() {
        let dynamic = program(X86_64, Some("/lib64/ld-linux-x86-64.so.2\0"));
        let loader = "/lib64/ld-linux-x86-64.so.2".to_owned();
        let rows: [(Vec<u8>, Result<(), Unfit>, &str); 11] = [
            (program(X86_64, None), Ok(()), "a static program"),
            (changed(|f| f[16] = 2), Ok(()), "one at a fixed address"),
            (b"#!/bin/sh\n".to_vec(), Err(Unfit::NotElf), "a script"),
            (Vec::new(), Err(Unfit::NotElf), "an empty file"),
            (changed(|f| f[4] = 1), Err(Unfit::NotElf), "32 bits"),
            (changed(|f| f[16] = 1), Err(Unfit::NotRunnable { kind: 1 }), "an object file"),
            (program(AARCH64, None), Err(Unfit::Machine { machine: AARCH64 }), "another processor"),
            (dynamic, Err(Unfit::Dynamic { loader }), "one that asks for a loader"),
            (changed(|f| f.truncate(40)), Err(Unfit::Damaged), "cut short in the header"),
            (changed(|f| f[56] = 9), Err(Unfit::Damaged), "more program headers than there is file"),
            (changed(|f| f[32..40].fill(0xff)), Err(Unfit::Damaged), "a table beyond every file"),
        ];
        for (file, expected, why) in rows {
            assert_eq!(check(&file, Platform::Amd64), expected, "{why}");
        }
        assert_eq!(check(&program(AARCH64, None), Platform::Arm64), Ok(()));
    }

    #[test]
    fn no_file_makes_it_panic() {
        let whole = program(X86_64, Some("/lib/ld.so\0"));
        for length in 0..whole.len() {
            let _any = check(&whole[..length], Platform::Amd64);
        }
        for place in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut file = whole.clone();
                file[place] = value;
                let _any = check(&file, Platform::Amd64);
            }
        }
    }
}
