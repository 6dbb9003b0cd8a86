//! What a pod says over HTTP, asked through a port-forward: for programs in their node's own network, of which no more than
//! a port is known.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;

use super::error::Said;
use super::server::{Place, Server};

/// It answers at once, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(5);
/// No more of an answer is kept: metrics of a busy node are some hundred kilobytes.
const LONGEST: usize = 8 << 20;

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Asks one pod. The way there is a port of our own loopback, led through the API server.
pub(super) async fn get(server: &Server, pod: &Place, port: u16, path: &str) -> Result<Answer, String> {
    match tokio::time::timeout(PATIENCE, get_patiently(server, pod, port, path)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn get_patiently(server: &Server, pod: &Place, port: u16, path: &str) -> Result<Answer, String> {
    let api: Api<Pod> = Api::namespaced(server.client(), pod.namespace.as_deref().unwrap_or_default());
    let mut forwarder = api.portforward(&pod.name, &[port]).await.map_err(|error| Said::new(&error).to_string())?;
    let mut there = forwarder.take_stream(port).ok_or("no stream")?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| error.to_string())?;
    let near = listener.local_addr().map_err(|error| error.to_string())?;
    let bridge = async {
        let (mut here, _) = listener.accept().await?;
        copy_bidirectional(&mut here, &mut there).await
    };
    let request = async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut response = client.get(format!("http://{near}/{path}")).header("connection", "close").send().await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST {
                bytes.truncate(LONGEST);
                break;
            }
        }
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok::<_, reqwest::Error>(Answer { status: response.status().as_u16(), body })
    };
    tokio::pin!(request);
    tokio::select! {
        answer = &mut request => answer.map_err(|error| Said::other(&error).to_string()),
        ended = bridge => match (ended, request.await) {
            (_, Ok(answer)) => Ok(answer),
            (Err(error), Err(_)) => Err(error.to_string()),
            (Ok(_), Err(error)) => Err(Said::other(&error).to_string()),
        },
    }
}
