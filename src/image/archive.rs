//! The files that make an image, laid out after the OCI image layout: blobs named by what is in them, and an index that
//! names the blobs. A `manifest.json` beside it is for tools from before that layout.
//!
//! Nothing of when, where or by whom the archive was made goes into it, and everything has a fixed order.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::name::ImageName;
use super::platform::Platform;

/// Where the binary lies in the image.
const PROGRAM: &str = "leakproof-agent";
/// Nobody in particular: pods that must not run as root can run it as it is.
const USER: &str = "65532:65532";
/// The time of everything that must have one.
const EPOCH: &str = "1970-01-01T00:00:00Z";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A digest in hex, without the name of the algorithm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Hash(String);

impl Hash {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn named(&self) -> String {
        format!("sha256:{}", self.0)
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.0)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<PlatformOf>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct PlatformOf {
    architecture: &'static str,
    os: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize)]
struct Config {
    created: &'static str,
    architecture: &'static str,
    os: &'static str,
    config: Execution,
    rootfs: RootFs,
    history: Vec<History>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Execution {
    user: &'static str,
    entrypoint: Vec<String>,
    working_dir: &'static str,
    labels: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize)]
struct RootFs {
    r#type: &'static str,
    diff_ids: Vec<String>,
}

#[derive(Serialize)]
struct History {
    created: &'static str,
    created_by: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// The blobs of an archive.
#[derive(Default)]
struct Blobs(BTreeMap<Hash, Vec<u8>>);

impl Blobs {
    fn add(&mut self, media_type: &'static str, bytes: Vec<u8>) -> (Hash, Descriptor) {
        let hash = Hash::of(&bytes);
        let descriptor = Descriptor {
            media_type,
            digest: hash.named(),
            size: bytes.len(),
            platform: None,
            annotations: BTreeMap::new(),
        };
        self.0.insert(hash.clone(), bytes);
        (hash, descriptor)
    }

    /// Adds what one platform needs, and gives its manifest's descriptor and what an old tool must know of it.
    fn add_platform(&mut self, name: &ImageName, platform: Platform, binary: &[u8]) -> io::Result<Part> {
        // Not compressed: its digest is then the one that the configuration names, and any tool can look inside.
        let (layer, layer_descriptor) = self.add(LAYER, layer(binary)?);
        let config = Config {
            created: EPOCH,
            architecture: platform.architecture(),
            os: Platform::OS,
            config: Execution {
                user: USER,
                entrypoint: vec![format!("/{PROGRAM}")],
                working_dir: "/",
                labels: labels(),
            },
            rootfs: RootFs { r#type: "layers", diff_ids: vec![layer.named()] },
            history: vec![History { created: EPOCH, created_by: "leakproof image" }],
        };
        let (config, config_descriptor) = self.add(CONFIG, serde_json::to_vec(&config)?);
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST,
            config: config_descriptor,
            layers: vec![layer_descriptor],
        };
        let (_, mut descriptor) = self.add(MANIFEST, serde_json::to_vec(&manifest)?);
        descriptor.platform = Some(PlatformOf { architecture: platform.architecture(), os: Platform::OS });
        let docker =
            DockerManifest { config: config.path(), repo_tags: vec![name.to_string()], layers: vec![layer.path()] };
        Ok(Part { descriptor, docker })
    }
}

/// What one platform adds to the lists of the whole.
struct Part {
    descriptor: Descriptor,
    docker: DockerManifest,
}

fn labels() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("org.opencontainers.image.title", PROGRAM),
        ("org.opencontainers.image.description", "Listens and dials in a pod, and tells what it saw"),
        ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION")),
        ("org.opencontainers.image.licenses", env!("CARGO_PKG_LICENSE")),
    ])
}

/// Writes the archive of an image.
pub(super) fn write(name: &ImageName, binaries: &BTreeMap<Platform, Vec<u8>>, to: &mut dyn Write) -> io::Result<()> {
    let mut blobs = Blobs::default();
    let mut manifests = Vec::new();
    let mut docker = Vec::new();
    for (platform, binary) in binaries {
        let part = blobs.add_platform(name, *platform, binary)?;
        manifests.push(part.descriptor);
        docker.push(part.docker);
    }
    // The old form knows no platforms, and of two images with one name it would keep the last.
    docker.truncate(1);
    // The platforms in an index of their own, so that the name stands for all of them: in the outermost index each
    // entry is an image by itself, and the last would take the name from the others.
    let platforms = Index { schema_version: 2, media_type: INDEX, manifests };
    let (_, mut image) = blobs.add(INDEX, serde_json::to_vec(&platforms)?);
    image.annotations = BTreeMap::from([
        ("io.containerd.image.name", name.to_string()),
        ("org.opencontainers.image.ref.name", name.tag().to_owned()),
    ]);
    let index = Index { schema_version: 2, media_type: INDEX, manifests: vec![image] };

    let mut archive = Builder::new(to);
    put(&mut archive, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    put(&mut archive, "index.json", 0o644, &serde_json::to_vec(&index)?)?;
    put(&mut archive, "manifest.json", 0o644, &serde_json::to_vec(&docker)?)?;
    for (hash, bytes) in &blobs.0 {
        put(&mut archive, &hash.path(), 0o644, bytes)?;
    }
    archive.into_inner()?.flush()
}

/// The image's only layer: the binary.
fn layer(binary: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    put(&mut archive, PROGRAM, 0o755, binary)?;
    archive.into_inner()
}

/// Puts a file of root's into an archive, at the beginning of time.
fn put(archive: &mut Builder<impl Write>, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes)
}
