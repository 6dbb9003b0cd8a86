//! `leakproof image`: packs the agent into an archive that a cluster's nodes can load.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{self, Look};
use crate::exit::{self, Exit};
use crate::image::name::ImageName;
use crate::image::platform::Platform;
use crate::image::{Image, ImageError, find};
use crate::report::file::save;
use crate::run::chain;

/// Arguments of `image`.
#[derive(Debug, Clone, Args)]
#[command(
    long_about = "Pack the agent into an image archive, without Docker.\n\n\
        The archive is in the OCI layout and holds one static binary per platform and nothing else. It builds nothing: \
        `ci/agent-image FILE` builds the binary for this machine and packs it.",
    after_help = "Examples:\n  \
        leakproof image agent.tar && kind load image-archive agent.tar\n  \
        leakproof image agent.tar --binary linux/amd64=a/leakproof-agent --binary linux/arm64=b/leakproof-agent"
)]
pub struct ImageArguments {
    /// The archive to write
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A static binary of the agent and what it was built for; repeatable. Without it: the one built for this machine
    #[arg(long = "binary", value_name = "PLATFORM=PATH", value_parser = binary)]
    pub binaries: Vec<(Platform, PathBuf)>,
    /// The image's name, with a registry part and a tag
    #[arg(long, value_name = "NAME", default_value_t = ImageName::of_this_version())]
    pub name: ImageName,
}

/// Packs the image, and prints its name. Gives the exit code.
///
/// # Errors
/// Where output cannot be written.
pub fn image(arguments: &ImageArguments, look: &Look) -> io::Result<u8> {
    let binaries = match arguments.binaries.as_slice() {
        [] => own().map(|only| vec![only]),
        given => Ok(given.to_vec()),
    };
    let image = match binaries.and_then(|binaries| Image::read(arguments.name.clone(), &binaries)) {
        Ok(image) => image,
        Err(error) => {
            output::complain(&chain(&error));
            return Ok(match error {
                ImageError::Twice { .. } | ImageError::Processor { .. } => exit::USAGE,
                ImageError::Read { .. } | ImageError::Unfit { .. } | ImageError::NotBuilt { .. } => {
                    Exit::NoWorld.code()
                }
            });
        }
    };
    if let Err(error) = save(&arguments.file, |w| image.write(w)) {
        output::complain(&chain(&error));
        return Ok(Exit::NoWorld.code());
    }
    if !look.quiet {
        let platforms: Vec<_> =
            image.platforms().map(|(platform, size)| format!("{platform} ({} KiB)", size.div_ceil(1024))).collect();
        output::say(&[format!("packed {} into `{}`", platforms.join(", "), arguments.file.display())]);
    }
    output::print(|w| writeln!(w, "{}", image.name()))?;
    Ok(0)
}

/// The agent built for this machine.
fn own() -> Result<(Platform, PathBuf), ImageError> {
    let platform = Platform::of_this_machine().map_err(|processor| ImageError::Processor { processor })?;
    // Where this program's own file cannot be told, nothing lies beside it.
    let program = std::env::current_exe().unwrap_or_default();
    Ok((platform, find::beside(&program, platform)?))
}

/// `PLATFORM=PATH`.
fn binary(text: &str) -> Result<(Platform, PathBuf), String> {
    let (platform, path) = text.split_once('=').ok_or("write it as `PLATFORM=PATH`, such as `linux/amd64=agent`")?;
    if path.is_empty() {
        return Err(format!("the path of the binary for `{platform}` is missing"));
    }
    let platform = platform.parse::<Platform>().map_err(|error| error.to_string())?;
    Ok((platform, Path::new(path).to_owned()))
}
