//! Lists of any length, asked for page by page.

use std::fmt::Debug;

use kube::api::{Api, ListParams};
use serde::de::DeserializeOwned;

/// Objects of one page: what client-go and kube's watcher ask for. An answer of 500 pods is about 2 MB, so no request takes
/// long, and most clusters have fewer objects of a kind that bears on a run.
pub(super) const PAGE: u32 = 500;

/// The API server no longer knows the list that a page continues.
const GONE: u16 = 410;

/// All objects of a list.
///
/// # Errors
/// As the API server says, and never with a part of the list.
pub(super) async fn all<K>(api: &Api<K>, wanted: &ListParams) -> Result<Vec<K>, kube::Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    let pages = pages(wanted, |params| async move {
        let page = api.list(&params).await?;
        Ok((page.items, page.metadata.continue_))
    });
    Ok(pages.await?.into_iter().flatten().collect())
}

/// All pages of a list, in order. `ask` gives a page, and the token of the next.
///
/// # Errors
/// Those of `ask`. A token that expired is none: the list is then asked for once more, as a whole, as client-go does.
pub(super) async fn pages<P, F>(wanted: &ListParams, ask: impl Fn(ListParams) -> F) -> Result<Vec<P>, kube::Error>
where
    F: Future<Output = Result<(P, Option<String>), kube::Error>>,
{
    let (mut pages, mut token) = (Vec::new(), None);
    loop {
        let params = ListParams { limit: Some(PAGE), continue_token: token.take(), ..wanted.clone() };
        let continued = params.continue_token.is_some();
        match ask(params).await {
            Ok((page, next)) => {
                pages.push(page);
                token = next.filter(|token| !token.is_empty());
                if token.is_none() {
                    return Ok(pages);
                }
            }
            Err(kube::Error::Api(status)) if continued && status.code == GONE => {
                return Ok(vec![ask(wanted.clone()).await?.0]);
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;
    use crate::fabric::cluster::fake::Fake;

    #[tokio::test]
    async fn a_list_of_more_than_one_page_loses_nothing_even_where_a_page_expires() {
        for (expired, with_limit) in [(0, 3), (1, 2)] {
            let fake = Fake::new();
            for name in ["a", "b", "c", "d", "e"] {
                fake.put(("pods", Some("there"), name), json!({ "metadata": { "name": name, "namespace": "there" } }));
            }
            (fake.inside().page, fake.inside().expired_pages) = (Some(2), expired);
            let pods = all(&Api::<Pod>::all(fake.client()), &ListParams::default()).await.unwrap();
            let names: Vec<String> = pods.into_iter().filter_map(|pod| pod.metadata.name).collect();
            assert_eq!(names, ["a", "b", "c", "d", "e"]);
            assert_eq!(fake.count(&["/api/v1/pods", "limit=500"]), with_limit, "expired pages: {expired}");
        }
    }

    #[tokio::test]
    async fn a_list_that_breaks_off_is_an_error_and_no_part() {
        let wanted = ListParams::default();
        let pages = pages(&wanted, |params| async move {
            match params.continue_token {
                None => Ok((1, Some("more".to_owned()))),
                Some(_) => Err(kube::Error::LinesCodecMaxLineLengthExceeded),
            }
        });
        assert!(pages.await.is_err());
    }
}
